"""What events of other nodes do, and what is believed in which mode."""

import contextlib
import os
import stat
from collections.abc import Callable

import pytest

from tests.cluster.node import LONG, Node, make_node  # noqa: F401
from tests.functional.core import Core
from yas3fs.errors import StaleHandle
from yas3fs.events import (
    Event,
    Heartbeat,
    Metadata,
    Mkdir,
    Mknod,
    ObjectChanged,
    Ping,
    Rename,
    Reset,
    Rmdir,
    Switch,
    Symlink,
    Unknown,
    Unlink,
    Upload,
)
from yas3fs.fs.coherence import DEGRADED_SECONDS, Mode

# -- modes -----------------------------------------------------------------------------------


def test_coherent_asks_nothing_however_much_time_passes(node: Node) -> None:
    node.put("d/", b"", 0o040755)
    node.put("d/f", b"old")
    assert node.names("/d") == ["f"]
    assert node.core.read("/d/f") == b"old"
    assert not node.exists("/d/none")
    node.settle()
    node.clock.advance(LONG)
    assert node.names("/d") == ["f"]
    assert node.core.read("/d/f") == b"old"
    assert not node.exists("/d/none")
    assert node.settle() == 0


def test_degraded_asks_again_soon(node: Node) -> None:
    node.put("f", b"old")
    node.core.read("/f")
    node.coherence.alive(False)
    assert node.coherence.mode is Mode.DEGRADED
    assert node.kernel[-1] <= DEGRADED_SECONDS
    assert node.core.read("/f") == b"old"
    node.put("f", b"newer")
    node.clock.advance(DEGRADED_SECONDS)
    assert node.core.read("/f") == b"newer"


def test_silence_forgets_once(node: Node) -> None:
    node.put("f", b"x")
    node.fs.getattr("/f")
    node.settle()
    node.coherence.alive(False)
    assert node.core.invalidated == ["/"]
    node.fs.getattr("/f")
    assert node.settle() > 0
    node.coherence.alive(False)
    assert node.core.invalidated == []
    node.fs.getattr("/f")
    assert node.settle() == 0


def test_what_was_learned_while_the_topic_was_silent_is_not_believed(node: Node) -> None:
    node.coherence.alive(False)
    node.put("f", b"old")
    assert node.core.read("/f") == b"old"
    node.put("f", b"newer")
    node.coherence.alive(True)
    assert node.coherence.mode is Mode.COHERENT
    assert node.kernel[-1] > 60
    assert node.core.read("/f") == b"newer"
    assert "/f" in node.core.invalidated


def test_a_gap_forgets_everything(node: Node) -> None:
    node.put("d/f", b"old")
    assert node.core.tree() == {"d": {"f": b"old"}}
    node.put("d/f", b"newer")
    node.put("d/g", b"g")
    node.memory.delete("x")
    node.coherence.gap()
    assert node.core.tree() == {"d": {"f": b"newer", "g": b"g"}}


# -- events ----------------------------------------------------------------------------------

UPLOADS: list[Callable[[str, str], Event]] = [
    lambda path, etag: Upload(path, etag),
    lambda path, _: Upload(path),
    lambda _, __: Upload(None),
    lambda path, _: Mknod(path),
    lambda path, _: Rename("/elsewhere", path),
    lambda path, _: Reset(path),
    lambda _, __: Reset("/"),
    lambda _, __: Reset("/d"),
    lambda path, etag: ObjectChanged("bucket", path[1:], "created", etag),
    lambda path, _: ObjectChanged("bucket", path[1:], "created"),
]


@pytest.mark.parametrize("make", UPLOADS)
def test_new_content_is_seen_for_one_look(node: Node, make: Callable[[str, str], Event]) -> None:
    node.put("d/", b"", 0o040755)
    node.put("d/f", b"old")
    assert node.core.read("/d/f") == b"old"
    etag = node.put("d/f", b"newer", 0o100600)
    node.settle()
    node.apply(make("/d/f", etag))
    # With a directory, the kernel forgets what is below it.
    assert {"/d/f", "/d", "/"} & set(node.core.invalidated)
    assert node.core.read("/d/f") == b"newer"
    assert stat.S_IMODE(node.fs.getattr("/d/f").mode) == 0o600
    assert node.settle() > 0
    node.clock.advance(LONG)
    assert node.core.read("/d/f") == b"newer"
    assert node.settle() == 0


