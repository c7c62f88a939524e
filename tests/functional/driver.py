"""One small interface to a POSIX file system, so that the same cases run at every height.

:class:`LocalDriver` makes system calls below a folder: the reference of the model tests, and what
runs inside the child process of :mod:`tests.functional.mounted`. :class:`CoreDriver` calls the core
as the kernel edge does, without a kernel. Errors are OSError with an errno; paths begin with ``/``.
"""

import ctypes
import errno
import os
import stat as _stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.functional.core import CALLER, Core
from yas3fs.errors import Yas3fsError
from yas3fs.fs.handles import FileHandle
from yas3fs.fs.types import Attributes
from yas3fs.fuse.errno import negative_errno

T = TypeVar("T")
NOW = -1
OMIT = -2
"""For :meth:`utimens`: the present moment, and a time that stays."""

Status = dict[str, int]


class LocalDriver:
    """System calls below ``root``."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._libc = ctypes.CDLL(None, use_errno=True)

    def _at(self, path: str) -> str:
        return self.root + path

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        return os.open(self._at(path), flags, mode)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def append(self, fd: int, data: bytes) -> int:
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def fstat(self, fd: int) -> Status:
        return _status(os.fstat(fd))

    def ftruncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def fchmod(self, fd: int, mode: int) -> None:
        os.fchmod(fd, mode)

    def truncate(self, path: str, size: int) -> None:
        os.truncate(self._at(path), size)

    def stat(self, path: str) -> Status:
        return _status(os.lstat(self._at(path)))

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(self._at(path)))

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        os.mkdir(self._at(path), mode)

    def rmdir(self, path: str) -> None:
        os.rmdir(self._at(path))

    def unlink(self, path: str) -> None:
        os.unlink(self._at(path))

    def mknod(self, path: str, mode: int, device: int = 0) -> None:
        os.mknod(self._at(path), mode, device)

    def symlink(self, target: str, path: str) -> None:
        os.symlink(target, self._at(path))

    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        names = (os.fsencode(self._at(old)), os.fsencode(self._at(new)))
        if self._libc.renameat2(-100, names[0], -100, names[1], flags):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(self._at(path), uid, gid)

    def utimens(self, path: str, atime_ns: int, mtime_ns: int) -> None:
        special = {NOW: (1 << 30) - 1, OMIT: (1 << 30) - 2}
        times = (ctypes.c_long * 4)()
        for index, value in enumerate((atime_ns, mtime_ns)):
            seconds, rest = (0, special[value]) if value < 0 else divmod(value, 10**9)
            times[2 * index], times[2 * index + 1] = seconds, rest
        if self._libc.utimensat(-100, os.fsencode(self._at(path)), times, 0x100):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def setxattr(self, path: str, name: str, value: bytes, flags: int = 0) -> None:
        os.setxattr(self._at(path), name, value, flags, follow_symlinks=False)

    def getxattr(self, path: str, name: str) -> bytes:
        return os.getxattr(self._at(path), name, follow_symlinks=False)

    def listxattr(self, path: str) -> list[str]:
        return sorted(os.listxattr(self._at(path), follow_symlinks=False))

    def removexattr(self, path: str, name: str) -> None:
        os.removexattr(self._at(path), name, follow_symlinks=False)

    def statvfs(self) -> dict[str, int]:
        found = os.statvfs(self.root)
        return {"namemax": found.f_namemax, "bfree": found.f_bfree, "bsize": found.f_bsize}


def _status(found: os.stat_result) -> Status:
    names = ("mode", "size", "uid", "gid", "nlink", "atime_ns", "mtime_ns", "ctime_ns", "rdev")
    return {name: getattr(found, f"st_{name}") for name in names}


@dataclass
class _Open:
    handle: FileHandle
    flags: int
    path: str


class CoreDriver:
    """The core below a kernel that is played here: descriptors, append offsets, errnos."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._open: dict[int, _Open] = {}
        self._next = 3

    def _do(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (Yas3fsError, OSError) as error:
            number = -negative_errno("test", error)
            raise OSError(number, f"{os.strerror(number)} ({error!r})") from error

    # -- files -----------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o644) -> int:
        fs = self.core.fs
        if flags & os.O_CREAT:
            found = None if flags & os.O_EXCL else self._status_or_none(path)
            if found is not None and _stat.S_ISDIR(found["mode"]):
                raise OSError(errno.EISDIR, path)
            handle = self._do(lambda: fs.create(path, flags, mode, CALLER))
        else:
            handle = self._do(lambda: fs.open(path, flags))
        self._next += 1
        self._open[self._next] = _Open(handle, flags, path)
        return self._next

    def _status_or_none(self, path: str) -> Status | None:
        try:
            return self.stat(path)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return None

    def _handle(self, fd: int) -> FileHandle:
        return self._open[fd].handle

    def close(self, fd: int) -> None:
        handle = self._handle(fd)
        del self._open[fd]
        try:
            self._do(handle.flush)
        finally:
            handle.release()

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        if not self._handle(fd).readable:
            raise OSError(errno.EBADF, "not open for reading")
        return self._do(lambda: self.core.pread(self._handle(fd), size, offset))

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        if self._open[fd].flags & os.O_APPEND:  # as Linux does it
            return self.append(fd, data)
        return self._do(lambda: self._handle(fd).write(memoryview(data), offset))

    def append(self, fd: int, data: bytes) -> int:
        handle = self._handle(fd)
        return self._do(lambda: handle.write(memoryview(data), handle.getattr().size))

    def fsync(self, fd: int) -> None:
        self._do(self._handle(fd).fsync)

    def fstat(self, fd: int) -> Status:
        return _shown(self._do(self._handle(fd).getattr))

    def ftruncate(self, fd: int, size: int) -> None:
        handle = self._handle(fd)
        if not handle.writable:
            raise OSError(errno.EINVAL, "not open for writing")
        self._do(lambda: self.core.fs.truncate(handle.inode.path, size, handle))

    def fchmod(self, fd: int, mode: int) -> None:
        handle = self._handle(fd)
        self._do(lambda: self.core.fs.chmod(handle.inode.path, mode, handle))

    def truncate(self, path: str, size: int) -> None:
        self._do(lambda: self.core.fs.truncate(path, size))

    def stat(self, path: str) -> Status:
        return _shown(self._do(lambda: self.core.fs.getattr(path)))

    # -- names -----------------------------------------------------------------------------

    def listdir(self, path: str) -> list[str]:
        if not _stat.S_ISDIR(self.stat(path)["mode"]):
            raise OSError(errno.ENOTDIR, path)
        return self._do(lambda: self.core.names(path))

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        self._do(lambda: self.core.fs.mkdir(path, mode, CALLER))

    def rmdir(self, path: str) -> None:
        self._do(lambda: self.core.fs.rmdir(path))

    def unlink(self, path: str) -> None:
        self._do(lambda: self.core.fs.unlink(path))

    def mknod(self, path: str, mode: int, device: int = 0) -> None:
        self._do(lambda: self.core.fs.mknod(path, mode, device, CALLER))

    def symlink(self, target: str, path: str) -> None:
        self._do(lambda: self.core.fs.symlink(target, path, CALLER))

    def readlink(self, path: str) -> str:
        return self._do(lambda: self.core.fs.readlink(path))

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        self._do(lambda: self.core.fs.rename(old, new, flags))

    # -- attributes ------------------------------------------------------------------------

    def chmod(self, path: str, mode: int) -> None:
        self._do(lambda: self.core.fs.chmod(path, mode))

    def chown(self, path: str, uid: int, gid: int) -> None:
        self._do(lambda: self.core.fs.chown(path, uid, gid))

    def utimens(self, path: str, atime_ns: int, mtime_ns: int) -> None:
        fs = self.core.fs
        times = [{NOW: fs.now_ns(), OMIT: None}.get(value, value) for value in (atime_ns, mtime_ns)]
        self._do(lambda: fs.utimens(path, times[0], times[1]))

    def setxattr(self, path: str, name: str, value: bytes, flags: int = 0) -> None:
        self._do(lambda: self.core.fs.setxattr(path, name, value, flags))

    def getxattr(self, path: str, name: str) -> bytes:
        return self._do(lambda: self.core.fs.getxattr(path, name))

    def listxattr(self, path: str) -> list[str]:
        return sorted(self._do(lambda: self.core.fs.listxattr(path)))

    def removexattr(self, path: str, name: str) -> None:
        self._do(lambda: self.core.fs.removexattr(path, name))

    def statvfs(self) -> dict[str, int]:
        found = self._do(self.core.fs.statfs)
        return {
            "namemax": found.name_max,
            "bfree": found.blocks_free,
            "bsize": found.block_size,
        }


def _shown(found: Attributes) -> Status:
    names: tuple[Any, ...] = tuple(found.__dataclass_fields__)
    return {name: getattr(found, name) for name in names}
