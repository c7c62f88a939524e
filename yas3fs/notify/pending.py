"""Events of one mount that wait to be published: coalesced, bounded, in order per path. Pure.

An event says "look again", and whoever hears it looks after it was sent. So of several events of
one path that wait, only those are kept that make a receiver forget as much as all of them would:
at most one change of the name, then one upload. An event joins the one that waits already, which
keeps its place: a path that changes all the time is not put off for ever.

What does not fit any more becomes one ``reset`` of the directory all waiting paths lie below. That
forgets too much, never too little.
"""

from collections.abc import Sequence
from itertools import islice

from yas3fs.events import (
    Event,
    Metadata,
    Mkdir,
    Mknod,
    Rename,
    Reset,
    Rmdir,
    Setting,
    Symlink,
    Unlink,
    Upload,
)

_NAMES = (Mkdir, Rmdir, Mknod, Unlink, Symlink)
_LEAST = 16
"""Room for one of each event without a path, which no reset can stand for, and the reset."""


_Key = tuple[str, ...]


class _Waiting:
    """One event that waits; it may be replaced by one that says as much."""

    __slots__ = ("event", "keys")

    def __init__(self, event: Event, keys: tuple[_Key, ...]) -> None:
        self.event = event
        self.keys = keys


class PendingEvents:
    """A queue of at most ``capacity`` events. Not thread-safe: its owner has a lock."""

    def __init__(self, capacity: int) -> None:
        self._capacity = max(_LEAST, capacity)
        self._next = 0
        self._waiting: dict[int, _Waiting] = {}
        """By a number that grows."""
        self._last: dict[_Key, int] = {}
        """Number of the waiting event that a later one of the same kind and path may join."""
        self._reset: tuple[int, str] | None = None
        """Number and path of the last reset that waits: what lies below is covered by it."""
        self.coalesced = 0
        """Events that joined another."""
        self.overflows = 0
        """How often everything that waited became one reset."""

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Event) -> None:
        """Let ``event`` wait, or join what waits and says as much."""
        if self._joins(event):
            self.coalesced += 1
            return
        self._append(event)
        if len(self._waiting) > self._capacity:
            self._overflow()

    def take(self, count: int) -> list[Event]:
        """Remove the ``count`` events that waited longest."""
        return [self._remove(number).event for number in list(islice(self._waiting, count))]

    def put_back(self, events: Sequence[Event]) -> None:
        """Let events that were taken wait again, before all others and in their order."""
        others = self._take_all()
        for event in [*events, *others]:
            self.add(event)

    def _append(self, event: Event) -> None:
        keys = _keys(event)
        number = self._next
        self._next += 1
        self._waiting[number] = _Waiting(event, keys)
        for key in keys:
            self._last[key] = number
        if isinstance(event, Reset):
            self._reset = (number, event.path)

    def _remove(self, number: int) -> _Waiting:
        waiting = self._waiting.pop(number)
        for key in waiting.keys:
            if self._last.get(key) == number:
                del self._last[key]
        if self._reset is not None and self._reset[0] == number:
            self._reset = None
        return waiting

    def _take_all(self) -> list[Event]:
        events = [waiting.event for waiting in self._waiting.values()]
        self._waiting.clear()
        self._last.clear()
        self._reset = None
        return events

    def _overflow(self) -> None:
        self.overflows += 1
        events = self._take_all()
        paths = [path for event in events for path in paths_of(event)]
        if paths:
            self._append(Reset(covering(paths)))
        for event in events:
            if not paths_of(event):
                self._append(event)

    # -- coalescing ----------------------------------------------------------------------

    def _joins(self, event: Event) -> bool:
        """Whether something that waits says as much as ``event``, now or after this call."""
        paths = paths_of(event)
        if paths and self._reset is not None:
            root = self._reset[1]
            if all(_strictly_below(path, root) for path in paths):
                return True
        if isinstance(event, Reset):
            self._drop_below(event.path)
            return False
        if isinstance(event, Rename):
            self._drop_contents(event.old)
            self._drop_contents(event.new)
            return False
        if isinstance(event, _NAMES):
            self._drop_contents(event.path)
        if isinstance(event, Metadata):
            keys = (("name", event.path), ("content", event.path), *_keys(event))
            return any(key in self._last for key in keys)
        if isinstance(event, Upload) and event.path is not None:
            for name in ("attr", "xattr"):
                self._drop((name, event.path))
        number = self._last.get(_keys(event)[0])
        if number is None or isinstance(self._waiting[number].event, Rename):
            return False
        self._waiting[number].event = event
        return True

    def _drop(self, key: _Key) -> None:
        number = self._last.get(key)
        if number is not None:
            self._remove(number)

    def _drop_contents(self, path: str) -> None:
        """Whoever hears that the name changed forgets everything else, too."""
        for kind in ("content", "attr", "xattr"):
            self._drop((kind, path))

    def _drop_below(self, root: str) -> None:
        covered = [
            number
            for number, waiting in self._waiting.items()
            if (paths := paths_of(waiting.event))
            and all(_strictly_below(path, root) for path in paths)
        ]
        for number in covered:
            self._remove(number)
        self.coalesced += len(covered)


def covering(paths: Sequence[str]) -> str:
    """The directory that all of ``paths`` lie below: a reset of it covers an event of each."""
    low, high = min(paths), max(paths)
    common = 0
    for one, other in zip(low, high, strict=False):
        if one != other:
            break
        common += 1
    return low[: low.rfind("/", 0, common)] or "/"


def paths_of(event: Event) -> tuple[str, ...]:
    """The paths a reset has to lie above to stand for ``event``; none when it cannot."""
    if isinstance(event, Rename):
        return (event.old, event.new)
    if isinstance(event, Reset):
        # as much as something within it: the reset of a directory covers itself
        return (event.path if event.path == "/" else event.path + "/",)
    if isinstance(event, Upload):
        return ("/",) if event.path is None else (event.path,)
    if isinstance(event, (*_NAMES, Metadata)):
        return (event.path,)
    return ()


def _strictly_below(path: str, root: str) -> bool:
    return root == "/" or path.startswith(root + "/")


def _keys(event: Event) -> tuple[_Key, ...]:
    """What a later event has in common with ``event`` when it may join it."""
    if isinstance(event, Rename):
        return ("name", event.old), ("name", event.new)
    if isinstance(event, _NAMES):
        return (("name", event.path),)
    if isinstance(event, Upload) and event.path is not None:
        return (("content", event.path),)
    if isinstance(event, Metadata):
        return ((event.name, event.path),)
    if isinstance(event, Reset):
        return (("reset", event.path),)
    if isinstance(event, Setting):
        return (("setting", event.name),)
    return ((type(event).__name__,),)
