"""Extended attributes: the user's own, and the virtual ones that tell where a file lies.

Virtual attributes are served on every file, with and without ``user.`` in front, and not listed:
a tool that copies all attributes must not try to set them on the copy.
"""

import stat
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from yas3fs.errors import Exists, InvalidArgument, NoAttribute, NotPermitted, Unsupported
from yas3fs.fs.attributes import MAX_EXPIRATION
from yas3fs.fs.entries import Directory, Entry
from yas3fs.fs.handles import FileHandle
from yas3fs.fs.types import XATTR_CREATE, XATTR_REPLACE
from yas3fs.fs.volume import Volume

_VIRTUAL = "user.yas3fs."
_EXPIRATION = _VIRTUAL + "expiration"


class ExtendedAttributes:
    """The xattr verbs of one file system."""

    def __init__(self, volume: Volume, expiration: int = MAX_EXPIRATION) -> None:
        self._volume = volume
        self._expiration = min(expiration, MAX_EXPIRATION)

    @staticmethod
    def _full_name(name: str) -> str:
        return f"user.{name}" if name.startswith("yas3fs.") else name

    def get(self, path: str, name: str, handle: FileHandle | None = None) -> bytes:
        """The value; NoAttribute, Unsupported (not in the ``user.`` name space)."""
        name = self._full_name(name)
        if not name.startswith("user."):
            raise Unsupported(name)
        entry = self._volume.lookup(path) if handle is None else handle.inode.entry
        if name.startswith(_VIRTUAL):
            path = path if handle is None else handle.inode.path
            return self._virtual(path, entry, name).encode("utf-8", "surrogateescape")
        value = entry.xattrs.get(name)
        if value is None:
            raise NoAttribute(name)
        return value

    def names(self, path: str, handle: FileHandle | None = None) -> list[str]:
        """Names of the user's own attributes."""
        entry = self._volume.lookup(path) if handle is None else handle.inode.entry
        return [n for n in entry.xattrs if not n.startswith(_VIRTUAL)]

    def set(
        self, path: str, name: str, value: bytes, flags: int, handle: FileHandle | None = None
    ) -> None:
        """Set a value; Exists (XATTR_CREATE), NoAttribute (XATTR_REPLACE), NoSpace past 2 KiB."""
        name = self._full_name(name)
        if not name.startswith("user.") or name == "user.":
            raise Unsupported(name)
        if name.startswith(_VIRTUAL):
            self._check_virtual(name, value)

        def change(xattrs: dict[str, bytes]) -> None:
            if flags & XATTR_CREATE and name in xattrs:
                raise Exists(name)
            if flags & XATTR_REPLACE and name not in xattrs:
                raise NoAttribute(name)
            xattrs[name] = value

        self._change(path, handle, change)

    def remove(self, path: str, name: str, handle: FileHandle | None = None) -> None:
        """Remove an attribute; NoAttribute, NotPermitted for a virtual one."""
        name = self._full_name(name)
        if not name.startswith("user."):
            raise Unsupported(name)
        if name.startswith(_VIRTUAL) and name != _EXPIRATION:
            raise NotPermitted(name)

        def change(xattrs: dict[str, bytes]) -> None:
            if xattrs.pop(name, None) is None:
                raise NoAttribute(name)

        self._change(path, handle, change)

    def _change(
        self, path: str, handle: FileHandle | None, change: Callable[[dict[str, bytes]], None]
    ) -> None:
        volume = self._volume
        with volume.claimed_entry(path, handle) as (at, entry):
            xattrs = dict(entry.xattrs)
            change(xattrs)
            attributes = entry.attributes()
            attributes.ctime_ns = volume.now_ns()
            volume.store_attributes(at, entry, attributes, xattrs)

    @staticmethod
    def _check_virtual(name: str, value: bytes) -> None:
        if name != _EXPIRATION:
            raise NotPermitted(name)
        try:
            seconds = int(value)
        except ValueError:
            seconds = 0
        if not 0 < seconds <= MAX_EXPIRATION:
            raise InvalidArgument(f"{name} takes 1 to {MAX_EXPIRATION} seconds")

    def _virtual(self, path: str, entry: Entry, name: str) -> str:
        volume = self._volume
        key = volume.keys.marker(path) if isinstance(entry, Directory) else volume.keys.file(path)
        stored = entry.xattrs.get(_EXPIRATION)
        expiration = int(stored) if stored is not None else self._expiration
        match name.removeprefix(_VIRTUAL):
            case "bucket":
                return volume.settings.bucket
            case "key":
                return key
            case "URL":
                parts = urlsplit(volume.store.presign(key, expiration))
                return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
            case "signedURL" if stat.S_ISREG(entry.mode):
                return volume.store.presign(key, expiration)
            case "expiration":
                return str(expiration)
        raise NoAttribute(name)
