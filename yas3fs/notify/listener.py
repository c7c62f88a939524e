"""The ear of the process: hears by one transport what every topic says, and tells the mounts.

**Proof.** That a node hears is proved, not assumed: any message of a topic proves it, as of the
moment SNS took that message; its own last heartbeat as of the moment it was sent, by no other clock
than its own. When a topic is silent for :attr:`Listener.interval` seconds, a
heartbeat goes out through it, and comes back to its sender and to all other nodes. Whoever's
timer runs out first breaks the silence for all, so a cluster of any size sends one heartbeat per
interval, not one per node. A heartbeat that does not come back is repeated every few seconds; a
topic that was not heard for :attr:`Listener.timeout` seconds is no longer *alive*: the mounts are
told, and the transport subscribes again, with growing pauses, until it is.

``on_change(False)`` asks a mount to drop everything and to trust nothing for long;
``on_change(True)`` to drop once more what it learned meanwhile, and to trust the pushes again;
``on_gap()`` to drop everything once.
"""

import logging
import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from yas3fs.errors import Yas3fsError
from yas3fs.events import Event, Heartbeat, Setting, Switch
from yas3fs.notify.aws import Backoff, one_line, parse_topic
from yas3fs.notify.counters import Counters
from yas3fs.notify.envelope import Delivery
from yas3fs.notify.records import read_message
from yas3fs.notify.transport import ApplyFailed, Transport
from yas3fs.runtime.clock import Clock, SystemClock

log = logging.getLogger(__name__)

