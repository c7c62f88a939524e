"""Callbacks about open directories: names with their attributes, from any position.

Positions are the number of names before; ``.`` and ``..`` are the first two, and the edge's own.
"""

import errno
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from ctypes import c_uint64

from yas3fs.fs.types import Attributes, DirectoryEntry
from yas3fs.fuse.binding import Binding
from yas3fs.fuse.missing import MissingNames
from yas3fs.fuse.nodes import Node, NodeTable
from yas3fs.fuse.replies import UNKNOWN_INODE, Replies
from yas3fs.fuse.served import ServedDirectory, ServedFilesystem
from yas3fs.fuse.table import HandleTable
from yas3fs.fuse.targets import Vanished
from yas3fs.fuse.threads import WorkerThreads

_KINDS = {kind << 12: Attributes(kind << 12, 0, 0, 0, 0, 0, 0) for kind in range(16)}


class OpenDirectory:
    """A directory handle, and the inode that it was opened through."""

    __slots__ = ("handle", "node")

    def __init__(self, handle: ServedDirectory, node: Node) -> None:
        self.handle = handle
        self.node = node


class DirectoryCallbacks:
    """opendir, readdir, readdirplus, releasedir, fsyncdir.

    ``appeared`` is called with a directory and a name in it which a listing shows, and of which the
    kernel was told that it does not exist.
    """

    def __init__(
        self,
        binding: Binding,
        filesystem: ServedFilesystem,
        nodes: NodeTable,
        missing: MissingNames,
        replies: Replies,
        directories: HandleTable[OpenDirectory],
        threads: WorkerThreads,
        appeared: Callable[[Node, str], None],
    ) -> None:
        self._binding = binding
        self._fs = filesystem
        self._nodes = nodes
        self._missing = missing
        self._reply = replies
        self._info = binding.file_info
        self._number = binding.file_info.fh.offset
        self._has_cache = hasattr(binding.file_info, "cache_readdir")
        self._directories = directories
        self._threads = threads
        self._appeared = appeared

    def opendir(self, request: int, number: int, info: int) -> None:
        """The kernel keeps the names when the core vouches that the listing is unchanged.

        Without a promise nothing is kept: the kernel never expires kept names.
        """
        with self._nodes.using(number) as use:
            if not use.path:
                raise Vanished(use.node)
            handle = self._fs.opendir(use.path)
            fields = self._info.from_address(info)
            fh = fields.fh = self._directories.add(OpenDirectory(handle, use.node), number)
        unchanged = getattr(handle, "keep_cache", None)
        if self._has_cache and unchanged is not None:
            fields.cache_readdir = 1
            fields.keep_cache = 1 if unchanged else 0
        if self._binding.reply_open(request, info) < 0:
            self._reply.undo(lambda: self._release(fh))

    def releasedir(self, _request: int, _node: int, info: int) -> int:
        self._release(c_uint64.from_address(info + self._number).value)
        return 0

    def _release(self, number: int) -> None:
        directory = self._directories.remove(number)
        if directory is not None:
            directory.handle.release()

    def fsyncdir(self, _request: int, _node: int, _data_only: int, info: int) -> int:
        directory = self._directory(info)
        if directory is None:
            return errno.EBADF
        directory.handle.fsync()
        return 0

    # -- reading -----------------------------------------------------------------------------

    def _directory(self, info: int) -> OpenDirectory | None:
        return self._directories.open.get(c_uint64.from_address(info + self._number).value)

    def readdir(self, request: int, _node: int, size: int, offset: int, info: int) -> int | None:
        """Names and types."""
        directory = self._directory(info)
        if directory is None:
            return errno.EBADF
        page = _Page(self._binding, self._threads, request, size, plus=False)
        position = self._add_dots(page, directory.node, offset, self._reply.stat)
        if position >= 2:
            for entry in self._entries(directory, position - 2):
                position += 1
                if not page.add(_raw(entry), self._plain(directory.node, entry), position):
                    break
        self._binding.reply_buffer(request, page.address, page.used)
        return None

    def _entries(self, directory: OpenDirectory, position: int) -> Iterable[DirectoryEntry]:
        entries = directory.handle.entries(position)
        missing = self._missing.of(directory.node)
        return self._compared(directory.node, missing, entries) if missing else entries

    def _compared(
        self, node: Node, missing: Collection[str], entries: Iterable[DirectoryEntry]
    ) -> Iterator[DirectoryEntry]:
        for entry in entries:
            if entry.name in missing:
                self._appeared(node, entry.name)
            yield entry

    def readdirplus(
        self, request: int, _node: int, size: int, offset: int, info: int
    ) -> int | None:
        """Names with the attributes that are known, so that no name needs a LOOKUP of its own.

        Each name that is delivered with attributes counts as looked up.
        """
        directory = self._directory(info)
        if directory is None:
            return errno.EBADF
        page = _Page(self._binding, self._threads, request, size, plus=True)
        granted: list[Node] = []
        position = self._add_dots(page, directory.node, offset, self._not_looked_up)
        if position >= 2:
            try:
                self._fill(directory, page, position, granted)
            except BaseException:
                self._take_back(granted)
                raise
        if self._binding.reply_buffer(request, page.address, page.used) < 0:
            self._reply.undo(lambda: self._take_back(granted))
        return None

    def _take_back(self, granted: list[Node]) -> None:
        for node in granted:
            self._nodes.forget(node.number, 1)

    def _fill(
        self, directory: OpenDirectory, page: "_Page", position: int, granted: list[Node]
    ) -> None:
        parent, entry_of = directory.node, self._reply.entry_of
        for entry in self._entries(directory, position - 2):
            position += 1
            name, attributes = _raw(entry), entry.attributes
            if attributes is None or parent.gone:
                record = self._not_looked_up(0, _KINDS[stat.S_IFMT(entry.mode)])
                if not page.add(name, record, position):
                    return
                continue
            node = self._nodes.count(parent, entry.name)
            if not page.add(name, entry_of(node.number, attributes), position):
                self._nodes.forget(node.number, 1)
                return
            granted.append(node)

    def _add_dots(
        self, page: "_Page", node: Node, offset: int, make: Callable[[int, Attributes], bytes]
    ) -> int:
        """Add ``.`` and ``..`` as far as they come after ``offset``; the position reached."""
        numbers = (node.number, node.parent.number if node.parent is not None else node.number)
        for position, name in ((1, b"."), (2, b"..")):
            if offset < position:
                found = make(numbers[position - 1], _KINDS[stat.S_IFDIR])
                if not page.add(name, found, position):
                    return position - 1
        return max(offset, 2)

    def _plain(self, parent: Node, entry: DirectoryEntry) -> bytes:
        known = parent.children.get(entry.name) if parent.children is not None else None
        number = known.number if known is not None else UNKNOWN_INODE
        return self._reply.stat(number, _KINDS[stat.S_IFMT(entry.mode)])

    def _not_looked_up(self, number: int, kind: Attributes) -> bytes:
        """An entry that grants no lookup: the kernel takes the name and the type only."""
        return self._reply.type_only(number or UNKNOWN_INODE, kind)


class _Page:
    """One reply to a reader of a directory: records, as many as it has room for."""

    def __init__(
        self, binding: Binding, threads: WorkerThreads, request: int, size: int, *, plus: bool
    ) -> None:
        self._add = binding.add_entry_plus if plus else binding.add_entry
        self._request = request
        self._size = size
        self.address = threads.buffer(size).address
        self.used = 0

    def add(self, name: bytes, entry: bytes, position: int) -> bool:
        """Add a record; False when it does not fit."""
        room = self._size - self.used
        taken = self._add(self._request, self.address + self.used, room, name, entry, position)
        if taken > room:
            return False
        self.used += taken
        return True


def _raw(entry: DirectoryEntry) -> bytes:
    return entry.name.encode("utf-8", "surrogateescape")
