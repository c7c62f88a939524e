"""What only SQS can do to us."""

import json

import pytest

from tests.contract.notify.conftest import REGION, Cluster
from tests.doubles.faulty_proxy import FaultyProxy, Rule, lose_answer, reset_before
from yas3fs.errors import ConfigError
from yas3fs.events import Mknod, Ping
from yas3fs.notify.aws import NotifyFailed
from yas3fs.notify.publisher import Publisher
from yas3fs.notify.sqs import SqsTransport


def made_by(cluster: Cluster, name: str = "", endpoint: str = "") -> SqsTransport:
    transport = cluster.transport(name, endpoint)
    assert isinstance(transport, SqsTransport)
    return transport


def test_the_queue_is_tagged_and_limited_to_its_topics(sqs_cluster: Cluster) -> None:
    topics = [sqs_cluster.topic(), sqs_cluster.topic()]
    transport = made_by(sqs_cluster)
    listener = sqs_cluster.node(transport)
    for topic in topics:
        sqs_cluster.mount(listener, topic)
    sqs = sqs_cluster.clients.sqs(REGION)
    tags = sqs.list_queue_tags(QueueUrl=transport.queue_url)["Tags"]
    assert set(tags) == {"yas3fs:node", "yas3fs:created"}
    found = sqs.get_queue_attributes(QueueUrl=transport.queue_url, AttributeNames=["All"])
    attributes = found["Attributes"]
    (statement,) = json.loads(attributes["Policy"])["Statement"]
    assert statement["Condition"]["ArnEquals"]["aws:SourceArn"] == sorted(topics)
    assert attributes["MessageRetentionPeriod"] == "3600"


def test_what_was_applied_is_deleted(sqs_cluster: Cluster) -> None:
    topic = sqs_cluster.topic()
    transport = made_by(sqs_cluster, "kept-deleted")
    listener = sqs_cluster.node(transport)
    mount = sqs_cluster.mount(listener, topic)
    url = transport.queue_url
    publisher = sqs_cluster.publisher(topic)
    for number in range(35):
        publisher.publish(Mknod(f"/{number}"))
    mount.wait_for(lambda: len(mount.events) == 35)
    listener.stop()
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    sqs = sqs_cluster.clients.sqs(REGION)
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
    assert set(left.values()) == {"0"}
    sqs.delete_queue(QueueUrl=url)


def test_a_named_queue_is_kept_and_used_again(sqs_cluster: Cluster) -> None:
    topic = sqs_cluster.topic()
    for number in range(2):
        listener = sqs_cluster.node(made_by(sqs_cluster, "kept-again"))
        mount = sqs_cluster.mount(listener, topic)
        sqs_cluster.publisher(topic).publish(Mknod(f"/{number}"))
        mount.wait_for_event(Mknod(f"/{number}"))
        listener.stop()
    sqs = sqs_cluster.clients.sqs(REGION)
    (url,) = sqs.list_queues()["QueueUrls"]
    assert url.endswith("/kept-again")
    sqs.delete_queue(QueueUrl=url)


def test_a_deleted_queue_is_made_again(sqs_cluster: Cluster) -> None:
    topic = sqs_cluster.topic()
    transport = made_by(sqs_cluster)
    mount = sqs_cluster.mount(sqs_cluster.node(transport), topic)
    before = transport.queue_url
    sqs = sqs_cluster.clients.sqs(REGION)
    transport._wait = 0  # moto lets a long poll of a deleted queue go on
    sqs.send_message(QueueUrl=before, MessageBody='["x", "ping"]')
    mount.wait_for_event(Ping())
    sqs.delete_queue(QueueUrl=before)
    mount.wait_for(lambda: mount.gaps == 1)
    assert transport.queue_url in sqs.list_queues()["QueueUrls"]
    sqs_cluster.publisher(topic).publish(Mknod("/after"))
    mount.wait_for_event(Mknod("/after"))


def test_connections_that_break_lose_nothing(sqs_cluster: Cluster) -> None:
    topic = sqs_cluster.topic()
    server = sqs_cluster.server
    with FaultyProxy(server.host, server.port) as proxy:
        endpoint = f"http://127.0.0.1:{proxy.port}"
        listener = sqs_cluster.node(made_by(sqs_cluster, endpoint=endpoint))
        mount = sqs_cluster.mount(listener, topic)
        proxy.add(Rule(reset_before, method="POST", nth=2, times=3))
        clients = sqs_cluster.new_clients(endpoint)
        publisher = Publisher(lambda: clients.sns(REGION), topic, "stranger")
        for number in range(30):
            publisher.publish(Mknod(f"/{number}"))
        mount.wait_for(lambda: len({str(event) for event in mount.events}) == 30)
        assert publisher.close(10.0)
        proxy.add(Rule(lose_answer, method="POST", times=2))
        sqs_cluster.publisher(topic).publish(Mknod("/unanswered"))
        sqs_cluster.publisher(topic).publish(Mknod("/after"))
        mount.wait_for_event(Mknod("/after"))
        listener.stop()


def test_a_topic_that_does_not_exist_is_told(sqs_cluster: Cluster) -> None:
    listener = sqs_cluster.node()
    with pytest.raises(NotifyFailed, match="cannot subscribe to the topic"):
        listener.subscribe(
            "arn:aws:sns:us-east-1:123456789012:absent", "n", lambda _: None, lambda: None
        )
    with pytest.raises(ConfigError, match="not the ARN"):
        listener.subscribe("absent", "n", lambda _: None, lambda: None)
