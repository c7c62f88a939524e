"""Callbacks about names and what belongs to them: attributes, extended attributes, the tree."""

import ctypes
import errno
import struct
from collections.abc import Callable

from yas3fs.fs.types import Attributes, Caller
from yas3fs.fuse.binding import Binding
from yas3fs.fuse.served import ServedFile, ServedFilesystem
from yas3fs.fuse.table import HandleTable

NANO = 1_000_000_000

FOREIGN_XATTRS = (b"security.", b"system.", b"trusted.")
"""Namespaces that are answered here, before anything else is touched.

The kernel asks for ``security.capability`` before every write (libfuse 3.14 cannot negotiate
KILLPRIV_V2), and ``ls -l`` for two of these names per file. ENOTSUP, unlike ENODATA, makes ls stop
asking for the whole device.
"""

UNCHANGED_ID = 0xFFFFFFFF
"""``(uid_t) -1`` in chown(2)."""

UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2

_TIMES = struct.Struct("@4l")


def stat_writer(
    binding: Binding, filesystem: ServedFilesystem
) -> Callable[[int, Attributes], None]:
    """A function that writes attributes as ``struct stat`` at an address."""
    write = binding.stat.write
    block_size = filesystem.block_size

    def write_stat(address: int, a: Attributes) -> None:
        size, atime, mtime, ctime = a.size, a.atime_ns, a.mtime_ns, a.ctime_ns
        values = (
            *(a.nlink, a.mode, a.uid, a.gid, a.rdev, size, block_size, (size + 511) >> 9),
            *(atime // NANO, atime % NANO, mtime // NANO, mtime % NANO),
            *(ctime // NANO, ctime % NANO),
        )
        write(address, values)

    return write_stat


class NameCallbacks:
    """Verbs on paths. Each returns 0, a size, or a negative errno; exceptions are translated by
    the caller (:mod:`yas3fs.fuse.callbacks`)."""

    def __init__(
        self, binding: Binding, filesystem: ServedFilesystem, files: HandleTable[ServedFile]
    ) -> None:
        self._fs = filesystem
        self._context = binding.get_context
        self._number = binding.file_info.fh.offset
        self._files = files
        self._write_stat = stat_writer(binding, filesystem)
        self._statvfs = binding.statvfs
        self._timespec_size = ctypes.sizeof(binding.timespec)

    def _handle(self, info: int | None) -> ServedFile | None:
        """The open file that a verb came through, if any. Directories are no such handles."""
        if info is None:
            return None
        return self._files.open.get(ctypes.c_uint64.from_address(info + self._number).value)

    def _caller(self) -> Caller:
        context = self._context().contents
        return Caller(context.uid, context.gid)

    def getattr(self, path: bytes | None, stat: int, info: int | None) -> int:
        handle = None if info is None else self._handle(info)
        if handle is not None:
            self._write_stat(stat, handle.getattr())
        elif path is not None:
            text = path.decode("utf-8", "surrogateescape")
            self._write_stat(stat, self._fs.getattr(text))
        else:
            return -errno.EBADF
        return 0

    def readlink(self, path: bytes, buffer: int, size: int) -> int:
        target = self._fs.readlink(path.decode("utf-8", "surrogateescape"))
        raw = target.encode("utf-8", "surrogateescape")[: size - 1] + b"\0"
        ctypes.memmove(buffer, raw, len(raw))
        return 0

    def mknod(self, path: bytes, mode: int, rdev: int) -> int:
        self._fs.mknod(path.decode("utf-8", "surrogateescape"), mode, rdev, self._caller())
        return 0

    def mkdir(self, path: bytes, mode: int) -> int:
        self._fs.mkdir(path.decode("utf-8", "surrogateescape"), mode, self._caller())
        return 0

    def unlink(self, path: bytes) -> int:
        self._fs.unlink(path.decode("utf-8", "surrogateescape"))
        return 0

    def rmdir(self, path: bytes) -> int:
        self._fs.rmdir(path.decode("utf-8", "surrogateescape"))
        return 0

    def symlink(self, target: bytes, path: bytes) -> int:
        self._fs.symlink(
            target.decode("utf-8", "surrogateescape"),
            path.decode("utf-8", "surrogateescape"),
            self._caller(),
        )
        return 0

    def rename(self, old: bytes, new: bytes, flags: int) -> int:
        self._fs.rename(
            old.decode("utf-8", "surrogateescape"), new.decode("utf-8", "surrogateescape"), flags
        )
        return 0

    def link(self, _old: bytes, _new: bytes) -> int:
        """An object has one key. EPERM is what POSIX says of file systems without links."""
        return -errno.EPERM

    def chmod(self, path: bytes | None, mode: int, info: int | None) -> int:
        text = "" if path is None else path.decode("utf-8", "surrogateescape")
        self._fs.chmod(text, mode, self._handle(info))
        return 0

    def chown(self, path: bytes | None, uid: int, gid: int, info: int | None) -> int:
        text = "" if path is None else path.decode("utf-8", "surrogateescape")
        uid = -1 if uid == UNCHANGED_ID else uid
        gid = -1 if gid == UNCHANGED_ID else gid
        self._fs.chown(text, uid, gid, self._handle(info))
        return 0

    def truncate(self, path: bytes | None, size: int, info: int | None) -> int:
        text = "" if path is None else path.decode("utf-8", "surrogateescape")
        self._fs.truncate(text, size, self._handle(info))
        return 0

    def utimens(self, path: bytes | None, times: int | None, info: int | None) -> int:
        text = "" if path is None else path.decode("utf-8", "surrogateescape")
        now = self._fs.now_ns
        if times is None:
            atime = mtime = now()
            self._fs.utimens(text, atime, mtime, self._handle(info))
            return 0
        pair = (ctypes.c_char * _TIMES.size).from_address(times)
        seconds_a, nanos_a, seconds_m, nanos_m = _TIMES.unpack_from(pair)
        chosen: list[int | None] = []
        for seconds, nanos in ((seconds_a, nanos_a), (seconds_m, nanos_m)):
            if nanos == UTIME_OMIT:
                chosen.append(None)
            else:
                chosen.append(now() if nanos == UTIME_NOW else seconds * NANO + nanos)
        self._fs.utimens(text, chosen[0], chosen[1], self._handle(info))
        return 0

    def statfs(self, _path: bytes, address: int) -> int:
        numbers = self._fs.statfs()
        target = self._statvfs.from_address(address)
        target.f_bsize = target.f_frsize = numbers.block_size
        target.f_blocks = numbers.blocks
        target.f_bfree = target.f_bavail = numbers.blocks_free
        target.f_files = numbers.files
        target.f_ffree = target.f_favail = numbers.files_free
        target.f_namemax = numbers.name_max
        return 0

    def getxattr(self, path: bytes, name: bytes, buffer: int | None, size: int) -> int:
        if name.startswith(FOREIGN_XATTRS):
            return -errno.ENOTSUP
        value = self._fs.getxattr(
            path.decode("utf-8", "surrogateescape"), name.decode("utf-8", "surrogateescape")
        )
        return _answer(value, buffer, size)

    def listxattr(self, path: bytes, buffer: int | None, size: int) -> int:
        names = self._fs.listxattr(path.decode("utf-8", "surrogateescape"))
        raw = b"".join(name.encode("utf-8", "surrogateescape") + b"\0" for name in names)
        return _answer(raw, buffer, size)

    def setxattr(self, path: bytes, name: bytes, value: int, size: int, flags: int) -> int:
        if name.startswith(FOREIGN_XATTRS):
            return -errno.ENOTSUP
        self._fs.setxattr(
            path.decode("utf-8", "surrogateescape"),
            name.decode("utf-8", "surrogateescape"),
            ctypes.string_at(value, size) if size else b"",
            flags,
        )
        return 0

    def removexattr(self, path: bytes, name: bytes) -> int:
        if name.startswith(FOREIGN_XATTRS):
            return -errno.ENOTSUP
        self._fs.removexattr(
            path.decode("utf-8", "surrogateescape"), name.decode("utf-8", "surrogateescape")
        )
        return 0


def _answer(value: bytes, buffer: int | None, size: int) -> int:
    """The protocol of getxattr(2) and listxattr(2): size 0 asks how much there is."""
    length = len(value)
    if size == 0:
        return length
    if length > size or buffer is None:
        return -errno.ERANGE
    ctypes.memmove(buffer, value, length)
    return length
