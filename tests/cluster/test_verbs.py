"""Every verb on every node is seen by every other, over both transports."""

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import a_cluster
from tests.cluster.nodes import Cluster, Node
from tests.doubles import servers

pytestmark = pytest.mark.mount

STAT = """
info = os.lstat(at(args[0]))
answer = [stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_size, info.st_mtime_ns]
"""


@pytest.fixture(scope="module", params=["sqs", "http"])
def pair(request: pytest.FixtureRequest, sns_server: servers.Server) -> Iterator[list[Node]]:
    """Two nodes that all tests of a transport share, each on names of its own."""
    with a_cluster(sns_server) as cluster:
        yield cluster.start(2, transport=request.param)


@pytest.fixture(params=[0, 1])
def nodes(request: pytest.FixtureRequest, pair: list[Node]) -> tuple[Node, Node]:
    """Who changes and who sees it, both ways around."""
    return pair[request.param], pair[1 - request.param]


@pytest.fixture
def d(nodes: tuple[Node, Node], request: pytest.FixtureRequest) -> str:
    """A directory of the test's own that both have listed, with a name that neither has."""
    one, other = nodes
    name = f"d{abs(hash(request.node.nodeid))}"
    one.do("os.mkdir(at(args[0]))", name)
    other.sees("answer = exists(args[0])", True, name)
    other.do("os.listdir(at(args[0])); exists(args[0] + '/new')", name)
    return name


def both_read(nodes: tuple[Node, Node], name: str, text: str) -> None:
    """Make a file and have both keep it in their kernels' pages, open on the second node."""
    one, other = nodes
    one.do("write(*args)", name, text)
    other.sees("answer = read(args[0])", text, name)
    other.do("kept = open(at(args[0]), 'rb', buffering=0); kept.read(1)", name)
    one.do("read(args[0])", name)


def stays(node: Node, code: str, wanted: object, *arguments: object) -> None:
    """Once the news has come, nothing old comes after it."""
    node.sees(code, wanted, *arguments)
    for _ in range(5):
        assert node.do(code, *arguments) == wanted


def test_new_names(nodes: tuple[Node, Node], d: str) -> None:
    """Where a listing and the absence of the name were known."""
    one, other = nodes
    one.do("write(args[0] + '/new', 'hello')", d)
    stays(other, "answer = read(args[0] + '/new')", "hello", d)
    one.do("os.mkdir(at(args[0] + '/dir'))", d)
    one.do("write(args[0] + '/dir/deep', 'x')", d)
    one.do("os.symlink('new', at(args[0] + '/link'))", d)
    one.do("os.mkfifo(at(args[0] + '/fifo'))", d)
    stays(
        other,
        "answer = sorted(os.listdir(at(args[0])))",
        ["dir", "fifo", "link", "new"],
        d,
    )
    stays(other, "answer = read(args[0] + '/link')", "hello", d)
    stays(other, "answer = read(args[0] + '/dir/deep')", "x", d)
    stays(other, "answer = stat.S_ISFIFO(os.lstat(at(args[0] + '/fifo')).st_mode)", True, d)


@pytest.mark.parametrize(
    ("edit", "wanted"),
    [
        ("write(args[0], 'replaced')", "replaced"),
        ("write(args[0], '+more', 'ab')", "old content+more"),
        ("write(args[0], 'OLD', 'r+b')", "OLD content"),
        ("os.truncate(at(args[0]), 3)", "old"),
        ("os.truncate(at(args[0]), 0)", ""),
        ("os.truncate(at(args[0]), 13)", "old content\0\0"),
        (
            "write(args[0] + '~', 'by rename'); os.replace(at(args[0] + '~'), at(args[0]))",
            "by rename",
        ),
        ("os.unlink(at(args[0])); write(args[0], 'made anew')", "made anew"),
    ],
)
def test_new_content(nodes: tuple[Node, Node], d: str, edit: str, wanted: str) -> None:
    one, other = nodes
    name = f"{d}/f"
    both_read(nodes, name, "old content")
    one.do(edit, name)
    stays(
        other, "answer = [read(args[0]), os.stat(at(args[0])).st_size]", [wanted, len(wanted)], name
    )
    # The kernel has one size for a name: an early reader is shown no more than that of its version.
    answer = other.do("kept.seek(0); answer = kept.read().decode()")
    assert "old content".startswith(answer) or answer in ("ESTALE", wanted)
    other.do("kept.close()")
    assert other.do("answer = read(args[0])", name) == wanted


