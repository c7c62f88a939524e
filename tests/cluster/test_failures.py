"""The topic does not answer: at the start, later, for one node; and nodes that come and go."""

from collections.abc import Iterator

import pytest

from tests.cluster.gate import Gate
from tests.cluster.nodes import Cluster, Node, aws
from tests.doubles import servers
from tests.mount.program import eventually, is_mounted

pytestmark = pytest.mark.mount


@pytest.fixture
def gate(sns_server: servers.Server) -> Iterator[Gate]:
    with Gate(sns_server.host, sns_server.port) as gate:
        yield gate


@pytest.mark.parametrize("how", ["stopped", "unmounted"])
@pytest.mark.parametrize("transport", ["sqs", "http"])
def test_a_node_that_ends_leaves_nothing(cluster: Cluster, transport: str, how: str) -> None:
    one, other = cluster.start(2, transport=transport)
    assert len(cluster.subscriptions()) == 2
    assert len(cluster.queues()) == (2 if transport == "sqs" else 0)
    one.do("write('f', 'last words')")
    other.sees("answer = exists('f')", True)
    if how == "stopped":
        assert one.terminate() == 0
    else:
        one.do("os.chdir('/')")
        assert one.unmount()
        assert one.wait_exit(60) == 0
    assert len(cluster.subscriptions()) == 1
    assert len(cluster.queues()) == (1 if transport == "sqs" else 0)
    other.do("write('f', 'goes on')")
    (third,) = cluster.start(1, transport=transport)
    assert third.do("answer = read('f')") == "goes on"
    third.do("write('f', 'hears as well')")
    other.sees("answer = read('f')", "hears as well")


def test_the_last_change_before_the_end_is_told(cluster: Cluster) -> None:
    one, other = cluster.start(2)
    other.do("os.listdir(at(''))")
    one.do("write('last', 'x')")
    assert one.terminate() == 0
    other.sees("answer = os.listdir(at(''))", ["last"])


@pytest.mark.parametrize("transport", ["sqs", "http"])
def test_an_unreachable_topic_is_refused_with_one_line(
    cluster: Cluster, gate: Gate, transport: str
) -> None:
    gate.shut()
    node = cluster.begin(transport=transport, notify=gate.endpoint)
    assert node.wait_exit(60) not in (0, None)
    assert not is_mounted(node.mountpoint)
    said = [
        line for line in node.log.read_text().splitlines() if "ERROR" in line or "yas3fs: " in line
    ]
    assert len(said) == 1, node.log.read_text()
    assert "Traceback" not in node.log.read_text()


def test_a_topic_that_does_not_exist(cluster: Cluster) -> None:
    cluster.topic += "-elsewhere"
    node = cluster.begin()
    assert node.wait_exit(60) not in (0, None)
    assert not is_mounted(node.mountpoint)
    assert cluster.queues() == []
    assert "Traceback" not in node.log.read_text()


def test_a_topic_that_is_silent_for_one_node(cluster: Cluster, gate: Gate) -> None:
    """It looks for itself meanwhile, tells what it did afterwards, and misses nothing."""
    far = cluster.begin("--listener-timeout", 3, notify=gate.endpoint)
    near = cluster.begin("--listener-timeout", 3)
    for node in (far, near):
        node.wait_ready(60)
        node.wait_coherent()
    near.do("write('f', 'old'); write('g', 'old'); os.mkdir(at('d'))")
    far.sees("answer = tree()", near.do("answer = tree()"))
    gate.shut()
    eventually(lambda: far.mode() == "degraded", 60.0, "degraded mode")
    near.do("write('f', 'new'); os.rmdir(at('d')); write('h', 'h')")
    far.sees("answer = [read('f'), exists('d'), exists('h')]", ["new", False, True])
    near.do("read('g')")
    far.do("write('g', 'by far')")
    near.do("answer = read('g')")  # nobody could tell it
    gate.reopen()
    far.wait_coherent()
    near.sees("answer = read('g')", "by far")
    near.do("write('f', 'newest')")
    far.sees("answer = read('f')", "newest")


def test_a_queue_that_somebody_deletes(cluster: Cluster) -> None:
    """Another is made; what was lost with it is looked at anew."""
    one, other = cluster.start(2, "--listener-timeout", 3)
    one.do("write('f', 'old')")
    other.sees("answer = exists('f') and read('f')", "old")
    mine = [url for url in cluster.queues() if "node2" in url]
    aws(cluster.notify, "sqs").delete_queue(QueueUrl=mine[0])
    one.do("write('f', 'new')")
    other.sees("answer = read('f')", "new")
    other.sees("answer = read('f')", "new")
    one.do("write('f', 'newest')")
    other.sees("answer = read('f')", "newest")


def test_a_node_that_is_killed_does_not_hold_up_the_others(cluster: Cluster) -> None:
    nodes: list[Node] = cluster.start(3)
    nodes[0].kill()
    nodes[1].do("write('f', 'x')")
    nodes[2].sees("answer = exists('f')", True)
