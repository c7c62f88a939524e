"""Files that are open: from a path to an inode, and what inodes and handles ask in return."""

import contextlib
import os
import stat
import threading
from weakref import WeakSet

from yas3fs.cache.memory import Version
from yas3fs.errors import Exists, IsADirectory, NoEntry, NoSpace, TooManyLinks, Yas3fsError
from yas3fs.fs.entries import NEVER, Directory, Entry
from yas3fs.fs.handles import FileHandle
from yas3fs.fs.inode import Inode
from yas3fs.fs.keys import name_of, parent_of
from yas3fs.fs.namespace import walk_paths
from yas3fs.fs.types import Caller
from yas3fs.fs.volume import Volume
from yas3fs.objectstore.protocol import Headers, Written
from yas3fs.runtime import interrupts
from yas3fs.writeback.rescue import Origin


class OpenFiles:
    """The open files of one volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._living: WeakSet[Inode] = WeakSet()
        self._living_lock = threading.Lock()
        """A leaf."""

    # -- opening ---------------------------------------------------------------------------

    def open(self, path: str, flags: int, *, aside: bool = False) -> FileHandle:
        """As open(2) of something that exists; ``aside``: not through the kernel's pages of it."""
        while True:
            entry = self._volume.lookup(path)
            if isinstance(entry, Directory):
                raise IsADirectory(path)
            if stat.S_ISLNK(entry.mode):
                raise TooManyLinks(path)
            # The claim waits for whoever is moving or removing the file.
            with self._volume.claims.claim(path), self._volume.names.lock:
                if self._volume.names.known(path) is not entry:
                    continue
                inode = entry.inode
                if inode is None:
                    inode = self.new_inode(path, entry, self._volume.version_of(path, entry))
                inode.opens += 1
                parent = self._volume.names.known(parent_of(path))
                if isinstance(parent, Directory):
                    parent.opened += 1
                direct = path in self._volume.outdated and self._is_outdated(path, inode)
                keep_cache = entry.kept == entry.etag and not (direct or aside)
                if not aside:
                    entry.kept = "" if direct else entry.etag
            break
        return self._new_handle(inode, flags, keep_cache=keep_cache, direct=direct or aside)

    def opened_again(self, handle: FileHandle, flags: int) -> FileHandle:
        """The file of a handle, whatever has its name now; NoEntry when it was closed."""
        inode = handle.inode
        with self._volume.names.lock:
            if inode.opens == 0:
                raise NoEntry(inode.path)
            inode.opens += 1
        return self._new_handle(inode, flags, keep_cache=not handle.direct, direct=handle.direct)

    def _new_handle(
        self, inode: Inode, flags: int, *, keep_cache: bool, direct: bool
    ) -> FileHandle:
        """A handle of an inode, whose count of them has been raised."""
        handle = FileHandle(
            self,
            inode,
            flags,
            self._volume.parts.reader.new_read_ahead(),
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
        with self._volume.claims.claim(path):
            if self._volume.exists(path):
                if flags & os.O_EXCL:
                    raise Exists(path)
            else:
                with self._volume.held_directory(path) as parent:
                    entry = self._volume.new_entry(
                        stat.S_IFREG | stat.S_IMODE(mode), caller, parent
                    )
                    inode = self.new_inode(path, entry, None)
                    inode.exclusive = bool(flags & os.O_EXCL)
                    inode.begin_empty()
                    with self._volume.names.lock:
                        inode.opens += 1
                        self._volume.names.put(parent, name_of(path), entry)
                    self._volume.touch(parent)
                    self._volume.names.trim()
                    return FileHandle(
                        self,
                        inode,
                        flags,
                        self._volume.parts.reader.new_read_ahead(),
                        keep_cache=False,
                    )
        return self.open(path, flags)

    def new_inode(self, path: str, entry: Entry, version: Version | None) -> Inode:
        """The inode of a file that has none."""
        inode = Inode(
            self,
            path,
            entry,
            version,
            reader=self._volume.parts.reader,
            cache=self._volume.parts.cache,
            uploader=self._volume.parts.uploader,
            folder=self._volume.parts.staging_folder,
        )
        entry.inode = inode
        with self._living_lock:
            self._living.add(inode)
        return inode

    def unsaved(self) -> list[Inode]:
        """The files that hold more than the store does."""
        return [inode for inode in self._known() if inode.has_unsaved]

    def _known(self) -> list[Inode]:
        with self._living_lock:
            return list(self._living)

    @property
    def in_use(self) -> bool:
        """Whether a program has a file open, or there is something to save."""
        return any(inode.opens or inode.has_unsaved for inode in self._known())

    def share_pages_with(self, earlier: "OpenFiles") -> None:
        """Files of ``earlier`` are open still: the kernel has one set of pages for each name."""
        with self._volume.names.lock:
            for inode in earlier._known():
                if inode.opens and not inode.unlinked:
                    self._volume.outdated.setdefault(inode.path, []).append(inode)

    # -- what a handle asks (handles.Opener) -----------------------------------------------

    def reopened(self, handle: FileHandle) -> bool:
        """The handle's version is gone and nothing of it was seen: move to the one there is now."""
        old = handle.inode
        if old.unlinked or old.has_unsaved or old.opens > 1:
            return False  # others may have filled the kernel's pages with the old version
        path = old.path
        self._volume.forget(path)
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
        with self._volume.names.lock:
            inode.opens -= 1
            if inode.opens:
                return
            if inode.superseded and inode.path in self._volume.outdated:
                self._is_outdated(inode.path, inode)
        with interrupts.serve(None), inode.lock:
            if inode.opens == 0:
                inode.release()
                with self._volume.names.lock:
                    if inode.opens == 0 and inode.entry.inode is inode:
                        inode.entry.inode = None

    def outdated(self, inode: Inode) -> None:
        """A reader found that the inode's version is gone: whoever opens from now on asks."""
        with self._volume.names.lock:
            if inode.superseded or inode.unlinked or inode.has_unsaved:
                return
            self._volume.supersede(inode.path, inode)
        self._volume.forget(inode.path)

    def _is_outdated(self, path: str, inode: Inode) -> bool:
        """Whether somebody still reads an older version than ``inode`` at ``path``.

        The kernel has one set of pages for both. ``names.lock`` is held.
        """
        left = [old for old in self._volume.outdated[path] if old.opens and old is not inode]
        if left:
            self._volume.outdated[path] = left
        else:
            del self._volume.outdated[path]
        return bool(left)

    # -- what an inode asks (inode.Owner) --------------------------------------------------

    def now_ns(self) -> int:
        """The moment, for timestamps."""
        return self._volume.now_ns()

    def headers_for(self, inode: Inode) -> Headers:
        """What the inode's object is to be stored with."""
        return self._volume.headers_of(self._volume.keys.file(inode.path), inode.entry)

    def before_write_to(self, key: str) -> bool:
        """Something is about to be stored under ``key``: it must not be deleted any more.

        Returns whether an object is there that has lost its name already.
        """
        return self._volume.before_write_to(key)

    def key_of(self, path: str) -> str:
        return self._volume.keys.file(path)

    def uploaded(self, inode: Inode, written: Written) -> None:
        """The inode's content is an object now."""
        entry = inode.entry
        entry.etag, entry.modified = written.etag, 0
        entry.kept = written.etag
        with self._volume.names.lock:
            entry.checked = NEVER if inode.doubted else self._volume.now_ms()
            self._volume.names.noted(inode.path)

    def stored(self, inode: Inode) -> None:
        """The inode's content is safe under its name: its earlier ones can go."""
        self._finish_vacated(inode)

    def rewrite_headers(self, inode: Inode) -> None:
        """Write the attributes of a file whose upload took earlier ones."""
        if self._volume.settings.metadata:
            entry = inode.entry
            self._volume.rewrite(inode.path, entry, entry.attributes(), entry.xattrs)

    def lost(self, inode: Inode, reason: str) -> None:
        """The store would not take the content: rescue it, and show what the store has."""
        if inode.staging is not None:
            self._volume.parts.rescue.save(
                self._volume.settings.bucket,
                self._volume.keys.file(inode.path),
                inode.staging,
                reason,
                Origin(inode.version, self._headers_of(inode)),
            )
        for key in inode.vacated:
            self._volume.departures.keep(key)
            earlier = self._volume.keys.path(key)
            if earlier is not None:
                self._volume.forget(earlier)
        inode.vacated = []
        parent = self._volume.names.known(parent_of(inode.path))
        with self._volume.names.lock:
            if (
                isinstance(parent, Directory)
                and parent.children.get(name_of(inode.path)) is inode.entry
            ):
                self._volume.names.remove(parent, name_of(inode.path))
                parent.complete_at = NEVER
        self._volume.invalidate(inode.path, False)

    def _headers_of(self, inode: Inode) -> Headers | None:
        try:
            return self.headers_for(inode)
        except NoSpace:  # which may be why it was refused
            return None

    # -- names that go ---------------------------------------------------------------------

    def lost_name(self, inode: Inode) -> None:
        """The inode's name is gone or another file's: its bytes stay with who has it open."""
        inode.lose_name()
        self._finish_vacated(inode)
        inode.entry.ctime_ns = self.now_ns()

    def _finish_vacated(self, inode: Inode) -> None:
        vacated, inode.vacated = inode.vacated, []
        for key in vacated:
            self._volume.departures.finish(key)

    # -- the end ---------------------------------------------------------------------------

    def drain(self) -> int:
        """Upload and delete what is left; returns how many files could not be uploaded."""
        with contextlib.suppress(Yas3fsError):  # it is in the log
            self._volume.removals.settle("/")
        self._volume.departures.drain()
        left = 0
        with self._volume.names.lock:
            entries = [entry for _, entry in walk_paths("/", self._volume.names.root)]
        for entry in entries:
            inode = entry.inode
            if inode is not None and inode.has_unsaved:
                inode.release()
                left += inode.failure is not None
        return left
