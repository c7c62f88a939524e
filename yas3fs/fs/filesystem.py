"""The verbs of POSIX over objects.

What the verbs share is in :mod:`volume`, opening and closing in :mod:`files`, renames in
:mod:`moves`, extended attributes in :mod:`xattrs`.
"""

import os
import stat

from yas3fs.errors import (
    Exists,
    InvalidArgument,
    IsADirectory,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    StoreError,
)
from yas3fs.fs.entries import Directory
from yas3fs.fs.files import OpenFiles
from yas3fs.fs.handles import DirectoryHandle, FileHandle
from yas3fs.fs.kept import Snapshot
from yas3fs.fs.keys import join, name_of
from yas3fs.fs.moves import Moves
from yas3fs.fs.namespace import has_local_content
from yas3fs.fs.types import Attributes, Caller, Changes, FilesystemStatistics
from yas3fs.fs.volume import FilesystemSettings, Invalidate, Parts, Volume
from yas3fs.fs.xattrs import ExtendedAttributes

_NO_CHANGES = Changes()


class Filesystem:
    """One mounted bucket; every public method is one verb and safe to call from many threads.

    ``invalidate`` is called with each path that the kernel must forget, and whether that is meant
    for all below it too.
    """

    def __init__(self, settings: FilesystemSettings, parts: Parts, invalidate: Invalidate) -> None:
        self.block_size = settings.block_size
        self.volume = Volume(settings, parts, invalidate)
        self.files = OpenFiles(self.volume)
        self._moves = Moves(self.volume, self.files)
        self._xattrs = ExtendedAttributes(self.volume, settings.expiration)

    def now_ns(self) -> int:
        """The moment, for timestamps."""
        return self.volume.now_ns()

    # -- looking ---------------------------------------------------------------------------

    def getattr(self, path: str) -> Attributes:
        """As lstat(2)."""
        entry = self.volume.lookup(path)
        attributes = entry.attributes()
        if entry.inode is not None and entry.inode.unlinked:
            attributes.nlink = 0
        return attributes

    def readlink(self, path: str, *, again: bool = False) -> str:
        """As readlink(2)."""
        entry = self.volume.lookup(path)
        if not stat.S_ISLNK(entry.mode):
            raise InvalidArgument(path)
        target = memoryview(bytearray(entry.size))
        try:
            self.volume.parts.reader.read_into(self.volume.version_of(path, entry), target, 0)
        except (NotFound, PreconditionFailed):
            self.volume.forget(path)  # replaced elsewhere
            if again:
                raise
            return self.readlink(path, again=True)
        return os.fsdecode(bytes(target))

    def opendir(self, path: str) -> DirectoryHandle:
        """As opendir(3)."""
        directory = self.volume.discovery.directory(path)
        volume = self.volume
        return DirectoryHandle(
            path, directory, self._list_names, volume.opened, volume.kept, volume.removals
        )

    def _list_names(self, path: str) -> Snapshot:
        names = self.volume.discovery.read_directory(path)
        if self.volume.settings.prefetch:
            self._prefetch_content(path)
        self.volume.names.trim()
        return self.volume.kept.snapshot(path, names)

    def _prefetch_content(self, path: str) -> None:
        directory = self.volume.discovery.directory(path)
        for name, entry in list(directory.children.items()):
            if isinstance(entry, Directory) or not entry.size or has_local_content(entry):
                continue
            if not self.volume.parts.reader.prefetch(
                self.volume.version_of(join(path, name), entry)
            ):
                return

    def statfs(self) -> FilesystemStatistics:
        """As statvfs(3): a bucket has no end, so the figures are large and constant."""
        blocks = 1 << 40
        return FilesystemStatistics(
            4096, blocks, blocks, 1 << 32, (1 << 32) - self.volume.names.count
        )

    # -- opening ---------------------------------------------------------------------------

    def open(self, path: str, flags: int, *, aside: bool = False) -> FileHandle:
        """As open(2) of something that exists; ``aside``: not through the kernel's pages of it."""
        return self.files.open(path, flags, aside=aside)

    def create(self, path: str, flags: int, mode: int, caller: Caller) -> FileHandle:
        """As open(2) with O_CREAT; the object is made when the file is closed."""
        return self.files.create(path, flags, mode, caller)

    # -- making ----------------------------------------------------------------------------

    def mknod(self, path: str, mode: int, rdev: int, caller: Caller) -> None:
        """As mknod(2): a regular file, or what metadata can say of a special one."""
        if not stat.S_IFMT(mode):
            mode |= stat.S_IFREG
        if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            raise InvalidArgument(path)
        if not stat.S_ISREG(mode) and not self.volume.settings.metadata:
            raise NotPermitted(f"{path!r}: special files need metadata")
        self._make(path, mode, caller, b"", rdev)

    def symlink(self, target: str, path: str, caller: Caller) -> None:
        """As symlink(2)."""
        if not self.volume.settings.metadata:
            raise NotPermitted(f"{path!r}: symlinks need metadata")
        self._make(path, stat.S_IFLNK | 0o777, caller, os.fsencode(target), 0)

    def _make(self, path: str, mode: int, caller: Caller, body: bytes, rdev: int) -> None:
        with self.volume.claims.claim(path):
            if self.volume.exists(path):
                raise Exists(path)
            with self.volume.held_directory(path) as parent:
                entry = self.volume.new_entry(mode, caller, parent)
                attributes = entry.attributes()
                attributes.size, attributes.rdev = len(body), rdev
                entry.learn(attributes, {})
                key = self.volume.keys.file(path)
                free = not self.volume.before_write_to(key)
                try:
                    headers = self.volume.headers_of(key, entry)
                    written = self.volume.store.put(key, body, headers, if_none_match=free)
                except PreconditionFailed as error:
                    self.volume.forget(path)
                    raise Exists(path) from error
                except StoreError:
                    self.volume.forget(path)  # it may be there: only the answer is known to be lost
                    raise
                entry.etag, entry.modified = written.etag, 0
                self.volume.names.put(parent, name_of(path), entry)
                if body:
                    self.volume.parts.cache.store(self.volume.version_of(path, entry), body)
                self.volume.touch(parent)
                self.volume.names.trim()

    def mkdir(self, path: str, mode: int, caller: Caller) -> None:
        """As mkdir(2)."""
        key = self.volume.keys.marker(path)
        with self.volume.claims.claim(path):
            if self.volume.exists(path):
                raise Exists(path)
            with self.volume.held_directory(path) as parent:
                entry = self.volume.new_entry(stat.S_IFDIR | stat.S_IMODE(mode), caller, parent)
                assert isinstance(entry, Directory)
                self.volume.before_write_to(key)
                try:
                    headers = self.volume.headers_of(key, entry)
                    self.volume.store.put(key, b"", headers, if_none_match=True)
                except PreconditionFailed as error:
                    self.volume.forget(path)
                    raise Exists(path) from error
                except StoreError:
                    self.volume.forget(path)
                    raise
                entry.marker = True
                entry.complete_at = self.volume.now_ms()
                self.volume.names.put(parent, name_of(path), entry)
                self.volume.names.used(path, entry)
                self.volume.touch(parent)
                self.volume.names.trim()

    # -- removing --------------------------------------------------------------------------

    def unlink(self, path: str) -> None:
        """As unlink(2); the object is gone when this returns, but see :mod:`removals`."""
        with self.volume.claims.claim(path):
            entry = self.volume.lookup(path)
            if isinstance(entry, Directory):
                raise IsADirectory(path)
            with self.volume.held_directory(path) as parent:
                inode = entry.inode
                self.volume.keep_parent(path, parent)
                key = self.volume.keys.file(path)
                if inode is None:
                    self._remove(path, key, parent)
                else:
                    with inode.lock:  # nothing is uploaded between the deletion and the name's end
                        if inode.opens:
                            inode.bring_here()
                        if inode.is_stored:
                            self.volume.delete(path, key)
                        self.files.lost_name(inode)
                self.volume.names.remove(parent, name_of(path))
                self.volume.parts.cache.forget(self.volume.version_of(path, entry))
                self.volume.touch(parent)

    def _remove(self, path: str, key: str, parent: Directory) -> None:
        removals = self.volume.removals
        if removals.goes_on(parent):
            removals.add(path, key)
        else:
            self.volume.delete(path, key)
            removals.has_begun(parent)

    def rmdir(self, path: str) -> None:
        """As rmdir(2)."""
        if path == "/":
            raise InvalidArgument(path)
        removals = self.volume.removals
        with self.volume.claims.claim(path, tree=True):
            directory = self.volume.lookup(path)
            if not isinstance(directory, Directory):
                raise NotADirectory(path)
            marker = self.volume.keys.marker(path)
            together, failed = removals.has_below(path), removals.failed(path)
            try:
                self.volume.check_empty(path, directory)
            except NotEmpty:
                removals.settle(path)  # tells why, if that is what failed
                raise
            removals.excuse(failed)
            with self.volume.held_directory(path) as parent:
                self.volume.keep_parent(path, parent)
                if together:
                    self._remove_with_names(path, marker)
                else:
                    self.volume.delete(path, marker)
                self.volume.names.remove(parent, name_of(path))
                self.volume.names.uncover(parent, directory)
                self.volume.touch(parent)

    def _remove_with_names(self, path: str, marker: str) -> None:
        """Delete a directory's marker together with what is still to go below it."""
        self.volume.removals.add(path, marker)
        try:
            self.volume.removals.settle(path)
        except BaseException:
            self.volume.forget(path)
            raise

    # -- attributes ------------------------------------------------------------------------

    def setattr(self, path: str, changes: Changes, handle: FileHandle | None = None) -> Attributes:
        """As chmod(2), lchown(2), truncate(2) and utimensat(2) at once, with one write.

        With a handle a new size is durable at close, without one at once.
        """
        if changes.size is not None:
            if handle is None:
                return self._resize(path, changes)
            handle.truncate(changes.size)
            changes = changes._replace(size=None)
        if changes != _NO_CHANGES:
            self._change_attributes(path, handle, changes)
        return self.getattr(path) if handle is None else handle.getattr()

    def _resize(self, path: str, changes: Changes) -> Attributes:
        opened = self.open(path, os.O_WRONLY)
        unsaved = opened.inode.dirty  # somebody is writing: closing that file makes both durable
        try:
            attributes = self.setattr("", changes, opened)
            if not unsaved:
                opened.flush()
                attributes = opened.getattr()
        finally:
            opened.release()
        return attributes

    def _change_attributes(self, path: str, handle: FileHandle | None, new: Changes) -> None:
        with self.volume.claimed_entry(path, handle) as (at, entry):
            known = entry.attributes()
            if new.mode is not None:
                known.mode = stat.S_IFMT(known.mode) | stat.S_IMODE(new.mode)
            known.uid = known.uid if new.uid is None else new.uid
            known.gid = known.gid if new.gid is None else new.gid
            known.atime_ns = known.atime_ns if new.atime_ns is None else new.atime_ns
            known.mtime_ns = known.mtime_ns if new.mtime_ns is None else new.mtime_ns
            known.ctime_ns = self.volume.now_ns()
            self.volume.store_attributes(at, entry, known, entry.xattrs)

    def chmod(self, path: str, mode: int, handle: FileHandle | None = None) -> None:
        """As chmod(2)."""
        self.setattr(path, Changes(mode=mode), handle)

    def chown(self, path: str, uid: int, gid: int, handle: FileHandle | None = None) -> None:
        """As lchown(2); -1 leaves an id as it is."""
        changes = Changes(uid=None if uid == -1 else uid, gid=None if gid == -1 else gid)
        self.setattr(path, changes, handle)

    def utimens(
        self,
        path: str,
        atime_ns: int | None,
        mtime_ns: int | None,
        handle: FileHandle | None = None,
    ) -> None:
        """As utimensat(2); None leaves a time as it is."""
        if atime_ns is not None or mtime_ns is not None:
            self.setattr(path, Changes(atime_ns=atime_ns, mtime_ns=mtime_ns), handle)

    def truncate(self, path: str, size: int, handle: FileHandle | None = None) -> None:
        """As truncate(2), durable at once; with a handle as ftruncate(2), durable at close."""
        self.setattr(path, Changes(size=size), handle)

    # -- extended attributes and renames ---------------------------------------------------

    def setxattr(
        self, path: str, name: str, value: bytes, flags: int, handle: FileHandle | None = None
    ) -> None:
        """As lsetxattr(2); with a handle as fsetxattr(2), and so on."""
        self._xattrs.set(path, name, value, flags, handle)

    def getxattr(self, path: str, name: str, handle: FileHandle | None = None) -> bytes:
        """As lgetxattr(2)."""
        return self._xattrs.get(path, name, handle)

    def listxattr(self, path: str, handle: FileHandle | None = None) -> list[str]:
        """As llistxattr(2)."""
        return self._xattrs.names(path, handle)

    def removexattr(self, path: str, name: str, handle: FileHandle | None = None) -> None:
        """As lremovexattr(2)."""
        self._xattrs.remove(path, name, handle)

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        """As renameat2(2) with RENAME_NOREPLACE."""
        self._moves.rename(old, new, flags)

    # -- the whole -------------------------------------------------------------------------

    def forget(self, path: str) -> None:
        """Ask the store again about ``path`` and what is below it, and have the kernel do so."""
        self.volume.forget(path)

    def drain(self) -> int:
        """Upload and delete what is left; returns how many files could not be uploaded."""
        return self.files.drain()
