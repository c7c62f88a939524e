"""A file system in whose place another can be put while it is served.

Whatever begins after the switch goes to the new one. A verb that comes with an open file goes to
the file system that opened it: a file that is open stays where it is, be it written or only read.
"""

import threading
from collections.abc import Callable

from yas3fs.fs.filesystem import Filesystem
from yas3fs.fs.handles import DirectoryHandle, FileHandle
from yas3fs.fs.types import Attributes, Caller, Changes, FilesystemStatistics


class SwitchableFilesystem:
    """The verbs of the present file system."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._switching = threading.Lock()
        self._now = filesystem
        self._left: list[Filesystem] = []

    @property
    def present(self) -> Filesystem:
        """Where names are looked up."""
        return self._now

    def switch(self, filesystem: Filesystem, before: Callable[[], None]) -> None:
        """Serve ``filesystem`` from now on.

        ``before`` is called when no change of names is under way in the present one, and none
        begins. What is in the kernel's caches is the caller's business, now and a while later:
        looks that are under way are not waited for.
        """
        with self._switching, self._now.volume.claims.claim("/", tree=True):
            before()
            filesystem.files.share_pages_with(self._now.files)
            self._left.append(self._now)
            self._now = filesystem

    def leave(self, filesystem: Filesystem) -> None:
        """A file system that was switched from has no open files any more."""
        with self._switching:
            self._left.remove(filesystem)

    def _home(self, handle: FileHandle | None) -> Filesystem:
        """Where the open file is."""
        if handle is not None and self._left:
            for filesystem in list(self._left):
                if handle.is_of(filesystem.files):
                    return filesystem
        return self._now

    # -- the verbs, as in filesystem.py ----------------------------------------------------

    @property
    def block_size(self) -> int:
        return self._now.block_size

    def now_ns(self) -> int:
        return self._now.now_ns()

    def getattr(self, path: str) -> Attributes:
        return self._now.getattr(path)

    def readlink(self, path: str) -> str:
        return self._now.readlink(path)

    def opendir(self, path: str) -> DirectoryHandle:
        return self._now.opendir(path)

    def statfs(self) -> FilesystemStatistics:
        return self._now.statfs()

    def open(self, path: str, flags: int, *, aside: bool = False) -> FileHandle:
        return self._now.open(path, flags, aside=aside)

    def create(self, path: str, flags: int, mode: int, caller: Caller) -> FileHandle:
        return self._now.create(path, flags, mode, caller)

    def mknod(self, path: str, mode: int, rdev: int, caller: Caller) -> None:
        self._now.mknod(path, mode, rdev, caller)

    def symlink(self, target: str, path: str, caller: Caller) -> None:
        self._now.symlink(target, path, caller)

    def mkdir(self, path: str, mode: int, caller: Caller) -> None:
        self._now.mkdir(path, mode, caller)

    def unlink(self, path: str) -> None:
        self._now.unlink(path)

    def rmdir(self, path: str) -> None:
        self._now.rmdir(path)

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        self._now.rename(old, new, flags)

    def setattr(self, path: str, changes: Changes, handle: FileHandle | None = None) -> Attributes:
        return self._home(handle).setattr(path, changes, handle)

    def chmod(self, path: str, mode: int, handle: FileHandle | None = None) -> None:
        self._home(handle).chmod(path, mode, handle)

    def chown(self, path: str, uid: int, gid: int, handle: FileHandle | None = None) -> None:
        self._home(handle).chown(path, uid, gid, handle)

    def utimens(
        self,
        path: str,
        atime_ns: int | None,
        mtime_ns: int | None,
        handle: FileHandle | None = None,
    ) -> None:
        self._home(handle).utimens(path, atime_ns, mtime_ns, handle)

    def truncate(self, path: str, size: int, handle: FileHandle | None = None) -> None:
        self._home(handle).truncate(path, size, handle)

    def setxattr(
        self, path: str, name: str, value: bytes, flags: int, handle: FileHandle | None = None
    ) -> None:
        self._home(handle).setxattr(path, name, value, flags, handle)

    def getxattr(self, path: str, name: str, handle: FileHandle | None = None) -> bytes:
        return self._home(handle).getxattr(path, name, handle)

    def listxattr(self, path: str, handle: FileHandle | None = None) -> list[str]:
        return self._home(handle).listxattr(path, handle)

    def removexattr(self, path: str, name: str, handle: FileHandle | None = None) -> None:
        self._home(handle).removexattr(path, name, handle)
