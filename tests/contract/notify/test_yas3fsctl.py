"""The cluster's commands against SNS and SQS."""

import json
from typing import Any

import pytest

from tests.contract.notify.conftest import REGION, Cluster, Mount
from tests.doubles import servers
from yas3fs.cli.yas3fsctl import main
from yas3fs.events import Event, Ping, Reset, Setting, Status, Switch, Upload


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET)


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
