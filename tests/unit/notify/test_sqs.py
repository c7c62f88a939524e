"""The queue: made, shared, read, and given up, with SQS failing in every way."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.unit.notify.doubles import (
    OTHER_TOPIC,
    TOPIC,
    WITHIN,
    FakeClients,
    ServiceError,
    enveloped,
)
from yas3fs.errors import ConfigError
from yas3fs.events import MalformedMessage
from yas3fs.notify.aws import Backoff, NotifyFailed
from yas3fs.notify.envelope import Delivery
from yas3fs.notify.queues import QueueOptions
from yas3fs.notify.sqs import SqsTransport
from yas3fs.notify.transport import ApplyFailed
from yas3fs.runtime.clock import ManualClock


class Heard:
    """What the transport delivered; raises by the message's text."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.texts: list[str] = []
        self.topics: list[str] = []
        self.gaps: list[str] = []

    def deliver(self, delivery: Delivery) -> None:
        with self.changed:
            self.texts.append(delivery.text)
            self.topics.append(delivery.topic_arn)
            self.changed.notify_all()
        if delivery.text == '"malformed"':
            raise MalformedMessage("not a message")
        if delivery.text == '"failing"':
            raise ApplyFailed("a mount failed")

    def gap(self, topic_arn: str) -> None:
        with self.changed:
            self.gaps.append(topic_arn)
            self.changed.notify_all()

    def wait_for(self, text: str) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.texts, WITHIN)

    def wait_for_gap(self) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: bool(self.gaps), WITHIN)


@pytest.fixture
def clients() -> FakeClients:
    return FakeClients()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def make(clients: FakeClients, name: str = "", clock: ManualClock | None = None) -> SqsTransport:
    return SqsTransport(
        clients,
        QueueOptions("eu-west-1", name=name, hint="bucket/path"),
        "node-1",
        backoff=Backoff(0.001, 0.001),
        clock=clock or ManualClock(),
    )


@pytest.fixture
def transport(clients: FakeClients, heard: Heard) -> Iterator[SqsTransport]:
    made = make(clients)
    made.open(heard.deliver, heard.gap)
    made.add_topic(TOPIC)
    yield made
    made.close()


def test_a_new_queue_is_named_tagged_limited_and_subscribed(
    clients: FakeClients, transport: SqsTransport
) -> None:
    url = "https://sqs/bucket-path-node-1"
    assert transport.queue_url == url
    assert clients.fake_sqs.tags[url] == {"yas3fs:node": "node-1", "yas3fs:created": "1700000000"}
    attributes = clients.fake_sqs.attributes[url]
    assert attributes["MessageRetentionPeriod"] == "3600"
    assert attributes["VisibilityTimeout"] == "10"
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": [TOPIC]}}
    wanted = (TOPIC, "sqs", attributes["QueueArn"])
    assert list(clients.fake_sns.subscriptions.values()) == [wanted]


def test_several_topics_share_the_queue(clients: FakeClients, transport: SqsTransport) -> None:
    transport.add_topic(OTHER_TOPIC)
    policy = json.loads(clients.fake_sqs.attributes[transport.queue_url]["Policy"])
    assert policy["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"] == [TOPIC, OTHER_TOPIC]
    transport.drop_topic(TOPIC)
    assert [wanted[0] for wanted in clients.fake_sns.subscriptions.values()] == [OTHER_TOPIC]


def test_messages_are_deleted_after_they_were_applied(
    clients: FakeClients, transport: SqsTransport, heard: Heard
) -> None:
    sqs = clients.fake_sqs
    handles = [sqs.put(transport.queue_url, enveloped(f'"{number}"')) for number in range(3)]
    sqs.wait_for(lambda: sqs.deleted == handles)
    assert heard.texts == ['"0"', '"1"', '"2"']
    assert heard.topics == [TOPIC] * 3


def test_raw_messages_are_taken_and_foreign_ones_are_not(
    clients: FakeClients, transport: SqsTransport, heard: Heard
) -> None:
    sqs = clients.fake_sqs
    foreign = sqs.put(transport.queue_url, enveloped('"foreign"', OTHER_TOPIC))
    raw = sqs.put(transport.queue_url, '["x", "ping"]')
    sqs.wait_for(lambda: {foreign, raw} <= set(sqs.deleted))
    assert heard.texts == ['["x", "ping"]']
    assert heard.topics == [""]
    assert transport.metrics()["foreign"] == 1


def test_malformed_messages_are_counted_and_deleted(
    clients: FakeClients, transport: SqsTransport
) -> None:
    sqs = clients.fake_sqs
    bodies = ["no json", enveloped('"malformed"'), '{"TopicArn": 5}', ""]
    handles = {sqs.put(transport.queue_url, body) for body in bodies}
    sqs.wait_for(lambda: handles <= set(sqs.deleted))
    assert transport.metrics()["malformed"] == 4


