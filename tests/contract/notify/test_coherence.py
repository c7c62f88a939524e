"""What both transports promise, on a real SNS: told once, told to the right mounts, never deaf."""

import json
import time

import boto3
from botocore.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.notify.conftest import REGION, WITHIN, Cluster
from tests.doubles import servers
from yas3fs.events import (
    Mkdir,
    Mknod,
    ObjectChanged,
    Ping,
    Rename,
    Reset,
    Setting,
    Unlink,
    Upload,
)


def test_what_one_node_publishes_the_others_hear(cluster: Cluster) -> None:
    topic = cluster.topic()
    mounts = [cluster.mount(cluster.node(), topic) for _ in range(3)]
    events = [Mkdir("/d"), Mknod("/d/é"), Upload("/d/é", "1"), Rename("/a", "/b"), Ping()]
    for event in events:
        mounts[0].publisher.publish(event)
    for mount in mounts[1:]:
        mount.wait_for(lambda mount=mount: len(mount.events) >= len(events))
        assert sorted(map(str, mount.events)) == sorted(map(str, events))
    assert mounts[0].events == []


def test_two_mounts_of_one_node_hear_each_other(cluster: Cluster) -> None:
    topic = cluster.topic()
    listener = cluster.node()
    first, second = cluster.mount(listener, topic), cluster.mount(listener, topic)
    first.publisher.publish(Mknod("/a"))
    second.wait_for_event(Mknod("/a"))
    assert first.events == []
    assert len(cluster.subscriptions(topic)) == 1


def test_topics_are_kept_apart(cluster: Cluster) -> None:
    listener = cluster.node()
    topics = [cluster.topic(), cluster.topic()]
    first, second = (cluster.mount(listener, topic) for topic in topics)
    cluster.publisher(topics[1]).publish(Mknod("/second"))
    second.wait_for_event(Mknod("/second"))
    cluster.publisher(topics[0]).publish(Mknod("/first"))
    first.wait_for_event(Mknod("/first"))
    assert first.events == [Mknod("/first")]
    assert second.events == [Mknod("/second")]


def test_repeated_messages_and_any_order_are_told(cluster: Cluster) -> None:
    topic = cluster.topic()
    mount = cluster.mount(cluster.node(), topic)
    texts = ['["x", "unlink", "/a"]', '["x", "mknod", "/a"]', '["x", "unlink", "/a"]']
    for text in texts:
        cluster.say(topic, text)
    cluster.say(topic, '["x", "reset", "/end"]')
    mount.wait_for_event(Reset("/end"))
    mount.wait_for(lambda: len(mount.events) >= 4)
    assert mount.events.count(Unlink("/a")) == 2
    assert mount.events.count(Mknod("/a")) == 1


def test_messages_of_2x_are_understood(cluster: Cluster) -> None:
    topic = cluster.topic()
    mount = cluster.mount(cluster.node(), topic)
    cluster.say(topic, json.dumps(["host-1b4e28ba", "upload", "/f", "d41d8"]))
    cluster.say(topic, json.dumps(["host-1b4e28ba", "cache", "mem", 64]))
    mount.wait_for_event(Upload("/f", "d41d8"))
    mount.wait_for_event(Setting("cache_memory", 64 << 20))


def test_stopping_unsubscribes_at_once_and_leaves_nothing(cluster: Cluster) -> None:
    topic = cluster.topic()
    listener = cluster.node()
    mount = cluster.mount(listener, topic)
    assert len(cluster.subscriptions(topic)) == 1
    begin = time.monotonic()
    listener.stop()
    assert time.monotonic() - begin < 5.0  # a second, and what a busy machine adds
    assert cluster.subscriptions(topic) == []
    assert cluster.clients.sqs(REGION).list_queues().get("QueueUrls", []) == []
    assert mount.changes == [True, False]


def test_the_last_mount_of_a_topic_unsubscribes(cluster: Cluster) -> None:
    topic = cluster.topic()
    listener = cluster.node()
    first, second = cluster.mount(listener, topic), cluster.mount(listener, topic)
    assert first.subscription is not None
    assert second.subscription is not None
    listener.unsubscribe(first.subscription)
    assert len(cluster.subscriptions(topic)) == 1
    listener.unsubscribe(second.subscription)
    assert cluster.subscriptions(topic) == []


def test_a_stopped_listener_can_start_again(cluster: Cluster) -> None:
    topic = cluster.topic()
    listener = cluster.node()
    mount = cluster.mount(listener, topic)
    listener.stop()
    listener.start()
    mount.wait_until_alive()
    cluster.publisher(topic).publish(Mknod("/again"))
    mount.wait_for_event(Mknod("/again"))


def test_notifications_of_s3_are_told(cluster: Cluster) -> None:
    topic = cluster.topic()
    mount = cluster.mount(cluster.node(), topic)
    bucket = f"bucket-{cluster.kind}-notified"
    servers.create_bucket(cluster.server, bucket)
    s3 = boto3.client(
        "s3",
        endpoint_url=cluster.server.endpoint,
        region_name=REGION,
        aws_access_key_id=servers.KEY_ID,
        aws_secret_access_key=servers.SECRET,
        config=Config(s3={"addressing_style": "path"}),
    )
    wanted = {"TopicArn": topic, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"TopicConfigurations": [wanted]}
    )
    etag = s3.put_object(Bucket=bucket, Key="p/a b+ü", Body=b"12345")["ETag"].strip('"')
    s3.delete_object(Bucket=bucket, Key="p/a b+ü")
    s3.close()
    mount.wait_for(lambda: len(mount.events) >= 2)
    made = [event for event in mount.events if isinstance(event, ObjectChanged)]
    assert {event.change for event in made} == {"created", "removed"}
    (created,) = [event for event in made if event.change == "created"]
    assert created == ObjectChanged(bucket, "p/a b+ü", "created", etag, 5)


def test_no_text_makes_a_node_deaf(cluster: Cluster) -> None:
    topic = cluster.topic()
    listener = cluster.node()
    mount = cluster.mount(listener, topic)
    texts = st.text(min_size=1, max_size=200) | st.builds(
        json.dumps, st.lists(st.text() | st.integers() | st.none(), max_size=4)
    )

    @settings(
        max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(texts.filter(lambda text: text.isprintable()))
    def say(text: str) -> None:
        cluster.say(topic, text)

    say()
    cluster.say(topic, '["x", "mknod", "/../../etc/passwd"]')
    cluster.say(topic, '["x", "cache", "entries", -5]')
    cluster.say(topic, '["x", "mknod", "/after"]')
    mount.wait_for_event(Mknod("/after"))
    deadline = time.monotonic() + WITHIN
    while listener.state().counts.get("malformed", 0) < 3 and time.monotonic() < deadline:
        cluster.say(topic, "[")
    assert listener.state().counts["malformed"] >= 3
    assert listener.is_alive(topic)


def test_a_lost_subscription_is_noticed_and_renewed(cluster: Cluster) -> None:
    topic = cluster.topic()
    transport = cluster.transport()
    listener = cluster.node(transport)
    mount = cluster.mount(listener, topic)
    for subscription in cluster.subscriptions(topic):
        cluster.clients.sns(REGION).unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    transport.renew()
    assert mount.gaps == 1
    cluster.publisher(topic).publish(Mknod("/after"))
    mount.wait_for_event(Mknod("/after"))
