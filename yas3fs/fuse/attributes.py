"""Callbacks about names and what belongs to them: attributes, extended attributes, the tree."""

import ctypes
import errno

from yas3fs.errors import NoEntry, NotFound
from yas3fs.fs.types import RENAME_EXCHANGE, Caller, Changes
from yas3fs.fuse.binding import Binding
from yas3fs.fuse.directories import OpenDirectory
from yas3fs.fuse.missing import MissingNames
from yas3fs.fuse.nodes import NodeTable, Use
from yas3fs.fuse.replies import NANO, Replies
from yas3fs.fuse.served import ServedDirectory, ServedFile, ServedFilesystem
from yas3fs.fuse.table import HandleTable
from yas3fs.fuse.targets import Target

FOREIGN_XATTRS = (b"security.", b"system.", b"trusted.")
"""Namespaces that are answered here, before anything else is touched.

The kernel asks for ``security.capability`` before every write (libfuse 3.14 cannot negotiate
KILLPRIV_V2), and ``ls -l`` for two of these names per file. ENOTSUP, unlike ENODATA, makes ls stop
asking for the whole device.
"""

SET_MODE, SET_UID, SET_GID, SET_SIZE, SET_ATIME, SET_MTIME = (1 << bit for bit in range(6))
SET_ATIME_NOW, SET_MTIME_NOW = 1 << 7, 1 << 8
"""``FUSE_SET_ATTR_…`` of libfuse's ``fuse_lowlevel.h``. The ctime is never set: it moves."""