def test_what_was_not_applied_is_not_deleted(
    clients: FakeClients, transport: SqsTransport, heard: Heard
) -> None:
    sqs = clients.fake_sqs
    sqs.put(transport.queue_url, enveloped('"failing"'), receives=4)
    after = sqs.put(transport.queue_url, enveloped('"after"'))
    sqs.wait_for(lambda: bool(sqs.deleted))
    assert sqs.deleted == [after]
    assert heard.gaps == []


def test_what_is_never_applied_is_given_up_and_told(
    clients: FakeClients, transport: SqsTransport, heard: Heard
) -> None:
    sqs = clients.fake_sqs
    handle = sqs.put(transport.queue_url, enveloped('"failing"'), receives=5)
    sqs.wait_for(lambda: sqs.deleted == [handle])
    assert heard.gaps == [TOPIC]
    assert transport.metrics()["abandoned"] == 1


def test_failures_of_sqs_end_nothing(
    clients: FakeClients, transport: SqsTransport, heard: Heard
) -> None:
    sqs = clients.fake_sqs
    sqs.failures["receive_message"] = [OSError("down"), ServiceError("AccessDenied"), ValueError()]
    sqs.failures["delete_message_batch"] = [OSError("down")]
    sqs.put(transport.queue_url, enveloped('"first"'))
    heard.wait_for('"first"')
    sqs.wait_for(lambda: not sqs.failures["receive_message"])
    sqs.put(transport.queue_url, enveloped('"second"'))
    heard.wait_for('"second"')
    assert transport.metrics()["failed_deletes"] == 1


def test_a_lost_queue_is_made_again_and_the_gap_told(
    clients: FakeClients, transport: SqsTransport, heard: Heard
) -> None:
    before = transport.queue_url
    clients.fake_sqs.failures["create_queue"] = [ServiceError("QueueDeletedRecently")]
    clients.fake_sqs.delete_queue(QueueUrl=before)
    heard.wait_for_gap()
    assert heard.gaps == [""]
    assert transport.queue_url.startswith(before + "-")
    assert list(clients.fake_sqs.queues) == [transport.queue_url]
    assert len(clients.fake_sns.named("subscribe")) == 2
    clients.fake_sqs.put(transport.queue_url, enveloped('"after"'))
    heard.wait_for('"after"')


def test_a_queue_unread_for_longer_than_it_keeps_is_a_gap(
    clients: FakeClients, heard: Heard
) -> None:
    clock = ManualClock()
    made = make(clients, clock=clock)
    made.open(heard.deliver, heard.gap)
    made.add_topic(TOPIC)
    sqs = clients.fake_sqs
    sqs.wait_for(lambda: len(sqs.named("receive_message")) == 1)
    clock.advance(3601.0)
    sqs.put(made.queue_url, enveloped('"late"'))
    heard.wait_for('"late"')
    assert heard.gaps == [""]
    made.close()


def test_a_full_batch_calls_for_help(clients: FakeClients, heard: Heard) -> None:
    made = make(clients)
    made.open(heard.deliver, heard.gap)
    sqs = clients.fake_sqs
    handles = {sqs.put(made.queue_url, enveloped(f'"{number}"')) for number in range(200)}
    made.add_topic(TOPIC)
    sqs.wait_for(lambda: set(sqs.deleted) == handles)
    assert len(heard.texts) == 200
    made.close()


def test_a_backlog_that_comes_in_small_pieces_is_read_without_pauses(
    clients: FakeClients, heard: Heard
) -> None:
    """SQS may give a few of many messages: that they are old tells."""
    clock = ManualClock()
    made = SqsTransport(clients, QueueOptions("eu-west-1"), "n", pace=3600.0, clock=clock)
    made.open(heard.deliver, heard.gap)
    sqs = clients.fake_sqs
    sqs.most = 3
    old = datetime.fromtimestamp(clock.time() - 10, UTC).isoformat()
    handles = {sqs.put(made.queue_url, enveloped(str(n), timestamp=old)) for n in range(100)}
    made.add_topic(TOPIC)
    sqs.wait_for(lambda: set(sqs.deleted) == handles)
    made.close()


def test_what_is_new_is_heard_at_once_and_the_next_request_waits(
    clients: FakeClients, heard: Heard
) -> None:
    clock = ManualClock()
    made = SqsTransport(clients, QueueOptions("eu-west-1"), "n", pace=3600.0, clock=clock)
    made.open(heard.deliver, heard.gap)
    sqs = clients.fake_sqs
    new = datetime.fromtimestamp(clock.time(), UTC).isoformat()
    handle = sqs.put(made.queue_url, enveloped('"new"', timestamp=new))
    made.add_topic(TOPIC)
    heard.wait_for('"new"')
    sqs.wait_for(lambda: sqs.deleted == [handle])
    made.close()  # which ends the pause as well
    assert len(sqs.named("receive_message")) == 1


