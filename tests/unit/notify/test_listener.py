"""The listener: who is told what, what proves that a topic is heard, what happens in silence."""

import json
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.notify.doubles import OTHER_TOPIC, TOPIC, WITHIN
from yas3fs.errors import ConfigError
from yas3fs.events import Event, Heartbeat, MalformedMessage, Mknod, Setting, encode
from yas3fs.notify.aws import NotifyFailed
from yas3fs.notify.envelope import Delivery
from yas3fs.notify.listener import Listener, Subscription
from yas3fs.notify.transport import ApplyFailed, Deliver, Gap
from yas3fs.runtime.clock import ManualClock


class FakeTransport:
    """Remembers what was asked; the test delivers by hand."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures: dict[str, Exception] = {}
        self.deliver: Deliver = lambda _: None
        self.gap: Gap = lambda _: None

    def _enter(self, call: str) -> None:
        self.calls.append(call)
        if call in self.failures:
            raise self.failures.pop(call)

    def open(self, deliver: Deliver, gap: Gap) -> None:
        self._enter("open")
        self.deliver, self.gap = deliver, gap

    def add_topic(self, topic_arn: str) -> None:
        self._enter(f"add {topic_arn.rpartition(':')[2]}")

    def drop_topic(self, topic_arn: str) -> None:
        self._enter(f"drop {topic_arn.rpartition(':')[2]}")

    def renew(self) -> None:
        self._enter("renew")

    def close(self) -> None:
        self._enter("close")

    endpoint = "arn:aws:sqs:eu-west-1:123456789012:mine"

    def metrics(self) -> dict[str, int]:
        return {"received": 5}


class Mount:
    """What one mount was told."""

    def __init__(self, listener: Listener, topic: str = TOPIC, node_id: str = "me") -> None:
        self.events: list[Event] = []
        self.gaps = 0
        self.changes: list[bool] = []
        self.beats: list[Event] = []
        self.beaten = threading.Event()
        self.failure: Exception | None = None
        self.subscription: Subscription = listener.subscribe(
            topic, node_id, self._hear, self._gap, self.changes.append, self._beat
        )

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        if self.failure is not None:
            raise self.failure

    def _gap(self) -> None:
        self.gaps += 1
        if self.failure is not None:
            raise self.failure

    def _beat(self, event: Event) -> None:
        self.beats.append(event)
        self.beaten.set()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def listener(transport: FakeTransport, clock: ManualClock) -> Listener:
    """Not started: the test looks instead of the thread."""
    made = Listener(transport, jitter=lambda: 0.0, clock=clock)
    made._transport.open(made._heard, made._gap)
    return made


def said(event: Event, topic: str = TOPIC, age: float = 0.0, sender: str = "other") -> Delivery:
    return Delivery(topic, encode(event, sender), age)


def test_every_mount_of_a_topic_hears_it_but_not_itself(
    listener: Listener, transport: FakeTransport
) -> None:
    mine, twin = Mount(listener), Mount(listener, node_id="twin")
    other = Mount(listener, OTHER_TOPIC)
    transport.deliver(said(Mknod("/a")))
    transport.deliver(said(Mknod("/b"), sender="twin"))
    assert mine.events == [Mknod("/a"), Mknod("/b")]
    assert twin.events == [Mknod("/a")]
    assert other.events == []
    assert listener.state().counts["events"] == 2


def test_a_message_without_a_topic_reaches_all_but_sets_nothing(
    listener: Listener, transport: FakeTransport
) -> None:
    mine, other = Mount(listener), Mount(listener, OTHER_TOPIC)
    transport.deliver(said(Mknod("/a"), ""))
    transport.deliver(said(Setting("prefetch", 1), ""))
    assert mine.events == other.events == [Mknod("/a")]
    listener.unsubscribe(other.subscription)
    transport.deliver(said(Setting("prefetch", 1), ""))
    assert mine.events[-1] == Setting("prefetch", 1)


def test_records_of_s3_are_told_one_by_one(listener: Listener, transport: FakeTransport) -> None:
    mount = Mount(listener)
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "b"}, "object": {"key": key}},
        }
        for key in ("x", "y")
    ]
    transport.deliver(Delivery(TOPIC, json.dumps({"Records": records})))
    assert [getattr(event, "key", "") for event in mount.events] == ["x", "y"]


def test_a_failing_mount_harms_no_other(
    listener: Listener, transport: FakeTransport, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = Mount(listener), Mount(listener, node_id="sound")
    broken.failure = RuntimeError("broken")
    with pytest.raises(ApplyFailed):
        transport.deliver(said(Mknod("/a")))
    transport.gap(TOPIC)
    assert sound.events == [Mknod("/a")]
    assert sound.gaps == 1
    assert listener.state().counts["callback_failures"] == 2
    assert "failed to apply" in caplog.text


def test_gaps_are_told_to_whom_they_concern(listener: Listener, transport: FakeTransport) -> None:
    mine, other = Mount(listener), Mount(listener, OTHER_TOPIC)
    transport.gap(OTHER_TOPIC)
    transport.gap("")
    assert (mine.gaps, other.gaps) == (1, 2)


def test_a_topic_is_alive_once_anything_was_heard(
    listener: Listener, transport: FakeTransport, clock: ManualClock
) -> None:
    mount = Mount(listener)
    assert listener.heard_at(TOPIC) is None
    assert not listener.is_alive(TOPIC)
    transport.deliver(said(Heartbeat(1), age=2.0, sender="me"))
    assert listener.heard_at(TOPIC) == clock.monotonic() - 2.0
    assert listener.is_alive(TOPIC)
    assert mount.changes == [True]
    assert mount.events == []
    assert Mount(listener, node_id="late").changes == [True]


def test_an_old_message_proves_nothing(listener: Listener, transport: FakeTransport) -> None:
    mount = Mount(listener)
    transport.deliver(said(Mknod("/a"), age=61.0))
    assert not listener.is_alive(TOPIC)
    assert mount.changes == []
    assert mount.events == [Mknod("/a")]


def test_silence_is_broken_by_a_heartbeat_and_noise_needs_none(
    listener: Listener, transport: FakeTransport, clock: ManualClock
) -> None:
    mount = Mount(listener)
    listener.look()
    assert mount.beats == [Heartbeat(1)]
    transport.deliver(said(Heartbeat(1), sender="me"))
    for _ in range(10):
        clock.advance(15.0)
        transport.deliver(said(Mknod("/a")))
        listener.look()
    assert len(mount.beats) == 1
    clock.advance(20.0)
    listener.look()
    assert mount.beats[1:] == [Heartbeat(2)]


def test_how_long_a_heartbeat_takes_to_come_back(
    listener: Listener, transport: FakeTransport, clock: ManualClock
) -> None:
    Mount(listener)
    listener.look()
    assert listener.state().topics[0].lag is None
    clock.advance(0.25)
    transport.deliver(said(Heartbeat(1), sender="other"))  # others count for themselves
    assert listener.state().topics[0].lag is None
    transport.deliver(said(Heartbeat(1), sender="me"))
    assert listener.state().topics[0].lag == pytest.approx(0.25)
    assert listener.state().endpoint == FakeTransport.endpoint
    clock.advance(20.0)
    listener.look()
    clock.advance(0.5)
    transport.deliver(said(Heartbeat(1), sender="me"))  # once more: it says nothing of the second
    assert listener.state().topics[0].lag == pytest.approx(0.25)
    transport.deliver(said(Heartbeat(2), sender="me"))
    assert listener.state().topics[0].lag == pytest.approx(0.5)


def test_a_clock_that_is_wrong_does_not_make_a_node_deaf(
    listener: Listener, transport: FakeTransport, clock: ManualClock
) -> None:
    """By HTTP the age of a message is reckoned by the node's own clock."""
    mount = Mount(listener)
    listener.look()
    clock.advance(0.5)
    transport.deliver(said(Mknod("/a"), age=1800.0))
    assert mount.changes == []
    transport.deliver(said(Heartbeat(1), sender="other", age=1800.0))
    assert mount.changes == []
    transport.deliver(said(Heartbeat(1), sender="me", age=1800.0))
    assert mount.changes == [True]
    clock.advance(60.0)  # 60.5 since it was sent
    listener.look()
    assert mount.changes == [True, False]


