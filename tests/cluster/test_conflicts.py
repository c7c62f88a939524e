"""Two real nodes that change one file; each finds out what happened, and nothing is lost."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import a_cluster
from tests.cluster.nodes import Cluster, Node
from tests.doubles import servers
from tests.mount.program import eventually

pytestmark = pytest.mark.mount


@pytest.fixture(scope="module", params=["moto_server", "versitygw_server"])
def pair(
    sns_server: servers.Server, request: pytest.FixtureRequest
) -> Iterator[tuple[Cluster, Node, Node]]:
    s3 = request.getfixturevalue(request.param)
    with a_cluster(s3, sns_server.endpoint) as cluster:
        one, other = cluster.start(2, "--conflict", "detect")
        yield cluster, one, other


EDIT = "file = open(at(args[0]), args[1]); file.write(args[2]); file.flush()"
CLOSE = "file.close()"


def rescued(node: Node) -> dict[str, str]:
    """Content by key."""
    found = {}
    for note in node.rescued():
        found[json.loads(note.read_text())["key"]] = note.with_suffix("").read_text()
    return found


def kept(node: Node, key: str) -> str:
    """What was rescued of a key: close() does not wait for it."""
    return eventually(lambda: rescued(node).get(key, ""), 60.0, "the rescued file")


@pytest.mark.parametrize("size", [10, 9_000_000])
@pytest.mark.parametrize("mode", ["r+", "w"])
def test_the_later_close_fails(pair: tuple[Cluster, Node, Node], mode: str, size: int) -> None:
    cluster, one, other = pair
    if size > 8 << 20 and cluster.s3 == cluster.notify:
        pytest.skip("moto ignores If-Match on CompleteMultipartUpload")
    name = f"f-{mode[0]}-{size}"
    one.do("write(args[0], 'o' * args[1])", name, size)
    other.sees("answer = len(read(args[0])) if exists(args[0]) else 0", size, name)
    other.do(EDIT, name, mode, "B" * size)
    one.do(EDIT, name, mode, "A" * size)
    assert one.do(CLOSE) is None
    assert other.do(CLOSE) == "ESTALE"
    assert cluster.object(name) == b"A" * size
    other.sees("answer = read(args[0]) == 'A' * args[1]", True, name, size)
    assert kept(other, f"data/{name}") == "B" * size
    assert f"data/{name}" not in rescued(one)
    assert other.logged(f"content of 'data/{name}' was not uploaded")
    other.do("write(args[0], 'next')", name)
    one.sees("answer = read(args[0])", "next", name)


def test_the_later_fsync_fails(pair: tuple[Cluster, Node, Node]) -> None:
    cluster, one, other = pair
    one.do("write('synced', 'old')")
    other.sees("answer = exists('synced') and read('synced')", "old")
    other.do(EDIT, "synced", "r+", "BBB")
    one.do("write('synced', 'AAA')")
    assert other.do("os.fsync(file.fileno())") == "ESTALE"
    assert other.do(CLOSE) == "ESTALE"
    assert cluster.object("synced") == b"AAA"


@pytest.mark.parametrize(("mode", "told"), [("w", "ESTALE"), ("x", "EEXIST")])
def test_two_new_files_of_one_name(pair: tuple[Cluster, Node, Node], mode: str, told: str) -> None:
    cluster, one, other = pair
    name = f"new-{mode}"
    for node in (one, other):
        node.do("os.listdir(at('')); answer = exists(args[0])", name)
    other.do(EDIT, name, mode, "B")
    one.do(EDIT, name, mode, "A")
    assert one.do(CLOSE) is None
    assert other.do(CLOSE) == told
    assert cluster.object(name) == b"A"
    assert kept(other, f"data/{name}") == "B"
    other.sees("answer = read(args[0]) if exists(args[0]) else ''", "A", name)
    assert other.do("open(at(args[0]), 'x')", name) == "EEXIST"


def test_taking_turns_is_no_conflict(pair: tuple[Cluster, Node, Node]) -> None:
    cluster, one, other = pair
    before = len(rescued(one)) + len(rescued(other))
    one.do("write('turns', '')")
    for number, node in enumerate((one, other) * 3):
        node.sees("answer = len(read('turns')) if exists('turns') else -1", number)
        node.do("write('turns', args[0], 'ab')", str(number))
    assert cluster.object("turns") == b"012345"
    assert len(rescued(one)) + len(rescued(other)) == before


def test_programs_that_save_by_renaming(pair: tuple[Cluster, Node, Node]) -> None:
    """Renaming replaces what is there: that is what it is for."""
    cluster, one, other = pair
    for node, text in ((one, "A"), (other, "B")):
        node.do("write(args[0], args[0]); os.replace(at(args[0]), at('doc'))", text)
    assert cluster.object("doc") == b"B"
    one.sees("answer = read('doc')", "B")
