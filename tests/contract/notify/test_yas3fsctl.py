"""The cluster's commands against SNS and SQS."""

import json
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.contract.notify.conftest import REGION, Cluster, Mount
from tests.doubles import servers
from yas3fs.cli.yas3fsctl import main
from yas3fs.events import Event, Ping, Reset, Setting, Status, Switch, Upload
from yas3fs.notify.orphans import ORPHAN, Orphans
from yas3fs.notify.queues import Queue, QueueOptions
from yas3fs.runtime.clock import ManualClock


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET)


@pytest.fixture(autouse=True)
def no_queue_stays(sqs_cluster: Cluster) -> Iterator[None]:
    """Other tests count them."""
    yield
    client = sqs_cluster.clients.sqs(REGION)
    for url in client.list_queues().get("QueueUrls", []):
        client.delete_queue(QueueUrl=url)


def ctl(cluster: Cluster, topic: str, *words: str) -> int:
    return main([*words, "--topic", topic, "--notify-endpoint", cluster.server.endpoint])


def answering(cluster: Cluster, topic: str, name: str) -> Mount:
    """A mount that answers a ping."""
    mount = cluster.mount(cluster.node(), topic)
    hear = mount.hear

    def answer(event: Event) -> None:
        hear(event)
        if isinstance(event, Ping):
            details = {"version": "3", "mode": "coherent", "mount": "/mnt\x1b[2J"}
            mount.publisher.publish(Status(name, 12, 3 << 20, 0, 1, 2, 3, details))

    object.__setattr__(mount.subscription, "callback", answer)
    return mount


def queues(cluster: Cluster) -> list[str]:
    found = cluster.clients.sqs(REGION).list_queues()
    return [url for url in found.get("QueueUrls", []) if "yas3fsctl" in url]


