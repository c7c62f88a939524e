"""statx(2) as far as the invalidation needs it: an inode number without a request to ourselves."""

import ctypes
import struct
import sys

AT_FDCWD = -100
FLAGS = 0x100 | 0x800 | 0x4000
"""AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_STATX_DONT_SYNC: what is cached will do."""
STATX_INO = 0x100

_INODE_OFFSET = 32
_DEVICE_OFFSET = 136
_SIZE = 256


def cached_inode(path: bytes, device: str) -> int | None:
    """The inode number of ``path`` if it is on ``device`` (``major:minor``), else None."""
    if not sys.platform.startswith("linux"):
        return None
    buffer = ctypes.create_string_buffer(_SIZE)
    statx = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)
    if statx is None or statx(AT_FDCWD, path, FLAGS, STATX_INO, buffer) != 0:
        return None
    major, minor = struct.unpack_from("=II", buffer, _DEVICE_OFFSET)
    if f"{major}:{minor}" != device:
        return None
    return int(struct.unpack_from("=Q", buffer, _INODE_OFFSET)[0])
