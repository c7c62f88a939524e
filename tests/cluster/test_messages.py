"""Messages of other releases, of S3 itself, and what is no message, on real mounts."""

import itertools
import json
from collections.abc import Iterator
from urllib.parse import quote_plus

import pytest

from tests.cluster.conftest import a_cluster
from tests.cluster.nodes import Cluster, Node, aws
from tests.doubles import servers
from tests.mount.program import eventually

pytestmark = pytest.mark.mount


@pytest.fixture(scope="module")
def shared(sns_server: servers.Server) -> Iterator[tuple[Cluster, Node]]:
    with a_cluster(sns_server) as cluster:
        yield cluster, cluster.start(1)[0]


def known(cluster: Cluster, node: Node, name: str, body: bytes = b"old content") -> None:
    """An object that the node has read, in a directory that it has listed; no news is under way."""
    barrier = f"barrier-{name}"
    node.do("os.listdir(at('')); answer = exists(args[0])", barrier)  # from here on it is absent
    cluster.put(name, body)
    cluster.put(barrier, b"")
    cluster.say("other", "reset", "/")
    node.sees("answer = exists(args[0])", True, barrier)  # the reset has been applied
    node.sees("answer = read(args[0])", body.decode(), name)
    node.do("os.listdir(at('')); answer = read(args[0])", name)


@pytest.mark.parametrize(
    "message",
    [
        ["old", "flush", "/NAME", "0" * 32],
        ["old", "flush", "/NAME"],
        ["old", "upload", "/NAME", None],
        ["old", "upload", "/NAME", "0" * 32],
        ["old", "upload"],
        ["old", "mknod", "/NAME"],
        ["old", "rename", "/elsewhere", "/NAME"],
        ["old", "reset"],
        ["old", "reset", "/"],
        ["old", "reset", "/NAME"],
    ],
)
def test_news_of_other_releases(
    shared: tuple[Cluster, Node], message: list[object], request: pytest.FixtureRequest
) -> None:
    cluster, node = shared
    name = f"m{abs(hash(request.node.nodeid))}"
    known(cluster, node, name)
    cluster.put(name, b"new")
    assert node.do("answer = read(args[0])", name) == "old content"  # nobody has told it yet
    cluster.say(
        *(part.replace("NAME", name) if isinstance(part, str) else part for part in message)
    )
    node.sees("answer = read(args[0])", "new", name)


@pytest.mark.parametrize("order", [("/NAME", "attr"), ("attr", "/NAME"), ("/NAME", "xattr")])
def test_news_of_attributes(
    shared: tuple[Cluster, Node], order: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    cluster, node = shared
    name = f"m{abs(hash(request.node.nodeid))}"
    known(cluster, node, name)
    aws(cluster.s3, "s3").put_object(
        Bucket=cluster.bucket,
        Key=f"data/{name}",
        Body=b"old content",
        Metadata={"attr": json.dumps({"st_mode": 0o100600, "st_uid": 1, "st_gid": 2})},
    )
    cluster.say("old", "md", *(part.replace("NAME", name) for part in order))
    node.sees("answer = stat.S_IMODE(os.stat(at(args[0])).st_mode)", 0o600, name)
    assert node.do("answer = read(args[0])", name) == "old content"


@pytest.mark.parametrize("enveloped", ["s3:", ""])
def test_s3s_own_word(shared: tuple[Cluster, Node], enveloped: str) -> None:
    """In directories that only keys make, with names that are encoded."""
    cluster, node = shared
    folder = f"imp {enveloped}é"
    name = f"{folder}/a+b/c d"
    node.do("os.listdir(at(''))")
    assert not node.do("answer = exists(args[0])", folder)

    numbers = itertools.count(1)

    def record(event: str, key: str) -> str:
        sequencer = f"00AA{next(numbers):06X}"
        thing = {"key": quote_plus(f"data/{key}", safe="/"), "sequencer": sequencer}
        inner = {"bucket": {"name": cluster.bucket}, "object": thing}
        one = {"eventSource": "aws:s3", "eventName": f"{enveloped}{event}", "s3": inner}
        return json.dumps({"Records": [one]})

    cluster.put(name, b"new")
    cluster.publish(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}))
    cluster.publish(record("ObjectCreated:Put", name))
    node.sees("answer = read(args[0]) if exists(args[0]) else ''", "new", name)
    cluster.put(name, b"newer")
    cluster.publish(record("ObjectCreated:CompleteMultipartUpload", name))
    node.sees("answer = read(args[0])", "newer", name)
    aws(cluster.s3, "s3").delete_object(Bucket=cluster.bucket, Key=f"data/{name}")
    cluster.publish(record("ObjectRemoved:Delete", name))
    node.sees("answer = exists(args[0])", False, folder)
    assert folder not in node.do("answer = os.listdir(at(''))")


