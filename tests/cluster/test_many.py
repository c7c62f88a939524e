"""Four and sixteen nodes: every action of every node is seen by all, with everything cached."""

import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.cluster.conftest import a_cluster
from tests.cluster.nodes import Cluster, Node
from tests.cluster.test_workload import bucket_tree, contents, work
from tests.doubles import servers
from tests.mount.program import eventually

pytestmark = pytest.mark.mount

FILE = "answer = [read(args[0] + '/f'), os.stat(at(args[0] + '/f')).st_size]"
NAMES = "answer = sorted(os.listdir(at(args[0])))"
MODE = "answer = stat.S_IMODE(os.stat(at(args[0] + '/f')).st_mode)"
ACTIONS: Sequence[tuple[str, str, object]] = (
    ("write(args[0] + '/f', 'new')", FILE, ["new", 3]),
    ("write(args[0] + '/f', 'content')", FILE, ["content", 7]),
    ("write(args[0] + '/f', '+more', 'ab')", FILE, ["content+more", 12]),
    ("write(args[0] + '/f', 'CON', 'r+b')", FILE, ["CONtent+more", 12]),
    ("os.truncate(at(args[0] + '/f'), 3)", FILE, ["CON", 3]),
    (
        "write(args[0] + '/~', 'renamed'); os.replace(at(args[0] + '/~'), at(args[0] + '/f'))",
        FILE,
        ["renamed", 7],
    ),
    ("os.chmod(at(args[0] + '/f'), 0o640)", MODE, 0o640),
    (
        "os.utime(at(args[0] + '/f'), (5, 6))",
        "answer = os.stat(at(args[0] + '/f')).st_mtime",
        6.0,
    ),
    (
        "os.setxattr(at(args[0] + '/f'), 'user.a', b'x')",
        "answer = os.listxattr(at(args[0] + '/f'))",
        ["user.a"],
    ),
    ("os.mkdir(at(args[0] + '/d'))", NAMES, ["d", "f"]),
    ("os.chmod(at(args[0]), 0o750)", "answer = stat.S_IMODE(os.stat(at(args[0])).st_mode)", 0o750),
    (
        "write(args[0] + '/d/deep', 'x'); os.rename(at(args[0] + '/d'), at(args[0] + '/e'))",
        "answer = tree(args[0] + '/e') if exists(args[0] + '/e') else 0",
        {"deep": [0o644, "x"]},
    ),
    (
        "os.symlink('e/deep', at(args[0] + '/l'))",
        "answer = read(args[0] + '/l') if exists(args[0] + '/l') else ''",
        "x",
    ),
    ("os.rename(at(args[0] + '/f'), at(args[0] + '/g'))", NAMES, ["e", "g", "l"]),
    ("os.unlink(at(args[0] + '/g')); os.unlink(at(args[0] + '/l'))", NAMES, ["e"]),
    ("shutil.rmtree(at(args[0] + '/e'))", NAMES, []),
)
"""What one node does in a directory, and what all see then."""


def act(nodes: Sequence[Node], actor: Node, folder: str, step: tuple[str, str, object]) -> None:
    """All have looked before; one acts; all see it, and nothing old afterwards."""
    code, look, wanted = step
    for node in nodes:
        node.do(look, folder)  # so that there is something old to be shown
    actor.do(code, folder)
    for node in nodes:
        node.sees(look, wanted, folder)
        assert node.do(look, folder) == wanted


def make_folder(nodes: Sequence[Node], name: str) -> None:
    nodes[0].do("os.mkdir(at(args[0]))", name)
    for node in nodes:
        node.sees("answer = exists(args[0])", True, name)


@pytest.fixture(scope="module", params=["sqs", "http"])
def four(request: pytest.FixtureRequest, sns_server: servers.Server) -> Iterator[list[Node]]:
    with a_cluster(sns_server) as cluster:
        yield cluster.start(4, transport=request.param)


@pytest.mark.parametrize("number", range(4))
def test_every_action_of_each_of_four(four: list[Node], number: int) -> None:
    folder = f"by-{number}"
    make_folder(four, folder)
    for step in ACTIONS:
        act(four, four[number], folder, step)


OPEN = """
import mmap
kept = open(at(args[0]), 'rb', buffering=0)
seen = kept.read()
early = mmap.mmap(kept.fileno(), 0, prot=mmap.PROT_READ)
early[:]
"""
CLOSE = "early.close(); kept.close()"
LATE = """
with open(at(args[0]), 'rb') as file:
    late = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    answer = ''.join(sorted(set(late[:].decode())))
    late.close()
"""


@pytest.mark.parametrize("number", range(4))
def test_a_file_that_all_others_have_open_and_mapped(four: list[Node], number: int) -> None:
    """Who opens it after the close reads the new bytes; no early mapping has bytes of both."""
    writer, others = four[number], [node for node in four if node is not four[number]]
    name = f"mapped-{number}"
    writer.do("write(args[0], 'o' * 100_000)", name)
    for node in others:
        node.sees("answer = exists(args[0]) and len(read(args[0]))", 100_000, name)
        node.do(OPEN, name)
    writer.do(
        "write(args[0] + '~', 'n' * 100_000); os.replace(at(args[0] + '~'), at(args[0]))", name
    )
    read = "answer = ''.join(sorted(set(read(args[0]))))"
    for node in others:
        node.sees(read, "n", name)
        assert node.do(read, name) == "n"
        assert node.do("answer = ''.join(sorted(set(early[:].decode())))") in ("o", "n")
        node.do(CLOSE)
        node.sees(LATE, "n", name)


@pytest.mark.parametrize("transport", ["sqs", "http"])
def test_sixteen_nodes(cluster: Cluster, transport: str) -> None:
    """Each acts once, then all at random: in the end there is one tree, and it is the bucket's."""
    nodes = cluster.start(16, transport=transport)
    make_folder(nodes, "turns")
    for actor, step in zip(nodes, ACTIONS, strict=True):
        act(nodes, actor, "turns", step)
    failures: list[str] = []
    threads = [
        threading.Thread(target=work, args=(node, number, 3, failures, 10), daemon=True)
        for number, node in enumerate(nodes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
    trees: list[dict[str, object]] = []

    def settled() -> bool:
        trees[:] = [node.do("answer = tree()") for node in nodes]
        return all(tree == trees[0] for tree in trees)

    eventually(settled, 120.0, "one tree")
    assert contents(trees[0]) == bucket_tree(cluster)
