"""The state and the services that all verbs share: names, attributes, versions, claims.

A verb asks the store first and changes what is known afterwards, so that a refusal changes nothing;
an answer that was lost makes the path unknown (:meth:`Volume.forget`).
"""

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from yas3fs.cache.memory import MemoryCache, Version
from yas3fs.errors import NoEntry, NotADirectory, NotEmpty, NotFound, StoreError
from yas3fs.fs.attributes import MAX_EXPIRATION, Defaults, compose_headers
from yas3fs.fs.copies import copy_object
from yas3fs.fs.departures import Departures
from yas3fs.fs.discovery import Discovery
from yas3fs.fs.entries import Directory, Entry
from yas3fs.fs.handles import FileHandle
from yas3fs.fs.inode import Inode
from yas3fs.fs.kept import KeptListings
from yas3fs.fs.keys import KeyMap, check_names, parent_of
from yas3fs.fs.namespace import Namespace, has_local_content, walk_paths
from yas3fs.fs.opened import OpenDirectories
from yas3fs.fs.removals import Removals
from yas3fs.fs.types import Attributes, Caller
from yas3fs.objectstore.protocol import Headers, ObjectStore, Written
from yas3fs.prefetch.reader import Reader
from yas3fs.runtime.claims import PathClaims
from yas3fs.runtime.clock import Clock
from yas3fs.runtime.pools import Pool
from yas3fs.writeback.journal import Journal
from yas3fs.writeback.rescue import RescueFolder
from yas3fs.writeback.upload import Uploader

