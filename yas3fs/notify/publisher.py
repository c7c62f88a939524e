"""Publishes the events of one mount to its topic.

The caller leaves an event and goes on. One thread, started by the first event, sends what waits in
batches: it gives an event :attr:`Publisher.delay` seconds of company, and while a batch is under
way the next one gathers. Batches go one after another, so the order of a path's events is kept
as far as the sender can keep it (SNS promises none).

What fails waits again, in front, and is tried until it succeeds; pauses grow to half a minute. When
more waits than there is room for, it becomes one reset (see ``pending.py``).
"""

import logging
import threading
from collections.abc import Callable, Sequence

from yas3fs.events import Event, Heartbeat, Reset, encode
from yas3fs.notify.aws import Backoff, Client, error_code, one_line
from yas3fs.notify.counters import Counters
from yas3fs.notify.pending import PendingEvents, covering, paths_of
from yas3fs.runtime.clock import Clock, SystemClock

log = logging.getLogger(__name__)

BATCH_MESSAGES = 10
BATCH_BYTES = 256 * 1024
"""SNS takes no more in one PublishBatch."""
_OWN_FAULT = (
    "InvalidParameter",
    "InvalidParameterValue",
    "ParameterValueInvalid",
    "ValidationError",
)
"""Codes of entries that no repetition helps."""


class Publisher:
    """One mount's voice on one topic. ``client`` gives the SNS client when it is needed.

    ``capacity`` is how many events may wait; ``delay`` and the pauses are seconds.
    """

    def __init__(
        self,
        client: Callable[[], Client],
        topic_arn: str,
        node_id: str,
        *,
        capacity: int = 10_000,
        delay: float = 0.01,
        backoff: Backoff | None = None,
        clock: Clock = SystemClock(),
    ) -> None:
        self.topic_arn = topic_arn
        self.node_id = node_id
        self.delay = delay
        self._client = client
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._counters = Counters(log)
        self._changed = threading.Condition()
        self._pending = PendingEvents(capacity)
        self._under_way = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._draining = 0
        self._hurry = False
        """Someone waits for the end: try now instead of after the pause."""

    def publish(self, event: Event) -> None:
        """Let ``event`` be sent. Returns at once; ValueError for what no node may send.

        After :meth:`close` it does nothing.
        """
        encode(event, self.node_id)
        with self._changed:
            if self._closed:
                return
            before = self._pending.overflows
            self._pending.add(event)
            if self._pending.overflows != before:
                self._counters.warn(
                    "overflow", "%s: too much waits to be published: a reset goes instead", self
                )
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="yas3fs-publisher", daemon=True
                )
                self._thread.start()
            if len(self._pending) in (1, BATCH_MESSAGES):
                self._changed.notify_all()

    def drain(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds for all that waits to be sent; False if it was not."""
        deadline = self._clock.monotonic() + timeout
        with self._changed:
            self._draining += 1
            self._hurry = True
            self._backoff.reset()
            self._changed.notify_all()
            try:
                while self._pending or self._under_way:
                    left = deadline - self._clock.monotonic()
                    if left <= 0 or self._closed:
                        return False
                    self._changed.wait(left)
                return True
            finally:
                self._draining -= 1

    def close(self, timeout: float = 5.0) -> bool:
        """Send what waits and end the thread; False when something could not be sent in time."""
        drained = self.drain(timeout)
        with self._changed:
            left = len(self._pending) + self._under_way
            self._closed = True
            thread, self._thread = self._thread, None
            self._changed.notify_all()
        if left:
            log.warning("%s: %d events could not be published before the end", self, left)
        if thread is not None:
            thread.join(1.0)
        return drained

    def metrics(self) -> dict[str, int]:
        """Counts since the start, and ``waiting``: events not sent yet."""
        with self._changed:
            return {
                **self._counters.snapshot(),
                "waiting": len(self._pending) + self._under_way,
                "coalesced": self._pending.coalesced,
                "overflow": self._pending.overflows,
            }

    def __str__(self) -> str:
        return self.topic_arn

    # -- the thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._pending and not self._closed:
                    self._changed.wait()
                self._gather()
                if self._closed:
                    return
                batch = self._pending.take(BATCH_MESSAGES)
                self._under_way = len(batch)
            try:
                failed = self._send(batch)
            except Exception:
                self._counters.count("failures")
                log.exception("%s: publishing failed, and goes on", self)
                failed = list(batch)
            with self._changed:
                self._under_way = 0
                self._pending.put_back(failed)
                self._changed.notify_all()
                if failed:
                    self._pause(self._backoff.next())

    def _gather(self) -> None:
        """Wait for more events to share the request, but not for long."""
        until = self._clock.monotonic() + self.delay
        while len(self._pending) < BATCH_MESSAGES and not self._draining and not self._closed:
            left = until - self._clock.monotonic()
            if left <= 0 or not self._changed.wait(left):
                return

    def _pause(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        self._hurry = False
        while not self._closed and not self._hurry:
            left = until - self._clock.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _send(self, batch: Sequence[Event]) -> list[Event]:
        """Send ``batch`` in one request or a few; returns what has to be tried again."""
        texts = [encode(event, self.node_id) for event in batch]
        start = 0
        while start < len(batch):
            end, size = start, 0
            while end < len(batch) and (end == start or size + len(texts[end]) <= BATCH_BYTES):
                size += len(texts[end])
                end += 1
            failed = self._request(batch[start:end], texts[start:end])
            if failed:
                return failed + list(batch[end:])
            start = end
        return []

    def _request(self, events: Sequence[Event], texts: Sequence[str]) -> list[Event]:
        entries = [{"Id": str(index), "Message": text} for index, text in enumerate(texts)]
        try:
            answer = self._client().publish_batch(
                TopicArn=self.topic_arn, PublishBatchRequestEntries=entries
            )
            succeeded = {int(one["Id"]) for one in answer.get("Successful") or ()}
            told = {int(one["Id"]): one for one in answer.get("Failed") or ()}
        except Exception as error:  # noqa: BLE001 - the thread lives, whatever a client raises
            self._counters.warn(
                "failed_requests",
                "%s: cannot publish (%s), trying again: %s",
                self,
                error_code(error),
                one_line(error),
            )
            return _lasting(events)
        failures = {
            index: told.get(index, {}) for index in range(len(events)) if index not in succeeded
        }
        self._counters.count("requests")
        self._counters.count("published", len(events) - len(failures))
        if not failures:
            self._backoff.reset()
            if self._counters.recovered("failed_requests"):
                log.warning("%s: publishing works again", self)
            return []
        again: list[Event] = []
        touched: set[str] = set()
        for index, event in enumerate(events):
            # what follows a refused event of the same path goes again too, to keep the order
            failure = failures.get(index)
            instead = event if failure is None else self._instead(event, failure)
            if instead and (failure is not None or not touched.isdisjoint(paths_of(event))):
                touched.update(paths_of(event))
                again.append(instead)
        return _lasting(again)

    def _instead(self, event: Event, failure: dict[str, object]) -> Event | None:
        """What to send in place of an entry that was refused."""
        code = str(failure.get("Code", ""))
        self._counters.warn(
            "failed_entries", "%s: an event was refused: %s %s", self, code, failure.get("Message")
        )
        if code not in _OWN_FAULT:
            return event
        paths = paths_of(event)
        if not paths or isinstance(event, Reset):
            return None
        return Reset(covering(paths))


def _lasting(events: Sequence[Event]) -> list[Event]:
    """Without heartbeats: one that comes late proves nothing."""
    return [event for event in events if not isinstance(event, Heartbeat)]
