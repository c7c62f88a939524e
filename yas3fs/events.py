"""The messages by which nodes tell each other what changed, and their JSON codec. Pure, no I/O.

A message is a JSON array in ASCII, ``[node_id, action, ...]``, with paths relative to the mount
(``/`` is its root). Releases 1.x and 2.x speak it too: both are read, and what is written both
understand. S3 Event Notifications arrive on the same topics and are read as well.

Events are hints. They say "look again", never what is there: whoever receives one forgets what it
knew and asks S3, so a message that is lost in order, repeated or invented costs a request and
nothing else.

    ===========================  ==============================================================
    Mkdir Rmdir Mknod Unlink     forget the path and the listing of its directory
    Symlink Rename
    Upload                       new content: forget attributes, listing, and data of any other
                                 version; without a path: of every file
    Metadata                     attributes changed
    Reset                        forget everything at and below the path
    Setting, Switch              a limit changes, or what is mounted (:func:`control_action`)
    Ping, Status                 who is there, and the answer
    Heartbeat                    nothing: it proves that the topic delivers
    ObjectChanged                S3 itself says that an object came, went or was altered
    Unknown                      an action of another release; ignore it
    ===========================  ==============================================================

The heartbeat's action word is one that 1.x and 2.x do not know; both compare the word with those
they know, find none, and go on without looking at the other elements.
"""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from yas3fs.errors import Yas3fsError

MAX_MESSAGE = 256 * 1024
"""Bytes; SNS and SQS carry no more."""
MAX_PATH = 1025
"""Bytes; S3's longest key (1,024) and the slash before it."""
MAX_ID = 256
"""Characters of a node's name. 2.x appends a UUID to a host name: 36 and at most 253."""
_MAX_TEXT = 2048
_MAX_COUNT = 10**9
_MAX_CACHE = 16 << 20
"""MiB of a cache, and _MAX_BUFFER KiB of a buffer: as much as the options of that name allow."""
_MAX_BUFFER = 4 << 20


class MalformedMessage(Yas3fsError):
    """A message is not what a node of any release sends; the text says why, in a few words."""


@dataclass(frozen=True, slots=True)
class _OnPath:
    path: str
    """Absolute within the mount, without ``.``, ``..``, empty components or a slash at its end."""


class Mkdir(_OnPath):
    """A directory appeared."""

    __slots__ = ()


class Rmdir(_OnPath):
    """A directory went."""

    __slots__ = ()


class Mknod(_OnPath):
    """A file appeared."""

    __slots__ = ()


class Unlink(_OnPath):
    """A file or a link went."""

    __slots__ = ()


class Symlink(_OnPath):
    """A symbolic link appeared."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Rename:
    """One name became another. 2.x sends one for each object below a directory, in any order."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Upload:
    """New content (``flush`` in 1.x). ``path`` None: anything may have changed.

    ``etag`` is without quotes; None when the sender does not say.
    """

    path: str | None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """Attributes (``name`` is ``attr``) or extended attributes (``xattr``) changed."""

    path: str
    name: str = "attr"


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget what is cached at and below ``path``; never what is not in S3 yet."""

    path: str = "/"


@dataclass(frozen=True, slots=True)
class Setting:
    """A limit changes on every node that obeys. ``name`` is one of :data:`SETTINGS`.

    ``value`` is in bytes, a count, or for ``prefetch`` (fetch whole files when they are opened)
    1 and 0; the wire has MiB, KiB, a count, or the words ``on`` and ``off``.
    """

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Switch:
    """Mount ``s3://bucket/prefix`` in place of what is mounted. ``prefix`` has no outer slashes."""

    bucket: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Every node is to answer with :class:`Status`."""


@dataclass(frozen=True, slots=True)
class Status:
    """A node's answer to :class:`Ping`: seven elements that 2.x knows, and our ``details``."""

    host: str
    entries: int
    memory: int
    """Bytes cached in memory."""
    disk: int
    """Bytes cached on disk."""
    downloads: int
    """Requests waiting in the queue; so are ``prefetches`` and ``uploads``."""
    prefetches: int
    uploads: int
    details: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sent through a topic that is silent, to hear whether it still delivers."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class ObjectChanged:
    """S3's own word on one object. ``key`` is decoded and has the prefix still.

    ``altered``: neither content nor existence (restored, moved to another storage class, tagged).
    ``etag`` (without quotes) and ``size`` are None when S3 does not tell; see :func:`is_later` for
    ``sequencer``.
    """

    bucket: str
    key: str
    change: Literal["created", "removed", "altered"]
    etag: str | None = None
    size: int | None = None
    sequencer: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An action this release does not know."""

    action: str


NamespaceEvent: TypeAlias = Mkdir | Rmdir | Mknod | Unlink | Symlink
Event: TypeAlias = (
    NamespaceEvent
    | Rename
    | Upload
    | Metadata
    | Reset
    | Setting
    | Switch
    | Ping
    | Status
    | Heartbeat
    | ObjectChanged
    | Unknown
)


class _Limit(NamedTuple):
    action: str
    words: tuple[str, ...]
    """How the second element may be spelt; the first is what is sent."""
    low: int
    high: int
    shift: int = 0
    """The wire's unit is 2 to this power."""


