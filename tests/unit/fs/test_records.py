"""S3's own word on keys: in its order, once, and told from the echo of what this node wrote."""

import stat

import pytest

from tests.cluster.node import Node, make_node  # noqa: F401
from yas3fs.events import ObjectChanged, Reset
from yas3fs.fs.records import Records


def record(sequencer: str = "", etag: str | None = None, change: str = "created") -> ObjectChanged:
    return ObjectChanged("bucket", "f", change, etag, None, sequencer)  # type: ignore[arg-type]


def asked(node: Node) -> bool:
    """Whether the node asks the store when the file is looked at."""
    node.settle()
    node.fs.getattr("/f")
    return node.settle() > 0


def test_what_comes_late_or_again_costs_nothing(node: Node) -> None:
    node.put("f", b"1")
    node.fs.getattr("/f")
    node.apply(record("00B0"))
    assert asked(node)
    for old in ("00B0", "00b", "00A9FF", "00"):
        node.apply(record(old))
        assert not asked(node)
    for old in ("00A9FF", "00"):
        node.apply(record(old, change="removed"))
        assert not asked(node)
    node.apply(record("00B1"))
    assert asked(node)


def test_a_removal_that_was_overtaken_by_a_creation_is_not_heeded(node: Node) -> None:
    node.put("f", b"1")
    node.fs.getattr("/f")
    node.apply(record("0002", change="created"))
    node.fs.getattr("/f")
    node.apply(record("0001", change="removed"))
    assert not asked(node)


def test_without_sequencers_every_word_counts(node: Node) -> None:
    node.put("f", b"1")
    node.fs.getattr("/f")
    for _ in range(3):
        node.apply(record())
        assert asked(node)


def test_a_server_that_gives_one_sequencer_to_all(node: Node) -> None:
    node.put("f", b"1")
    node.fs.getattr("/f")
    for change, etag in (("created", "1"), ("created", "2"), ("removed", None), ("created", "2")):
        node.apply(record("0055AED6DCD90281E5", etag, change))
        assert asked(node)


def test_keys_are_told_apart(node: Node) -> None:
    node.put("f", b"1")
    node.fs.getattr("/f")
    node.apply(ObjectChanged("bucket", "g", "created", None, None, "00FF"))
    node.settle()
    node.apply(record("0001"))
    assert asked(node)


def test_the_echo_of_an_own_write_is_skipped_and_so_is_its_repetition(node: Node) -> None:
    node.core.write("/f", b"mine")
    etag = node.memory.head("f").etag
    for _ in range(3):
        node.apply(record("0001", etag))
        assert not asked(node)


@pytest.mark.parametrize("order", [("0001", "0002"), ("0002", "0001")])
def test_the_same_bytes_of_somebody_else_are_not_taken_for_the_echo(
    node: Node, order: tuple[str, str]
) -> None:
    """Whichever of the two records comes first."""
    node.core.write("/f", b"same")
    etag = node.memory.head("f").etag
    assert node.put("f", b"same", 0o100600) == etag
    for sequencer in order:
        node.apply(record(sequencer, etag))
    assert stat.S_IMODE(node.fs.getattr("/f").mode) == 0o600


def test_a_peers_version_after_the_echo(node: Node) -> None:
    node.core.write("/f", b"mine")
    node.apply(record("0001", node.memory.head("f").etag))
    etag = node.put("f", b"theirs")
    node.apply(record("0002", etag))
    assert node.core.read("/f") == b"theirs"
    node.core.write("/f", b"mine again")
    node.apply(record("0003", node.memory.head("f").etag))
    assert not asked(node)
    node.apply(Reset("/"))
    assert asked(node)


def test_what_is_kept_has_a_bound() -> None:
    records = Records(kept=3)
    for number in range(10):
        records.heeded(ObjectChanged("bucket", f"f{number}", "created", None, None, "0002"))
    assert len(records._heard) == 3
    old = [ObjectChanged("bucket", f"f{n}", "created", None, None, "0001") for n in range(10)]
    assert [records.is_old(event) for event in old] == [False] * 7 + [True] * 3