class NameCallbacks:
    """Verbs on inodes and names. Each returns an errno (0: done), or None when it has replied;
    exceptions are translated by the caller (:mod:`yas3fs.fuse.callbacks`)."""

    def __init__(
        self,
        binding: Binding,
        filesystem: ServedFilesystem,
        nodes: NodeTable,
        missing: MissingNames,
        replies: Replies,
        files: HandleTable[ServedFile],
        directories: HandleTable[OpenDirectory],
    ) -> None:
        self._binding = binding
        self._fs = filesystem
        self._nodes = nodes
        self._missing = missing
        self._reply = replies
        self._number = binding.file_info.fh.offset
        self._files = files
        self._directories = directories

    def _handle(self, info: int | None) -> ServedFile | None:
        """The open file that a verb came through, if any."""
        if info is None:
            return None
        return self._files.open.get(ctypes.c_uint64.from_address(info + self._number).value)

    def _at(self, number: int) -> Target:
        return Target(self._nodes, self._files, number)

    def _caller(self, request: int) -> Caller:
        context = self._reply.caller(request)
        return Caller(context.uid, context.gid)

    # -- looking -----------------------------------------------------------------------------

    def lookup(self, request: int, parent: int, name: bytes) -> int | None:
        text, resets = _text(name), self._missing.resets
        use = self._nodes.using(parent, text)
        try:
            with use:
                attributes = self._fs.getattr(use.path)
                node = self._nodes.count(use.node, text)
        except (NoEntry, NotFound):
            return self._reply.missing(request, use.node, text, resets)
        self._reply.entry(request, node, attributes)
        return None

    def forget(self, request: int, number: int, count: int) -> None:
        self._nodes.forget(number, count)
        self._binding.reply_none(request)

    def forget_multi(self, request: int, count: int, records: int) -> None:
        numbers = (ctypes.c_uint64 * (2 * count)).from_address(records)
        for index in range(0, 2 * count, 2):
            self._nodes.forget(numbers[index], numbers[index + 1])
        self._binding.reply_none(request)

    def getattr(self, request: int, number: int, info: int | None) -> None:
        opened = self._handle(info) or self._removed_directory(number)
        if opened is not None:
            attributes = opened.getattr()
        else:
            with self._at(number) as at:
                handle = at.handle
                attributes = self._fs.getattr(at.path) if handle is None else handle.getattr()
        self._reply.attributes(request, number, attributes)

    def _removed_directory(self, number: int) -> ServedDirectory | None:
        """A directory that is open and was removed."""
        directory = self._directories.of_node(number) if self._directories.open else None
        return directory.handle if directory is not None and directory.node.gone else None

    def readlink(self, request: int, number: int) -> None:
        with self._at(number) as at:
            target = self._fs.readlink(at.path)
        self._binding.reply_readlink(request, _raw(target))

    def statfs(self, request: int, _number: int) -> None:
        numbers = self._fs.statfs()
        answer = self._binding.statvfs()
        answer.f_bsize = answer.f_frsize = numbers.block_size
        answer.f_blocks = numbers.blocks
        answer.f_bfree = answer.f_bavail = numbers.blocks_free
        answer.f_files = numbers.files
        answer.f_ffree = answer.f_favail = numbers.files_free
        answer.f_namemax = numbers.name_max
        self._binding.reply_statfs(request, ctypes.addressof(answer))

    # -- making and moving names -------------------------------------------------------------

    def mknod(self, request: int, parent: int, name: bytes, mode: int, rdev: int) -> None:
        with self._nodes.using(parent, _text(name)) as use:
            self._fs.mknod(use.path, mode, rdev, self._caller(request))
            self._made(request, use)

    def mkdir(self, request: int, parent: int, name: bytes, mode: int) -> None:
        with self._nodes.using(parent, _text(name)) as use:
            self._fs.mkdir(use.path, mode, self._caller(request))
            self._made(request, use)

    def symlink(self, request: int, target: bytes, parent: int, name: bytes) -> None:
        with self._nodes.using(parent, _text(name)) as use:
            self._fs.symlink(_text(target), use.path, self._caller(request))
            self._made(request, use)

    def _made(self, request: int, use: Use) -> None:
        attributes = self._fs.getattr(use.path)
        assert use.name is not None
        self._reply.entry(request, self._nodes.count(use.node, use.name), attributes, made=True)

    def unlink(self, _request: int, parent: int, name: bytes) -> int:
        with self._nodes.changing((parent, _text(name))) as change:
            self._fs.unlink(change.paths[0])
            change.removed()
        return 0

    def rmdir(self, _request: int, parent: int, name: bytes) -> int:
        with self._nodes.changing((parent, _text(name))) as change:
            self._fs.rmdir(change.paths[0])
            change.removed()
        return 0

    def rename(
        self, _request: int, parent: int, name: bytes, to: int, new_name: bytes, flags: int
    ) -> int:
        with self._nodes.changing((parent, _text(name)), (to, _text(new_name))) as change:
            self._fs.rename(change.paths[0], change.paths[1], flags)
            change.moved(exchanged=bool(flags & RENAME_EXCHANGE))
        return 0

    def link(self, _request: int, _number: int, _parent: int, _name: bytes) -> int:
        """An object has one key. EPERM is what POSIX says of file systems without links."""
        return errno.EPERM

    # -- attributes --------------------------------------------------------------------------

    def setattr(self, request: int, number: int, stat: int, valid: int, info: int | None) -> None:
        changes = self._changes(stat, valid)
        handle = self._handle(info)
        if handle is not None:
            attributes = self._fs.setattr("", changes, handle)
        else:
            with self._at(number) as at:
                attributes = self._fs.setattr(at.path, changes, at.handle)
        self._reply.changed_attributes(request, number, attributes)

    def _changes(self, address: int, valid: int) -> Changes:
        stat = self._binding.stat.from_address(address)
        size = stat.st_size if valid & SET_SIZE else None
        atime = mtime = None
        if valid & SET_ATIME_NOW:
            atime = self._fs.now_ns()
        elif valid & SET_ATIME:
            atime = stat.st_atimespec.tv_sec * NANO + stat.st_atimespec.tv_nsec
        if valid & SET_MTIME_NOW:  # a new size moves it by itself
            mtime = self._fs.now_ns() if size is None else None
        elif valid & SET_MTIME:
            mtime = stat.st_mtimespec.tv_sec * NANO + stat.st_mtimespec.tv_nsec
        return Changes(
            mode=stat.st_mode if valid & SET_MODE else None,
            uid=stat.st_uid if valid & SET_UID else None,
            gid=stat.st_gid if valid & SET_GID else None,
            size=size,
            atime_ns=atime,
            mtime_ns=mtime,
        )

    # -- extended attributes -----------------------------------------------------------------

    def getxattr(self, request: int, number: int, name: bytes, size: int) -> int | None:
        if name.startswith(FOREIGN_XATTRS):
            return errno.ENOTSUP
        with self._at(number) as at:
            value = self._fs.getxattr(at.path, _text(name), at.handle)
        return self._answer(request, value, size)

    def listxattr(self, request: int, number: int, size: int) -> int | None:
        with self._at(number) as at:
            names = self._fs.listxattr(at.path, at.handle)
        return self._answer(request, b"".join(_raw(name) + b"\0" for name in names), size)

    def _answer(self, request: int, value: bytes, size: int) -> int | None:
        """The protocol of getxattr(2) and listxattr(2): size 0 asks how much there is."""
        length = len(value)
        if length > size > 0:
            return errno.ERANGE
        if size == 0:
            self._binding.reply_xattr(request, length)
        else:
            self._binding.reply_buffer(request, value, length)
        return None

    def setxattr(
        self, _request: int, number: int, name: bytes, value: int, size: int, flags: int
    ) -> int:
        if name.startswith(FOREIGN_XATTRS):
            return errno.ENOTSUP
        content = ctypes.string_at(value, size) if size else b""
        with self._at(number) as at:
            self._fs.setxattr(at.path, _text(name), content, flags, at.handle)
        return 0

    def removexattr(self, _request: int, number: int, name: bytes) -> int:
        if name.startswith(FOREIGN_XATTRS):
            return errno.ENOTSUP
        with self._at(number) as at:
            self._fs.removexattr(at.path, _text(name), at.handle)
        return 0


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