def test_new_attributes(nodes: tuple[Node, Node], d: str) -> None:
    one, other = nodes
    name = f"{d}/f"
    both_read(nodes, name, "content")
    one.do("os.chmod(at(args[0]), 0o640)", name)
    one.do("os.chown(at(args[0]), 1234, 5678)", name)
    one.do("os.utime(at(args[0]), ns=(1, 1_500_000_000_123_456_789))", name)
    stays(other, STAT, [0o640, 1234, 5678, 7, 1_500_000_000_123_456_789], name)
    one.do("os.setxattr(at(args[0]), 'user.a', b'1')", name)
    stays(other, "answer = os.getxattr(at(args[0]), 'user.a').decode()", "1", name)
    one.do("os.removexattr(at(args[0]), 'user.a')", name)
    stays(other, "answer = os.listxattr(at(args[0]))", [], name)
    one.do("os.chmod(at(args[0]), 0o711)", d)
    stays(other, "answer = stat.S_IMODE(os.stat(at(args[0])).st_mode)", 0o711, d)
    assert other.do("answer = read(args[0])", name) == "content"


def test_the_same_content_stored_again_has_its_new_times(nodes: tuple[Node, Node], d: str) -> None:
    one, other = nodes
    name = f"{d}/f"
    both_read(nodes, name, "content")
    other.do(STAT, name)
    one.do("write(args[0], 'content')", name)
    wanted = one.do("answer = os.stat(at(args[0])).st_mtime_ns", name)
    stays(other, "answer = os.stat(at(args[0])).st_mtime_ns", wanted, name)


def test_renames(nodes: tuple[Node, Node], d: str) -> None:
    one, other = nodes
    both_read(nodes, f"{d}/f", "content")
    one.do("os.rename(at(args[0] + '/f'), at(args[0] + '/new'))", d)
    stays(other, "answer = os.listdir(at(args[0]))", ["new"], d)
    stays(other, "answer = [read(args[0] + '/new'), exists(args[0] + '/f')]", ["content", False], d)
    one.do("os.makedirs(at(args[0] + '/tree/a/b')); write(args[0] + '/tree/a/b/c', 'deep')", d)
    wanted = {"a": {"b": {"c": [0o644, "deep"]}}}
    other.sees("answer = tree(args[0] + '/tree')", wanted, d)
    one.do("os.rename(at(args[0] + '/tree'), at(args[0] + '/moved'))", d)
    stays(other, "answer = sorted(os.listdir(at(args[0])))", ["moved", "new"], d)
    stays(other, "answer = tree(args[0] + '/moved')", wanted, d)
    stays(other, "answer = exists(args[0] + '/tree/a/b/c')", False, d)


def test_names_that_were_looked_for_in_vain(nodes: tuple[Node, Node], d: str) -> None:
    """The kernel keeps note of them, at every depth and for minutes."""
    one, other = nodes
    look = "answer = [exists(args[0] + '/' + name) for name in args[1]]"
    names = ["t", "t/a", "t/a/f", "u", "u/a", "u/a/f"]
    assert other.do(look, d, names) == [False] * 6
    one.do("os.makedirs(at(args[0] + '/t/a'))", d)
    stays(other, look, [True, True, False, False, False, False], d, names)
    one.do("write(args[0] + '/t/a/f', 'x')", d)
    stays(other, look, [True, True, True, False, False, False], d, names)
    one.do("os.rename(at(args[0] + '/t'), at(args[0] + '/u'))", d)
    stays(other, look, [False, False, False, True, True, True], d, names)
    other.do("os.rename(at(args[0] + '/u'), at(args[0] + '/t'))", d)
    assert other.do(look, d, names) == [True, True, True, False, False, False]
    stays(one, look, [True, True, True, False, False, False], d, names)


def test_removals(nodes: tuple[Node, Node], d: str) -> None:
    one, other = nodes
    both_read(nodes, f"{d}/f", "content")
    one.do("os.makedirs(at(args[0] + '/dir')); os.symlink('f', at(args[0] + '/l'))", d)
    other.sees("answer = sorted(os.listdir(at(args[0])))", ["dir", "f", "l"], d)
    other.do("tree(args[0])", d)
    one.do("os.unlink(at(args[0] + '/f'))", d)
    stays(other, "answer = [exists(args[0] + '/f'), exists(args[0] + '/l')]", [False, True], d)
    one.do("os.rmdir(at(args[0] + '/dir')); os.unlink(at(args[0] + '/l'))", d)
    stays(other, "answer = os.listdir(at(args[0]))", [], d)
    stays(
        other,
        "write(args[0] + '/dir', 'a file now'); answer = read(args[0] + '/dir')",
        "a file now",
        d,
    )