SETTINGS: Mapping[str, _Limit] = {
    "cache_entries": _Limit("cache", ("entries",), 1, _MAX_COUNT),
    "cache_memory": _Limit("cache", ("mem", "size"), 1, _MAX_CACHE, 20),
    "cache_disk": _Limit("cache", ("disk",), 1, _MAX_CACHE, 20),
    "buffer_size": _Limit("buffer", ("size",), 0, _MAX_BUFFER, 10),
    "buffer_prefetch": _Limit("buffer", ("prefetch",), 0, _MAX_COUNT),
    "prefetch": _Limit("prefetch", ("off", "on"), 0, 1),
    # S3's parts have 5 MiB to 5 GiB, and an upload 10,000 of them
    "multipart_size": _Limit("multipart", ("size",), 5 << 10, 5 << 20, 10),
    "multipart_num": _Limit("multipart", ("num",), 0, 10_000),
    "multipart_retries": _Limit("multipart", ("retries",), 1, 10_000),
}
"""The settings a message may change, by the name in :class:`Setting`."""

_BY_WORD = {(limit.action, word): name for name, limit in SETTINGS.items() for word in limit.words}


def control_action(event: "Event") -> str | None:
    """The action word by which an administrator allows ``event``; None if it changes no setting."""
    if isinstance(event, Setting):
        return SETTINGS[event.name].action
    return "url" if isinstance(event, Switch) else None


def decode(text: str, own_id: str) -> Event | None:
    """The event of a node's message; None when the sender is ``own_id``. MalformedMessage."""
    values = load(text)
    if not isinstance(values, list):
        raise MalformedMessage("not a JSON array")
    sender, event = read_array(values)
    return None if sender == own_id else event


def encode(event: Event, node_id: str) -> str:
    """The message that says ``event``, in the form that 2.x understands; ASCII JSON.

    ValueError for what nodes never send each other (ObjectChanged, Unknown).
    """
    write = _WRITERS.get(type(event))
    if write is None:
        raise ValueError(f"no node sends {type(event).__name__}")
    return json.dumps([node_id, *write(event)])


# -- reading ---------------------------------------------------------------------------------


def load(text: str) -> Any:
    """``text`` as JSON. MalformedMessage."""
    if len(text) > 4 * MAX_MESSAGE:
        raise MalformedMessage("the message is too long")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedMessage("not JSON") from None


def read_array(values: list[Any]) -> tuple[str, Event]:
    """Sender and event of a message's elements. MalformedMessage."""
    if len(values) < 2:
        raise MalformedMessage("fewer than two elements")
    sender, action = values[0], values[1]
    if not isinstance(sender, str) or not 0 < len(sender) <= MAX_ID:
        raise MalformedMessage("the first element is not a node's name")
    if not isinstance(action, str) or not action or len(action) > _MAX_TEXT:
        raise MalformedMessage("the second element is not an action")
    read = _READERS.get(action)
    return sender, Unknown(action) if read is None else read(_Arguments(values))


class _Arguments:
    """The elements of a message, each read as what it must be, or MalformedMessage."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def get(self, index: int) -> Any:
        """The element, or None when it is null or absent."""
        return self._values[index] if index < len(self._values) else None

    def text(self, index: int) -> str:
        value = self.get(index)
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            raise MalformedMessage(f"element {index} is not a text of sensible length")
        return value

    def path(self, index: int) -> str:
        return check_path(self.get(index))

    def number(self, index: int, low: int, high: int) -> int:
        value = self.get(index)
        if isinstance(value, float) and math.isfinite(value) and value == int(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise MalformedMessage(f"element {index} is not a whole number")
        if not low <= value <= high:
            raise MalformedMessage(f"element {index} is not within {low} and {high}")
        return value


def check_path(value: object) -> str:
    """``value`` as a path within the mount, without slashes at its end. MalformedMessage."""
    if not isinstance(value, str) or not value.startswith("/"):
        raise MalformedMessage("not an absolute path")
    path = value.rstrip("/") or "/"
    try:
        length = len(os.fsencode(path))
    except UnicodeEncodeError:
        raise MalformedMessage("a path that no file system can have") from None
    if length > MAX_PATH:
        raise MalformedMessage("the path is too long")
    if path != "/" and ("\0" in path or _OUTSIDE.search(path)):
        raise MalformedMessage("a path outside the mount")
    return path


_OUTSIDE = re.compile(r"/(?:\.{0,2})(?:/|\Z)")
"""A component that is empty, ``.`` or ``..``."""


def read_etag(value: object) -> str | None:
    """``value`` as an ETag without quotes, None when there is none. MalformedMessage."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_ID:
        raise MalformedMessage("the version is not an ETag")
    return value.strip('"') or None


