"""The verbs of POSIX over objects.

A path is turned into an entry by :mod:`discovery`; what changes it holds a claim on it, asks the
store first and changes what is known afterwards, so that a refusal changes nothing. Renames are in
:mod:`moves`, extended attributes in :mod:`xattrs`.
"""

import logging
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from yas3fs.cache.memory import MemoryCache, Version
from yas3fs.errors import (
    Exists,
    InvalidArgument,
    IsADirectory,
    NoEntry,
    NotADirectory,
    NotEmpty,
    NotFound,
    NotPermitted,
    PreconditionFailed,
    StoreError,
    TooManyLinks,
)
from yas3fs.fs.attributes import Defaults, compose_headers
from yas3fs.fs.copies import copy_object
from yas3fs.fs.departures import Departures
from yas3fs.fs.discovery import Discovery
from yas3fs.fs.entries import NEVER, Directory, Entry
from yas3fs.fs.handles import DirectoryHandle, FileHandle
from yas3fs.fs.inode import Inode
from yas3fs.fs.keys import KeyMap, check_names, join, name_of, parent_of
from yas3fs.fs.moves import Moves
from yas3fs.fs.namespace import Namespace, has_local_content, walk_paths
from yas3fs.fs.types import Attributes, Caller, FilesystemStatistics
from yas3fs.fs.xattrs import MAX_EXPIRATION, ExtendedAttributes
from yas3fs.objectstore.protocol import Headers, ObjectStore, Written
from yas3fs.prefetch.reader import Reader
from yas3fs.runtime.claims import PathClaims
from yas3fs.runtime.clock import Clock
from yas3fs.writeback.journal import Journal
from yas3fs.writeback.rescue import RescueFolder
from yas3fs.writeback.upload import Uploader

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FilesystemSettings:
    """How one mount behaves. Times in seconds; ``block_size`` in bytes (st_blksize)."""

    bucket: str
    prefix: str = ""
    defaults: Defaults = field(default_factory=Defaults)
    metadata: bool = True
    ttl: float = 30.0
    max_entries: int = 1_000_000
    block_size: int = 1024 * 1024
    prefetch: bool = False
    expiration: int = MAX_EXPIRATION


@dataclass(frozen=True, slots=True)
class Parts:
    """What a file system is built from; made by ``mount.py``."""

    store: ObjectStore
    cache: MemoryCache
    reader: Reader
    uploader: Uploader
    journal: Journal
    rescue: RescueFolder
    metadata_pool: ThreadPoolExecutor
    staging_folder: str
    clock: Clock