def test_closing_ends_the_long_poll_unsubscribes_and_deletes(
    clients: FakeClients, heard: Heard
) -> None:
    made = make(clients)
    made.open(heard.deliver, heard.gap)
    made.add_topic(TOPIC)
    sqs = clients.fake_sqs
    sqs.wait_for(lambda: bool(sqs.named("receive_message")))
    thread = made._thread
    assert thread is not None
    made.close()
    assert not thread.is_alive()
    assert clients.fake_sns.subscriptions == {}
    assert sqs.queues == {}
    assert heard.texts == []


def test_a_named_queue_is_made_when_absent_and_kept(clients: FakeClients, heard: Heard) -> None:
    for _ in range(2):
        made = make(clients, name="kept")
        made.open(heard.deliver, heard.gap)
        made.add_topic(TOPIC)
        made.close()
    sqs = clients.fake_sqs
    assert list(sqs.queues) == ["https://sqs/kept"]
    assert len(sqs.named("create_queue")) == 1
    assert clients.fake_sns.subscriptions == {}


def test_a_queue_left_by_a_process_that_died_is_used(clients: FakeClients, heard: Heard) -> None:
    sqs = clients.fake_sqs
    made = make(clients)
    made.open(heard.deliver, heard.gap)
    sqs.attributes[made.queue_url]["VisibilityTimeout"] = "99"
    sqs.failures["create_queue"] = [ServiceError("QueueAlreadyExists")]
    again = make(clients)
    again.open(heard.deliver, heard.gap)
    assert again.queue_url == made.queue_url
    assert sqs.attributes[made.queue_url]["VisibilityTimeout"] == "10"


def test_a_service_that_restarts_within_a_minute_gets_a_queue(
    clients: FakeClients, heard: Heard
) -> None:
    clients.fake_sqs.failures["create_queue"] = [
        ServiceError("AWS.SimpleQueueService.QueueDeletedRecently")
    ]
    made = make(clients)
    made.open(heard.deliver, heard.gap)
    assert made.queue_url.startswith("https://sqs/bucket-path-node-1-")


def test_queues_may_be_forbidden(clients: FakeClients, heard: Heard) -> None:
    clients.fake_sqs.failures["create_queue"] = [ServiceError("AccessDenied")]
    with pytest.raises(NotifyFailed, match="cannot use the queue bucket-path-node-1") as caught:
        make(clients).open(heard.deliver, heard.gap)
    assert caught.value.code == "AccessDenied"


def test_an_illegal_name_is_a_configuration_error(clients: FakeClients, heard: Heard) -> None:
    with pytest.raises(ConfigError, match="not a queue's name"):
        make(clients, name="my queue").open(heard.deliver, heard.gap)


def test_a_topic_that_cannot_be_subscribed_to_is_told(
    clients: FakeClients, transport: SqsTransport
) -> None:
    clients.fake_sns.failures["subscribe"] = [ServiceError("NotFound")]
    with pytest.raises(NotifyFailed, match="cannot subscribe") as caught:
        transport.add_topic(OTHER_TOPIC)
    assert caught.value.code == "NotFound"


def test_renewal_finds_that_a_subscription_was_lost(
    clients: FakeClients, transport: SqsTransport, heard: Heard
) -> None:
    transport.renew()
    assert heard.gaps == []
    clients.fake_sns.subscriptions.clear()
    transport.renew()
    assert heard.gaps == [TOPIC]


def test_short_polls_pause_and_can_be_stopped(clients: FakeClients, heard: Heard) -> None:
    made = SqsTransport(
        clients, QueueOptions("eu-west-1"), "n", wait=0, interval=60.0, clock=ManualClock()
    )
    made.open(heard.deliver, heard.gap)
    made.add_topic(TOPIC)
    sqs = clients.fake_sqs
    sqs.wait_for(lambda: bool(sqs.named("receive_message")))
    made.close()
    assert len(sqs.named("receive_message")) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_was_killed_is_replaced(
    clients: FakeClients, transport: SqsTransport, heard: Heard
) -> None:
    thread = transport._thread
    assert thread is not None
    clients.fake_sqs.failures["receive_message"].append(SystemExit())  # type: ignore[arg-type]
    clients.fake_sqs.put(transport.queue_url, enveloped("a"))  # ends the poll under way
    thread.join(WITHIN)
    assert not thread.is_alive()
    transport.renew()
    clients.fake_sqs.put(transport.queue_url, enveloped("b"))
    heard.wait_for("b")
