"""Publishing: never in the caller's time, batched, repeated until it succeeds."""

import json
from collections.abc import Iterator

import pytest

from tests.unit.notify.doubles import TOPIC, FakeSns, ServiceError
from yas3fs.events import Heartbeat, Mknod, Ping, Reset, Unknown, Unlink, Upload
from yas3fs.notify.aws import Backoff
from yas3fs.notify.publisher import BATCH_BYTES, Publisher


@pytest.fixture
def sns() -> FakeSns:
    return FakeSns()


@pytest.fixture
def publisher(sns: FakeSns) -> Iterator[Publisher]:
    made = Publisher(lambda: sns, TOPIC, "node", delay=0.05, backoff=Backoff(0.001, 0.001))
    yield made
    made.close(0.0)


def test_what_is_published_reaches_the_topic(sns: FakeSns, publisher: Publisher) -> None:
    publisher.publish(Mknod("/a"))
    publisher.publish(Upload("/a", "1"))
    assert publisher.drain(10.0)
    assert sns.published == [["mknod", "/a"], ["upload", "/a", "1"]]
    assert publisher.metrics()["published"] == 2
    assert publisher.metrics()["waiting"] == 0


def test_no_thread_runs_before_the_first_event(publisher: Publisher) -> None:
    assert publisher._thread is None
    publisher.publish(Ping())
    assert publisher._thread is not None
    assert publisher._thread.name == "yas3fs-publisher"


def test_what_gathers_goes_in_batches_of_ten(sns: FakeSns, publisher: Publisher) -> None:
    for number in range(25):
        publisher.publish(Mknod(f"/{number}"))
    assert publisher.drain(10.0)
    sizes = [len(call["Entries"]) for call in sns.named("publish_batch")]
    assert max(sizes) == 10
    assert len(sizes) < 25
    assert [event[1] for event in sns.published] == [f"/{number}" for number in range(25)]


def test_a_batch_is_not_larger_than_sns_takes(sns: FakeSns, publisher: Publisher) -> None:
    details = {f"/{'é' * 300}{number:0700}": 1 for number in range(3)}
    for path in details:
        for ending in "0123456789":
            publisher.publish(Mknod(path[:700] + ending))
    assert publisher.drain(10.0)
    for call in sns.named("publish_batch"):
        assert sum(len(entry["Message"]) for entry in call["Entries"]) <= BATCH_BYTES


def test_a_failed_request_is_repeated_until_it_succeeds(sns: FakeSns, publisher: Publisher) -> None:
    sns.failures["publish_batch"] = [OSError("down")] * 3 + [ServiceError("Throttled")]
    publisher.publish(Mknod("/a"))
    publisher.publish(Mknod("/b"))
    assert publisher.drain(10.0)
    assert sns.published == [["mknod", "/a"], ["mknod", "/b"]]
    assert publisher.metrics()["failed_requests"] == 4


def test_only_refused_entries_are_repeated(sns: FakeSns, publisher: Publisher) -> None:
    sns.refused = [{}, {"Code": "InternalError", "Message": "?"}]
    for name in "abc":
        publisher.publish(Mknod(f"/{name}"))
    assert publisher.drain(10.0)
    assert sns.published == [["mknod", "/a"], ["mknod", "/c"], ["mknod", "/b"]]


def test_what_follows_a_refused_event_of_its_path_goes_again(
    sns: FakeSns, publisher: Publisher
) -> None:
    sns.refused = [{"Code": "InternalError", "Message": "?"}]
    publisher.publish(Mknod("/a"))
    publisher.publish(Upload("/a", "1"))
    assert publisher.drain(10.0)
    assert sns.published[-2:] == [["mknod", "/a"], ["upload", "/a", "1"]]


def test_an_event_sns_never_takes_becomes_a_reset(sns: FakeSns, publisher: Publisher) -> None:
    sns.refused = [{"Code": "InvalidParameter", "Message": "too long"}]
    publisher.publish(Mknod("/a/b"))
    assert publisher.drain(10.0)
    assert sns.published == [["reset", "/a"]]


