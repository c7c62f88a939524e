"""Hears by a queue of SQS: one for the process, subscribed to every topic its mounts name.

One thread waits in a long poll. When a poll brings a full batch, further threads help until the
queue is short again. A message is deleted after it was applied: if the process dies in between, or
a mount fails, it is seen again. What a mount fails to apply :data:`ATTEMPTS` times is deleted, and
the mount told that it missed something.

Stopping sends a message to the queue itself: that is the one way to end a long poll at once which
neither loses messages nor reaches into the client's connections. If SQS refuses it, the thread is
left to end by itself within the poll's 20 seconds.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from yas3fs.events import Heartbeat, MalformedMessage, encode
from yas3fs.notify.aws import Backoff, Client, Clients, error_code, one_line
from yas3fs.notify.counters import Counters
from yas3fs.notify.deletes import Deletes
from yas3fs.notify.envelope import open_body
from yas3fs.notify.queues import BATCH, Queue, QueueOptions, is_gone
from yas3fs.notify.subscriptions import Subscriptions, take_leave
from yas3fs.notify.transport import Deliver, Gap
from yas3fs.runtime.clock import Clock, SystemClock

log = logging.getLogger(__name__)

ATTEMPTS = 5
_HELPERS = 7
"""Threads besides the first; one receives, applies and deletes 400 messages/s 10 ms away from SQS,
and boto3 takes 0.2 ms of CPU per message, so more would only wait for each other."""
_PACE = 0.05
"""Seconds between two requests that do not bring full batches. A hundred messages a second, each
received and deleted alone, would take a fifth of a processor and five times the money."""
_BEHIND = 2.0
"""Seconds of age from which on a message says that there are more: SQS may give a few of many."""
_STOP_SECONDS = 0.8


class SqsTransport:
    """See :class:`yas3fs.notify.transport.Transport`.

    ``wait`` is the long poll's, 0 to 20 seconds; with 0, an empty queue is asked again after
    ``interval`` seconds. ``pace`` is the seconds between two requests while little comes.
    """

    def __init__(
        self,
        clients: Clients,
        options: QueueOptions,
        node_id: str,
        *,
        wait: int = 20,
        interval: float = 1.0,
        pace: float = _PACE,
        backoff: Backoff | None = None,
        clock: Clock = SystemClock(),
    ) -> None:
        self._clients = clients
        self._options = options
        self._node_id = node_id
        self._wait = wait
        self._interval = interval
        self._pace = pace
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._counters = Counters(log)
        self._subscriptions = Subscriptions(clients.sns, "sqs")
        self._lock = threading.RLock()
        """Held while the queue is made or subscribed; never while messages are applied."""
        self._topics: set[str] = set()
        self._queue: Queue | None = None
        self._thread: threading.Thread | None = None
        self._is_behind = False
        """Whether more waits in the queue, as far as what it gave last tells."""
        self._deletes = Deletes(self._delete)
        self._applying = threading.Lock()
        self._helpers = 0
        self._stopping = threading.Event()
        self._woken = False
        self._heard = (0.0, 0.0)
        """When the queue last answered, by the wall clock and the monotonic one."""
        self._deliver: Deliver = _ignore
        self._gap: Gap = _ignore

    def open(self, deliver: Deliver, gap: Gap) -> None:
        self._deliver, self._gap = deliver, gap
        with self._lock:
            queue = Queue(self._sqs(), self._options, self._node_id, self._clock)
            queue.open()
            self._queue = queue
            self._stopping.clear()

    def add_topic(self, topic_arn: str) -> None:
        with self._lock:
            queue = self._present()
            try:
                queue.allow([*self._topics, topic_arn])
                self._subscriptions.subscribe(topic_arn, queue.arn)
            except BaseException:
                if topic_arn not in self._topics:
                    self._subscriptions.unsubscribe(topic_arn)
                raise
            self._topics.add(topic_arn)
            self._start()

    def drop_topic(self, topic_arn: str) -> None:
        with self._lock:
            self._topics.discard(topic_arn)
            self._subscriptions.unsubscribe(topic_arn)
            try:
                self._present().allow(sorted(self._topics))
            except Exception as error:  # noqa: BLE001 - the topic is unsubscribed all the same
                log.warning("%s", one_line(error))

    def renew(self) -> None:
        with self._lock:
            queue = self._present()
            queue.allow(sorted(self._topics))
            lost = [one for one in self._topics if self._subscriptions.subscribe(one, queue.arn)]
            if self._thread is not None and not self._thread.is_alive():
                self._thread = None
                self._start()
        for topic_arn in lost:
            self._gap(topic_arn)

    def close(self) -> None:
        self._stopping.set()
        thread, queue = self._thread, self._queue
        if queue is not None and thread is not None:
            self._end_poll(queue, thread)
            self._deletes.close()
        take_leave(self._unsubscribe)

    def _unsubscribe(self) -> None:
        with self._lock:
            for topic_arn in self._subscriptions.topics():
                self._subscriptions.unsubscribe(topic_arn)
            if self._queue is not None:
                self._queue.close()
            self._queue, self._thread = None, None
            self._topics.clear()

    def metrics(self) -> dict[str, int]:
        return self._counters.snapshot()

    @property
    def endpoint(self) -> str:
        queue = self._queue
        return queue.arn if queue is not None else ""

    @property
    def queue_url(self) -> str:
        """The queue's URL; empty while there is none."""
        queue = self._queue
        return queue.url if queue is not None else ""

    # -- the queue -----------------------------------------------------------------------

    def _sqs(self) -> Client:
        return self._clients.sqs(self._options.region)

    def _present(self) -> Queue:
        if self._queue is None:
            raise RuntimeError("the transport is not open")
        return self._queue

    def _start(self) -> None:
        if self._thread is None:
            self._heard = (self._clock.time(), self._clock.monotonic())
            self._thread = threading.Thread(target=self._poll, name="yas3fs-sqs", daemon=True)
            self._thread.start()

    def _end_poll(self, queue: Queue, thread: threading.Thread) -> None:
        self._woken = False
        try:
            self._sqs().send_message(QueueUrl=queue.url, MessageBody=self._wake_text())
        except Exception as error:  # noqa: BLE001 - stopping goes on
            self._woken = True
            log.debug("cannot wake the long poll of %s: %s", queue.url, one_line(error))
        thread.join(_STOP_SECONDS)
        if thread.is_alive():
            log.warning("the long poll of %s could not be ended, it ends by itself", queue.url)
        elif queue.is_kept and not self._woken:  # the thread had ended its poll by itself
            try:
                self._receive(0)
            except Exception as error:  # noqa: BLE001 - it is a message that nobody heeds
                log.debug("the wake-up stays in %s: %s", queue.url, one_line(error))

    def _wake_text(self) -> str:
        """A message that nobody heeds, should it stay in the queue."""
        return encode(Heartbeat(), self._node_id)

    def _recreate(self) -> None:
        """The queue is gone, and what was in it."""
        self._counters.warn("queue_lost", "the queue is gone, another is made")
        with self._lock:
            queue = self._present()
            queue.open()
            queue.allow(sorted(self._topics))
            for topic_arn in self._topics:
                self._subscriptions.unsubscribe(topic_arn)
                self._subscriptions.subscribe(topic_arn, queue.arn)
        self._gap("")

    # -- polling -------------------------------------------------------------------------

    def _poll(self) -> None:
        lost = False
        while not self._stopping.is_set():
            try:
                if lost:
                    self._recreate()
                    lost = False
                asked_at = self._clock.monotonic()
                count = self._receive(self._wait)
            except Exception as error:  # noqa: BLE001 - the thread lives, whatever a client raises
                if self._stopping.is_set():
                    return
                lost = lost or is_gone(error)
                self._counters.warn(
                    "failed_requests",
                    "cannot receive from %s (%s), trying again: %s",
                    self.queue_url,
                    error_code(error),
                    one_line(error),
                )
                self._stopping.wait(self._backoff.next())
                continue
            self._backoff.reset()
            if self._counters.recovered("failed_requests"):
                log.warning("receiving from %s works again", self.queue_url)
            if count and self._is_behind:
                self._get_help()
            elif count:
                self._stopping.wait(max(0.0, asked_at + self._pace - self._clock.monotonic()))
            elif not self._wait:
                self._stopping.wait(self._interval)

    def _get_help(self) -> None:
        with self._applying:
            if self._helpers >= _HELPERS:
                return
            self._helpers += 1
        threading.Thread(target=self._help, name="yas3fs-sqs-help", daemon=True).start()

    def _help(self) -> None:
        try:
            while not self._stopping.is_set() and self._receive(0) and self._is_behind:
                pass
        except Exception as error:  # noqa: BLE001 - the first thread meets it too, and tells
            log.debug("helping with the queue failed: %s", one_line(error))
        finally:
            with self._applying:
                self._helpers -= 1

    def _receive(self, wait: int) -> int:
        """Receive a batch, apply it, delete what was applied; returns how many came."""
        answer = self._sqs().receive_message(
            QueueUrl=self._present().url,
            MaxNumberOfMessages=BATCH,
            WaitTimeSeconds=wait,
            AttributeNames=["ApproximateReceiveCount"],
        )
        self._check_gap()
        messages = answer.get("Messages") or []
        if not messages:
            return 0
        self._counters.count("received", len(messages))
        now = _server_time(answer, self._clock.time())
        self._is_behind = len(messages) == BATCH
        applied = [one["ReceiptHandle"] for one in messages if self._apply(one, now)]
        if applied:
            self._deletes.add(applied)
        return len(messages)

    def _check_gap(self) -> None:
        """Tell when the queue did not answer for longer than it keeps messages."""
        wall, monotonic = self._heard
        self._heard = (self._clock.time(), self._clock.monotonic())
        silence = max(self._heard[0] - wall, self._heard[1] - monotonic)
        if silence > self._present().retention:
            self._counters.warn("gaps", "the queue was not read for %d seconds", silence)
            self._gap("")

    def _apply(self, message: Mapping[str, Any], now: float) -> bool:
        """Whether the message is done with."""
        body = message.get("Body", "")
        if body == self._wake_text():
            self._woken = True
            return True
        topic_arn = ""
        try:
            delivery = open_body(body, now)
            topic_arn = delivery.topic_arn
            self._is_behind = self._is_behind or delivery.age > _BEHIND
            if topic_arn and topic_arn not in self._topics:
                self._counters.warn("foreign", "a message of a foreign topic: %s", topic_arn)
                return True
            with self._applying:
                self._deliver(delivery)
        except MalformedMessage as error:
            self._counters.warn("malformed", "a malformed message was dropped: %s", error)
            return True
        except Exception:  # noqa: BLE001 - the listener has logged it
            self._counters.count("not_applied")
            count = message.get("Attributes", {}).get("ApproximateReceiveCount", "1")
            if int(count) < ATTEMPTS:
                return False
            self._counters.count("abandoned")
            self._gap(topic_arn)
        return True

    def _delete(self, handles: Sequence[str]) -> None:
        url = self.queue_url
        entries = [
            {"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(handles)
        ]
        try:
            answer = self._sqs().delete_message_batch(QueueUrl=url, Entries=entries)
        except Exception as error:  # noqa: BLE001 - what was not deleted is seen again, harmlessly
            self._counters.warn(
                "failed_deletes", "cannot delete messages of %s: %s", url, one_line(error)
            )
            return
        failed = len(answer.get("Failed") or ())
        self._counters.count("deleted", len(handles) - failed)
        if failed:
            self._counters.count("failed_deletes", failed)


def _server_time(answer: Mapping[str, Any], otherwise: float) -> float:
    """SQS's clock: ages are reckoned by the clocks of AWS alone, ours may be wrong."""
    try:
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return otherwise


def _ignore(_: object) -> None:
    """Before a transport is opened nobody listens."""
