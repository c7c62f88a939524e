"""Callbacks about open directories: names with their attributes, from any position.

Positions are real (the number of names before), because libfuse 3.14 drops the attributes of
entries that come without one. ``.`` and ``..`` are the first two; they are the edge's own.
"""

import ctypes
import errno
import stat
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_int64, c_uint64, c_void_p

from yas3fs.fs.types import Attributes
from yas3fs.fuse.attributes import stat_writer
from yas3fs.fuse.binding import Binding
from yas3fs.fuse.served import ServedDirectory, ServedFilesystem
from yas3fs.fuse.table import HandleTable

READDIR_PLUS = 1
FILL_DIR_PLUS = 2

_FILLER = ctypes.PYFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p, c_int64, c_int)
"""The interpreter lock is kept: the filler only copies, and is called once per name."""

Filler = Callable[[int, bytes, int, int, int], int]

_PAGE = 4096
_PLUS_HEADER = 152
"""Bytes of a ``struct fuse_direntplus`` before the name; records are padded to 8."""


class OpenDirectory:
    """A directory handle, and how many bytes of records its reader takes at once, once known."""

    __slots__ = ("handle", "room")

    def __init__(self, handle: ServedDirectory) -> None:
        self.handle = handle
        self.room = 0


class DirectoryCallbacks:
    """opendir, readdir, releasedir, fsyncdir."""

    def __init__(self, binding: Binding, filesystem: ServedFilesystem) -> None:
        self._fs = filesystem
        self._info = binding.file_info
        self._number = binding.file_info.fh.offset
        self._has_cache = hasattr(binding.file_info, "cache_readdir")
        self._directories: HandleTable[OpenDirectory] = HandleTable()
        self._write_stat = stat_writer(binding, filesystem)
        self._stat_size = binding.stat.size

    def opendir(self, path: bytes, info: int) -> int:
        """The kernel keeps the names when the core vouches that the listing is unchanged.

        Without a promise nothing is kept: neither the kernel nor libfuse ever expires kept names.
        """
        handle = self._fs.opendir(path.decode("utf-8", "surrogateescape"))
        fields = self._info.from_address(info)
        fields.fh = self._directories.add(OpenDirectory(handle))
        unchanged = getattr(handle, "keep_cache", None)
        if self._has_cache and unchanged is not None:
            fields.cache_readdir = 1
            fields.keep_cache = 1 if unchanged else 0
        return 0

    def releasedir(self, _path: int | None, info: int) -> int:
        directory = self._directories.remove(c_uint64.from_address(info + self._number).value)
        if directory is not None:
            directory.handle.release()
        return 0

    def fsyncdir(self, _path: int | None, _data_only: int, _info: int) -> int:
        return 0

    def readdir(
        self, _path: int | None, buffer: int, filler: int, offset: int, info: int, flags: int
    ) -> int:
        number = c_uint64.from_address(info + self._number).value
        directory = self._directories.open.get(number)
        if directory is None:
            return -errno.EBADF
        fill: Filler = _FILLER(filler)
        memory = ctypes.create_string_buffer(self._stat_size)
        address = ctypes.addressof(memory)
        if not self._fill_dots(fill, buffer, address, offset):
            return 0
        if flags & READDIR_PLUS:
            self._fill_plus(directory, fill, buffer, address, offset)
        else:
            self._fill_plain(directory, fill, buffer, address, offset)
        return 0

    def _fill_dots(self, fill: Filler, buffer: int, address: int, offset: int) -> bool:
        self._write_stat(address, _type_only(stat.S_IFDIR))
        for position, name in ((1, b"."), (2, b"..")):
            if offset < position and fill(buffer, name, address, position, 0):
                return False
        return True

    def _fill_plain(
        self, directory: OpenDirectory, fill: Filler, buffer: int, address: int, offset: int
    ) -> None:
        """Names and types until the reader is full."""
        position = max(offset, 2)
        last_type = -1
        for entry in directory.handle.entries(position - 2):
            position += 1
            kind = stat.S_IFMT(entry.mode)
            if kind != last_type:
                self._write_stat(address, _type_only(kind))
                last_type = kind
            name = entry.name.encode("utf-8", "surrogateescape")
            if fill(buffer, name, address, position, 0):
                return

    def _fill_plus(
        self, directory: OpenDirectory, fill: Filler, buffer: int, address: int, offset: int
    ) -> None:
        """Names with the attributes that are known, so that no name needs a LOOKUP of its own.

        libfuse counts a lookup for a name with attributes *before* it finds the reader's buffer
        full, and never takes it back: the name's inode would stay for the life of the mount. So
        a name that might not fit (buffers are a page, or a power of two of the reader's own choice)
        goes without attributes until the size of the buffer is known; from then on the loop ends
        by itself.
        """
        write_stat = self._write_stat
        room, used = directory.room, 0 if offset >= 2 else (2 - offset) * 160
        position = max(offset, 2)
        for entry in directory.handle.entries(position - 2):
            position += 1
            name = entry.name.encode("utf-8", "surrogateescape")
            end = used + ((_PLUS_HEADER + len(name) + 7) & ~7)
            attributes, plus = entry.attributes, 0
            if room:
                if end > room and used:
                    return
                plus = FILL_DIR_PLUS
            elif end <= _PAGE or (end - 1).bit_length() == (used - 1).bit_length():
                plus = FILL_DIR_PLUS
            if attributes is None:
                attributes, plus = _type_only(stat.S_IFMT(entry.mode)), 0
            write_stat(address, attributes)
            if fill(buffer, name, address, position, plus):
                directory.room = used
                return
            used = end


def _type_only(kind: int) -> Attributes:
    return Attributes(mode=kind, size=0, uid=0, gid=0, atime_ns=0, mtime_ns=0, ctime_ns=0)