def test_a_heartbeat_that_is_not_heard_is_repeated(
    listener: Listener, transport: FakeTransport, clock: ManualClock
) -> None:
    mount = Mount(listener)
    assert listener.look() == pytest.approx(5.0)
    clock.advance(4.9)
    assert listener.look() == pytest.approx(0.1, abs=1e-3)
    clock.advance(0.2)
    listener.look()
    assert len(mount.beats) == 2


def test_after_a_gap_it_is_seen_at_once_whether_the_topic_is_heard(
    listener: Listener, transport: FakeTransport, clock: ManualClock
) -> None:
    mount = Mount(listener)
    transport.deliver(said(Mknod("/a")))
    listener.look()
    assert mount.beats == []
    transport.gap(TOPIC)
    listener.look()
    assert len(mount.beats) == 1


def test_stopping_tells_the_mounts_that_nothing_is_heard(transport: FakeTransport) -> None:
    listener = Listener(transport)
    listener.start()
    mount = Mount(listener)
    transport.deliver(said(Mknod("/a")))
    listener.stop()
    assert mount.changes == [True, False]
    assert listener.heard_at(TOPIC) is None


def test_one_mount_of_several_sends_the_heartbeat(
    listener: Listener, transport: FakeTransport
) -> None:
    first, second = Mount(listener), Mount(listener, node_id="second")
    listener.look()
    assert (len(first.beats), len(second.beats)) == (1, 0)