def _read_upload(found: _Arguments) -> Upload:
    path = found.get(2)
    return Upload(None if path is None else check_path(path), read_etag(found.get(3)))


def _read_metadata(found: _Arguments) -> Metadata:
    first, second = found.text(2), found.get(3)
    path, name = (first, second) if first.startswith("/") else (second, first)
    if name is not None and name not in ("attr", "xattr"):
        raise MalformedMessage("neither attr nor xattr")
    return Metadata(check_path(path), name or "attr")


def _read_setting(found: _Arguments) -> Setting:
    action, word = found.text(1), found.text(2)
    name = _BY_WORD.get((action, word))
    if name is None:
        raise MalformedMessage(f"{action} has no such setting")
    if name == "prefetch":
        return Setting(name, int(word == "on"))
    limit = SETTINGS[name]
    return Setting(name, found.number(3, limit.low, limit.high) << limit.shift)


def _read_switch(found: _Arguments) -> Switch:
    match = _URL.fullmatch(found.text(2))
    if match is None:
        raise MalformedMessage("not s3://BUCKET/PATH")
    prefix = match["path"].strip("/")
    check_path("/" + prefix)
    return Switch(match["bucket"], prefix)


_URL = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,254})(?P<path>(?:/.*)?)", re.S)


def _read_status(found: _Arguments) -> Status:
    numbers = [found.number(index, 0, 2**63) for index in range(3, 9)]
    more = found.get(9)
    details: dict[str, str | int | float | bool | None] = {}
    if isinstance(more, dict):
        details = {
            name: value
            for name, value in more.items()
            if value is None or isinstance(value, str | int | float)
        }
    entries, memory, disk, downloads, prefetches, uploads = numbers
    host = found.text(2)
    return Status(host, entries, memory, disk, downloads, prefetches, uploads, details)


def _read_heartbeat(found: _Arguments) -> Heartbeat:
    return Heartbeat(0 if found.get(2) is None else found.number(2, 0, 2**63))


_READERS: Mapping[str, Callable[[_Arguments], Event]] = {
    "mkdir": lambda found: Mkdir(found.path(2)),
    "rmdir": lambda found: Rmdir(found.path(2)),
    "mknod": lambda found: Mknod(found.path(2)),
    "unlink": lambda found: Unlink(found.path(2)),
    "symlink": lambda found: Symlink(found.path(2)),
    "rename": lambda found: Rename(found.path(2), found.path(3)),
    "upload": _read_upload,
    "flush": _read_upload,
    "md": _read_metadata,
    "reset": lambda found: Reset(found.path(2) if found.get(2) else "/"),
    "cache": _read_setting,
    "buffer": _read_setting,
    "prefetch": _read_setting,
    "multipart": _read_setting,
    "url": _read_switch,
    "ping": lambda _: Ping(),
    "status": _read_status,
    "heartbeat": _read_heartbeat,
}


# -- writing ---------------------------------------------------------------------------------


def _write_status(event: Any) -> list[Any]:
    seven = [event.host, event.entries, event.memory, event.disk]
    seven += [event.downloads, event.prefetches, event.uploads]
    return ["status", *seven, dict(event.details)] if event.details else ["status", *seven]


def _write_setting(event: Setting) -> list[Any]:
    limit = SETTINGS[event.name]
    if event.name == "prefetch":
        return [limit.action, limit.words[event.value]]
    value = min(max(event.value >> limit.shift, limit.low), limit.high)
    return [limit.action, limit.words[0], value]


_WRITERS: Mapping[type, Callable[[Any], list[Any]]] = {
    Mkdir: lambda event: ["mkdir", event.path],
    Rmdir: lambda event: ["rmdir", event.path],
    Mknod: lambda event: ["mknod", event.path],
    Unlink: lambda event: ["unlink", event.path],
    Symlink: lambda event: ["symlink", event.path],
    Rename: lambda event: ["rename", event.old, event.new],
    # four elements always: 2.x takes any other number for "everything"
    Upload: lambda event: ["upload", event.path, event.etag and event.etag.strip('"')],
    # the documented order: 2.x forgets whatever both elements name, 1.x wants the path first
    Metadata: lambda event: ["md", event.path, event.name],
    Reset: lambda event: ["reset", event.path],
    Setting: _write_setting,
    Switch: lambda event: ["url", f"s3://{event.bucket}/{event.prefix}"],
    Ping: lambda _: ["ping"],
    Status: _write_status,
    Heartbeat: lambda event: ["heartbeat", event.number],
}


def is_later(sequencer: str, other: str) -> bool:
    """Whether S3 made the event of ``sequencer`` after that of ``other``, for the same key.

    Hexadecimal digits of any number: S3 says to pad the shorter with zeros at its right end. When
    either is empty nothing is known, and the event has to be believed.
    """
    if not sequencer or not other:
        return True
    width = max(len(sequencer), len(other))
    return sequencer.upper().ljust(width, "0") > other.upper().ljust(width, "0")