def test_what_is_no_message_does_nothing_and_later_ones_act(shared: tuple[Cluster, Node]) -> None:
    cluster, node = shared
    cluster.put("marks/", b"")  # in a directory of its own: listing it tells nothing of the other
    known(cluster, node, "fuzzed")
    cluster.put("fuzzed", b"new")
    for text in (
        "hello", "{}", "[]", "null", "[1,2,3]", '["x"]', '["x","reset","../.."]', "[" * 5000,
        '["x","cache","size",-5]', '["x","cache","entries",1e400]', '["x","url","s3://../.."]',
        '["x","upload","/fuzzed/../..",""]', '["x","rename","/fuzzed"]', '["x","dance","/fuzzed"]',
        '{"Records":[{"eventSource":"aws:s3"}]}', '["","flush","/fuzzed"]', '["x","mkdir",null]',
    ):  # fmt: skip
        cluster.publish(text)
    cluster.put("marks/it", b"here")
    cluster.say("old", "mknod", "/marks/it")
    node.sees("answer = exists('marks/it')", True)
    assert node.do("answer = read('fuzzed')") == "old content"
    assert node.process.poll() is None
    cluster.say("old", "flush", "/fuzzed", "0" * 32)
    node.sees("answer = read('fuzzed')", "new")


def test_ping_is_answered_by_status(shared: tuple[Cluster, Node]) -> None:
    """Nine elements that 2.x knows, and one more with what it does not."""
    cluster, node = shared
    sqs, sns = aws(cluster.notify, "sqs"), aws(cluster.notify, "sns")
    queue = sqs.create_queue(QueueName=f"ear-{cluster.bucket}")["QueueUrl"]
    named = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = named["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=cluster.topic, Protocol="sqs", Endpoint=arn)
    cluster.say("old", "ping")

    def answer() -> list[object]:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in found.get("Messages", []):
            said = json.loads(json.loads(message["Body"])["Message"])
            if said[1] == "status":
                return list(said)
        return []

    said = eventually(answer, 60.0, "the answer")
    assert str(said[0]).startswith("node1-")
    assert said[2] == "node1"
    assert all(isinstance(number, int) and number >= 0 for number in said[3:9])
    assert said[9]["mode"] == "coherent"
    assert said[9]["mount"] == str(node.mountpoint)


def test_settings_are_obeyed_as_far_as_they_are_allowed(cluster: Cluster) -> None:
    free, deaf = cluster.begin(), cluster.begin("--remote-control", "none")
    for node in (free, deaf):
        node.wait_ready(60)
        node.wait_coherent()
    cluster.say("admin", "cache", "entries", 5000)
    cluster.say("admin", "cache", "mem", 7)
    eventually(lambda: free.logged("cache_memory is 7340032"), 60.0, "the new size")
    assert free.logged("cache_entries is 5000")
    eventually(lambda: deaf.logged("is not obeyed"), 60.0, "the refusal")
    assert not deaf.logged("cache_memory is")
    deaf.do("write('f', 'x')")  # and news is heard all the same
    free.sees("answer = exists('f')", True)
