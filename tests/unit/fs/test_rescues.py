"""Rescued files that are stored after all."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.core import CALLER, MIB, Core
from tests.unit.fs.test_discovery import Bench as Discovered
from yas3fs.errors import (
    Busy,
    Conflict,
    Exists,
    InvalidArgument,
    ServerFailed,
    StaleHandle,
    Yas3fsError,
)
from yas3fs.fs.rescues import store_again
from yas3fs.objectstore.protocol import Headers
from yas3fs.writeback.rescue import Rescued


class Bench(Discovered):
    """A core, and uploads that are refused when the test wants it."""

    def body(self, key: str) -> bytes:
        return self.memory._objects[key].body

    def refused(self, core: Core, path: str, change: bytes, offset: int, flags: int) -> Rescued:
        """Write into a file whose upload is refused; what was rescued."""
        for operation in ("put", "complete_multipart", "upload_part"):
            self.store.fail(operation, ServerFailed("as told"), times=1000)
        if flags & os.O_CREAT:
            handle = core.fs.create(path, flags, 0o640, CALLER)
        else:
            handle = core.fs.open(path, flags)
        handle.write(memoryview(change), offset)
        with pytest.raises(Yas3fsError):
            handle.flush()
        handle.release()
        self.store._rules.clear()
        return list(core.rescue.all())[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for core in made.cores:
        core.close()


NEW = os.O_RDWR | os.O_CREAT


@pytest.mark.parametrize("size", [100, 12 * MIB])
def test_a_new_file_comes_with_its_attributes(bench: Bench, size: int) -> None:
    core = bench.mount()
    rescued = bench.refused(core, "/f", b"x" * size, 0, NEW)
    assert core.names() == []
    assert store_again(core.fs.volume, rescued) == "/f"
    assert core.read("/f") == b"x" * size
    attributes = core.fs.getattr("/f")
    assert stat.S_IMODE(attributes.mode) == 0o640
    assert (attributes.uid, attributes.gid) == (CALLER.uid, CALLER.gid)
    assert list(core.rescue.all()) == []
    assert list(core.rescue.folder.iterdir()) == []
    assert "/f" in core.invalidated


@pytest.mark.parametrize("size", [100, 20 * MIB])
def test_what_was_not_touched_comes_from_the_version_underneath(bench: Bench, size: int) -> None:
    core = bench.mount()
    core.write("/f", b"0" * size)
    rescued = bench.refused(core, "/f", b"new", 10, os.O_RDWR)
    assert rescued.missing == (0 if size == 100 else size - 3)
    store_again(core.fs.volume, rescued)
    assert core.read("/f") == b"0" * 10 + b"new" + b"0" * (size - 13)


@pytest.mark.parametrize("size", [100, 20 * MIB])
def test_what_others_stored_meanwhile_is_replaced_by_force_alone(bench: Bench, size: int) -> None:
    core = bench.mount()
    core.write("/f", b"0" * size)
    rescued = bench.refused(core, "/f", b"n" * size, 0, os.O_RDWR | os.O_TRUNC)
    bench.put("f", b"of others")
    with pytest.raises(Conflict, match="somebody else was faster"):
        store_again(core.fs.volume, rescued)
    assert bench.body("f") == b"of others"
    assert core.rescue.count() == 1
    store_again(core.fs.volume, rescued, force=True)
    assert bench.body("f") == b"n" * size
    assert core.rescue.count() == 0


def test_a_new_file_where_there_is_one_by_now(bench: Bench) -> None:
    core = bench.mount()
    rescued = bench.refused(core, "/f", b"mine", 0, NEW)
    bench.put("f", b"theirs")
    with pytest.raises(Conflict, match="is there already"):
        store_again(core.fs.volume, rescued)
    assert bench.body("f") == b"theirs"
    assert rescued.path.read_bytes() == b"mine"


@pytest.mark.parametrize("force", [False, True])
def test_bytes_that_nobody_has_are_not_made_up(bench: Bench, force: bool) -> None:
    core = bench.mount()
    core.write("/f", b"0" * (20 * MIB))
    rescued = bench.refused(core, "/f", b"new", 10, os.O_RDWR)
    bench.put("f", b"of others")
    with pytest.raises(StaleHandle if force else Conflict):
        store_again(core.fs.volume, rescued, force=force)
    assert bench.body("f") == b"of others"
    assert core.rescue.count() == 1


def test_a_store_that_refuses_again_loses_nothing(bench: Bench) -> None:
    core = bench.mount()
    rescued = bench.refused(core, "/f", b"mine", 0, NEW)
    bench.store.fail("put", ServerFailed("still"))
    with pytest.raises(ServerFailed):
        store_again(core.fs.volume, rescued)
    assert [one.path.read_bytes() for one in core.rescue.all()] == [b"mine"]
    store_again(core.fs.volume, rescued)
    assert bench.body("f") == b"mine"


def test_while_the_path_is_written_here(bench: Bench) -> None:
    core = bench.mount()
    rescued = bench.refused(core, "/f", b"mine", 0, NEW)
    handle = core.fs.create("/f", NEW, 0o644, CALLER)
    handle.write(memoryview(b"later"), 0)
    with pytest.raises(Busy):
        store_again(core.fs.volume, rescued, force=True)
    handle.flush()
    handle.release()
    assert bench.body("f") == b"later"


def edit_note(rescued: Rescued, **changes: Any) -> Rescued:
    told = json.loads(rescued.note.read_text())
    for name, value in changes.items():
        if value is None:
            del told[name]
        else:
            told[name] = value
    rescued.note.write_text(json.dumps(told))
    return rescued


def test_a_note_that_does_not_tell_what_was_replaced(bench: Bench) -> None:
    core = bench.mount()
    core.write("/f", b"old")
    flags = os.O_RDWR | os.O_TRUNC
    edit_note(bench.refused(core, "/f", b"mine", 0, flags), base=None, headers=None)
    (rescued,) = core.rescue.all()
    with pytest.raises(Exists, match="does not say"):
        store_again(core.fs.volume, rescued)
    assert bench.body("f") == b"old"
    core.fs.unlink("/f")
    store_again(core.fs.volume, rescued)
    assert bench.body("f") == b"mine"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bucket": "another"}, "s3://another/f is not below"),
        ({"size": 5}, "does not have 5 bytes"),
        ({"ranges": [[0, 99]]}, "outside of the file"),
        ({"key": None}, "KeyError"),
        ({"base": {"etag": 1}}, "KeyError"),
    ],
)
def test_notes_that_make_no_sense(bench: Bench, changes: dict[str, Any], reason: str) -> None:
    core = bench.mount()
    edit_note(bench.refused(core, "/f", b"mine", 0, NEW), **changes)
    (rescued,) = core.rescue.all()
    with pytest.raises(InvalidArgument, match=reason):
        store_again(core.fs.volume, rescued, force=True)
    assert rescued.path.read_bytes() == b"mine"
    assert core.rescue.count() == 1


def test_a_note_that_is_no_json_hides_no_other(bench: Bench) -> None:
    core = bench.mount()
    bench.refused(core, "/f", b"mine", 0, NEW)
    (core.rescue.folder / "00000000T000000Z-0-broken.json").write_text("{")
    broken, good = core.rescue.all()
    assert "cannot be understood" in broken.unreadable
    assert good.key == "f"
    assert good.headers is not None
    assert isinstance(good.headers, Headers)
