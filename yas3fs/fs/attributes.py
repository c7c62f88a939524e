"""POSIX attributes in S3 user metadata, as yas3fs 1.x and 2.x wrote them and read them.

``attr`` holds one JSON object (older: ``key=value;...``), ``xattr`` another. On the wire both are
ASCII; a literal ``%`` is ``\\u0025`` because older releases percent-decode what they read, and so
do we. Where ``attr`` is missing, what s3fs-fuse, rclone, AWS DataSync and the Storage Gateway
write is read instead. Nothing that stands in metadata is an error: gaps are filled from
:class:`Defaults`.
"""

import base64
import binascii
import json
import math
import mimetypes
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from yas3fs.errors import NoSpace
from yas3fs.fs.types import Attributes
from yas3fs.objectstore.protocol import MAX_METADATA_BYTES, Headers

ATTR = "attr"
XATTR = "xattr"
_TIMES = ("st_atime", "st_mtime", "st_ctime")
_BINARY = "\0base64:"
"""Begins the stored form of a value that is not text; old releases show it as an odd string."""
_MAX_ID = 0xFFFFFFFF
_NS = 1_000_000_000
DIRECTORY_TYPE = "application/x-directory"
SYMLINK_TYPE = "application/x-symlink"
_DEFAULT_TYPE = "application/octet-stream"
MAX_EXPIRATION = 7 * 24 * 3600
"""Seconds for which SigV4 lets a signed URL live; the default of 30 days is capped to it."""

Xattrs = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an object without attributes of its own is shown with. Modes without type bits."""

    uid: int = 0
    gid: int = 0
    file_mode: int = 0o644
    directory_mode: int = 0o755


def content_type_of(name: str) -> str:
    """The content type a file's name suggests."""
    last = name[name.rfind("/") + 1 :]
    return _type_of(last[last.find(".") :]) if "." in last[1:] else _DEFAULT_TYPE


@lru_cache(1024)
def _type_of(suffixes: str) -> str:
    return mimetypes.guess_type(f"x{suffixes}", strict=False)[0] or _DEFAULT_TYPE


# -- writing -------------------------------------------------------------------------------


def encode(attributes: Attributes, xattrs: Mapping[str, bytes] | None) -> dict[str, str]:
    """The metadata that carries the attributes."""
    fields: dict[str, Any] = {
        "st_uid": attributes.uid,
        "st_gid": attributes.gid,
        "st_mode": attributes.mode,
        "st_atime": attributes.atime_ns / _NS,
        "st_mtime": attributes.mtime_ns / _NS,
        "st_ctime": attributes.ctime_ns / _NS,
        "st_size": attributes.size,
        "st_nlink": 1,
    }
    for name in _TIMES:
        nanoseconds = getattr(attributes, f"{name[3:]}_ns")
        if nanoseconds % _NS:
            fields[f"{name}_ns"] = nanoseconds
    if attributes.rdev:
        fields["st_rdev"] = attributes.rdev
    metadata = {ATTR: _dump(fields)}
    if xattrs:
        metadata[XATTR] = _dump({name: _text(value) for name, value in xattrs.items()})
    return metadata


def check_size(metadata: Mapping[str, str]) -> None:
    """NoSpace when S3 would refuse so much user metadata."""
    if sum(len(name) + len(value) for name, value in metadata.items()) > MAX_METADATA_BYTES:
        raise NoSpace(f"the attributes take more than {MAX_METADATA_BYTES} bytes of user metadata")


def _dump(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=True).replace("%", "\\u0025").replace("\x7f", "\\u007f")


def _text(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return _BINARY + base64.b64encode(value).decode("ascii")
    if text.startswith(_BINARY):
        return _BINARY + base64.b64encode(value).decode("ascii")
    return text


# -- reading -------------------------------------------------------------------------------


def decode(
    headers: Headers,
    size: int,
    last_modified: float,
    defaults: Defaults,
    *,
    directory: bool,
) -> tuple[Attributes, Xattrs]:
    """Attributes and extended attributes of an object of ``size`` bytes.

    ``directory`` says what the key is: the type bits of the stored mode never turn a file into a
    directory or the other way round.
    """
    metadata = headers.metadata
    modified_ns = round(last_modified * _NS)
    fields = _fields(metadata)
    default_mode = defaults.directory_mode if directory else defaults.file_mode
    mode = _mode(fields.get("st_mode"), default_mode, directory=directory)
    mtime = _time(fields, "st_mtime", modified_ns)
    attributes = Attributes(
        mode=mode,
        size=0 if directory or not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)) else size,
        uid=_integer(fields.get("st_uid"), defaults.uid),
        gid=_integer(fields.get("st_gid"), defaults.gid),
        atime_ns=_time(fields, "st_atime", mtime),
        mtime_ns=mtime,
        ctime_ns=_time(fields, "st_ctime", mtime),
        rdev=_integer(fields.get("st_rdev"), 0),
    )
    return attributes, _xattrs(metadata.get(XATTR, ""))


