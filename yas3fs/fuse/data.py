"""Callbacks about open files. Read and write touch the bytes where libfuse keeps them."""

import ctypes
import errno
import os
import stat
import sys
from ctypes import c_uint64

from yas3fs.errors import NoEntry, NotFound
from yas3fs.fs.types import Caller
from yas3fs.fuse.binding import Binding
from yas3fs.fuse.served import ServedFile, ServedFilesystem
from yas3fs.fuse.table import HandleTable

_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype = ctypes.py_object
_view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_READ, _WRITE = 0x100, 0x200
"""PyBUF_READ and PyBUF_WRITE."""

O_DIRECT = getattr(os, "O_DIRECT", 0)

VANISHED = errno.ESTALE if sys.platform.startswith("linux") else errno.ENOENT
"""What open(2) is told when the file does not exist.

The kernel opens through a name that it believes in, perhaps for an hour. ESTALE makes it look the
name up afresh and try again, so that O_CREAT creates the file; ENOENT would go to the program.
"""


class FileCallbacks:
    """Verbs on open files; ``nullpath_ok`` is set, so their paths are not even computed."""

    def __init__(
        self, binding: Binding, filesystem: ServedFilesystem, files: HandleTable[ServedFile]
    ) -> None:
        self._fs = filesystem
        self._context = binding.get_context
        self._info = binding.file_info
        self._number = binding.file_info.fh.offset
        self._has_noflush = hasattr(binding.file_info, "noflush")
        self._files = files
        self._open = files.open

    def _register(self, info: int, handle: ServedFile) -> None:
        fields = self._info.from_address(info)
        fields.fh = self._files.add(handle)
        if (O_DIRECT and fields.flags & O_DIRECT) or getattr(handle, "direct", False):
            fields.direct_io = 1
        elif handle.keep_cache:
            fields.keep_cache = 1
        if self._has_noflush and not handle.writable:
            fields.noflush = 1

    def create(self, path: bytes, mode: int, info: int) -> int:
        context = self._context().contents
        handle = self._fs.create(
            path.decode("utf-8", "surrogateescape"),
            self._info.from_address(info).flags,
            mode,
            Caller(context.uid, context.gid),
        )
        self._register(info, handle)
        return 0

    def open(self, path: bytes, info: int) -> int:
        flags = self._info.from_address(info).flags
        try:
            handle = self._fs.open(path.decode("utf-8", "surrogateescape"), flags)
        except (NoEntry, NotFound):
            return -VANISHED
        if flags & os.O_TRUNC:
            self._drop_privilege(handle)
        self._register(info, handle)
        return 0

    def _drop_privilege(self, handle: ServedFile) -> None:
        """Clear setuid and setgid of a file that an ordinary user truncates.

        The kernel does so itself for every other change, but leaves O_TRUNC wholly to us.
        """
        if self._context().contents.uid == 0:
            return
        mode = handle.getattr().mode
        special = mode & stat.S_ISUID
        if mode & stat.S_IXGRP:
            special |= mode & stat.S_ISGID
        if special:
            try:
                self._fs.chmod("", stat.S_IMODE(mode & ~special), handle)
            except BaseException:
                handle.release()
                raise

    def read(self, _path: int | None, buffer: int, size: int, offset: int, info: int) -> int:
        handle = self._open[c_uint64.from_address(info + self._number).value]
        return handle.read_into(_view(buffer, size, _WRITE), offset)

    def write(self, _path: int | None, buffer: int, size: int, offset: int, info: int) -> int:
        handle = self._open[c_uint64.from_address(info + self._number).value]
        return handle.write(_view(buffer, size, _READ), offset)

    def flush(self, _path: int | None, info: int) -> int:
        self._open[c_uint64.from_address(info + self._number).value].flush()
        return 0

    def fsync(self, _path: int | None, _data_only: int, info: int) -> int:
        self._open[c_uint64.from_address(info + self._number).value].fsync()
        return 0

    def release(self, _path: int | None, info: int) -> int:
        handle = self._files.remove(c_uint64.from_address(info + self._number).value)
        if handle is not None:
            handle.release()
        return 0

    def fallocate(self, _path: int | None, mode: int, offset: int, length: int, info: int) -> int:
        """Without flags the file grows, as posix_fallocate(3) wants; nothing is written.

        Space cannot be reserved in a bucket, so the flags that are about space are refused.
        """
        if mode != 0:
            return -errno.ENOTSUP
        handle = self._open[c_uint64.from_address(info + self._number).value]
        if offset + length > handle.getattr().size:
            self._fs.truncate("", offset + length, handle)
        return 0
