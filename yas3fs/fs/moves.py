"""Renames: objects cannot be renamed, so each is copied server-side and then deleted.

Renaming a directory is not atomic. It copies everything first and deletes the old objects only when
every copy is there; a failure on the way takes the copies back. The intent is in the journal, so a
crash in the middle leaves every file in at least one place and the next mount finishes it.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack

from yas3fs.cache.memory import Version
from yas3fs.errors import (
    Exists,
    InvalidArgument,
    IsADirectory,
    NameTooLong,
    NoEntry,
    NotADirectory,
    NotFound,
    PreconditionFailed,
    StoreError,
    Yas3fsError,
)
from yas3fs.fs.copies import copy_object
from yas3fs.fs.entries import NEVER, Directory, Entry
from yas3fs.fs.files import OpenFiles
from yas3fs.fs.inode import Inode
from yas3fs.fs.namespace import walk_paths
from yas3fs.fs.types import RENAME_NOREPLACE
from yas3fs.fs.volume import Volume
from yas3fs.objectstore.protocol import MAX_KEY_BYTES, ListedObject, ObjectStore, Written
from yas3fs.runtime import interrupts
from yas3fs.runtime.pools import for_each

_log = logging.getLogger(__name__)


class Moves:
    """The rename verb of one file system."""

    def __init__(self, volume: Volume, files: OpenFiles) -> None:
        self._volume = volume
        self._files = files

    def rename(self, old: str, new: str, flags: int) -> None:
        """As renameat2(2); RENAME_NOREPLACE is the only flag there is."""
        volume = self._volume
        if flags & ~RENAME_NOREPLACE:
            raise InvalidArgument("only RENAME_NOREPLACE is supported")
        if old == new:
            volume.lookup(old)
            if flags & RENAME_NOREPLACE:
                raise Exists(new)
            return
        if new.startswith(old + "/"):
            raise InvalidArgument(f"{new!r} lies below {old!r}")
        entry = volume.lookup(old)
        directory = isinstance(entry, Directory)
        with volume.claims.claim(old, new, tree=directory):
            entry = volume.lookup(old)
            if isinstance(entry, Directory) is not directory:
                raise NoEntry(old)
            volume.keys.file(new)
            with (
                volume.held_directory(old) as source_parent,
                volume.held_directory(new) as new_parent,
            ):
                target = self._check_target(new, entry, flags)
                volume.keep_parent(old, source_parent)
                if isinstance(entry, Directory):
                    self._rename_directory(old, new, entry, target)
                    volume.names.uncover(source_parent, entry)
                else:
                    self._rename_file(old, new, entry, target)
                volume.touch(source_parent)
                volume.touch(new_parent)

    def _check_target(self, new: str, entry: Entry, flags: int) -> Entry | None:
        volume = self._volume
        try:
            target = volume.lookup(new)
        except NoEntry:
            return None
        if flags & RENAME_NOREPLACE:
            raise Exists(new)
        if isinstance(target, Directory):
            if not isinstance(entry, Directory):
                raise IsADirectory(new)
            volume.check_empty(new, target)
        elif isinstance(entry, Directory):
            raise NotADirectory(new)
        return target

    # -- one file --------------------------------------------------------------------------

    def _rename_file(self, old: str, new: str, entry: Entry, target: Entry | None) -> None:
        inode, replaced = entry.inode, target.inode if target is not None else None
        with ExitStack() as locks:
            # Neither is uploaded, and so brought back, while its object is moved or replaced.
            if replaced is not None:
                locks.enter_context(replaced.lock)
                if replaced.opens:
                    replaced.bring_here()
            if inode is not None:
                locks.enter_context(inode.lock)
                if inode.prepare_move():
                    self._move_unsaved(old, new, entry, target)
                    return
            self._copy_and_delete(old, new, entry, replaced)
            if inode is not None:
                inode.path = new

    def _move_unsaved(self, old: str, new: str, entry: Entry, target: Entry | None) -> None:
        """The content is all here and not in the store yet: it will be stored under ``new``."""
        volume = self._volume
        inode = entry.inode
        assert inode is not None
        old_key, new_key = volume.keys.file(old), volume.keys.file(new)
        left = volume.before_write_to(new_key)
        if inode.is_stored:
            # What an earlier fsync() made durable stays until the new name is.
            inode.vacated.append(old_key)
            volume.departures.vacate(old_key)
            inode.version = None
        inode.shadows = left
        if target is not None:
            inode.shadows = left or target.inode is None or target.inode.is_stored
            if target.inode is not None:
                self._files.lost_name(target.inode)
        inode.exclusive = False
        inode.path = new
        entry.ctime_ns = volume.now_ns()
        volume.names.move(old, new, entry)

    def _copy_and_delete(self, old: str, new: str, entry: Entry, replaced: Inode | None) -> None:
        volume = self._volume
        before = volume.version_of(old, entry)
        new_key = volume.keys.file(new)
        volume.before_write_to(new_key)
        try:
            written = copy_object(
                volume.store, volume.parts.metadata_pool, before.key, new_key, entry.size,
                source_etag=entry.etag,
            )  # fmt: skip
        except (NotFound, PreconditionFailed) as error:
            volume.forget(old)
            volume.forget(new)
            raise NoEntry(old) if isinstance(error, NotFound) else error from error
        except StoreError:
            volume.forget(new)  # it may have happened
            raise
        if replaced is not None:
            self._files.lost_name(replaced)
        try:
            volume.store.delete(before.key)
        except StoreError:
            volume.forget(old)
            volume.forget(new)
            raise
        volume.names.move(old, new, entry)
        volume.new_version(new, entry, before, written)
        entry.ctime_ns = volume.now_ns()

    # -- directories -----------------------------------------------------------------------

    def _rename_directory(
        self, old: str, new: str, directory: Directory, target: Entry | None
    ) -> None:
        volume = self._volume
        with ExitStack() as locks:
            # Nothing below is uploaded under its old name once that has been copied.
            for _, entry in volume.known_below(old):
                if entry.inode is not None:
                    locks.enter_context(entry.inode.lock)
            self._settle_open_files(old)
            source, destination = volume.keys.children(old), volume.keys.children(new)
            hidden = volume.discovery.hidden()
            objects = [o for o in list_all(volume.store, source) if o.key not in hidden]
            _check_lengths(objects, source, destination)
            record = volume.parts.journal.begin(
                "rename",
                {"source": source, "target": destination, "begun": volume.parts.clock.time()},
                durable=True,
            )
            try:
                copies = self._copy_tree(objects, source, destination)
                if source not in copies:  # without a marker of its own it might vanish
                    volume.before_write_to(destination)
                    volume.store.put(destination, b"", volume.headers_of(destination, directory))
            except BaseException:
                self._take_back(objects, source, destination, target)
                volume.forget(new)
                volume.parts.journal.end(record)
                raise
            try:
                failed = volume.store.delete_many([listed.key for listed in objects])
            except StoreError as error:
                failed = [(source, error)]
            volume.parts.journal.end(record)
            self._follow(old, new, directory, copies, source, destination)
        if failed:
            volume.forget(old)
            key, reason = failed[0]
            _log.error("%d objects stayed below %r after a rename: %s", len(failed), old, reason)
            raise reason if isinstance(reason, Yas3fsError) else StoreError(f"{key!r}: {reason}")

    def _take_back(
        self, objects: list[ListedObject], source: str, destination: str, target: Entry | None
    ) -> None:
        """Delete the copies of a rename that failed; an empty directory that was there stays."""
        volume = self._volume
        undone = [destination + listed.key[len(source) :] for listed in objects]
        with interrupts.serve(None):
            try:
                if target is not None:
                    volume.store.put(destination, b"", volume.headers_of(destination, target))
                    undone = [key for key in undone if key != destination]
                else:
                    undone.append(destination)
                failed = volume.store.delete_many(undone)
            except StoreError as error:
                failed = [(destination, error)]
        if failed:
            _log.error(
                "a rename failed and %d copies stayed below %r, such as %r: %s",
                len(failed), destination, *failed[0],
            )  # fmt: skip

    def _settle_open_files(self, old: str) -> None:
        """Unsaved content either moves with its name or is stored first."""
        volume = self._volume
        for _, entry in volume.known_below(old):
            if entry.inode is not None:
                with entry.inode.lock:
                    if entry.inode.has_unsaved:
                        entry.inode.prepare_move()

    def _copy_tree(
        self, objects: list[ListedObject], source: str, destination: str
    ) -> dict[str, tuple[str, Written]]:
        """Returns the ETag that each source key had, and what its copy is."""
        volume = self._volume
        copies: dict[str, tuple[str, Written]] = {}

        def copy(listed: ListedObject) -> None:
            key = destination + listed.key[len(source) :]
            volume.before_write_to(key)
            written = copy_object(
                volume.store, volume.parts.uploader.pool, listed.key, key, listed.size,
                source_etag=listed.etag,
            )  # fmt: skip
            copies[listed.key] = (listed.etag, written)

        for_each(volume.parts.metadata_pool, copy, objects)
        return copies

    def _follow(
        self,
        old: str,
        new: str,
        directory: Directory,
        copies: dict[str, tuple[str, Written]],
        source: str,
        destination: str,
    ) -> None:
        """What is known of the tree is known under its new name."""
        volume = self._volume
        with volume.names.lock:
            volume.names.move(old, new, directory)
            node = volume.names.find(new)
            known = list(walk_paths(new, node)) if node is not None else []
        if isinstance(node, Directory):
            node.marker = True
            node.ctime_ns = volume.now_ns()
        for path, entry in known:
            key = (
                volume.keys.marker(path) if isinstance(entry, Directory) else volume.keys.file(path)
            )
            before = source + key[len(destination) :]
            etag, written = copies.get(before, ("", None))
            known_etag = entry.etag
            if written is not None and not isinstance(entry, Directory):
                if known_etag == etag:
                    old_version = Version(before, known_etag, entry.size)
                    volume.new_version(path, entry, old_version, written)
                else:  # somebody else had stored another version: nothing is known of it
                    entry.checked = NEVER
            inode = entry.inode
            if inode is not None:
                with inode.lock:
                    inode.path = path
                    version = inode.version
                    here = version is not None and (version.key, version.etag) == (before, etag)
                    if written is not None and version is not None and here:
                        inode.version = Version(key, written.etag, version.size)


def _check_lengths(objects: list[ListedObject], source: str, destination: str) -> None:
    """NameTooLong before anything is copied, when a key would become too long."""
    for listed in objects:
        key = destination + listed.key[len(source) :]
        if len(key.encode()) > MAX_KEY_BYTES:
            raise NameTooLong(f"the key {key!r} would have more than {MAX_KEY_BYTES} bytes")


def list_all(store: ObjectStore, prefix: str) -> Iterator[ListedObject]:
    """Every object whose key begins with ``prefix``, page by page."""
    token = ""
    while True:
        page = store.list_page(prefix, token=token)
        yield from page.objects
        token = page.token
        if not token:
            return
