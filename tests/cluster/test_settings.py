"""Every setting that an administrator changes, on a node that runs; and what it answers then."""

from collections.abc import Callable, Iterator

import pytest

from tests.cluster.conftest import a_cluster
from tests.cluster.nodes import Cluster, Node, aws
from tests.doubles import servers
from tests.mount.program import eventually
from yas3fs.cli.yas3fsctl import main
from yas3fs.events import Status
from yas3fs.notify.aws import AwsAccess, Clients
from yas3fs.notify.visitor import Visitor

pytestmark = pytest.mark.mount

MIB = 1 << 20


@pytest.fixture(scope="module")
def shared(sns_server: servers.Server) -> Iterator[tuple[Cluster, Node]]:
    with a_cluster(sns_server) as cluster:
        yield cluster, cluster.start(1)[0]


@pytest.fixture
def ctl(shared: tuple[Cluster, Node], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs yas3fsctl on the topic."""
    cluster = shared[0]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", servers.KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", servers.SECRET)
    monkeypatch.setenv("YAS3FS_TOPIC", cluster.topic)
    monkeypatch.setenv("YAS3FS_NOTIFY_ENDPOINT", cluster.notify)

    def run(*words: object) -> None:
        assert main([str(word) for word in words]) == 0

    return run


def status(cluster: Cluster) -> Status:
    """What the one node answers."""
    access = AwsAccess(endpoint=cluster.notify, key_id=servers.KEY_ID, secret=servers.SECRET)
    found = Visitor(Clients(access), cluster.topic).ping(1.5)
    assert len(found) == 1
    return found[0].status


def wait_for(node: Node, words: str) -> None:
    eventually(lambda: node.logged(words), 60.0, words)


def test_the_bounds_of_the_caches(shared: tuple[Cluster, Node], ctl: Callable[..., None]) -> None:
    cluster, node = shared
    node.do(
        "os.mkdir(at('many'))\nfor n in range(30): write(f'many/{n}', 'x' * 200_000)\ntree('many')"
    )
    before = status(cluster)
    assert before.entries >= 30
    assert before.memory >= 5_000_000
    ctl("cache", "entries", 12)
    ctl("cache", "mem", 1)
    wait_for(node, "cache_memory is 1048576 now")
    after = status(cluster)
    assert after.entries <= 12
    assert after.memory <= MIB
    assert (after.details["cache_entries"], after.details["cache_memory"]) == (12, MIB)
    assert node.do("answer = sorted(os.listdir(at('many')), key=int)") == [
        str(number) for number in range(30)
    ]
    assert node.do("answer = read('many/7')") == "x" * 200_000
    ctl("cache", "entries", 100_000)
    ctl("cache", "mem", 64)
    wait_for(node, "cache_memory is 67108864 now")


def test_downloads(shared: tuple[Cluster, Node], ctl: Callable[..., None]) -> None:
    cluster, node = shared
    ctl("buffer", "size", 512)
    ctl("buffer", "prefetch", 2)
    wait_for(node, "buffer_prefetch is 2 now")
    details = status(cluster).details
    assert (details["buffer_size"], details["read_ahead"]) == (512 << 10, MIB)
    cluster.put("big", bytes(3 * MIB))
    ctl("reset")
    node.sees("answer = len(read('big')) if exists('big') else 0", 3 * MIB)


def test_files_are_fetched_as_soon_as_they_are_seen(
    shared: tuple[Cluster, Node], ctl: Callable[..., None]
) -> None:
    cluster, node = shared
    node.do("os.mkdir(at('early')); os.mkdir(at('late'))")
    for folder in ("early", "late"):
        for number in range(4):
            cluster.put(f"{folder}/{number}", bytes(MIB))
    ctl("prefetch", "on")
    wait_for(node, "prefetch is 1 now")
    ctl("reset", "/early")
    used = status(cluster).memory
    node.sees("answer = len(os.listdir(at('early')))", 4)
    eventually(lambda: status(cluster).memory >= used + 4 * MIB, 60.0, "the content")
    ctl("prefetch", "off")
    wait_for(node, "prefetch is 0 now")
    assert status(cluster).details["prefetch"] is False
    ctl("reset", "/late")
    used = status(cluster).memory
    node.sees("answer = len(os.listdir(at('late')))", 4)
    assert status(cluster).memory == used


def test_the_parts_of_uploads(shared: tuple[Cluster, Node], ctl: Callable[..., None]) -> None:
    cluster, node = shared

    def parts(name: str) -> str:
        node.do("write(args[0], 'x' * 21_000_000)", name)
        found = aws(cluster.s3, "s3").head_object(Bucket=cluster.bucket, Key=f"data/{name}")
        return str(found["ETag"]).strip('"').partition("-")[2]

    assert parts("before") == "3"
    ctl("multipart", "size", 5 << 10)
    ctl("multipart", "num", 1)
    wait_for(node, "multipart_num is 1 now")
    assert parts("after") == "5"
    details = status(cluster).details
    assert (details["multipart_size"], details["multipart_num"]) == (5 * MIB, 1)


def test_what_means_nothing_here(shared: tuple[Cluster, Node], ctl: Callable[..., None]) -> None:
    cluster, node = shared
    before = status(cluster).details.get("control_inapplicable", 0)
    ctl("cache", "disk", 100)
    ctl("multipart", "retries", 3)
    wait_for(node, "multipart_retries does not apply here")
    wait_for(node, "cache_disk does not apply here")
    assert status(cluster).details["control_inapplicable"] == int(str(before)) + 2
