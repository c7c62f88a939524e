"""Envelopes, S3's records and queue names: texts of others, read and written without I/O."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yas3fs.errors import ConfigError
from yas3fs.events import MalformedMessage, Mkdir, ObjectChanged
from yas3fs.notify.aws import parse_topic
from yas3fs.notify.envelope import open_body, read_envelope
from yas3fs.notify.queues import queue_name, queue_policy
from yas3fs.notify.records import Message, read_message

TOPIC = "arn:aws:sns:eu-west-1:123456789012:changes"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:q"


def envelope(**other: Any) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": '["x", "mkdir", "/a"]',
        "Timestamp": "2012-05-02T00:54:06.655Z",
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        **other,
    }


def record(**other: Any) -> dict[str, Any]:
    found = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "bucket"},
            "object": {"key": "a+b%2Bc/%C3%A9", "size": 5, "eTag": "abc", "sequencer": "0A"},
        },
    }
    return {**found, **other}


def test_an_envelope_tells_topic_text_and_age() -> None:
    delivery = open_body(json.dumps(envelope()), 1335920050.0)
    assert delivery.topic_arn == TOPIC
    assert delivery.text == '["x", "mkdir", "/a"]'
    assert delivery.age == pytest.approx(1335920050.0 - 1335920046.655)


def test_a_clock_behind_that_of_sns_gives_no_negative_age() -> None:
    assert open_body(json.dumps(envelope()), 0.0).age == 0.0


@pytest.mark.parametrize("body", ['["x", "mkdir", "/a"]', json.dumps({"Records": [record()]})])
def test_raw_bodies_name_no_topic(body: str) -> None:
    delivery = open_body(body, 5.0)
    assert (delivery.topic_arn, delivery.text, delivery.age) == ("", body, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"Type": "Other"}, {"Type": 1}, {"Message": None}, {"Message": []}, {"MessageId": ""}),
        *({"Timestamp": "yesterday"}, {"Timestamp": 5}, {"TopicArn": 5}, {"TopicArn": "a" * 3000}),
        *({"Type": "SubscriptionConfirmation"}, {"Timestamp": "9999-99-99T00:00:00Z"}),
    ],
    ids=str,
)
def test_wrong_envelopes_are_malformed(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        open_body(json.dumps(envelope(**wrong)), 0.0)


@given(st.dictionaries(st.sampled_from(list(envelope())), st.none() | st.text() | st.integers()))
def test_any_envelope_is_read_or_malformed(fields: dict[str, Any]) -> None:
    try:
        read_envelope(envelope(**fields))
    except MalformedMessage:
        pass


def test_records_of_s3_are_decoded() -> None:
    found = read_message(json.dumps({"Records": [record()]}))
    changed = ObjectChanged("bucket", "a b+c/é", "created", "abc", 5, "0A")
    assert found == Message("", (changed,))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ObjectCreated:CompleteMultipartUpload", "created"),
        ("s3:ObjectCreated:Copy", "created"),
        ("ObjectRemoved:Delete", "removed"),
        ("ObjectRemoved:DeleteMarkerCreated", "removed"),
        ("LifecycleExpiration:Delete", "removed"),
        ("LifecycleTransition", "altered"),
        ("ObjectRestore:Completed", "altered"),
    ],
)
def test_kinds_of_records(name: str, change: str) -> None:
    (event,) = read_message(json.dumps({"Records": [record(eventName=name)]})).events
    assert isinstance(event, ObjectChanged)
    assert event.change == change


def test_removals_tell_neither_etag_nor_size() -> None:
    bare = {"bucket": {"name": "b"}, "object": {"key": "k"}}
    text = json.dumps({"Records": [record(eventName="ObjectRemoved:Delete", s3=bare)]})
    assert read_message(text).events == (ObjectChanged("b", "k", "removed"),)


def test_the_test_event_and_other_kinds_say_nothing() -> None:
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}
    assert read_message(json.dumps(test)).events == ()
    other = {"Records": [record(eventName="Replication:OperationFailedReplication")]}
    assert read_message(json.dumps(other)).events == ()


def test_a_node_is_read_as_well() -> None:
    assert read_message('["x", "mkdir", "/a"]') == Message("x", (Mkdir("/a"),))


def _with(**thing: Any) -> dict[str, Any]:
    inner = {"bucket": {"name": "bucket"}, "object": {"key": "k", **thing}}
    return {"Records": [record(s3=inner)]}


@pytest.mark.parametrize(
    "document",
    [
        *({}, {"Records": []}, {"Records": 5}, {"Records": [5]}, {"Records": [record()] * 1001}),
        *({"Records": [record(eventSource="aws:sqs")]}, {"Records": [record(s3=None)]}),
        *({"Records": [record(eventName=None)]}, {"Records": [record(s3={"bucket": {}})]}),
        *(_with(key=""), _with(key=None), _with(key="a" * 4000), _with(key="%FF"), _with(size=-1)),
        *(_with(size="5"), _with(size=True), _with(eTag=5), _with(sequencer=5)),
        *(_with(key="\ud800"), _with(key="%C3%A9" * 600)),
    ],
    ids=lambda value: str(value)[:50],
)
def test_wrong_records_are_malformed(document: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessage):
        read_message(json.dumps(document))


@given(st.text(max_size=200), st.text(min_size=1, max_size=200))
def test_queue_names_are_legal_and_keep_the_id(hint: str, node_id: str) -> None:
    name = queue_name(hint, node_id)
    assert 0 < len(name) <= 80
    assert set(name) <= set(string.ascii_letters + string.digits + "-_")


def test_the_id_is_kept_whole() -> None:
    node = "host.example.org-1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    plain = "host-1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    assert queue_name("bucket/some path", plain) == f"bucket-some-path-{plain}"
    assert queue_name("b" * 200, plain).endswith(f"b-{plain}")
    assert len(queue_name("b" * 200, plain)) == 80
    assert queue_name("b", node) != queue_name("b", node.replace(".", "-"))


@given(st.lists(st.text("ab.-/", min_size=1, max_size=100), min_size=2, max_size=2, unique=True))
def test_two_nodes_never_share_a_queue(ids: list[str]) -> None:
    assert queue_name("bucket", ids[0]) != queue_name("bucket", ids[1])


def test_the_policy_is_limited_to_the_topics_and_keeps_what_others_said() -> None:
    others = {"Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}}
    present = json.dumps({"Version": "2012-10-17", "Statement": others})
    first = queue_policy(present, QUEUE, [TOPIC + "2", TOPIC])
    again = queue_policy(first, QUEUE, [TOPIC])
    kept, ours = json.loads(again)["Statement"]
    assert kept == others
    assert ours["Condition"] == {"ArnEquals": {"aws:SourceArn": [TOPIC]}}
    assert ours["Principal"] == {"Service": "sns.amazonaws.com"}
    assert (ours["Action"], ours["Resource"]) == ("sqs:SendMessage", QUEUE)
    assert json.loads(queue_policy(again, QUEUE, []))["Statement"] == [others]
    assert queue_policy("garbage", QUEUE, [TOPIC]) == queue_policy("", QUEUE, [TOPIC])


def test_topics_are_checked() -> None:
    topic = parse_topic("arn:aws-cn:sns:cn-north-1:123456789012:a_b-c")
    assert (topic.partition, topic.region, topic.name) == ("aws-cn", "cn-north-1", "a_b-c")
    for wrong in ("", "changes", "arn:aws:sqs:eu-west-1:123456789012:q", TOPIC + ".fifo"):
        with pytest.raises(ConfigError):
            parse_topic(wrong)