def _fields(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    text = metadata.get(ATTR)
    if text is None:
        return _foreign(metadata)
    value = _load(text)
    if isinstance(value, dict):
        return value
    return {
        name.strip(): content.strip()
        for name, _, content in (piece.partition("=") for piece in unquote(text).split(";"))
        if content
    }


def _load(text: str) -> Any:
    try:
        return json.loads(unquote(text, errors="surrogateescape"))
    except (ValueError, RecursionError):
        return None


def _foreign(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """The fields that other tools' metadata amount to."""
    if "file-permissions" in metadata or "file-owner" in metadata:  # DataSync, Storage Gateway
        try:
            mode: int | None = int(metadata["file-permissions"], 8)
        except (KeyError, ValueError):
            mode = None
        names = {"st_uid": "file-owner", "st_gid": "file-group"}
        times = {f"st_{name}": f"file-{name}" for name in ("atime", "mtime", "ctime")}
        found: dict[str, Any] = {"st_mode": mode}
    else:  # s3fs-fuse; rclone writes mtime only
        names = {"st_uid": "uid", "st_gid": "gid", "st_mode": "mode"}
        times = {f"st_{name}": name for name in ("atime", "mtime", "ctime")}
        found = {}
    found.update({ours: metadata[theirs] for ours, theirs in names.items() if theirs in metadata})
    for ours, theirs in times.items():
        nanoseconds = _foreign_time(metadata.get(theirs, ""))
        if nanoseconds is not None:
            found[f"{ours}_ns"] = nanoseconds
            found[ours] = nanoseconds / _NS
    return found


_FOREIGN_TIME = re.compile(r"(\d{1,19})(?:\.(\d{1,9})\d*)?(ns|us|ms|s)?")
_UNITS = {None: _NS, "s": _NS, "ms": 1_000_000, "us": 1000, "ns": 1}


def _foreign_time(text: str) -> int | None:
    match = _FOREIGN_TIME.fullmatch(text.strip())
    if match is None:
        return None
    whole, fraction, unit = match.groups()
    scale = _UNITS[unit]
    return int(whole) * scale + (int(fraction.ljust(9, "0")) * scale // _NS if fraction else 0)


def _mode(value: Any, default: int, *, directory: bool) -> int:
    mode = _integer(value, -1)
    kind = stat.S_IFDIR if directory else stat.S_IFREG
    if mode < 0 or mode > 0xFFFF:
        return kind | default
    stored = stat.S_IFMT(mode)
    if directory or stored in (0, stat.S_IFDIR):
        return kind | stat.S_IMODE(mode)
    if stored not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR,
                      stat.S_IFBLK):  # fmt: skip
        return kind | stat.S_IMODE(mode)
    return mode


def _integer(value: Any, default: int) -> int:
    if isinstance(value, bool) or value is None:
        return default
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return number if 0 <= number <= _MAX_ID else default


def _time(fields: Mapping[str, Any], name: str, default: int) -> int:
    """Nanoseconds; the integer field counts only while it agrees with the float beside it."""
    try:
        seconds = float(fields[name])
    except (KeyError, TypeError, ValueError, OverflowError):
        return default
    if not math.isfinite(seconds) or abs(seconds) > 1e11:
        return default
    exact = fields.get(f"{name}_ns")
    if isinstance(exact, int) and abs(exact / _NS - seconds) < 1e-5:
        return exact
    # A float of today's time is exact to a quarter microsecond: do not invent nanoseconds.
    return round(seconds * 1_000_000) * 1000


def _xattrs(text: str) -> Xattrs:
    value = _load(text) if text else None
    if not isinstance(value, dict):
        return {}
    return {name: _bytes(content) for name, content in value.items() if isinstance(content, str)}


def _bytes(text: str) -> bytes:
    if text.startswith(_BINARY):
        try:
            return base64.b64decode(text[len(_BINARY) :], validate=True)
        except (binascii.Error, ValueError):
            pass
    return text.encode("utf-8", "surrogatepass")


def own_type(key: str, mode: int) -> str:
    """The content type this node gives an object of its own."""
    if stat.S_ISDIR(mode):
        return DIRECTORY_TYPE
    if stat.S_ISLNK(mode):
        return SYMLINK_TYPE
    return content_type_of(key)


def foreign_headers(headers: Headers, key: str) -> Headers | None:
    """What others stored with an object and we must keep; None when there is nothing."""
    metadata = {n: v for n, v in headers.metadata.items() if n not in (ATTR, XATTR)}
    ours = (DIRECTORY_TYPE, SYMLINK_TYPE, "", content_type_of(key))
    kept_type = "" if headers.content_type in ours else headers.content_type
    if not metadata and not kept_type and not headers.system:
        return None
    return Headers(metadata, kept_type, headers.system)


def compose_headers(
    key: str,
    attributes: Attributes,
    xattrs: Mapping[str, bytes],
    kept: Headers | None,
    *,
    metadata: bool,
) -> Headers:
    """What an object is stored with; NoSpace when the attributes do not fit.

    ``kept`` is from :func:`foreign_headers`; with ``metadata`` False our own is left out.
    """
    fields = dict(kept.metadata) if kept is not None else {}
    if metadata:
        fields.update(encode(attributes, xattrs))
        check_size(fields)
    content_type = (kept.content_type if kept is not None else "") or own_type(key, attributes.mode)
    return Headers(fields, content_type, kept.system if kept is not None else {})