class Filesystem:
    """One mounted bucket; every public method is one verb and safe to call from many threads.

    ``invalidate`` is called with each path that the kernel must forget.
    """

    def __init__(
        self, settings: FilesystemSettings, parts: Parts, invalidate: Callable[[str], None]
    ) -> None:
        self.settings = settings
        self.block_size = settings.block_size
        self.parts = parts
        self.store = parts.store
        self.keys = KeyMap(settings.prefix)
        self.claims = PathClaims()
        self._invalidate = invalidate
        self.names = Namespace(settings.max_entries, self._now_ms)
        self.discovery = Discovery(
            parts.store,
            self.keys,
            self.names,
            parts.metadata_pool,
            settings.defaults,
            ttl=settings.ttl,
            metadata=settings.metadata,
            now=self._now_ms,
            changed=self._changed_elsewhere,
            started=parts.clock.time(),
            fetch=parts.reader.fetch_small,
        )
        self.departures = Departures(parts.store, self.discovery.dying, self._departed)
        self.hidden: dict[str, Entry] = {}
        """Files that were unlinked while open, under the names that the kernel library gave."""
        self._outdated: dict[str, list[Inode]] = {}
        """Inodes that were replaced elsewhere while they were open, by path."""
        self._moves = Moves(self)
        self._xattrs = ExtendedAttributes(self, settings.expiration)

    # -- time ------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The moment, for timestamps."""
        return self.parts.clock.time_ns()

    def _now_ms(self) -> int:
        return int(self.parts.clock.monotonic() * 1000)

    # -- looking ---------------------------------------------------------------------------

    def lookup(self, path: str) -> Entry:
        """The entry at ``path`` with its attributes."""
        if self.hidden and path in self.hidden:
            return self.hidden[path]
        check_names(path)
        return self.discovery.lookup(path)

    def getattr(self, path: str) -> Attributes:
        """As lstat(2)."""
        entry = self.lookup(path)
        attributes = entry.attributes()
        if entry.inode is not None and entry.inode.unlinked:
            attributes.nlink = 0
        return attributes

    def readlink(self, path: str, *, again: bool = False) -> str:
        """As readlink(2)."""
        entry = self.lookup(path)
        if not stat.S_ISLNK(entry.mode):
            raise InvalidArgument(path)
        target = memoryview(bytearray(entry.size))
        try:
            self.parts.reader.read_into(self.version_of(path, entry), target, 0)
        except (NotFound, PreconditionFailed):
            self.forget(path)  # replaced elsewhere
            if again:
                raise
            return self.readlink(path, again=True)
        return os.fsdecode(bytes(target))

    def opendir(self, path: str) -> DirectoryHandle:
        """As opendir(3)."""
        return DirectoryHandle(path, self.discovery.directory(path), self._list_names)

    def _list_names(self, path: str) -> list[str]:
        names = self.discovery.list_directory(path)
        if self.settings.prefetch:
            self._prefetch_content(path)
        self.names.trim()
        return names

    def _prefetch_content(self, path: str) -> None:
        directory = self.discovery.directory(path)
        for name, entry in list(directory.children.items()):
            if isinstance(entry, Directory) or not entry.size or has_local_content(entry):
                continue
            if not self.parts.reader.prefetch(self.version_of(join(path, name), entry)):
                return

    def statfs(self) -> FilesystemStatistics:
        """As statvfs(3): a bucket has no end, so the figures are large and constant."""
        blocks = 1 << 40
        return FilesystemStatistics(4096, blocks, blocks, 1 << 32, (1 << 32) - self.names.count)

    def version_of(self, path: str, entry: Entry) -> Version:
        """Which bytes the entry stands for."""
        return Version(self.keys.file(path), entry.etag, entry.size)

    # -- opening ---------------------------------------------------------------------------

    def open(self, path: str, flags: int) -> FileHandle:
        """As open(2) of something that exists."""
        while True:
            entry = self.lookup(path)
            if isinstance(entry, Directory):
                raise IsADirectory(path)
            if stat.S_ISLNK(entry.mode):
                raise TooManyLinks(path)
            # The claim waits for whoever is moving or removing the file.
            with self.claims.claim(path), self.names.lock:
                if path not in self.hidden and self.names.known(path) is not entry:
                    continue
                inode = entry.inode
                if inode is None:
                    inode = self._new_inode(path, entry, self.version_of(path, entry))
                inode.opens += 1
                parent = self.names.known(parent_of(path))
                if isinstance(parent, Directory):
                    parent.opened += 1
                direct = path in self._outdated and self._is_outdated(path, inode)
                keep_cache = entry.kept == entry.etag and not direct
                entry.kept = "" if direct else entry.etag
            break
        handle = FileHandle(
            self,
            inode,
            flags,
            self.parts.reader.new_read_ahead(),
            keep_cache=keep_cache,
            direct=direct,
        )
        if flags & os.O_TRUNC and handle.writable:
            try:
                inode.begin_empty()
            except BaseException:
                handle.release()
                raise
        return handle

    def create(self, path: str, flags: int, mode: int, caller: Caller) -> FileHandle:
        """As open(2) with O_CREAT; the object is made when the file is closed."""
        with self.claims.claim(path):
            if self._exists(path):
                if flags & os.O_EXCL:
                    raise Exists(path)
            else:
                with self.held_directory(path) as parent:
                    entry = self._new_entry(stat.S_IFREG | stat.S_IMODE(mode), caller, parent)
                    inode = self._new_inode(path, entry, None)
                    inode.exclusive = bool(flags & os.O_EXCL)
                    inode.begin_empty()
                    with self.names.lock:
                        inode.opens += 1
                        self.names.put(parent, name_of(path), entry)
                    self.touch(parent)
                    self.names.trim()
                    return FileHandle(
                        self, inode, flags, self.parts.reader.new_read_ahead(), keep_cache=False
                    )
        return self.open(path, flags)

    def _new_inode(self, path: str, entry: Entry, version: Version | None) -> Inode:
        inode = Inode(
            self,
            path,
            entry,
            version,
            reader=self.parts.reader,
            cache=self.parts.cache,
            uploader=self.parts.uploader,
            folder=self.parts.staging_folder,
        )
        entry.inode = inode
        return inode

    def _exists(self, path: str) -> bool:
        self.keys.file(path)
        try:
            self.lookup(path)
        except NoEntry:
            return False
        return True

    def directory_of(self, path: str) -> Directory:
        """The directory that is to hold ``path``, with attributes."""
        parent = self.lookup(parent_of(path))
        if not isinstance(parent, Directory):
            raise NotADirectory(path)
        return parent

    @contextmanager
    def held_directory(self, path: str) -> Iterator[Directory]:
        """As :meth:`directory_of`; it does not leave the namespace while the block runs."""
        while True:
            parent = self.directory_of(path)
            with self.names.lock:
                if self.names.known(parent_of(path)) is parent:
                    touched = self.names.asking(parent)
                    break
        try:
            yield parent
        finally:
            self.names.answered(parent, touched)

    def _new_entry(self, mode: int, caller: Caller, parent: Directory) -> Entry:
        """An entry for something made now, with the group that a setgid directory hands down."""
        now = self.now_ns()
        gid = caller.gid
        if parent.mode & stat.S_ISGID:
            gid = parent.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        entry = Directory() if stat.S_ISDIR(mode) else Entry()
        entry.learn(Attributes(mode, 0, caller.uid, gid, now, now, now), {})
        entry.checked = self._now_ms()
        return entry

    def touch(self, directory: Directory) -> None:
        """A directory's times move when its names change; in memory only."""
        directory.mtime_ns = directory.ctime_ns = self.now_ns()

    # -- making ----------------------------------------------------------------------------

    def mknod(self, path: str, mode: int, rdev: int, caller: Caller) -> None:
        """As mknod(2): a regular file, or what metadata can say of a special one."""
        if not stat.S_IFMT(mode):
            mode |= stat.S_IFREG
        if stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
            raise InvalidArgument(path)
        if not stat.S_ISREG(mode) and not self.settings.metadata:
            raise NotPermitted(f"{path!r}: special files need metadata")
        self._make(path, mode, caller, b"", rdev)

    def symlink(self, target: str, path: str, caller: Caller) -> None:
        """As symlink(2)."""
        if not self.settings.metadata:
            raise NotPermitted(f"{path!r}: symlinks need metadata")
        self._make(path, stat.S_IFLNK | 0o777, caller, os.fsencode(target), 0)

    def _make(self, path: str, mode: int, caller: Caller, body: bytes, rdev: int) -> None:
        with self.claims.claim(path):
            if self._exists(path):
                raise Exists(path)
            with self.held_directory(path) as parent:
                entry = self._new_entry(mode, caller, parent)
                attributes = entry.attributes()
                attributes.size, attributes.rdev = len(body), rdev
                entry.learn(attributes, {})
                key = self.keys.file(path)
                free = not self.before_write_to(key)
                try:
                    headers = self.headers_of(key, entry)
                    written = self.store.put(key, body, headers, if_none_match=free)
                except PreconditionFailed as error:
                    self.forget(path)
                    raise Exists(path) from error
                except StoreError:
                    self.forget(path)  # it may be there: only the answer is known to be lost
                    raise
                entry.etag, entry.modified = written.etag, 0
                self.names.put(parent, name_of(path), entry)
                if body:
                    self.parts.cache.store(self.version_of(path, entry), body)
                self.touch(parent)
                self.names.trim()

    def mkdir(self, path: str, mode: int, caller: Caller) -> None:
        """As mkdir(2)."""
        key = self.keys.marker(path)
        with self.claims.claim(path):
            if self._exists(path):
                raise Exists(path)
            with self.held_directory(path) as parent:
                entry = self._new_entry(stat.S_IFDIR | stat.S_IMODE(mode), caller, parent)
                assert isinstance(entry, Directory)
                self.before_write_to(key)
                try:
                    self.store.put(key, b"", self.headers_of(key, entry))
                except StoreError:
                    self.forget(path)
                    raise
                entry.marker = True
                entry.complete_at = self._now_ms()
                self.names.put(parent, name_of(path), entry)
                self.names.used(path, entry)
                self.touch(parent)
                self.names.trim()

    # -- removing --------------------------------------------------------------------------

    def unlink(self, path: str) -> None:
        """As unlink(2); the object is gone when this returns."""
        hidden = self.hidden.pop(path, None)
        if hidden is not None:
            return
        with self.claims.claim(path):
            entry = self.lookup(path)
            if isinstance(entry, Directory):
                raise IsADirectory(path)
            with self.held_directory(path) as parent:
                inode = entry.inode
                self.keep_parent(path, parent)
                key = self.keys.file(path)
                if inode is None:
                    self._delete(path, key)
                else:
                    with inode.lock:  # nothing is uploaded between the deletion and the name's end
                        if inode.opens:
                            inode.bring_here()
                        if inode.is_stored:
                            self._delete(path, key)
                        self.lost_name(inode)
                self.names.remove(parent, name_of(path))
                self.parts.cache.forget(self.version_of(path, entry))
                self.touch(parent)

    def _delete(self, path: str, key: str) -> None:
        try:
            self.store.delete(key)
        except StoreError:
            self.forget(path)
            raise
        self.departures.keep(key)

    def lost_name(self, inode: Inode) -> None:
        """The inode's name is gone or another file's: its bytes stay with who has it open."""
        inode.lose_name()
        self._finish_vacated(inode)
        inode.entry.ctime_ns = self.now_ns()

    def _finish_vacated(self, inode: Inode) -> None:
        vacated, inode.vacated = inode.vacated, []
        for key in vacated:
            self.departures.finish(key)

    def rmdir(self, path: str) -> None:
        """As rmdir(2)."""
        if path == "/":
            raise InvalidArgument(path)
        with self.claims.claim(path, tree=True):
            directory = self.lookup(path)
            if not isinstance(directory, Directory):
                raise NotADirectory(path)
            self.check_empty(path, directory)
            with self.held_directory(path) as parent:
                self.keep_parent(path, parent)
                self._delete(path, self.keys.marker(path))
                self.names.remove(parent, name_of(path))
                self.touch(parent)

    def check_empty(self, path: str, directory: Directory) -> None:
        """NotEmpty when the directory holds anything, here or in the store."""
        if any(has_local_content(child) for child in list(directory.children.values())):
            raise NotEmpty(path)
        marker = self.keys.marker(path)
        token = ""
        while True:
            page = self.store.list_page(self.keys.children(path), token=token, limit=100)
            for listed in page.objects:
                if listed.key != marker and listed.key not in self.discovery.dying:
                    raise NotEmpty(path)
            token = page.token
            if not token:
                return

    def keep_parent(self, path: str, parent: Directory) -> None:
        """A directory that exists only because of what is in it would vanish with its last name."""
        if parent.marker or parent is self.names.root:
            return
        folder = parent_of(path)
        key = self.keys.marker(folder)
        if parent.marker is None:
            try:
                self.store.head(key)
                parent.marker = True
                return
            except NotFound:
                pass
        self.store.put(key, b"", self.headers_of(key, parent))
        parent.marker = True

    # -- attributes ------------------------------------------------------------------------

    def chmod(self, path: str, mode: int, handle: FileHandle | None = None) -> None:
        """As chmod(2)."""

        def change(attributes: Attributes) -> None:
            attributes.mode = stat.S_IFMT(attributes.mode) | stat.S_IMODE(mode)

        self._change_attributes(path, handle, change)

    def chown(self, path: str, uid: int, gid: int, handle: FileHandle | None = None) -> None:
        """As lchown(2); -1 leaves an id as it is."""

        def change(attributes: Attributes) -> None:
            attributes.uid = attributes.uid if uid == -1 else uid
            attributes.gid = attributes.gid if gid == -1 else gid

        self._change_attributes(path, handle, change)

    def utimens(
        self,
        path: str,
        atime_ns: int | None,
        mtime_ns: int | None,
        handle: FileHandle | None = None,
    ) -> None:
        """As utimensat(2); None leaves a time as it is."""
        if atime_ns is None and mtime_ns is None:
            return

        def change(attributes: Attributes) -> None:
            attributes.atime_ns = attributes.atime_ns if atime_ns is None else atime_ns
            attributes.mtime_ns = attributes.mtime_ns if mtime_ns is None else mtime_ns

        self._change_attributes(path, handle, change)

    def _change_attributes(
        self, path: str, handle: FileHandle | None, change: Callable[[Attributes], None]
    ) -> None:
        while True:
            if handle is not None:
                path = handle.inode.path
            with self.claims.claim(path):
                if handle is not None and handle.inode.path != path:
                    continue  # renamed meanwhile
                entry = handle.inode.entry if handle is not None else self.lookup(path)
                attributes = entry.attributes()
                change(attributes)
                attributes.ctime_ns = self.now_ns()
                self.store_attributes(path, entry, attributes, entry.xattrs)
                return

    def store_attributes(
        self, path: str, entry: Entry, attributes: Attributes, xattrs: dict[str, bytes]
    ) -> None:
        """Set what an entry shows, in the store too unless an upload is to come anyway.

        The claim on ``path`` is held. What was known stays known when the store refuses.
        """
        before, before_xattrs, headers = entry.attributes(), entry.xattrs, entry.headers
        inode = entry.inode
        if inode is None:
            self._write_attributes(path, entry, attributes, xattrs)
            return
        with inode.lock:
            attributes.size = entry.size
            if not inode.attributes_changed():
                self._write_attributes(path, entry, attributes, xattrs)
                return
            entry.learn(attributes, xattrs, headers)
            try:
                self.headers_for(inode)
            except BaseException:
                entry.learn(before, before_xattrs, headers)
                raise

    def _write_attributes(
        self, path: str, entry: Entry, attributes: Attributes, xattrs: dict[str, bytes]
    ) -> None:
        if self.settings.metadata:
            if isinstance(entry, Directory):
                key = self.keys.marker(path)
                headers = compose_headers(key, attributes, xattrs, entry.headers, metadata=True)
                self.names.noted(path)
                self.before_write_to(key)
                try:
                    self.store.put(key, b"", headers)
                except StoreError:
                    self.forget(path)
                    raise
                entry.marker = True
            else:
                self._rewrite(path, entry, attributes, xattrs)
        entry.learn(attributes, xattrs, entry.headers)
        entry.checked = self._now_ms()
        self.names.noted(path)

    def _rewrite(
        self, path: str, entry: Entry, attributes: Attributes, xattrs: dict[str, bytes]
    ) -> None:
        """Copy the object onto itself with other metadata."""
        key = self.keys.file(path)
        headers = compose_headers(key, attributes, xattrs, entry.headers, metadata=True)
        old = self.version_of(path, entry)
        self.before_write_to(key)
        self.names.noted(path)
        try:
            written = copy_object(
                self.store, self.parts.metadata_pool, key, key, entry.size,
                headers=headers, source_etag=entry.etag,
            )  # fmt: skip
        except StoreError as error:
            self.forget(path)
            raise NoEntry(path) if isinstance(error, NotFound) else error from error
        self.new_version(path, entry, old, written)

    def new_version(self, path: str, entry: Entry, old: Version, written: Written) -> None:
        """The same bytes have a new ETag."""
        if entry.kept == old.etag:
            entry.kept = written.etag
        entry.etag, entry.modified = written.etag, 0
        new = self.version_of(path, entry)
        if new != old:
            self.parts.cache.rename(old, new)
        if entry.inode is not None and entry.inode.version == old:
            entry.inode.version = new

    def truncate(self, path: str, size: int, handle: FileHandle | None = None) -> None:
        """As truncate(2), durable at once; with a handle as ftruncate(2), durable at close."""
        if handle is not None:
            handle.truncate(size)
            return
        opened = self.open(path, os.O_WRONLY)
        unsaved = opened.inode.dirty  # somebody is writing: closing that file makes both durable
        try:
            opened.truncate(size)
            if not unsaved:
                opened.flush()
        finally:
            opened.release()

    # -- extended attributes and renames ---------------------------------------------------

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        """As lsetxattr(2)."""
        self._xattrs.set(path, name, value, flags)

    def getxattr(self, path: str, name: str) -> bytes:
        """As lgetxattr(2)."""
        return self._xattrs.get(path, name)

    def listxattr(self, path: str) -> list[str]:
        """As llistxattr(2)."""
        return self._xattrs.names(path)

    def removexattr(self, path: str, name: str) -> None:
        """As lremovexattr(2)."""
        self._xattrs.remove(path, name)

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        """As renameat2(2) with RENAME_NOREPLACE."""
        self._moves.rename(old, new, flags)

    # -- what an inode asks (Owner) and a handle asks (Opener) -----------------------------

    def headers_for(self, inode: Inode) -> Headers:
        """What the inode's object is to be stored with."""
        return self.headers_of(self.keys.file(inode.path), inode.entry)

    def headers_of(self, key: str, entry: Entry) -> Headers:
        """What an entry's object is to be stored with; NoSpace."""
        return compose_headers(
            key, entry.attributes(), entry.xattrs, entry.headers, metadata=self.settings.metadata
        )

    def before_write_to(self, key: str) -> bool:
        """Something is about to be stored under ``key``: it must not be deleted any more.

        Returns whether an object is there that has lost its name already.
        """
        return self.departures.cancel(key)

    def key_of(self, path: str) -> str:
        return self.keys.file(path)

    def uploaded(self, inode: Inode, written: Written) -> None:
        """The inode's content is an object now."""
        entry = inode.entry
        entry.etag, entry.modified = written.etag, 0
        entry.kept = written.etag
        entry.checked = self._now_ms()
        self.names.noted(inode.path)

    def stored(self, inode: Inode) -> None:
        """The inode's content is safe under its name: its earlier ones can go."""
        self._finish_vacated(inode)

    def rewrite_headers(self, inode: Inode) -> None:
        """Write the attributes of a file whose upload took earlier ones."""
        if self.settings.metadata:
            entry = inode.entry
            self._rewrite(inode.path, entry, entry.attributes(), entry.xattrs)

    def lost(self, inode: Inode, reason: str) -> None:
        """The store would not take the content: rescue it, and show what the store has."""
        if inode.staging is not None:
            self.parts.rescue.save(
                self.settings.bucket, self.keys.file(inode.path), inode.staging, reason
            )
        for key in inode.vacated:
            self.departures.keep(key)
            earlier = self.keys.path(key)
            if earlier is not None:
                self.forget(earlier)
        inode.vacated = []
        parent = self.names.known(parent_of(inode.path))
        with self.names.lock:
            if (
                isinstance(parent, Directory)
                and parent.children.get(name_of(inode.path)) is inode.entry
            ):
                self.names.remove(parent, name_of(inode.path))
                parent.complete_at = NEVER
        self._invalidate(inode.path)

    def reopened(self, handle: FileHandle) -> bool:
        """The handle's version is gone and nothing of it was seen: move to the one there is now."""
        old = handle.inode
        if old.unlinked or old.has_unsaved or old.opens > 1:
            return False  # others may have filled the kernel's pages with the old version
        path = old.path
        self.forget(path)
        try:
            fresh = self.open(path, handle.flags & ~os.O_TRUNC)
        except NoEntry:
            return False
        if fresh.inode is old:
            self.released(old)
            return False
        handle.inode = fresh.inode
        self.released(old)
        return True

    def released(self, inode: Inode) -> None:
        """One open file description less."""
        with self.names.lock:
            inode.opens -= 1
            if inode.opens:
                return
            if inode.superseded and inode.path in self._outdated:
                self._is_outdated(inode.path, inode)
        with inode.lock:
            if inode.opens == 0:
                inode.release()
                with self.names.lock:
                    if inode.opens == 0 and inode.entry.inode is inode:
                        inode.entry.inode = None

    # -- changes made elsewhere ------------------------------------------------------------

    def forget(self, path: str) -> None:
        """Ask the store again about ``path`` and what is below it, and have the kernel do so."""
        for known, _ in self.known_below(path):
            self._invalidate(known)
        self.names.forget_below(path)
        parent = self.names.known(parent_of(path))
        if isinstance(parent, Directory):
            parent.complete_at = NEVER
        self._invalidate(path)

    def known_below(self, path: str) -> list[tuple[str, Entry]]:
        with self.names.lock:
            node = self.names.known(path)
            return list(walk_paths(path, node)) if node is not None else []

    def _changed_elsewhere(self, path: str, before: Entry) -> None:
        """Discovery found another version (or nothing) where ``before`` was known."""
        inode = before.inode
        if inode is not None and not inode.has_unsaved and self.names.known(path) is not before:
            self._supersede(path, inode)
        self._invalidate(path)

    def _supersede(self, path: str, inode: Inode) -> None:
        inode.superseded = True
        with self.names.lock:
            if inode.opens:
                self._outdated.setdefault(path, []).append(inode)

    def outdated(self, inode: Inode) -> None:
        """A reader found that the inode's version is gone: whoever opens from now on asks."""
        with self.names.lock:
            if inode.superseded or inode.unlinked or inode.has_unsaved:
                return
            self._supersede(inode.path, inode)
        self.forget(inode.path)

    def _is_outdated(self, path: str, inode: Inode) -> bool:
        """Whether somebody still reads an older version than ``inode`` at ``path``.

        The kernel has one set of pages for both. ``names.lock`` is held.
        """
        left = [old for old in self._outdated[path] if old.opens and old is not inode]
        if left:
            self._outdated[path] = left
        else:
            del self._outdated[path]
        return bool(left)

    def _departed(self, inode: Inode) -> None:
        if inode.version is not None:
            self.parts.cache.forget(inode.version)

    # -- the end ---------------------------------------------------------------------------

    def drain(self) -> int:
        """Upload and delete what is left; returns how many files could not be uploaded."""
        self.departures.drain()
        left = 0
        with self.names.lock:
            entries = [entry for _, entry in walk_paths("/", self.names.root)]
        for entry in entries:
            inode = entry.inode
            if inode is not None and inode.has_unsaved:
                inode.release()
                left += inode.failure is not None
        return left