@pytest.mark.parametrize("make", UPLOADS)
def test_a_name_that_was_known_not_to_exist_appears(
    node: Node, make: Callable[[str, str], Event]
) -> None:
    node.put("d/", b"", 0o040755)
    assert node.names("/d") == []
    assert not node.exists("/d/f")
    node.apply(make("/d/f", node.put("d/f", b"x")))
    assert node.exists("/d/f")
    assert node.names("/d") == ["f"]


@pytest.mark.parametrize(
    "event",
    [
        Unlink("/d/f"),
        Rmdir("/d/f"),
        Rename("/d/f", "/d/g"),
        Reset("/d/f"),
        ObjectChanged("bucket", "d/f", "removed"),
    ],
)
def test_a_name_goes(node: Node, event: Event) -> None:
    node.put("d/", b"", 0o040755)
    node.put("d/f", b"x")
    assert node.core.tree() == {"d": {"f": b"x"}}
    node.memory.delete("d/f")
    node.apply(event)
    assert not node.exists("/d/f")
    assert node.names("/d") == []


def test_a_directory_comes_and_goes_with_what_is_in_it(node: Node) -> None:
    assert node.names() == []
    node.put("d/", b"", 0o040755)
    node.put("d/f", b"x")
    node.apply(Mkdir("/d"))
    assert node.core.tree() == {"d": {"f": b"x"}}
    node.memory.delete("d/f")
    node.memory.delete("d/")
    node.apply(Rmdir("/d"))
    assert node.core.tree() == {}


def test_a_file_becomes_a_directory_and_a_link(node: Node) -> None:
    node.put("x", b"file")
    assert node.core.tree() == {"x": b"file"}
    node.memory.delete("x")
    node.put("x/", b"", 0o040755)
    node.apply(Mkdir("/x"))
    assert node.core.tree() == {"x": {}}
    node.memory.delete("x/")
    node.put("x", b"target", 0o120777)
    node.apply(Symlink("/x"))
    assert node.core.tree() == {"x": "target"}


@pytest.mark.parametrize("name", ["attr", "xattr"])
def test_new_attributes_are_seen_and_content_is_kept(node: Node, name: str) -> None:
    node.put("f", b"same")
    node.core.read("/f")
    node.put("f", b"same", 0o100600)
    node.settle()
    node.apply(Metadata("/f", name))
    assert stat.S_IMODE(node.fs.getattr("/f").mode) == 0o600
    node.store.calls.clear()
    assert node.core.read("/f") == b"same"
    assert node.store.calls["get"] == 0


def test_the_attributes_of_a_directory_are_not_what_is_in_it(node: Node) -> None:
    node.put("d/", b"", 0o040755)
    node.put("d/f", b"x")
    node.put("d/e/", b"", 0o040755)
    assert node.core.tree() == {"d": {"f": b"x", "e": {}}}
    node.put("d/", b"", 0o040700)
    node.settle()
    node.apply(Metadata("/d"))
    assert node.core.invalidated == ["/d"]
    assert stat.S_IMODE(node.fs.getattr("/d").mode) == 0o700
    cost = node.settle()
    assert 0 < cost <= 2
    assert node.core.tree("/d") == {"f": b"x", "e": {}}
    assert node.settle() == 0


def test_a_directory_whose_attributes_were_told_of_and_that_is_gone(node: Node) -> None:
    node.put("d/", b"", 0o040755)
    assert node.core.tree() == {"d": {}}
    node.memory.delete("d/")
    node.apply(Metadata("/d"))
    assert not node.exists("/d")


@pytest.mark.parametrize("kind", ["upload", "record"])
def test_the_same_bytes_stored_again_have_other_attributes(node: Node, kind: str) -> None:
    etag = node.put("f", b"same")
    node.core.read("/f")
    assert node.put("f", b"same", 0o100600) == etag
    event = (
        Upload("/f", etag) if kind == "upload" else ObjectChanged("bucket", "f", "created", etag)
    )
    node.apply(event)
    assert stat.S_IMODE(node.fs.getattr("/f").mode) == 0o600
    node.store.calls.clear()
    assert node.core.read("/f") == b"same"
    assert node.store.calls["get"] == 0


def test_the_stores_word_on_what_this_node_wrote_costs_nothing(node: Node) -> None:
    node.core.write("/f", b"mine")
    etag = node.memory.head("f").etag
    node.settle()
    node.apply(ObjectChanged("bucket", "f", "created", etag))
    assert node.core.read("/f") == b"mine"
    assert node.settle() == 0
    etag = node.put("f", b"theirs")
    node.apply(ObjectChanged("bucket", "f", "created", etag))
    assert node.core.read("/f") == b"theirs"