Invalidate = Callable[[str, bool], None]
"""Has the kernel forget a path, and (the second argument) what is below it."""


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

    @property
    def url(self) -> str:
        """What is served, as one would write it."""
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a file system is built from; made by ``mount.py``."""

    store: ObjectStore
    cache: MemoryCache
    reader: Reader
    uploader: Uploader
    journal: Journal
    rescue: RescueFolder
    metadata_pool: Pool
    staging_folder: str
    clock: Clock


class Volume:
    """One bucket as one mount knows it. Everything here is safe to call from many threads."""

    def __init__(self, settings: FilesystemSettings, parts: Parts, invalidate: Invalidate) -> None:
        self.settings = settings
        self.parts = parts
        self.store = parts.store
        self.keys = KeyMap(settings.prefix)
        self.claims = PathClaims()
        self.invalidate = invalidate
        self.names = Namespace(settings.max_entries, self.now_ms)
        self.discovery = Discovery(
            parts.store,
            self.keys,
            self.names,
            parts.metadata_pool,
            settings.defaults,
            ttl=settings.ttl,
            metadata=settings.metadata,
            now=self.now_ms,
            changed=self._changed_elsewhere,
            started=parts.clock.time(),
            fetch=parts.reader.fetch_small,
        )
        self.opened = OpenDirectories()
        self.kept = KeptListings(
            self.names,
            self.discovery,
            self.opened,
            lambda path: invalidate(path, False),
            self.now_ms,
        )
        self.departures = Departures(parts.store, self.discovery.dying)
        self.removals = Removals(parts.store, self.departures, self.opened, self.forget)
        self.outdated: dict[str, list[Inode]] = {}
        """Inodes that were replaced elsewhere while they were open, by path."""

    def set_prefetch(self, on: bool) -> None:
        """Whether files are fetched as soon as a listing shows them, from now on."""
        self.settings = replace(self.settings, prefetch=on)

    # -- time ------------------------------------------------------------------------------

    def now_ns(self) -> int:
        """The moment, for timestamps."""
        return self.parts.clock.time_ns()

    def now_ms(self) -> int:
        return int(self.parts.clock.monotonic() * 1000)

    # -- names -----------------------------------------------------------------------------

    def lookup(self, path: str) -> Entry:
        """The entry at ``path`` with its attributes."""
        check_names(path)
        return self.discovery.lookup(path)

    def exists(self, path: str) -> bool:
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

    @contextmanager
    def claimed_entry(self, path: str, handle: FileHandle | None) -> Iterator[tuple[str, Entry]]:
        """The entry at ``path``, or of an open file, and its path now, claimed for a change."""
        while True:
            if handle is not None:
                path = handle.inode.path
            with self.claims.claim(path):
                if handle is None:
                    yield path, self.lookup(path)
                elif handle.inode.path == path:
                    yield path, handle.inode.entry
                else:
                    continue  # renamed meanwhile
                return

    def touch(self, directory: Directory) -> None:
        """A directory's times move when its names change; in memory only."""
        directory.mtime_ns = directory.ctime_ns = self.now_ns()

    def check_empty(self, path: str, directory: Directory) -> None:
        """NotEmpty when the directory holds anything, here or in the store."""
        if any(has_local_content(child) for child in list(directory.children.values())):
            raise NotEmpty(path)
        marker, hidden = self.keys.marker(path), self.discovery.hidden()
        token = ""
        while True:
            page = self.store.list_page(self.keys.children(path), token=token, limit=1000)
            for listed in page.objects:
                if listed.key != marker and listed.key not in hidden:
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

    def new_entry(self, mode: int, caller: Caller, parent: Directory) -> Entry:
        """An entry for something made now, with the group that a setgid directory hands down."""
        now = self.now_ns()
        gid = caller.gid
        if parent.mode & stat.S_ISGID:
            gid = parent.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        entry = Directory() if stat.S_ISDIR(mode) else Entry()
        entry.learn(Attributes(mode, 0, caller.uid, gid, now, now, now), {})
        entry.checked = self.now_ms()
        return entry

    # -- objects ---------------------------------------------------------------------------

    def version_of(self, path: str, entry: Entry) -> Version:
        """Which bytes the entry stands for."""
        return Version(self.keys.file(path), entry.etag, entry.size)

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

    def delete(self, path: str, key: str) -> None:
        try:
            self.store.delete(key)
        except StoreError:
            self.forget(path)
            raise
        self.departures.keep(key)

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

    # -- attributes ------------------------------------------------------------------------

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
                self.headers_of(self.keys.file(inode.path), entry)
            except BaseException:
                entry.learn(before, before_xattrs, headers)
                raise

    def _write_attributes(
        self, path: str, entry: Entry, attributes: Attributes, xattrs: dict[str, bytes]
    ) -> None:
        with self._watched(path):
            self._write_watched(path, entry, attributes, xattrs)

    @contextmanager
    def _watched(self, path: str) -> Iterator[None]:
        """What others say of ``path`` while the block runs counts more than how it ends."""
        parent = self.names.known(parent_of(path))
        if not isinstance(parent, Directory):
            yield
            return
        asking = self.names.asking(parent)
        try:
            yield
        finally:
            self.names.answered(parent, asking)

    def _write_watched(
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
                self.rewrite(path, entry, attributes, xattrs)
        entry.learn(attributes, xattrs, entry.headers)
        entry.checked = self.now_ms()
        self.names.noted(path)

    def rewrite(
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

    # -- changes made elsewhere ------------------------------------------------------------

    def forget(self, path: str) -> None:
        """Ask the store again about ``path`` and what is below it, and have the kernel do so."""
        # The kernel last: it might ask at once, and must not be told what was known.
        self.names.forget_below(path)
        above = self.names.forget_above(path)
        self.invalidate(path, True)
        self.kept.doubt(parent_of(path))
        for directory in above:
            self.invalidate(directory, False)
            self.kept.doubt(parent_of(directory))

    def known_below(self, path: str) -> list[tuple[str, Entry]]:
        with self.names.lock:
            node = self.names.known(path)
            return list(walk_paths(path, node)) if node is not None else []

    def _changed_elsewhere(self, path: str, before: Entry) -> None:
        """Discovery found another version (or nothing) where ``before`` was known."""
        inode = before.inode
        if inode is not None and not inode.has_unsaved and self.names.known(path) is not before:
            self.supersede(path, inode)
        self.invalidate(path, False)
        self.kept.doubt(parent_of(path))

    def supersede(self, path: str, inode: Inode) -> None:
        inode.superseded = True
        with self.names.lock:
            if inode.opens:
                self.outdated.setdefault(path, []).append(inode)
