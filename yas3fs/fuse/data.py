"""Callbacks about open files.

Write hands on the bytes where libfuse keeps them, read those where the core has them: nothing is
copied but by the kernel, if that can be.
"""

import ctypes
import errno
import os
import stat
from ctypes import c_uint64
from typing import Any

from yas3fs.errors import NoEntry, NotFound
from yas3fs.fs.types import Caller, Changes
from yas3fs.fuse.binding import Binding
from yas3fs.fuse.nodes import NodeTable
from yas3fs.fuse.replies import Replies
from yas3fs.fuse.served import ServedFile, ServedFilesystem
from yas3fs.fuse.table import HandleTable
from yas3fs.fuse.targets import Target, Vanished
from yas3fs.fuse.threads import WorkerThreads

_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.restype = ctypes.py_object
_view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
_READ = 0x100
"""PyBUF_READ."""

O_DIRECT = getattr(os, "O_DIRECT", 0)


class FileCallbacks:
    """Verbs on open files; see :class:`yas3fs.fuse.attributes.NameCallbacks` for what they return.

    A file that is opened through the inode of another, whose name it has by now, goes past the
    kernel's pages: they are the other's.
    """

    def __init__(
        self,
        binding: Binding,
        filesystem: ServedFilesystem,
        nodes: NodeTable,
        replies: Replies,
        files: HandleTable[ServedFile],
        threads: WorkerThreads,
    ) -> None:
        self._binding = binding
        self._fs = filesystem
        self._nodes = nodes
        self._reply = replies
        self._info = binding.file_info
        self._number = binding.file_info.fh.offset
        self._has_noflush = hasattr(binding.file_info, "noflush")
        self._files = files
        self._open = files.open
        self._threads = threads

    # -- opening -----------------------------------------------------------------------------

    def create(self, request: int, parent: int, name: bytes, mode: int, info: int) -> None:
        context = self._reply.caller(request)
        text = name.decode("utf-8", "surrogateescape")
        with self._nodes.using(parent, text) as use:
            flags = self._info.from_address(info).flags
            handle = self._fs.create(use.path, flags, mode, Caller(context.uid, context.gid))
            try:
                attributes = handle.getattr()
                node = self._nodes.count(use.node, text)
            except BaseException:
                handle.release()
                raise
            number = self._register(info, handle, node.number)
        self._reply.found(request)
        entry = self._reply.made_entry_of(node.number, attributes)
        if self._binding.reply_create(request, entry, info) < 0:
            self._reply.undo(lambda: self._release(number))
            self._reply.undo(lambda: self._nodes.forget(node.number, 1))

    def open(self, request: int, number: int, info: int) -> None:
        flags = self._info.from_address(info).flags
        with Target(self._nodes, self._files, number, own=True) as at:
            try:
                if at.handle is not None:
                    handle = at.handle.reopen(flags)
                else:
                    handle = self._fs.open(at.path, flags, aside=at.moved_on)
            except (NoEntry, NotFound) as error:
                raise Vanished(at.node) from error
            if flags & os.O_TRUNC:
                self._drop_privilege(request, handle)
            fh = self._register(info, handle, number, other=at.moved_on)
        self._reply.found(request)
        if self._binding.reply_open(request, info) < 0:
            self._reply.undo(lambda: self._release(fh))

    def _register(self, info: int, handle: ServedFile, node: int, *, other: bool = False) -> int:
        """Give the handle a number, and tell the kernel what it may keep."""
        fields = self._info.from_address(info)
        direct = other or getattr(handle, "direct", False)
        if direct or (O_DIRECT and fields.flags & O_DIRECT):
            fields.direct_io = 1
        elif handle.keep_cache:
            fields.keep_cache = 1
        if self._has_noflush and not handle.writable:
            fields.noflush = 1
        number = fields.fh = self._files.add(handle, node, other=other)
        return number

    def _drop_privilege(self, request: int, handle: ServedFile) -> None:
        """Clear setuid and setgid of a file that an ordinary user truncates.

        The kernel does so itself for every other change, but leaves O_TRUNC wholly to us.
        """
        if self._reply.caller(request).uid == 0:
            return
        mode = handle.getattr().mode
        special = mode & stat.S_ISUID
        if mode & stat.S_IXGRP:
            special |= mode & stat.S_ISGID
        if special:
            try:
                self._fs.setattr("", Changes(mode=stat.S_IMODE(mode & ~special)), handle)
            except BaseException:
                handle.release()
                raise

    # -- bytes -------------------------------------------------------------------------------

    def read(self, request: int, _node: int, size: int, offset: int, info: int) -> None:
        handle = self._open[c_uint64.from_address(info + self._number).value]
        self._threads.move(size)
        reply = self._binding.reply_buffer
        handle.send(size, offset, self._threads.buffer, lambda at, count: reply(request, at, count))

    def write(self, request: int, _node: int, data: int, size: int, offset: int, info: int) -> None:
        handle = self._open[c_uint64.from_address(info + self._number).value]
        self._threads.move(size)
        count = handle.write(_view(data, size, _READ), offset)
        self._binding.reply_write(request, count)

    # -- saving and closing ------------------------------------------------------------------

    def flush(self, _request: int, _node: int, info: int) -> int:
        self._open[c_uint64.from_address(info + self._number).value].flush()
        return 0

    def fsync(self, _request: int, _node: int, _data_only: int, info: int) -> int:
        self._open[c_uint64.from_address(info + self._number).value].fsync()
        return 0

    def release(self, _request: int, _node: int, info: int) -> int:
        self._release(c_uint64.from_address(info + self._number).value)
        return 0

    def _release(self, number: int) -> None:
        handle = self._files.remove(number)
        if handle is not None:
            handle.release()

    def fallocate(
        self, _request: int, _node: int, mode: int, offset: int, length: int, info: int
    ) -> int:
        """Without flags the file grows, as posix_fallocate(3) wants; nothing is written.

        Space cannot be reserved in a bucket, so the flags that are about space are refused.
        """
        if mode != 0:
            return errno.ENOTSUP
        handle: Any = self._open[c_uint64.from_address(info + self._number).value]
        if offset + length > handle.getattr().size:
            self._fs.setattr("", Changes(size=offset + length), handle)
        return 0