_REPEAT = 5.0
"""Seconds until a heartbeat that was not heard is sent again: SNS takes well below one."""


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One mount on one topic; see :meth:`Listener.subscribe`."""

    topic_arn: str
    node_id: str
    callback: Callable[[Event], None]
    on_gap: Callable[[], None]
    on_change: Callable[[bool], None]
    heartbeat: Callable[[Event], None] | None


@dataclass(frozen=True, slots=True)
class TopicState:
    """One topic as it is now. ``heard_at`` is monotonic seconds, None before the first proof.

    ``lag`` is how many seconds the last heartbeat of this process took to come back, if one did.
    """

    topic_arn: str
    alive: bool
    heard_at: float | None
    mounts: int
    heartbeats: int
    lag: float | None = None


@dataclass(frozen=True, slots=True)
class ListenerState:
    """The listener as it is now; ``counts`` are the listener's and the transport's, by kind.

    ``endpoint`` is what is subscribed to the topics: a queue's ARN, or a URL.
    """

    running: bool
    topics: tuple[TopicState, ...]
    counts: dict[str, int]
    endpoint: str = ""


@dataclass(slots=True)
class _Topic:
    arn: str
    since: float
    next_beat: float
    next_renewal: float
    backoff: Backoff
    mounts: list[Subscription] = field(default_factory=list)
    heard_at: float | None = None
    alive: bool = False
    told: bool = False
    """What the mounts believe of ``alive``."""
    heartbeats: int = 0
    beat_at: float = 0.0
    """When the last of them was handed to the publisher."""
    lag: float | None = None


class Listener:
    """One for the process. Thread-safe.

    Mounts are called in the transport's and the listener's threads: with one event at a time, and
    with one change at a time; ``on_gap`` may come beside either. They must not call back.

    ``timeout`` and ``interval`` are seconds; ``jitter`` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        timeout: float = 60.0,
        interval: float = 20.0,
        jitter: Callable[[], float] = random.random,
        clock: Clock = SystemClock(),
    ) -> None:
        self.timeout = timeout
        self.interval = min(interval, timeout / 3)
        self._transport = transport
        self._jitter = jitter
        self._clock = clock
        self._counters = Counters(log)
        self._lock = threading.Condition()
        """Guards the topics; never held while a callback or a request runs."""
        self._topics: dict[str, _Topic] = {}
        self._changing = threading.Lock()
        """Taken before all others: mounts come and go, and start and stop, one at a time."""
        self._telling = threading.Lock()
        """Taken before ``_lock``: mounts are told of changes in the order in which they happen."""
        self._thread: threading.Thread | None = None
        self._running = False
        self._looked_at = (clock.time(), clock.monotonic())

    # -- mounts --------------------------------------------------------------------------

    def subscribe(
        self,
        topic_arn: str,
        node_id: str,
        callback: Callable[[Event], None],
        on_gap: Callable[[], None],
        on_change: Callable[[bool], None] = lambda _: None,
        heartbeat: Callable[[Event], None] | None = None,
    ) -> Subscription:
        """Let a mount hear a topic. ConfigError or NotifyFailed when it cannot be subscribed to.

        ``node_id`` is the mount's own: what it said itself is not told to it. ``heartbeat`` is
        what publishes an event for it (``Publisher.publish``). A topic for which no mount has one
        is alive only as long as other nodes are heard.
        """
        parse_topic(topic_arn)
        mount = Subscription(topic_arn, node_id, callback, on_gap, on_change, heartbeat)
        with self._changing:
            with self._lock:
                topic = self._topics.get(topic_arn)
            if topic is None:
                now = self._clock.monotonic()
                topic = _Topic(topic_arn, now, math.inf, now + self.timeout, Backoff(5.0, 300.0))
                with self._lock:
                    self._topics[topic_arn] = topic
                    topic.mounts.append(mount)
                    running = self._running
                if running:
                    self._add(topic)
                topic.next_beat = self._clock.monotonic()
            else:
                with self._telling:
                    with self._lock:
                        topic.mounts.append(mount)
                    if topic.told:
                        self._call(mount, mount.on_change, True)
            with self._lock:
                self._lock.notify_all()
        return mount

    def unsubscribe(self, mount: Subscription) -> None:
        """End it; harmless when it has ended. Nothing is told to the mount afterwards, but for
        what is being told at the moment."""
        with self._changing:
            with self._lock:
                topic = self._topics.get(mount.topic_arn)
                if topic is None or mount not in topic.mounts:
                    return
                topic.mounts.remove(mount)
                last = not topic.mounts
                if last:
                    del self._topics[mount.topic_arn]
                running = self._running
            if last and running:
                self._transport.drop_topic(mount.topic_arn)

    def _add(self, topic: _Topic) -> None:
        try:
            self._transport.add_topic(topic.arn)
        except BaseException:
            with self._lock:
                del self._topics[topic.arn]
            raise

    # -- life ----------------------------------------------------------------------------

    def start(self) -> None:
        """Open the transport and subscribe. ConfigError or NotifyFailed, and nothing stays."""
        with self._changing:
            if self._running:
                return
            self._transport.open(self._heard, self._gap)
            try:
                for arn in list(self._topics):
                    self._transport.add_topic(arn)
            except BaseException:
                self._transport.close()
                raise
            with self._lock:
                self._running = True
                for topic in self._topics.values():
                    topic.since = topic.next_beat = self._clock.monotonic()
                    topic.next_renewal = topic.since + self.timeout
                self._looked_at = (self._clock.time(), self._clock.monotonic())
                self._thread = threading.Thread(
                    target=self._watch, name="yas3fs-listener", daemon=True
                )
                self._thread.start()

    def stop(self) -> None:
        """Unsubscribe and stop, within about a second; mounts that are still known are told."""
        with self._changing:
            with self._lock:
                if not self._running:
                    return
                self._running = False
                thread, self._thread = self._thread, None
                self._lock.notify_all()
            self._transport.close()
            if thread is not None:
                thread.join(1.0)
            with self._lock:
                fallen = [one for one in self._topics.values() if one.alive]
                for topic in fallen:
                    topic.alive, topic.heard_at = False, None
            for topic in fallen:
                self._tell(topic)

    def heard_at(self, topic_arn: str) -> float | None:
        """Monotonic time of the last proof that the topic is heard; None when there is none."""
        with self._lock:
            topic = self._topics.get(topic_arn)
            return None if topic is None else topic.heard_at

    def is_alive(self, topic_arn: str) -> bool:
        """Whether the topic was heard within the timeout."""
        heard_at = self.heard_at(topic_arn)
        return heard_at is not None and self._clock.monotonic() - heard_at <= self.timeout

    def state(self) -> ListenerState:
        """Everything for a status page."""
        with self._lock:
            topics = tuple(
                TopicState(
                    one.arn, one.alive, one.heard_at, len(one.mounts), one.heartbeats, one.lag
                )
                for one in self._topics.values()
            )
            running = self._running
        counts = self._transport.metrics()
        for kind, count in self._counters.snapshot().items():
            counts[kind] = counts.get(kind, 0) + count
        return ListenerState(running, topics, counts, self._transport.endpoint)

    # -- hearing -------------------------------------------------------------------------

    def _heard(self, delivery: Delivery) -> None:
        """Tell the mounts. MalformedMessage, or ApplyFailed after every mount was told."""
        self._prove(delivery.topic_arn, delivery.age)
        message = read_message(delivery.text)
        with self._lock:
            mounts = self._audience(delivery.topic_arn)
            alone = len(self._topics) <= 1
        failed = False
        for event in message.events:
            if isinstance(event, Heartbeat):
                self._come_back(delivery.topic_arn, message.sender, event)
                continue
            if isinstance(event, Setting | Switch) and not (delivery.topic_arn or alone):
                self._counters.warn("nameless", "a setting without a topic was not applied")
                continue
            for mount in mounts:
                if mount.node_id != message.sender:
                    failed = not self._call(mount, mount.callback, event) or failed
        self._counters.count("events", len(message.events))
        if failed:
            raise ApplyFailed("a mount could not apply a message")

    def _come_back(self, topic_arn: str, sender: str, beat: Heartbeat) -> None:
        """The last heartbeat of ours is no older than we know, whatever the clocks say."""
        now = self._clock.monotonic()
        with self._lock:
            topic = self._topics.get(topic_arn)
            ours = topic is not None and any(mount.node_id == sender for mount in topic.mounts)
            if topic is None or not ours or topic.heartbeats != beat.number:
                return
            lag = topic.lag = now - topic.beat_at
        self._prove(topic_arn, lag)

    def _audience(self, topic_arn: str) -> list[Subscription]:
        """Who hears a topic; everyone when the message does not tell which it came through."""
        if topic_arn:
            topic = self._topics.get(topic_arn)
            return list(topic.mounts) if topic is not None else []
        return [mount for topic in self._topics.values() for mount in topic.mounts]

    def _prove(self, topic_arn: str, age: float) -> None:
        now = self._clock.monotonic()
        with self._lock:
            topic = self._topics.get(topic_arn)
            if topic is None:
                return
            at = now - age
            if topic.heard_at is None or at > topic.heard_at:
                topic.heard_at = at
            if now - topic.heard_at > self.timeout:
                return
            topic.next_beat = topic.heard_at + self.interval * (1 + 0.5 * self._jitter())
            risen = not topic.alive
            topic.alive = True
        if risen:
            self._tell(topic)

    def _tell(self, topic: _Topic) -> None:
        """Let the mounts know whether the topic is alive, if they do not."""
        with self._telling:
            with self._lock:
                alive = topic.alive
                if alive == topic.told:
                    return
                topic.told = alive
                mounts = list(topic.mounts)
            for mount in mounts:
                self._call(mount, mount.on_change, alive)

    def _gap(self, topic_arn: str) -> None:
        """Tell the mounts of a gap, and see whether the topic is heard now."""
        self._counters.count("gaps")
        with self._lock:
            mounts = self._audience(topic_arn)
            for topic in self._topics.values():
                if topic_arn in ("", topic.arn):
                    topic.next_beat = min(topic.next_beat, self._clock.monotonic())
            self._lock.notify_all()
        for mount in mounts:
            self._call(mount, lambda _, told=mount: told.on_gap(), None)

    def _call(self, mount: Subscription, call: Callable[..., None], argument: object) -> bool:
        """Call into a mount; False when it raised, which is logged and goes no further."""
        try:
            call(argument)
        except Exception:
            self._counters.count("callback_failures")
            log.exception("%s: the mount failed to apply %r", mount.topic_arn, argument)
            return False
        return True

    # -- watching ------------------------------------------------------------------------

    def _watch(self) -> None:
        while True:
            try:
                pause = self.look()
            except Exception:
                self._counters.count("watch_failures")
                log.exception("the listener's watch failed, and goes on")
                pause = _REPEAT
            with self._lock:
                if not self._running:
                    return
                self._lock.wait(pause)
                if not self._running:
                    return

    def look(self) -> float:
        """Do what is due: heartbeats, telling of silence, renewals. Seconds until the next is."""
        self._check_suspension()
        now = self._clock.monotonic()
        with self._lock:
            topics = list(self._topics.values())
        pauses = [self.timeout, *(self._look_at(topic, now) for topic in topics)]
        return max(0.05, min(pauses))

    def _look_at(self, topic: _Topic, now: float) -> float:
        with self._lock:
            since = topic.since if topic.heard_at is None else topic.heard_at
            silent = now - since > self.timeout
            fallen = silent and topic.alive
            if silent:
                topic.alive = False
            elif topic.alive:
                topic.backoff.reset()
                topic.next_renewal = since + self.timeout
            mounts = list(topic.mounts)
            beats = [mount.heartbeat for mount in mounts if mount.heartbeat is not None]
            due = bool(beats) and now >= topic.next_beat
            if due:
                topic.heartbeats += 1
                topic.beat_at = now
                topic.next_beat = now + min(_REPEAT, self.interval)
            number = topic.heartbeats
            renew = bool(beats) and silent and now >= topic.next_renewal
            if renew:
                topic.next_renewal = now + topic.backoff.next()
        if fallen:
            self._counters.count("silences")
            log.warning("%s: not heard for more than %d seconds", topic.arn, self.timeout)
            self._tell(topic)
        if due:
            self._call(mounts[0], beats[0], Heartbeat(number))
        if renew:
            self._renew(topic)
        ends = [topic.next_beat if beats else now + self.timeout]
        ends.append(since + self.timeout if topic.alive else now + self.timeout)
        return min(ends) - now

    def _renew(self, topic: _Topic) -> None:
        self._counters.count("renewals")
        try:
            self._transport.renew()
        except Yas3fsError as error:
            self._counters.warn("failed_renewals", "%s: %s", topic.arn, one_line(error))

    def _check_suspension(self) -> None:
        """The monotonic clock stands still while the machine sleeps, the topic does not."""
        wall, monotonic = self._looked_at
        self._looked_at = (self._clock.time(), self._clock.monotonic())
        slept = (self._looked_at[0] - wall) - (self._looked_at[1] - monotonic)
        if slept <= self.timeout:
            return
        log.warning("the machine slept for %d seconds, everything is looked at anew", slept)
        self._gap("")
