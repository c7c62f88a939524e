"""Where a path lies in the bucket, and which keys are paths at all.

File or symlink ``/a/b`` is the key ``PREFIX/a/b``, a directory ``PREFIX/a/b/``, the root
``PREFIX/`` (with an empty prefix its attributes live in the key ``.``).

A file name is any bytes but ``/`` and NUL, a key is UTF-8. Bytes of a name that are not UTF-8 are
kept in the key as the private-use characters U+F700 + byte. A name that has these very characters
gets each byte of them kept in that way, so that every name has one key and every key at most one
name: a key that its name would not lead back to is not shown.

Nor are keys with an empty, ``.`` or ``..`` component, with a component of more than 255 bytes or
with a NUL, which cannot be file names. They are logged once for each directory.
"""

from yas3fs.errors import NameTooLong
from yas3fs.objectstore.protocol import MAX_KEY_BYTES

MAX_NAME_BYTES = 255
_ESCAPE = 0xF700
_TO_KEY: dict[int, int | str] = {0xDC00 + byte: _ESCAPE + byte for byte in range(0x80, 0x100)}
_TO_KEY.update(
    (_ESCAPE + low, "".join(chr(_ESCAPE + byte) for byte in chr(_ESCAPE + low).encode()))
    for low in range(0x80, 0x100)
)
_FROM_KEY = {_ESCAPE + byte: 0xDC00 + byte for byte in range(0x80, 0x100)}


def name_to_key(name: str) -> str:
    """The key form of a name or path."""
    if name.isascii():
        return name
    return name.translate(_TO_KEY)


def key_to_name(component: str) -> str | None:
    """The file name of one key component; None when it cannot be one."""
    if component in ("", ".", "..") or "\0" in component:
        return None
    if component.isascii():
        return component if len(component) <= MAX_NAME_BYTES else None
    try:
        raw = component.translate(_FROM_KEY).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    if len(raw) > MAX_NAME_BYTES:
        return None
    name = raw.decode("utf-8", "surrogateescape")
    return name if name_to_key(name) == component else None


def parent_of(path: str) -> str:
    """The directory that holds ``path``; the root's is the root."""
    return path[: path.rindex("/")] or "/"


def name_of(path: str) -> str:
    """The last component of ``path``; empty for the root."""
    return path[path.rindex("/") + 1 :]


def join(parent: str, name: str) -> str:
    """The path of ``name`` in directory ``parent``."""
    return f"{parent}{name}" if parent == "/" else f"{parent}/{name}"


class KeyMap:
    """Paths to keys for one mount. ``prefix`` has no outer slashes and may be empty."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._base = f"{prefix}/" if prefix else ""

    def file(self, path: str) -> str:
        """Key of the file or symlink; NameTooLong beyond what S3 or POSIX allow."""
        return self._checked(self._base + name_to_key(path[1:]), path)

    def marker(self, path: str) -> str:
        """Key of the object that stands for the directory."""
        if path == "/":
            return self._base or "."
        return self._checked(f"{self._base}{name_to_key(path[1:])}/", path)

    def children(self, path: str) -> str:
        """What the keys of everything in the directory begin with."""
        return self._base if path == "/" else f"{self._base}{name_to_key(path[1:])}/"

    def path(self, key: str) -> str | None:
        """The path a key is shown at; None when it is outside the mount or no path."""
        if not self.prefix and key == ".":
            return "/"
        if not key.startswith(self._base):
            return None
        rest = key[len(self._base) :]
        if not rest:
            return "/"
        names = [key_to_name(component) for component in rest.removesuffix("/").split("/")]
        if any(name is None for name in names):
            return None
        return "/" + "/".join(name for name in names if name is not None)

    @staticmethod
    def _checked(key: str, path: str) -> str:
        if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
            raise NameTooLong(f"key of {path!r} is longer than {MAX_KEY_BYTES} bytes")
        check_names(path)
        return key


def check_names(path: str) -> None:
    """NameTooLong when a component is longer than 255 bytes."""
    if len(path) * 4 <= MAX_NAME_BYTES:
        return
    for name in path.split("/"):
        if len(name.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
            raise NameTooLong(f"name longer than {MAX_NAME_BYTES} bytes in {path!r}")
