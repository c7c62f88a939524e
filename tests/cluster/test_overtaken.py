"""Answers of the store that were asked for before an event, and came after it."""

import stat
from collections.abc import Callable

import pytest

from tests.cluster.node import Node, make_node  # noqa: F401
from tests.doubles.faults import AFTER
from tests.functional.core import CALLER
from yas3fs.events import (
    Metadata,
    Mkdir,
    Mknod,
    Reset,
    Unlink,
    Upload,
)

# -- answers that were asked for before the event --------------------------------------------


# A HEAD of what does not exist does not count; a small file is fetched in place of its HEAD.
LOOKS = [("head", 2), ("get", 1), ("list_page", 1), ("list_page", 2)]


@pytest.mark.parametrize(("operation", "nth"), LOOKS)
def test_an_answer_that_an_event_overtook_is_not_believed(
    node: Node, operation: str, nth: int
) -> None:
    node.put("d/", b"", 0o040755)
    node.put("d/f", b"old")
    changes: list[str] = []

    def change() -> None:
        etag = node.put("d/f", b"newer")
        node.put("d/g", b"g")
        node.apply(Upload("/d/f", etag))
        node.apply(Mknod("/d/g"))
        changes.append(etag)

    node.store.hook(operation, change, nth=nth, when=AFTER)
    node.exists("/d/f")
    node.names("/d")
    node.settle()
    assert changes
    assert node.core.read("/d/f") == b"newer"
    assert node.names("/d") == ["f", "g"]
    assert node.core.read("/d/g") == b"g"


@pytest.mark.parametrize(("operation", "nth"), LOOKS)
def test_an_answer_that_a_gap_overtook_is_not_believed(
    node: Node, operation: str, nth: int
) -> None:
    node.put("d/", b"", 0o040755)
    node.put("d/f", b"old")
    changes: list[str] = []

    def change() -> None:
        node.memory.delete("d/f")
        changes.append(node.put("d/g", b"g"))
        node.coherence.gap()

    node.store.hook(operation, change, nth=nth, when=AFTER)
    node.exists("/d/f")
    node.names("/d")
    node.settle()
    assert changes
    assert node.core.tree() == {"d": {"g": b"g"}}


def test_news_about_the_directory_overtakes_a_look_at_it(node: Node) -> None:
    node.put("d/", b"", 0o040755)

    def change() -> None:
        node.put("d/", b"", 0o040700)
        node.apply(Mkdir("/d"))

    node.store.hook("head", change, nth=2, when=AFTER)
    node.exists("/d")
    node.exists("/d")
    assert stat.S_IMODE(node.fs.getattr("/d").mode) == 0o700


def test_a_write_that_others_overtook_is_not_the_last_word(node: Node) -> None:
    """Their version came after ours, its news before our own answer."""

    def change() -> None:
        node.apply(Upload("/f", node.put("f", b"theirs")))

    node.store.hook("put", change, when=AFTER)
    node.core.write("/f", b"mine")
    assert node.core.read("/f") == b"theirs"


@pytest.mark.parametrize(
    ("operation", "verb"),
    [
        ("put", lambda fs: fs.mkdir("/x", 0o755, CALLER)),
        ("put", lambda fs: fs.mknod("/x", 0o100644, 0, CALLER)),
        ("copy", lambda fs: fs.rename("/f", "/x")),
    ],
)
def test_a_name_that_others_removed_meanwhile(
    node: Node, operation: str, verb: Callable[..., None]
) -> None:
    node.put("f", b"x")
    node.names()

    def change() -> None:
        node.memory.delete("x")
        node.memory.delete("x/")
        node.apply(Unlink("/x"))

    node.store.hook(operation, change, when=AFTER)
    verb(node.fs)
    assert not node.exists("/x")


def test_attributes_that_others_set_meanwhile(node: Node) -> None:
    node.put("f", b"x")
    node.exists("/f")

    def change() -> None:
        node.put("f", b"x", 0o100600)
        node.apply(Metadata("/f"))

    node.store.hook("copy", change, when=AFTER)
    node.fs.chmod("/f", 0o640)
    assert stat.S_IMODE(node.fs.getattr("/f").mode) == 0o600


def test_a_file_that_changes_all_the_time_can_be_looked_at(node: Node) -> None:
    node.put("f", b"x")
    node.store.hook("head", lambda: node.apply(Upload("/f", "e")), times=10_000, when=AFTER)
    assert node.fs.getattr("/f").size == 1


def test_the_kernel_is_told_after_the_names(node: Node) -> None:
    """It may ask at once."""
    node.put("f", b"old")
    node.core.read("/f")
    found: list[bytes] = []

    def invalidate(path: str, below: bool) -> None:
        if path == "/f" or (path == "/" and below):
            found.append(node.core.read("/f"))

    node.fs.volume.invalidate = invalidate
    node.apply(Upload("/f", node.put("f", b"newer")))
    node.put("f", b"newest")
    node.apply(Reset("/"))
    assert found[0] == b"newer"
    assert found[-1] == b"newest"
    assert b"old" not in found
