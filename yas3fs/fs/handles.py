"""What a program holds between open and close."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from yas3fs.errors import BadHandle, NotFound, PreconditionFailed
from yas3fs.fs.entries import Directory
from yas3fs.fs.inode import Inode
from yas3fs.fs.kept import KeptListings, Snapshot
from yas3fs.fs.opened import OpenDirectories
from yas3fs.fs.removals import Removals
from yas3fs.fs.types import Attributes, DirectoryEntry
from yas3fs.prefetch.readahead import ReadAhead
from yas3fs.runtime import interrupts
from yas3fs.runtime.memory import Room, Send


class _Opener(Protocol):
    def opened_again(self, handle: "FileHandle", flags: int) -> "FileHandle": ...
    def reopened(self, handle: "FileHandle") -> bool: ...
    def outdated(self, inode: Inode) -> None: ...
    def released(self, inode: Inode) -> None: ...


class FileHandle:
    """One open file description.

    ``keep_cache``: the pages that the kernel has of this file are still right. ``direct``: others
    still read an older version through these pages, this handle must not use them.
    """

    def __init__(
        self,
        opener: _Opener,
        inode: Inode,
        flags: int,
        ahead: ReadAhead,
        *,
        keep_cache: bool,
        direct: bool = False,
    ) -> None:
        self._opener = opener
        self.inode = inode
        self.flags = flags
        self.keep_cache = keep_cache
        access = flags & os.O_ACCMODE
        self.writable = access != os.O_RDONLY
        self.readable = access != os.O_WRONLY
        self._ahead = ahead
        self.begun = keep_cache
        """Bytes of this version were seen (perhaps among the pages that the kernel kept) or
        written: no other version may follow."""
        self._first = threading.Lock()
        self.direct = direct

    def is_of(self, opener: object) -> bool:
        """Whether ``opener`` opened it."""
        return self._opener is opener

    def getattr(self) -> Attributes:
        """As fstat(2)."""
        attributes = self.inode.entry.attributes()
        if self.inode.unlinked:
            attributes.nlink = 0
        return attributes

    def reopen(self, flags: int) -> "FileHandle":
        """Open the same file once more, whatever has its name now; NoEntry when it is closed."""
        return self._opener.opened_again(self, flags)

    def read_into(self, target: memoryview, offset: int) -> int:
        """Bytes copied into ``target``, short only at the end; raises StaleHandle, StoreError."""
        return self._read(lambda inode: inode.read_into(target, offset, self._ahead))

    def send(self, size: int, offset: int, room: Room, send: Send) -> None:
        """As :meth:`read_into`; ``send`` gets the bytes where they are, once."""
        self._read(lambda inode: inode.send(size, offset, self._ahead, room, send))

    def _read(self, read: Callable[[Inode], int]) -> int:
        if not self.begun:
            with self._alone():
                return self._read_first(read)
        inode = self.inode
        try:
            return read(inode)
        except (NotFound, PreconditionFailed) as error:
            self._opener.outdated(inode)
            raise inode.stale() from error

    def _read_first(self, read: Callable[[Inode], int]) -> int:
        while True:
            inode = self.inode
            try:
                if inode.superseded and not self.begun and self._opener.reopened(self):
                    continue
                count = read(inode)
            except (NotFound, PreconditionFailed) as error:
                if not self.begun and self._opener.reopened(self):
                    continue
                self._opener.outdated(inode)
                raise inode.stale() from error
            self.begun = True
            return count

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """While nothing was seen yet one thread at a time decides which version it will be."""
        while not self._first.acquire(timeout=interrupts.SLICE):
            interrupts.check()
        try:
            yield
        finally:
            self._first.release()

    def _begin(self) -> None:
        if not self.begun:
            with self._alone():
                self.begun = True

    def write(self, data: memoryview, offset: int) -> int:
        """Write all of ``data``; BadHandle, FileTooLarge, OSError (a full local disk)."""
        if not self.writable:
            raise BadHandle(self.inode.path)
        if not data:
            return 0  # and no time changes
        self._begin()
        return self.inode.write(data, offset)

    def truncate(self, size: int) -> None:
        """As ftruncate(2); durable when the file is closed."""
        self._begin()
        self.inode.truncate(size)

    def flush(self) -> None:
        """close(2) of one descriptor: what was written is durable, or raises why not."""
        if self.writable:
            self.inode.flush()

    def fsync(self) -> None:
        """What was written is durable, or raises why not."""
        self.inode.flush()

    def release(self) -> None:
        """The last descriptor is closed; never raises."""
        self._opener.released(self.inode)


class DirectoryHandle:
    """One open directory: a snapshot of its names, with attributes as known when they are read.

    ``keep_cache``: the names that the kernel has are still right; None: it must not keep any.
    """

    def __init__(
        self,
        path: str,
        directory: Directory,
        list_names: Callable[[str], Snapshot],
        opened: OpenDirectories,
        kept: KeptListings,
        removals: Removals,
    ) -> None:
        self._path = path
        self._directory = directory
        self._list_names = list_names
        self._opened = opened
        self._kept = kept
        self._removals = removals
        self._shown = kept.open(path, directory)
        self._alone = kept.is_alone(directory)
        self._has_types = False
        """Whether all names were read so far, each with its type."""
        self.keep_cache = self._shown is not None if kept.may_be_kept else None

    def entries(self, offset: int) -> Iterator[DirectoryEntry]:
        """Entries from the ``offset``-th on; reading from 0 again (rewinddir) lists anew."""
        if self._shown is None or offset == 0:
            self._shown = self._list_names(self._path)
        children = self._directory.children
        names, version = self._shown
        if offset == 0:
            self._has_types = True
        for index in range(offset, len(names)):
            name = names[index]
            entry = children.get(name)
            if entry is None:
                self._has_types = False
                yield DirectoryEntry(name, 0, None)
            else:
                if not entry.mode:
                    self._has_types = False
                yield DirectoryEntry(name, entry.mode, entry.attributes() if entry.known else None)
        if self._has_types and self._alone:
            self._kept.was_read(self._directory, version)

    def getattr(self) -> Attributes:
        return self._directory.attributes()

    def fsync(self) -> None:
        """As fsync(2) of a directory: what has gone from it is gone from the store."""
        self._removals.settle(self._path)

    def release(self) -> None:
        """The last descriptor is closed; called once."""
        self._shown = None
        self._opened.close(self._directory)