@pytest.mark.parametrize(
    "event",
    [
        ObjectChanged("another", "f", "created"),
        ObjectChanged("bucket", "a//b", "removed"),
        Heartbeat(3),
        Ping(),
        Unknown("dance"),
        Switch("another", "x"),
    ],
)
def test_what_is_not_about_this_mount_changes_nothing(node: Node, event: Event) -> None:
    node.put("f", b"x")
    assert node.core.tree() == {"f": b"x"}
    node.settle()
    node.apply(event)
    assert node.core.tree() == {"f": b"x"}
    assert node.settle() == 0


def test_events_of_unknown_paths_are_harmless(node: Node) -> None:
    node.put("f", b"x")
    assert node.core.tree() == {"f": b"x"}
    for path in ("/", "/f", "/f/below", "/none/at/all"):
        for event in (
            Mkdir(path), Rmdir(path), Mknod(path), Unlink(path), Symlink(path), Metadata(path),
            Upload(path, "etag"), Reset(path), Rename(path, path + "x"),
        ):  # fmt: skip
            node.apply(event)
    assert node.core.tree() == {"f": b"x"}


def test_a_directory_that_only_keys_make(node: Node) -> None:
    """It appears with the first key below it and goes with the last, however deep."""
    assert node.names() == []
    assert not node.exists("/a")
    node.put("a/b/c", b"x")
    node.apply(ObjectChanged("bucket", "a/b/c", "created"))
    assert node.core.tree() == {"a": {"b": {"c": b"x"}}}
    node.memory.delete("a/b/c")
    node.apply(ObjectChanged("bucket", "a/b/c", "removed"))
    assert not node.exists("/a")
    assert node.core.tree() == {}


def test_names_that_were_let_go_are_told_to_the_kernel_all_the_same(node: Node) -> None:
    node.put("f", b"old")
    node.fs.getattr("/f")
    node.fs.volume.names.resize(0)
    node.settle()
    node.put("f", b"newer")
    node.apply(Upload("/f", "etag"))
    assert "/f" in node.core.invalidated
    assert node.core.read("/f") == b"newer"


# -- content that is not in the store yet, and files that are open ---------------------------


@pytest.mark.parametrize(
    "event", [Upload("/f", "other"), Unlink("/f"), Rmdir("/f"), Reset("/"), Metadata("/f")]
)
def test_unsaved_content_is_never_dropped(node: Node, event: Event) -> None:
    node.put("f", b"theirs")
    node.core.read("/f")
    handle = node.fs.open("/f", os.O_RDWR)
    handle.write(memoryview(b"MINE"), 0)
    node.apply(event)
    node.coherence.alive(False)
    node.coherence.alive(True)
    assert Core.pread(handle, 10, 0) == b"MINErs"
    assert node.fs.getattr("/f").size == 6
    handle.flush()
    handle.release()
    assert node.core.read("/f") == b"MINErs"
    assert node.memory.head("f").size == 6


def test_a_reader_keeps_its_version_and_others_get_the_new_one(node: Node) -> None:
    node.put("f", b"old" * 100)
    early = node.fs.open("/f", os.O_RDONLY)
    assert Core.pread(early, 3, 0) == b"old"
    node.apply(Upload("/f", node.put("f", b"new" * 100)))
    late = node.fs.open("/f", os.O_RDONLY)
    assert Core.pread(late, 300, 0) == b"new" * 100
    assert late.direct  # the kernel's pages are the early reader's
    with contextlib.suppress(StaleHandle):
        assert Core.pread(early, 300, 0) == b"old" * 100
    early.release()
    late.release()
    assert node.core.read("/f") == b"new" * 100


def test_needless_news_of_an_open_file_does_not_hide_real_news(node: Node) -> None:
    etag = node.put("f", b"old" * 100)
    early = node.fs.open("/f", os.O_RDONLY)
    assert Core.pread(early, 3, 0) == b"old"
    for event in (Mknod("/f"), Upload("/f", etag), Reset("/")):
        node.apply(event)
        assert node.core.read("/f") == b"old" * 100
    node.apply(Upload("/f", node.put("f", b"new" * 100)))
    assert node.core.read("/f") == b"new" * 100
    late = node.fs.open("/f", os.O_RDONLY)
    assert Core.pread(late, 300, 0) == b"new" * 100
    assert late.direct
    early.release()
    late.release()


def test_whoever_has_not_read_yet_gets_the_new_version(node: Node) -> None:
    node.put("f", b"old")
    handle = node.fs.open("/f", os.O_RDONLY)
    node.apply(Upload("/f", node.put("f", b"newer")))
    assert Core.pread(handle, 10, 0) == b"newer"
    handle.release()
