"""The values that cross the border between the file system core and whoever serves it.

Paths are absolute, ``/``-separated strings without a trailing slash (the root is ``/``); bytes
that are not UTF-8 are carried as lone surrogates (``os.fsdecode``). Times are integer nanoseconds
since the epoch in UTC, sizes bytes.
"""

import stat as _stat
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(slots=True)
class Attributes:
    """What stat(2) tells of one file. ``mode`` has its type bits."""

    mode: int
    size: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    rdev: int = 0
    nlink: int = 1

    @property
    def is_directory(self) -> bool:
        return _stat.S_ISDIR(self.mode)

    @property
    def is_symlink(self) -> bool:
        return _stat.S_ISLNK(self.mode)

    @property
    def is_regular(self) -> bool:
        return _stat.S_ISREG(self.mode)


class Changes(NamedTuple):
    """What is to be different of a file's attributes, all at once; None stays as it is.

    A new size moves the modification time, unless a time is given.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None


class Caller(NamedTuple):
    """On whose behalf a verb that creates something runs."""

    uid: int
    gid: int


class DirectoryEntry(NamedTuple):
    """One name of a directory.

    ``mode`` has the type bits, or is 0 when the listing alone does not decide the type;
    ``attributes`` is None when they are not known without asking the store.
    """

    name: str
    mode: int
    attributes: Attributes | None


@dataclass(frozen=True, slots=True)
class FilesystemStatistics:
    """What statvfs(3) tells; sizes in blocks of ``block_size`` bytes."""

    block_size: int
    blocks: int
    blocks_free: int
    files: int
    files_free: int
    name_max: int = 255


RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
XATTR_CREATE = 1
XATTR_REPLACE = 2