def test_too_much_becomes_a_reset(sns: FakeSns) -> None:
    gate = Publisher(lambda: sns, TOPIC, "node", capacity=16, delay=0.05, backoff=Backoff(5.0))
    sns.failures["publish_batch"] = [OSError("down")]
    gate.publish(Ping())
    sns.wait_for(lambda: bool(sns.calls))
    for number in range(40):
        gate.publish(Unlink(f"/d/{number}"))
    assert gate.metrics()["overflow"] > 0
    assert gate.metrics()["waiting"] <= 17
    gate._backoff.reset()
    with gate._changed:
        assert Reset("/d") in [one.event for one in gate._pending._waiting.values()]
    assert not gate.close(0.0)


def test_a_late_heartbeat_is_not_repeated(sns: FakeSns, publisher: Publisher) -> None:
    sns.failures["publish_batch"] = [OSError("down")]
    publisher.publish(Heartbeat(1))
    assert publisher.drain(10.0)
    assert sns.published == []


def test_the_sender_is_the_mount(sns: FakeSns, publisher: Publisher) -> None:
    publisher.publish(Ping())
    assert publisher.drain(10.0)
    (call,) = sns.named("publish_batch")
    assert json.loads(call["Entries"][0]["Message"]) == ["node", "ping"]


def test_draining_ends_in_time_when_sns_is_down(sns: FakeSns) -> None:
    made = Publisher(lambda: sns, TOPIC, "node", delay=0.0, backoff=Backoff(60.0, 60.0))
    sns.failures["publish_batch"] = [OSError("down")] * 99
    made.publish(Mknod("/a"))
    assert not made.drain(0.05)
    assert not made.close(0.0)
    made.publish(Mknod("/b"))
    assert made.metrics()["waiting"] == 1


def test_draining_does_not_wait_for_the_next_attempt(sns: FakeSns) -> None:
    made = Publisher(lambda: sns, TOPIC, "node", delay=0.0, backoff=Backoff(600.0, 600.0))
    sns.failures["publish_batch"] = [OSError("down")]
    made.publish(Mknod("/a"))
    with made._changed:
        assert made._changed.wait_for(lambda: not made._under_way and bool(sns.calls), 10.0)
    assert made.drain(10.0)
    assert sns.published == [["mknod", "/a"]]
    assert made.close(1.0)


def test_a_client_that_cannot_be_made_or_answers_nonsense_ends_nothing(
    sns: FakeSns, caplog: pytest.LogCaptureFixture
) -> None:
    class Nonsense:
        answers = [None, {"Failed": [{"Id": "x"}]}, {"Successful": 5}]

        def publish_batch(self, **arguments: object) -> object:
            if self.answers:
                return self.answers.pop(0)
            return sns.publish_batch(**arguments)  # type: ignore[arg-type]

    clients = [RuntimeError("no region"), Nonsense()]

    def client() -> object:
        if isinstance(clients[0], RuntimeError):
            raise clients.pop(0)  # type: ignore[misc]
        return clients[0]

    made = Publisher(client, TOPIC, "node", delay=0.0, backoff=Backoff(0.001, 0.001))
    made.publish(Mknod("/a"))
    assert made.drain(10.0)
    assert sns.published == [["mknod", "/a"]]
    assert made.close(1.0)


def test_closing_sends_what_waits(sns: FakeSns) -> None:
    made = Publisher(lambda: sns, TOPIC, "node", delay=30.0)
    made.publish(Mknod("/a"))
    assert made.close(10.0)
    assert sns.published == [["mknod", "/a"]]


def test_what_no_node_says_is_refused(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="Unknown"):
        publisher.publish(Unknown("dance"))


def test_pauses_double_with_jitter_and_begin_anew() -> None:
    backoff = Backoff(1.0, 5.0, lambda: 1.0)
    assert [backoff.next() for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
    backoff.reset()
    assert backoff.next() == 1.0
    assert Backoff(1.0, 5.0, lambda: 0.0).next() == 0.5
