"""The process dies between any two requests; the next mount finds every file and cleans up.

The moment of death is a copy of the bucket and of the local disk, taken at each request.
"""

import copy
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.doubles.faults import AFTER, BEFORE, FaultyStore
from tests.functional.core import CALLER, Core
from yas3fs.fs.recovery import recover
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers
from yas3fs.runtime.clock import ManualClock


@dataclass
class Moment:
    """What is left when the process dies here."""

    store: MemoryStore
    folder: Path


class Deaths:
    """A core whose every request is a moment to die in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = MemoryStore(ManualClock(), min_part_size=1)
        self.store = FaultyStore(self.memory)
        self.moments: list[Moment] = []
        self._one_at_a_time = threading.Lock()
        self.core = self.mount(self.store, folder / "alive")

    def mount(self, store: object, folder: Path) -> Core:
        return Core(
            store,  # type: ignore[arg-type]
            folder,
            clock=ManualClock(),
            part_size=1500,
            threshold=3000,
            min_part_size=700,
        )

    def run(self, work: Callable[[], None]) -> None:
        for when in (BEFORE, AFTER):
            self.store.hook("*", self._die, times=10_000, when=when)
        work()
        self._die()

    def _die(self) -> None:
        with self._one_at_a_time:
            self.moments.append(self._copy())

    def _copy(self) -> Moment:
        with self.memory._lock:
            store = MemoryStore(ManualClock(), min_part_size=1)
            store._objects = dict(self.memory._objects)
            store._keys = list(self.memory._keys)
            store._uploads = copy.deepcopy(self.memory._uploads)
        folder = self.folder / f"dead-{len(self.moments)}"
        shutil.copytree(self.folder / "alive", folder)
        return Moment(store, folder)

    def next_mount(self, moment: Moment) -> Core:
        core = self.mount(moment.store, moment.folder)
        core.recover()
        return core


@pytest.fixture
def deaths(tmp_path: Path) -> Deaths:
    return Deaths(tmp_path)


@pytest.mark.parametrize("target", ["missing", "empty"])
@pytest.mark.parametrize("marker", [True, False], ids=["marker", "implied"])
def test_renaming_a_directory(deaths: Deaths, target: str, marker: bool) -> None:
    core = deaths.core
    for name in ("a", "b", "sub/c"):
        deaths.memory.put(f"old/{name}", name.encode(), Headers())
    if marker:
        core.fs.chmod("/old", 0o700)
    if target == "empty":
        core.fs.mkdir("/new", 0o755, CALLER)
    content = {"a": b"a", "b": b"b", "sub": {"c": b"sub/c"}}
    deaths.run(lambda: core.fs.rename("/old", "/new"))
    assert core.tree() == {"new": content}
    before = {"old": content, "new": {}} if target == "empty" else {"old": content}
    seen = []
    for moment in deaths.moments:
        after = deaths.next_mount(moment)
        tree = after.tree()
        assert tree in (before, {"new": content})
        seen.append(tree)
        assert not list(after.journal.left_behind())
        after.close()
    assert before in seen
    assert {"new": content} in seen
    assert seen == sorted(seen, key=[before, {"new": content}].index)
    core.close()


@pytest.mark.parametrize("size", [500, 8000])
def test_replacing_a_file(deaths: Deaths, size: int) -> None:
    core = deaths.core
    core.write("/file", b"old" * 1000)
    deaths.run(lambda: core.write("/file", b"n" * size))
    for moment in deaths.moments:
        after = deaths.next_mount(moment)
        assert after.tree() in ({"file": b"old" * 1000}, {"file": b"n" * size})
        assert not any(upload.parts for upload in moment.store._uploads.values())
        after.close()
    core.close()


def test_renaming_a_file(deaths: Deaths) -> None:
    core = deaths.core
    core.write("/a", b"content")
    deaths.run(lambda: core.fs.rename("/a", "/b"))
    trees = []
    for moment in deaths.moments:
        after = deaths.next_mount(moment)
        trees.append(after.tree())
        assert b"content" in trees[-1].values()
        after.close()
    assert trees[0] == {"a": b"content"}
    assert trees[-1] == {"b": b"content"}
    core.close()


def test_what_was_written_after_the_rename_began_stays(tmp_path: Path) -> None:
    clock = ManualClock()
    store = MemoryStore(clock)
    core = Core(store, tmp_path, clock=clock)
    details = {"source": "old/", "target": "new/", "begun": clock.time()}
    store.put("old/a", b"a", Headers())
    clock.advance(60)
    store.put("old/b", b"b", Headers())
    folder = tmp_path / "state" / "journal" / "dead"
    folder.mkdir()
    (folder / "0.json").write_text(json.dumps({"kind": "rename", **details}))
    assert core.recover() == 1
    assert core.tree() == {"old": {"b": b"b"}, "new": {"a": b"a"}}
    assert recover(store, core.journal, core.pools[1]) == 0
    core.close()