def test_types_change(nodes: tuple[Node, Node], d: str) -> None:
    one, other = nodes
    both_read(nodes, f"{d}/x", "file")
    one.do(
        "os.unlink(at(args[0])); os.mkdir(at(args[0])); write(args[0] + '/y', 'below')", f"{d}/x"
    )
    stays(other, "answer = tree(args[0])", {"x": {"y": [0o644, "below"]}}, d)
    one.do("shutil.rmtree(at(args[0])); write(args[0], 'file again')", f"{d}/x")
    stays(other, "answer = tree(args[0])", {"x": [0o644, "file again"]}, d)
    one.do("os.unlink(at(args[0])); os.symlink('target', at(args[0]))", f"{d}/x")
    stays(other, "answer = tree(args[0])", {"x": "target"}, d)


def test_memory_mapped_readers(nodes: tuple[Node, Node], d: str) -> None:
    """No mapping has a mixture; one that is made when the early reader has gone has the new bytes.

    (While it reads, the kernel's pages are the early reader's, and others cannot share a mapping.)
    """
    one, other = nodes
    name = f"{d}/f"
    both_read(nodes, name, "o" * 100_000)
    other.do(
        "kept.close(); import mmap\n"
        "file = open(at(args[0]), 'rb'); early = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "early[:]",
        name,
    )
    one.do("write(args[0] + '~', 'n' * 100_000); os.replace(at(args[0] + '~'), at(args[0]))", name)
    stays(other, "answer = ''.join(sorted(set(read(args[0]))))", "n", name)
    assert other.do("answer = ''.join(sorted(set(early[:].decode())))") in ("o", "n")
    other.do("early.close(); file.close()")
    stays(
        other,
        "with open(at(args[0]), 'rb') as f:\n"
        "    late = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n"
        "    answer = ''.join(sorted(set(late[:].decode())))\n"
        "    late.close()",
        "n",
        name,
    )


def test_a_large_file_that_is_read_while_it_is_replaced(nodes: tuple[Node, Node], d: str) -> None:
    """Whoever began keeps its version or is told; never bytes of both."""
    one, other = nodes
    name = f"{d}/big"
    one.do("write(args[0], 'o' * 12_000_000)", name)
    other.sees("answer = os.stat(at(args[0])).st_size if exists(args[0]) else 0", 12_000_000, name)
    other.do("big = open(at(args[0]), 'rb', buffering=0); first = big.read(100_000)", name)
    one.do(
        "write(args[0] + '~', 'n' * 12_000_000); os.replace(at(args[0] + '~'), at(args[0]))", name
    )
    stays(other, "with open(at(args[0]), 'rb') as f: answer = f.read(1).decode()", "n", name)
    found = other.do(
        "big.seek(0)\nseen = set()\n"
        "while piece := big.read(1 << 20): seen |= set(piece)\n"
        "answer = bytes(seen).decode()"
    )
    assert found in ("o", "ESTALE")
    stays(other, "answer = ''.join(sorted(set(read(args[0]))))", "n", name)
    other.do("big.close()")


def test_a_directory_that_somebody_is_in(nodes: tuple[Node, Node], d: str) -> None:
    """News about it does not take it away from under a shell."""
    one, other = nodes
    other.do("os.chdir(at(args[0]))", d)
    one.do("os.chmod(at(args[0]), 0o750)", d)
    other.sees("answer = stat.S_IMODE(os.stat('.').st_mode)", 0o750)
    one.do("write(args[0] + '/f', 'x')", d)
    other.sees("answer = os.listdir('.')", ["f"])
    assert other.do("answer = os.path.basename(os.getcwd())") == d
    other.do("os.chdir('/')")


def test_four_nodes_in_turn(cluster: Cluster) -> None:
    """A file that is created by one of four nodes and changed by each in turn."""
    nodes = cluster.start(4)
    nodes[0].do("write('f', 'begin')")
    for number, node in enumerate(nodes):
        node.sees("answer = exists('f')", True)
        node.do("write('f', args[0])", f"by {number}")
        for other in nodes:
            stays(other, "answer = read('f')", f"by {number}")
    assert cluster.object("f") == b"by 3"