def test_ping_shows_who_answers_and_leaves_nothing(
    sqs_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = sqs_cluster.topic()
    for name in ("one", "other"):
        answering(sqs_cluster, topic, name)
    assert ctl(sqs_cluster, topic, "ping", "--wait", "2") == 0
    said = capsys.readouterr().out
    heading, one, other = said.splitlines()
    assert heading.split() == [
        "NODE", "VERSION", "MODE", "URL", "MOUNT", "ENTRIES", "MEMORY", "QUEUES", "LAG",
    ]  # fmt: skip
    assert one.split()[:7] == ["one", "3", "coherent", "-", "/mnt?[2J", "12", "3.0"]
    assert other.split()[0] == "other"
    assert "1/2/3" in other
    assert "\x1b" not in said
    assert len(sqs_cluster.subscriptions(topic)) == 2
    assert queues(sqs_cluster) == []


def test_ping_as_json(sqs_cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    topic = sqs_cluster.topic()
    mount = answering(sqs_cluster, topic, "one")
    assert ctl(sqs_cluster, topic, "ping", "--wait", "1.5", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert 0 < found.pop("lag") < 1.5
    assert found == {
        "id": mount.node_id,
        **{"host": "one", "entries": 12, "memory": 3 << 20, "disk": 0},
        **{"downloads": 1, "prefetches": 2, "uploads": 3},
        "details": {"version": "3", "mode": "coherent", "mount": "/mnt\x1b[2J"},
    }


def test_ping_fails_when_nobody_answers(
    sqs_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = sqs_cluster.topic()
    assert ctl(sqs_cluster, topic, "ping", "--wait", "1") == 1
    assert queues(sqs_cluster) == []
    assert sqs_cluster.subscriptions(topic) == []


def test_an_interrupted_ping_leaves_nothing(
    sqs_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Ctrl-C while it waits."""
    from yas3fs.notify.visitor import Visitor

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    topic = sqs_cluster.topic()
    monkeypatch.setattr(Visitor, "_collect", interrupted)
    assert ctl(sqs_cluster, topic, "ping") == 1
    assert capsys.readouterr().err == "yas3fsctl: interrupted\n"
    assert queues(sqs_cluster) == []
    assert sqs_cluster.subscriptions(topic) == []


@pytest.mark.parametrize(
    ("words", "event"),
    [
        (["reset"], Reset("/")),
        (["reset", "/a/b"], Reset("/a/b")),
        (["invalidate", "/a/b"], Upload("/a/b")),
        (["cache", "entries", "500"], Setting("cache_entries", 500)),
        (["cache", "mem", "64"], Setting("cache_memory", 64 << 20)),
        (["cache", "size", "64"], Setting("cache_memory", 64 << 20)),
        (["cache", "disk", "64"], Setting("cache_disk", 64 << 20)),
        (["buffer", "size", "512"], Setting("buffer_size", 512 << 10)),
        (["buffer", "prefetch", "4"], Setting("buffer_prefetch", 4)),
        (["prefetch", "on"], Setting("prefetch", 1)),
        (["prefetch", "off"], Setting("prefetch", 0)),
        (["multipart", "size", "10240"], Setting("multipart_size", 10 << 20)),
        (["multipart", "num", "2"], Setting("multipart_num", 2)),
        (["multipart", "retries", "3"], Setting("multipart_retries", 3)),
        (["url", "s3://other/a/b/"], Switch("other", "a/b")),
    ],
)
def test_what_is_told_is_heard(
    sqs_cluster: Cluster, words: list[str], event: Event, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = sqs_cluster.topic()
    mount = sqs_cluster.mount(sqs_cluster.node(), topic)
    assert ctl(sqs_cluster, topic, *words) == 0
    mount.wait_for_event(event)
    assert capsys.readouterr().out.startswith(
        f"told {topic}: {words[0]}" if words[0] != "invalidate" else "told"
    )


def test_a_topic_that_does_not_exist(
    sqs_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = sqs_cluster.topic() + "-elsewhere"
    for words in (["ping"], ["reset"]):
        assert ctl(sqs_cluster, topic, *words) == 1
        said = capsys.readouterr().err
        assert said.startswith("yas3fsctl: cannot ")
        assert len(said.splitlines()) == 1
    assert queues(sqs_cluster) == []


# -- cleanup ---------------------------------------------------------------------------------

UUID = "-11111111-2222-3333-4444-555555555555"


def leave_queue(cluster: Cluster, topic: str, name: str, age: float = 7200.0) -> str:
    """The queue and the subscription of a node that died; the queue's ARN."""
    clock = ManualClock(time.time() - age)
    client = cluster.clients.sqs(REGION)
    queue = Queue(client, QueueOptions(REGION, hint="yas3fs"), name + UUID, clock)
    queue.open()
    queue.allow([topic])
    cluster.clients.sns(REGION).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    return queue.arn


def cleanup(
    cluster: Cluster, topic: str, capsys: pytest.CaptureFixture[str], *words: str
) -> dict[str, str]:
    """State by name, of queues and subscriptions."""
    assert ctl(cluster, topic, "cleanup", "--wait", "2.5", "--json", *words) == 0
    return {row["name"]: row["state"] for row in json.loads(capsys.readouterr().out)}


def names(cluster: Cluster) -> set[str]:
    found = cluster.clients.sqs(REGION).list_queues().get("QueueUrls", [])
    return {url.rpartition("/")[2] for url in found}


def test_cleanup_deletes_what_dead_nodes_left_and_nothing_else(
    sqs_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    topic, elsewhere = sqs_cluster.topic(), sqs_cluster.topic()
    transport = sqs_cluster.transport()
    sqs_cluster.mount(sqs_cluster.node(transport), topic)
    living = transport.endpoint.rpartition(":")[2]
    dead = leave_queue(sqs_cluster, topic, "dead").rpartition(":")[2]
    young = leave_queue(sqs_cluster, topic, "young", age=100.0).rpartition(":")[2]
    foreign = leave_queue(sqs_cluster, elsewhere, "foreign").rpartition(":")[2]
    kept = f"named{UUID}"
    Queue(
        sqs_cluster.clients.sqs(REGION),
        QueueOptions(REGION, name=kept),
        "dead-too",
        ManualClock(time.time() - 7200),
    ).open()
    strange = f"somebodys{UUID}"
    sqs_cluster.clients.sqs(REGION).create_queue(QueueName=strange)
    before = names(sqs_cluster)

    found = cleanup(sqs_cluster, topic, capsys, "--age", "0")
    assert found == {dead: "orphan", young: "orphan", living: "is read"}
    assert names(sqs_cluster) == before  # it only looked

    found = cleanup(sqs_cluster, topic, capsys, "--yes")
    assert found == {dead: "deleted", young: "young", living: "young"}
    assert names(sqs_cluster) == before - {dead}
    assert {one["Endpoint"].rpartition(":")[2] for one in sqs_cluster.subscriptions(topic)} == {
        living,
        young,
    }
    assert cleanup(sqs_cluster, topic, capsys, "--age", "0", "--yes")[living] == "is read"
    assert {living, foreign, strange, kept} <= names(sqs_cluster)
    assert young not in names(sqs_cluster)


def test_cleanup_leaves_the_queue_of_whoever_answers_alone(
    sqs_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even if nobody seems to read it."""
    topic = sqs_cluster.topic()
    arn = leave_queue(sqs_cluster, topic, "slow")
    mount = sqs_cluster.mount(sqs_cluster.node(), topic)

    def answer(event: Event) -> None:
        if isinstance(event, Ping):
            mount.publisher.publish(Status("slow", 0, 0, 0, 0, 0, 0, {"endpoint": arn}))

    object.__setattr__(mount.subscription, "callback", answer)
    name = arn.rpartition(":")[2]
    assert cleanup(sqs_cluster, topic, capsys, "--yes")[name] == "its node answers"
    assert name in names(sqs_cluster)


def test_subscriptions_to_queues_that_are_gone(sqs_cluster: Cluster) -> None:
    """Without the command: moto cannot publish to a topic that has one, as Amazon can."""
    topic = sqs_cluster.topic()
    arn = leave_queue(sqs_cluster, topic, "gone")
    name = arn.rpartition(":")[2]
    sqs, sns = sqs_cluster.clients.sqs(REGION), sqs_cluster.clients.sns(REGION)
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"])
    kept = arn.rpartition(":")[0] + ":named-by-somebody"
    for endpoint in (kept, "arn:aws:sqs:eu-west-1:123456789012:yas3fs-far" + UUID):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint)
    orphans = Orphans(sqs_cluster.clients, topic, REGION, "me")
    (found,) = orphans.survey((), 3600, 1.0)
    assert (found.kind, found.name, found.verdict) == ("subscription", name, ORPHAN)
    orphans.remove(found)
    assert arn not in [one["Endpoint"] for one in sqs_cluster.subscriptions(topic)]
    assert len(sqs_cluster.subscriptions(topic)) == 2
    assert orphans.survey((), 3600, 1.0) == []
    orphans.remove(found)  # somebody else was faster


def test_cleanup_in_words(sqs_cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    topic = sqs_cluster.topic()
    leave_queue(sqs_cluster, topic, "words")
    assert ctl(sqs_cluster, topic, "cleanup", "--wait", "2.5") == 0
    said = capsys.readouterr()
    heading, *rows = said.out.splitlines()
    assert heading.split() == ["KIND", "NAME", "NODE", "AGE", "STATE"]
    assert any(row.startswith("queue") and row.endswith("orphan") for row in rows)
    assert "give --yes" in said.err


def test_uploads_that_nobody_completed(
    sqs_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = sqs_cluster.server.endpoint
    s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    s3.create_bucket(Bucket="uploads")
    for key in ("data/left", "data/deep/left", "database"):
        s3.create_multipart_upload(Bucket="uploads", Key=key)

    def run(*words: str) -> dict[str, str]:
        where = ["--uploads", "s3://uploads/data", "--s3-endpoint", endpoint, "--json"]
        assert main(["cleanup", *where, *words]) == 0
        return {one["name"]: one["state"] for one in json.loads(capsys.readouterr().out)}

    # moto has begun all of them in 2010
    assert run("--age", "9999999999", "--yes") == dict.fromkeys(
        ("data/left", "data/deep/left"), "is young"
    )
    assert set(run("--age", "0").values()) == {ORPHAN}
    assert set(run("--age", "0", "--yes").values()) == {"deleted"}
    assert run("--age", "0") == {}
    (left,) = s3.list_multipart_uploads(Bucket="uploads")["Uploads"]
    assert left["Key"] == "database"
    wrong = ["--uploads", "s3://nosuchbucket", "--s3-endpoint", endpoint]
    assert main(["cleanup", *wrong]) == 1
    assert "nosuchbucket" in capsys.readouterr().err
    assert main(["cleanup", "--uploads", "bucket"]) == 2
    assert "s3://BUCKET/PATH" in capsys.readouterr().err