def test_after_the_timeout_mounts_are_told_and_the_transport_renews(
    listener: Listener, transport: FakeTransport, clock: ManualClock
) -> None:
    mount = Mount(listener)
    transport.deliver(said(Mknod("/a")))
    clock.advance(61.0)
    transport.failures["renew"] = NotifyFailed("SNS is down")
    listener.look()
    assert mount.changes == [True, False]
    assert transport.calls.count("renew") == 1
    listener.look()
    assert transport.calls.count("renew") == 1
    clock.advance(6.0)
    listener.look()
    assert transport.calls.count("renew") == 2
    transport.deliver(said(Heartbeat(3), sender="me"))
    assert mount.changes == [True, False, True]
    state = listener.state()
    assert state.counts["silences"] == 1
    assert state.topics[0].alive


def test_a_machine_that_slept_missed_something(
    transport: FakeTransport,
) -> None:
    class SleptClock(ManualClock):
        slept = 0.0

        def time(self) -> float:
            return super().time() + self.slept

    clock = SleptClock()
    listener = Listener(transport, clock=clock)
    listener._transport.open(listener._heard, listener._gap)
    mount = Mount(listener)
    listener.look()
    clock.slept = 3600.0
    listener.look()
    assert mount.gaps == 1
    assert len(mount.beats) == 2
    listener.look()
    assert mount.gaps == 1


def test_topics_are_subscribed_to_once_and_dropped_with_the_last_mount(
    transport: FakeTransport,
) -> None:
    listener = Listener(transport)
    first = Mount(listener)
    assert transport.calls == []
    listener.start()
    second = Mount(listener, node_id="second")
    Mount(listener, OTHER_TOPIC)
    listener.unsubscribe(first.subscription)
    listener.unsubscribe(second.subscription)
    listener.unsubscribe(second.subscription)
    listener.stop()
    listener.stop()
    assert transport.calls == ["open", "add changes", "add others", "drop changes", "close"]


def test_starting_may_fail_and_leaves_nothing(transport: FakeTransport) -> None:
    listener = Listener(transport)
    Mount(listener)
    transport.failures["add changes"] = NotifyFailed("no such topic")
    with pytest.raises(NotifyFailed):
        listener.start()
    assert transport.calls[-1] == "close"
    assert not listener.state().running
    listener.start()
    assert listener.state().running
    listener.stop()


def test_subscribing_may_fail_and_leaves_nothing(transport: FakeTransport) -> None:
    listener = Listener(transport)
    listener.start()
    transport.failures["add changes"] = NotifyFailed("no such topic")
    with pytest.raises(NotifyFailed):
        Mount(listener)
    with pytest.raises(ConfigError):
        Mount(listener, "changes")
    assert listener.state().topics == ()
    listener.stop()


def test_the_watch_beats_by_itself(transport: FakeTransport) -> None:
    listener = Listener(transport)
    listener.start()
    mount = Mount(listener)
    assert mount.beaten.wait(WITHIN)
    listener.stop()


def test_the_watch_outlives_its_own_failures(
    transport: FakeTransport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener(transport)
    tried = threading.Event()

    def fail() -> float:
        tried.set()
        raise RuntimeError("broken")

    monkeypatch.setattr(listener, "look", fail)
    listener.start()
    assert tried.wait(WITHIN)
    thread: Any = listener._thread
    assert thread.is_alive()
    listener.stop()
    assert not thread.is_alive()


@settings(deadline=None)
@given(st.lists(st.text(), max_size=20))
def test_no_text_does_more_than_be_malformed(texts: list[str]) -> None:
    transport = FakeTransport()
    listener = Listener(transport, clock=ManualClock())
    listener._transport.open(listener._heard, listener._gap)
    mount = Mount(listener)
    for text in texts:
        with pytest.raises(MalformedMessage):
            transport.deliver(Delivery(TOPIC, text))
    transport.deliver(said(Mknod("/a")))
    assert mount.events == [Mknod("/a")]
