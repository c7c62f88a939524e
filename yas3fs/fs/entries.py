"""What is known of one name: as little memory as possible, because there are a million of them."""

import stat
from typing import TYPE_CHECKING, NamedTuple

from yas3fs.fs.attributes import Xattrs
from yas3fs.fs.types import Attributes
from yas3fs.objectstore.protocol import Headers

if TYPE_CHECKING:
    from yas3fs.fs.inode import Inode

PATH_MAX = 4096
"""A symlink's target has fewer bytes (Linux, limits.h), so an object this large is none."""

NEVER = -(1 << 62)
"""A point in time before all others: nothing was checked yet."""
FOREVER = 1 << 62
"""A point in time behind all others."""

SECOND = 1_000_000_000
UNSETTLED = 1
"""Nanoseconds that make a time of modification one that no listing gives."""


class Extra(NamedTuple):
    """What most objects do not have. ``headers`` is what others stored beside our metadata."""

    xattrs: Xattrs
    rdev: int = 0
    headers: Headers | None = None


_NOTHING = Extra({})


class Entry:
    """One file, symlink or special file.

    ``mode`` is 0 while not even the type is known, type bits alone while the attributes are not
    (``known``). ``modified`` is S3's LastModified in nanoseconds: with ``etag`` and ``size`` it
    tells whether attributes read before still hold; with UNSETTLED added it does not. ``kept`` is
    the ETag whose pages the kernel may have, ``checked`` the monotonic millisecond at which the
    store confirmed the entry.
    """

    __slots__ = (
        "atime_ns",
        "checked",
        "ctime_ns",
        "etag",
        "extra",
        "gid",
        "inode",
        "kept",
        "known",
        "mode",
        "modified",
        "mtime_ns",
        "size",
        "uid",
    )

    def __init__(self, mode: int = 0, size: int = 0, etag: str = "", modified: int = 0) -> None:
        self.mode = mode
        self.size = size
        self.etag = etag
        self.modified = modified
        self.known = False
        self.uid = self.gid = 0
        self.atime_ns = self.mtime_ns = self.ctime_ns = modified
        self.extra: Extra | None = None
        self.inode: Inode | None = None
        self.kept = ""
        self.checked = NEVER

    def attributes(self) -> Attributes:
        """A copy of what stat(2) shows."""
        return Attributes(
            self.mode,
            self.size,
            self.uid,
            self.gid,
            self.atime_ns,
            self.mtime_ns,
            self.ctime_ns,
            self.extra.rdev if self.extra is not None else 0,
        )

    def learn(self, attributes: Attributes, xattrs: Xattrs, headers: Headers | None = None) -> None:
        """Take over attributes that were read or set."""
        self.mode = attributes.mode
        self.size = attributes.size
        self.uid = attributes.uid
        self.gid = attributes.gid
        self.mtime_ns = attributes.mtime_ns
        # Mostly the same moment: one integer object serves all three.
        same = attributes.mtime_ns
        self.atime_ns = same if attributes.atime_ns == same else attributes.atime_ns
        self.ctime_ns = same if attributes.ctime_ns == same else attributes.ctime_ns
        self.extra = None
        if xattrs or attributes.rdev or headers is not None:
            self.extra = Extra(xattrs, attributes.rdev, headers)
        self.known = True

    @property
    def xattrs(self) -> Xattrs:
        return (self.extra or _NOTHING).xattrs

    @property
    def headers(self) -> Headers | None:
        return (self.extra or _NOTHING).headers

    def same_version(self, size: int, etag: str, modified: int) -> bool:
        """Whether a listing's answer means the object this entry was learned from."""
        return self.etag == etag and self.size == size and self.modified == modified

    def may_be(self, size: int, etag: str, modified: int) -> bool:
        """Whether it may mean that object, which was young when it was learned from."""
        settled = self.modified % SECOND != UNSETTLED
        same_second = self.modified // SECOND == modified // SECOND
        return not settled and same_second and self.etag == etag and self.size == size

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)


class Asking(set[str]):
    """A request about names of a directory that is under way: the names changed here since then.

    ``doubted`` are those that others said they had changed, ``all_doubted`` if any may have been:
    the answer may be older than that, and is good for whoever waits for it and nobody else.
    """

    def __init__(self) -> None:
        super().__init__()
        self.doubted: set[str] = set()
        self.all_doubted = False


_FIRST_BATCH = 8
_LARGEST_BATCH = 256
_NEAR = 32
"""A name so few behind the last batch is the next of a walk that skips some."""


class Scan:
    """Somebody asks for a directory's unknown names, one after the other in the listing's order.

    The further they go on, the more names are asked for ahead. Who jumps about gets less, and soon
    nothing.
    """

    __slots__ = ("_names", "_next", "_window")

    def __init__(self, names: list[str], first: int = _FIRST_BATCH) -> None:
        self._names = names
        self._next = -1
        self._window = first

    def batch(self, asked: str) -> list[str]:
        """The names to ask for together with ``asked``."""
        near = self._names[self._next : self._next + _NEAR] if self._next >= 0 else []
        if asked in near:
            self._next += near.index(asked) + 1
            self._window = min(self._window * 2, _LARGEST_BATCH)
        else:
            if self._next >= 0:
                self._window //= 4
            if not self._window or asked not in self._names:
                self._names = []
                return []
            self._next = self._names.index(asked) + 1
        found = self._names[self._next : self._next + self._window]
        self._next += len(found)
        return found


class Directory(Entry):
    """A directory: an entry with children.

    ``complete_at`` is the millisecond at which a whole listing was read (NEVER: children are what
    happened to be looked up); ``large`` means that one page did not hold it; ``marker`` whether
    its own object exists (None: not known). ``asking`` has the requests about its names that are
    under way: their answers are not believed for names that changed since they began.
    """

    __slots__ = (
        "asking",
        "children",
        "complete_at",
        "folders",
        "large",
        "marker",
        "misses",
        "opened",
        "scan",
        "shadows",
        "shown",
        "shown_at",
        "unseen",
        "version",
    )

    def __init__(self, mode: int = stat.S_IFDIR) -> None:
        super().__init__(mode)
        self.children: dict[str, Entry] = {}
        self.folders = 0
        """How many of the children are directories."""
        self.complete_at = NEVER
        self.large = False
        self.marker: bool | None = None
        self.asking: tuple[Asking, ...] = ()
        self.misses = 0
        self.opened = 0
        """Opens since the listing: whether names are looked up to be read."""
        self.scan: Scan | None = None
        self.shadows = False
        """Whether a listing had a file of the same name, which is not shown beside it."""
        self.unseen = False
        """Whether keys lie below that cannot be file names."""
        self.version = 0
        """Moves whenever the names do, or what they stand for."""
        self.shown = -1
        """The version of which the kernel keeps the names, and when (ms) it was told them."""
        self.shown_at = NEVER

    def attributes(self) -> Attributes:
        found = super().attributes()
        found.size = 0
        # "." and the name in the parent, and each child's ".."; 1 says that nobody counted.
        found.nlink = 1 if self.complete_at == NEVER else 2 + self.folders
        return found


def type_from_listing(size: int) -> int:
    """The type bits that an object's size alone decides, else 0."""
    return stat.S_IFREG if size >= PATH_MAX else 0


__all__ = ["FOREVER", "NEVER", "PATH_MAX", "SECOND", "UNSETTLED", "Asking", "Directory", "Entry",
           "Extra", "Scan", "type_from_listing"]  # fmt: skip
