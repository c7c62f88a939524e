"""News that comes late, twice, in any order, by the thousand; services that fail; wrong clocks."""

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.nodes import Cluster, Node, aws
from tests.cluster.service_gate import ServiceGate
from tests.cluster.test_workload import work
from tests.doubles import servers
from tests.mount.program import eventually

pytestmark = pytest.mark.mount

TREE = "answer = tree()"


class Post:
    """Takes away what the topic delivers to a node, and delivers it as it likes."""

    def __init__(self, cluster: Cluster, node_name: str) -> None:
        self._sqs, sns = aws(cluster.notify, "sqs"), aws(cluster.notify, "sns")
        (self._to,) = [url for url in cluster.queues() if node_name in url]
        self._from = self._sqs.create_queue(QueueName=f"post-{cluster.bucket}")["QueueUrl"]
        for one in sns.list_subscriptions_by_topic(TopicArn=cluster.topic)["Subscriptions"]:
            if one["Endpoint"].endswith(self._to.rpartition("/")[2]):
                sns.unsubscribe(SubscriptionArn=one["SubscriptionArn"])
        named = self._sqs.get_queue_attributes(QueueUrl=self._from, AttributeNames=["QueueArn"])
        arn = named["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=cluster.topic, Protocol="sqs", Endpoint=arn)
        self._draw = random.Random(5)
        self._bag: list[str] = []
        self._stopped = threading.Event()
        self.lose = False
        """Whether everything is lost."""
        self.delivered = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.is_set():
            found = self._sqs.receive_message(
                QueueUrl=self._from, MaxNumberOfMessages=10, WaitTimeSeconds=0
            ).get("Messages", [])
            for message in found:
                self._sqs.delete_message(
                    QueueUrl=self._from, ReceiptHandle=message["ReceiptHandle"]
                )
                if not self.lose:
                    self._bag += [message["Body"]] * self._draw.randrange(1, 4)
            self._draw.shuffle(self._bag)
            if self._bag and self._draw.random() < 0.5:
                self._deliver(self._draw.randrange(1, 8))
            elif not found:
                self._stopped.wait(0.05)
        while self._bag:
            self._deliver(10)

    def _deliver(self, count: int) -> None:
        taken, self._bag = self._bag[:count], self._bag[count:]
        send(self._sqs, self._to, taken)
        self.delivered += len(taken)

    def close(self) -> None:
        """Deliver what is left."""
        self._stopped.set()
        self._thread.join(60)


def send(sqs: Any, url: str, bodies: list[str]) -> None:
    entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
    if entries:
        sqs.send_message_batch(QueueUrl=url, Entries=entries)


def test_twice_late_and_in_any_order(cluster: Cluster) -> None:
    one, other = cluster.start(2)
    post = Post(cluster, "node2")
    failures: list[str] = []
    for number, node in enumerate((one, other)):  # some names are used by both
        node.do("os.listdir(at(''))")
        work(node, number, 7, failures, 40)
    assert not failures
    other.sees(TREE, one.do(TREE))
    post.close()
    assert post.delivered > 40
    wanted = one.do(TREE)
    other.sees(TREE, wanted)
    assert other.do(TREE) == one.do(TREE) == wanted


def test_news_that_is_lost(cluster: Cluster) -> None:
    """The heartbeats are lost with it: the node notices, and looks for itself."""
    one, other = cluster.start(2, "--listener-timeout", 3)
    one.do("write('f', 'old')")
    other.sees("answer = exists('f') and read('f')", "old")
    post = Post(cluster, "node2")
    post.lose = True
    one.do("write('f', 'new'); write('g', 'x')")
    other.sees("answer = [read('f'), exists('g')]", ["new", True])
    eventually(lambda: "not heard for more than" in other.log.read_text(), 60.0, "the notice")
    post.lose = False
    other.wait_coherent()
    one.do("write('f', 'newer')")
    other.sees("answer = read('f')", "newer")
    post.close()


def test_ten_thousand_events(cluster: Cluster) -> None:
    """They are all taken from the queue, nothing that is right is lost, and files are served."""
    (node,) = cluster.start(1)
    node.do("os.makedirs(at('d')); write('f', 'old'); write('d/g', 'g'); tree()")
    (url,) = cluster.queues()
    sqs = aws(cluster.notify, "sqs")
    names = ["/f", "/d", "/d/g", "/none", "/d/none/below"]
    verbs = ["mkdir", "rmdir", "mknod", "unlink", "symlink", "reset"]
    draw = random.Random(9)

    def body(number: int) -> str:
        verb, name = draw.choice([*verbs, "upload", "rename", "md"]), draw.choice(names)
        rest = {"upload": [name, "0" * 32], "rename": [name, draw.choice(names)],
                "md": [name, "attr"]}  # fmt: skip
        said = json.dumps(["storm", verb, *rest.get(verb, [name])])
        envelope = {"Type": "Notification", "MessageId": str(number), "TopicArn": cluster.topic,
                    "Message": said, "Timestamp": "2026-01-01T00:00:00Z"}  # fmt: skip
        return json.dumps(envelope)

    bodies = [body(number) for number in range(10_000)]
    memory = node.status("VmRSS:")
    for start in range(0, len(bodies), 10):
        send(sqs, url, bodies[start : start + 10])
        if start % 2000 == 0:
            assert node.do("answer = [read('f'), sorted(tree('d'))]") == ["old", ["g"]]
    cluster.put("f", b"new")
    cluster.say("storm", "upload", "/f", None)
    node.sees("answer = read('f')", "new")
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

    def left() -> int:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
        return sum(int(number) for number in found.values())

    eventually(lambda: left() == 0, 120.0, "an empty queue")
    assert node.do(TREE) == {"d": {"g": [0o644, "g"]}, "f": [0o644, "new"]}
    assert node.mode() == "coherent"
    assert node.status("VmRSS:") < memory + 100 * 1024


@pytest.fixture
def gate(sns_server: servers.Server) -> Iterator[ServiceGate]:
    with ServiceGate(sns_server.host, sns_server.port) as gate:
        yield gate


def two_behind(cluster: Cluster, gate: ServiceGate) -> tuple[Node, Node]:
    """One whose services go through the gate, and one whose do not."""
    far = cluster.begin("--listener-timeout", 3, notify=gate.endpoint)
    near = cluster.begin("--listener-timeout", 3)
    for node in (far, near):
        node.wait_ready(60)
        node.wait_coherent()
    near.do("write('f', 'old'); write('g', 'old'); os.mkdir(at('d'))")
    far.sees(TREE, near.do(TREE))
    return far, near


def test_sns_is_down(cluster: Cluster, gate: ServiceGate) -> None:
    """Who cannot speak hears all the same; what it did is told when that works again."""
    far, near = two_behind(cluster, gate)
    gate.shut("sns")
    near.do("write('f', 'by near')")
    far.sees("answer = read('f')", "by near")
    near.do("answer = read('g')")
    far.do("write('g', 'by far'); os.rmdir(at('d'))")
    eventually(lambda: far.logged("cannot publish"), 60.0, "the notice")
    assert near.do("answer = [read('g'), exists('d')]") == ["old", True]  # nobody could tell it
    gate.reopen()
    near.sees("answer = [read('g'), exists('d')]", ["by far", False])
    eventually(lambda: far.logged("publishing works again"), 60.0, "the notice")


def test_sqs_is_down(cluster: Cluster, gate: ServiceGate) -> None:
    """Who cannot hear speaks all the same, and looks for itself."""
    far, near = two_behind(cluster, gate)
    gate.shut("sqs")
    far.do("write('g', 'by far')")
    near.sees("answer = read('g')", "by far")
    eventually(lambda: far.mode() == "degraded", 60.0, "degraded mode")
    near.do("write('f', 'by near')")
    far.sees("answer = read('f')", "by near")
    gate.reopen()
    far.wait_coherent()
    near.do("write('f', 'by near again')")
    far.sees("answer = read('f')", "by near again")
    eventually(lambda: far.logged("works again"), 60.0, "the notice")


WRONG_CLOCK = """
import time
shift = {shift}
wall, wall_ns = time.time, time.time_ns
time.time = lambda: wall() + shift
time.time_ns = lambda: wall_ns() + shift * 10**9
"""


@pytest.mark.parametrize(("transport", "shifts"), [("sqs", (-3600, 3600)), ("http", (600, 1800))])
def test_clocks_that_are_wrong(
    cluster: Cluster, tmp_path: Path, transport: str, shifts: tuple[int, int]
) -> None:
    """What is believed does not hang on them.

    Over HTTP none is behind: moto's certificate is made when it starts, and not valid before.
    """
    nodes = []
    for shift in shifts:
        folder = tmp_path / str(shift)
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(WRONG_CLOCK.format(shift=shift))
        nodes.append(cluster.begin(transport=transport, python_path=folder))
    nodes.append(cluster.begin(transport=transport))
    for node in nodes:
        node.wait_ready(60)
        node.wait_coherent()
    change = "write('f', args[0]); os.mkdir(at(args[0])); os.chmod(at('f'), 0o600)"
    look = """
answer = 0
if exists('f'):
    answer = [read('f'), exists(args[0]), stat.S_IMODE(os.stat(at('f')).st_mode)]
"""
    for number, writer in enumerate(nodes):
        writer.do(change, str(number))
        for node in nodes:
            node.sees(look, [str(number), True, 0o600], str(number))
    writer = nodes[0]
    writer.do("os.chmod(at('f'), 0o644); write('f', 'last')")
    for node in nodes:
        node.sees("answer = [read('f'), stat.S_IMODE(os.stat(at('f')).st_mode)]", ["last", 0o644])
        assert node.mode() == "coherent"
        assert "not heard" not in node.log.read_text()
