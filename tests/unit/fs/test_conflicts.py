"""Two nodes change one file: who is told, what the bucket has, where the bytes of the other are."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.core import CALLER, MIB, Core
from tests.unit.fs.test_discovery import Bench
from yas3fs.errors import Conflict, Exists, ServerFailed, StaleHandle
from yas3fs.fs.handles import FileHandle
from yas3fs.objectstore.protocol import Headers

SIZES = [100, 12 * MIB]
"""One that is sent whole, one that is sent in parts."""


class Nodes(Bench):
    """Mounts of one bucket that hear nothing of each other."""

    def __call__(self, **settings: Any) -> Core:
        return self.mount(**{"detect_conflicts": True, "ttl": 1e9, **settings})

    def body(self, key: str) -> bytes:
        return self.memory._objects[key].body


@pytest.fixture(name="nodes")
def make_nodes(tmp_path: Path) -> Iterator[Nodes]:
    nodes = Nodes(tmp_path)
    yield nodes
    for core in nodes.cores:
        core.end()


def close(handle: FileHandle) -> None:
    try:
        handle.flush()
    finally:
        handle.release()


def edit(core: Core, path: str, data: bytes, flags: int = os.O_RDWR) -> FileHandle:
    handle = core.fs.open(path, flags)
    handle.write(memoryview(data), 0)
    return handle


def rescued(core: Core) -> list[tuple[str, bytes, str]]:
    """Key, bytes and reason of each."""
    found = []
    for note in sorted(core.rescue.folder.glob("*.json")):
        document = json.loads(note.read_text())
        found.append((document["key"], note.with_suffix("").read_bytes(), document["reason"]))
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["changed", "cut and written anew"])
def test_the_later_of_two_edits_fails_and_is_kept(
    nodes: Nodes, size: int, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = nodes(), nodes()
    one.write("/f", bytes(size))
    other.read("/f")
    flags = os.O_RDWR if way == "changed" else os.O_RDWR | os.O_TRUNC
    mine = edit(one, "/f", b"first" * 20, flags)
    theirs = edit(other, "/f", b"other" * 20, flags)
    other.pread(theirs, size, 0)
    close(mine)
    won = nodes.body("f")
    assert won.startswith(b"first")
    with pytest.raises(Conflict):
        theirs.fsync()
    with pytest.raises(Conflict):
        theirs.flush()
    theirs.release()
    assert nodes.body("f") == won
    ((key, body, reason),) = rescued(other)
    assert (key, body[:5]) == ("f", b"other")
    assert "somebody else was faster" in reason
    assert any("rescued to" in line.getMessage() for line in caplog.records)
    assert other.read("/f") == won  # and it shows what the bucket has
    close(edit(other, "/f", b"again"))
    assert nodes.body("f").startswith(b"again")


def test_a_part_of_a_large_file(nodes: Nodes) -> None:
    """What would be copied from the version that is gone is not needed for the refusal."""
    one, other = nodes(), nodes()
    one.write("/f", bytes(20 * MIB))
    theirs = edit(other, "/f", b"other")
    close(edit(one, "/f", b"first"))
    with pytest.raises(StaleHandle):
        close(theirs)
    assert nodes.body("f").startswith(b"first")
    assert rescued(other)[0][1].startswith(b"other")
    assert list(nodes.memory.list_multipart("")) == []


@pytest.mark.parametrize("size", [100, 30 * MIB])
def test_two_new_files_of_one_name(nodes: Nodes, size: int) -> None:
    """The large one is uploaded while it is written."""
    one, other = nodes(), nodes()
    assert one.names() == other.names() == []
    flags = os.O_RDWR | os.O_CREAT
    first, second = (core.fs.create("/f", flags, 0o644, CALLER) for core in (one, other))
    first.write(memoryview(b"1" * 100), 0)
    for offset in range(0, size, MIB):
        second.write(memoryview(b"2" * min(size, MIB)), offset)
    close(first)
    with pytest.raises(Conflict):
        close(second)
    assert nodes.body("f") == b"1" * 100
    assert rescued(other)[0][1] == b"2" * size
    assert list(nodes.memory.list_multipart("")) == []


def test_a_file_that_was_deleted_meanwhile(nodes: Nodes) -> None:
    one, other = nodes(), nodes()
    one.write("/f", b"old")
    theirs = edit(other, "/f", b"new")
    one.fs.unlink("/f")
    with pytest.raises(Conflict):
        close(theirs)
    assert "f" not in nodes.memory._objects
    assert rescued(other)[0][1] == b"new"


def test_a_file_that_was_open_before_the_other_change_began(nodes: Nodes) -> None:
    """The edit began with what the handle was opened on, whenever the first byte was written."""
    one, other = nodes(), nodes()
    one.write("/f", b"old")
    theirs = other.fs.open("/f", os.O_RDWR)
    assert other.pread(theirs, 10, 0) == b"old"
    one.write("/f", b"new")
    other.fs.forget("/f")  # as the news has it
    theirs.write(memoryview(b"late"), 0)
    with pytest.raises(StaleHandle):
        close(theirs)
    assert nodes.body("f") == b"new"


def test_saving_again_and_again_is_no_conflict(nodes: Nodes) -> None:
    core = nodes()
    for size in SIZES:
        handle = core.fs.create("/f", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644, CALLER)
        for number in range(3):
            handle.write(memoryview(bytes([number]) * size), 0)
            handle.fsync()
        core.fs.chmod("/f", 0o600 + size % 7)
        handle.write(memoryview(b"end"), 0)
        close(handle)
        core.fs.truncate("/f", size - 1)
        core.fs.rename("/f", "/g")
        close(edit(core, "/g", b"END"))
        core.fs.rename("/g", "/f")
        assert nodes.body("f")[:3] == b"END"
    assert rescued(core) == []


def test_a_new_version_that_is_known_is_what_the_next_edit_begins_with(nodes: Nodes) -> None:
    one, other = nodes(), nodes()
    one.write("/f", b"old")
    assert other.read("/f") == b"old"
    one.write("/f", b"new")
    other.fs.forget("/f")
    close(edit(other, "/f", b"newer"))
    assert nodes.body("f") == b"newer"
    assert rescued(other) == []


def test_a_rename_replaces_what_is_there(nodes: Nodes) -> None:
    """It says so: neither a file that is stored nor one that is not asks what it replaces."""
    one, other = nodes(), nodes()
    one.write("/f", b"old")
    assert other.read("/f") == b"old"
    other.write("/tmp", b"saved by renaming")
    one.write("/f", b"new")
    other.fs.rename("/tmp", "/f")
    assert nodes.body("f") == b"saved by renaming"
    unsaved = other.fs.create("/tmp", os.O_RDWR | os.O_CREAT, 0o644, CALLER)
    unsaved.write(memoryview(b"not closed yet"), 0)
    one.fs.forget("/")
    one.write("/f", b"newer")
    other.fs.rename("/tmp", "/f")
    close(unsaved)
    assert nodes.body("f") == b"not closed yet"
    assert rescued(other) == []


@pytest.mark.parametrize("detect", [True, False])
@pytest.mark.parametrize("change", ["chmod", "setxattr", "utimens"])
def test_attributes_never_bring_an_old_version_back(
    nodes: Nodes, detect: bool, change: str
) -> None:
    one, other = nodes(detect_conflicts=detect), nodes(detect_conflicts=detect)
    one.write("/f", b"old")
    other.names()  # a listing that was under way would tell of the new version
    other.read("/f")
    one.write("/f", b"new")
    verbs: dict[str, Callable[[], None]] = {
        "chmod": lambda: other.fs.chmod("/f", 0o600),
        "setxattr": lambda: other.fs.setxattr("/f", "user.a", b"x", 0),
        "utimens": lambda: other.fs.utimens("/f", 1, 2),
    }
    with pytest.raises(Exception):  # noqa: B017 - the point is what the bucket has
        verbs[change]()
    assert nodes.body("f") == b"new"
    verbs[change]()  # what was found is known now
    assert nodes.body("f") == b"new"


@pytest.mark.parametrize("detect", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_o_excl_has_one_winner_whatever_the_mode(nodes: Nodes, detect: bool, size: int) -> None:
    one, other = nodes(detect_conflicts=detect), nodes(detect_conflicts=detect)
    assert one.names() == other.names() == []
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    first, second = (core.fs.create("/f", flags, 0o644, CALLER) for core in (one, other))
    first.write(memoryview(b"1" * size), 0)
    second.write(memoryview(b"2" * size), 0)
    close(first)
    with pytest.raises(Exists):
        close(second)
    assert nodes.body("f") == b"1" * size
    assert rescued(other)[0][1] == b"2" * size
    with pytest.raises(Exists):
        other.fs.create("/f", flags, 0o644, CALLER)


@pytest.mark.parametrize("detect", [True, False])
def test_mkdir_has_one_winner_whatever_the_mode(nodes: Nodes, detect: bool) -> None:
    one, other = nodes(detect_conflicts=detect), nodes(detect_conflicts=detect)
    assert one.names() == other.names() == []
    one.fs.mkdir("/d", 0o700, CALLER)
    with pytest.raises(Exists):
        other.fs.mkdir("/d", 0o755, CALLER)
    assert other.fs.getattr("/d").mode & 0o777 == 0o700


def test_without_detection_the_last_close_wins(nodes: Nodes) -> None:
    one, other = nodes(detect_conflicts=False), nodes(detect_conflicts=False)
    one.write("/f", b"old")
    theirs = edit(other, "/f", b"the")
    close(edit(one, "/f", b"our"))
    close(theirs)
    assert nodes.body("f") == b"the"
    assert rescued(other) == []


def test_an_upload_that_failed_in_another_way_may_be_tried_again(nodes: Nodes) -> None:
    core = nodes()
    core.write("/f", b"old")
    handle = edit(core, "/f", b"new")
    nodes.store.fail("put", ServerFailed("500"))
    with pytest.raises(ServerFailed):
        handle.fsync()
    close(handle)
    assert nodes.body("f") == b"new"


def test_objects_of_other_programs_are_versions_like_any(nodes: Nodes) -> None:
    core = nodes()
    nodes.memory.put("f", b"old", Headers())
    theirs = edit(core, "/f", b"new")
    nodes.memory.put("f", b"else", Headers())
    with pytest.raises(StaleHandle):
        close(theirs)
    assert nodes.body("f") == b"else"
