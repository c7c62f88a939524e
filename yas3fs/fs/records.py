"""What S3 itself has said of each key, so that its word is heeded once, and in its order.

S3's notifications come more than once and in any order; their sequencers tell which of two is
the later. What was heeded covers everything before it: whoever looks again sees the latest.
"""

from collections import OrderedDict

from yas3fs.events import ObjectChanged, is_later

_KEPT = 10_000
"""Keys. What was not heard of for longest is forgotten, which costs requests."""


class _Heard:
    __slots__ = ("heeded", "own")

    def __init__(self) -> None:
        self.heeded: ObjectChanged | None = None
        """The latest that was heeded."""
        self.own: tuple[str | None, str] | None = None
        """ETag and sequencer of one that was taken for the echo of our own write."""


class Records:
    """Not thread-safe: events are applied one at a time."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self._heard: OrderedDict[tuple[str, str], _Heard] = OrderedDict()

    def is_old(self, event: ObjectChanged) -> bool:
        """Whether something later, or this very record, was heeded before.

        Servers that are not Amazon's may give one sequencer to all; then it decides nothing.
        """
        heard = self._heard.get((event.bucket, event.key))
        latest = None if heard is None else heard.heeded
        if latest is None or is_later(event.sequencer, latest.sequencer):
            return False
        if is_later(latest.sequencer, event.sequencer):
            return True
        return (event.change, event.etag) == (latest.change, latest.etag)

    def is_own(self, event: ObjectChanged) -> bool:
        """Whether a record of a version that this node stored may be the echo of that.

        There is one echo of a write. Another record of the same bytes is somebody else's, who may
        have stored them with other attributes.
        """
        heard = self._entry(event)
        echo = (event.etag, event.sequencer)
        if heard.own is not None and heard.own[0] == event.etag:
            return bool(event.sequencer) and heard.own == echo
        heard.own = echo
        return True

    def heeded(self, event: ObjectChanged) -> None:
        """The record was acted upon."""
        if event.sequencer:
            self._entry(event).heeded = event

    def _entry(self, event: ObjectChanged) -> _Heard:
        key = (event.bucket, event.key)
        heard = self._heard.get(key)
        if heard is None:
            heard = self._heard[key] = _Heard()
        self._heard.move_to_end(key)
        while len(self._heard) > self._kept:
            self._heard.popitem(last=False)
        return heard
