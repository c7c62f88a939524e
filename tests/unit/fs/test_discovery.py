"""How often the store is asked, and what is believed when."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.functional.core import CALLER, Core
from tests.unit.fs import bench
from yas3fs.errors import NoEntry, NotADirectory, ServerFailed
from yas3fs.objectstore.protocol import Headers

WORKERS = 4
"""Threads of the core's pools in tests."""


class Bench(bench.Bench):
    """Counts what a core asks."""

    def mount(self, **settings: Any) -> Core:
        core = super().mount(**settings)
        self.asked()
        return core

    def put(self, key: str, body: bytes = b"", metadata: dict[str, str] | None = None) -> None:
        self.memory.put(key, body, Headers(metadata or {}))

    def asked(self) -> Counter[str]:
        """The requests since the last time this was called, once none is under way."""
        for core in self.cores:
            with contextlib.suppress(RuntimeError):  # its threads have ended
                everybody = threading.Barrier(WORKERS + 1)
                for _ in range(WORKERS):
                    core.pools[2].submit(everybody.wait, 10)
                everybody.wait(10)
        calls = Counter(self.store.calls)
        self.store.calls.clear()
        return calls

    def later(self) -> None:
        self.clock.advance(31)


@pytest.fixture(name="bench")
def a_counting_bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for core in made.cores:
        core.end()


def test_an_unknown_name_costs_one_round_trip_and_settles_its_neighbours(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.put(name)
    core = bench.mount()
    core.fs.getattr("/a")
    assert bench.asked() == {"head": 1, "list_page": 1}
    for missing in ("/c", "/d", "/c/below"):
        with pytest.raises(NoEntry):
            core.fs.getattr(missing)
    core.fs.getattr("/a")
    assert not bench.asked()
    core.fs.getattr("/b")
    assert bench.asked() == {"head": 1}


def test_what_is_not_there_is_asked_for_again_when_that_is_old(bench: Bench) -> None:
    core = bench.mount()
    with pytest.raises(NoEntry):
        core.fs.getattr("/a")
    bench.put("a")
    with pytest.raises(NoEntry):
        core.fs.getattr("/a")
    bench.later()
    assert core.fs.getattr("/a").size == 0


def test_creating_writing_and_looking_at_it(bench: Bench) -> None:
    core = bench.mount()
    core.fs.mkdir("/dir", 0o755, CALLER)
    bench.asked()
    core.write("/dir/a", b"data")
    core.fs.getattr("/dir/a")
    assert core.read("/dir/a") == b"data"
    assert core.names("/dir") == ["a"]
    assert bench.asked() == {"put": 1}  # nothing is asked of what this node has made


def test_a_directory_of_several_pages_is_listed_once_enough_names_were_asked_for(
    bench: Bench,
) -> None:
    for index in range(2500):
        bench.put(f"dir/{index:04}")
    core = bench.mount()
    for missing in range(8):
        with pytest.raises(NoEntry):
            core.fs.getattr(f"/dir/missing-{missing}")
    assert bench.asked()["list_page"] >= 3
    for missing in range(1000):
        with pytest.raises(NoEntry):
            core.fs.getattr(f"/dir/missing-{missing}")
    assert not bench.asked()  # every name is known by now


def test_stat_of_every_name_is_asked_in_growing_batches(bench: Bench) -> None:
    names = [f"file-{index:03}" for index in range(300)]
    for name in names:
        bench.put(f"dir/{name}")
    bench.later()
    core = bench.mount()
    for name in core.names("/dir"):
        core.fs.getattr(f"/dir/{name}")
    assert bench.asked()["head"] <= len(names) + 3
    for name in names:
        core.fs.getattr(f"/dir/{name}")
    assert not bench.asked()
    bench.later()
    for name in names:  # old, but one listing says that nothing has changed
        core.fs.getattr(f"/dir/{name}")
    asked = bench.asked()
    assert asked["list_page"] == 1
    assert asked["head"] <= 5


@pytest.mark.parametrize("wait", [0.0, 1.0, 31.0])
def test_a_listing_does_not_vouch_for_attributes_of_the_same_second(
    bench: Bench, wait: float
) -> None:
    """The same bytes stored again have the same ETag, and a listing gives whole seconds."""
    for name in ("f", "g"):
        bench.put(f"dir/{name}", b"x", {"attr": '{"st_mode": 33188}'})
    core = bench.mount()
    core.names("/dir")
    assert core.fs.getattr("/dir/f").mode & 0o777 == 0o644
    bench.put("dir/f", b"x", {"attr": '{"st_mode": 33152}'})
    bench.clock.advance(wait)
    core.fs.forget("/dir/f")  # as others tell
    core.names("/dir")
    assert core.fs.getattr("/dir/f").mode & 0o777 == 0o600
    bench.clock.advance(5)
    core.fs.forget("/dir/f")
    core.fs.getattr("/dir/f")
    bench.asked()
    core.fs.forget("/dir")
    core.names("/dir")
    assert core.fs.getattr("/dir/f").mode & 0o777 == 0o600
    assert bench.asked()["head"] <= 1, "only the directory: the file is old enough by now"


def test_a_batch_runs_side_by_side(bench: Bench) -> None:
    for index in range(40):
        bench.put(f"dir/{index}")
    core = bench.mount()
    names = core.names("/dir")
    core.fs.getattr(f"/dir/{names[0]}")
    bench.asked()
    gate = threading.Event()
    reached = bench.store.block("head", gate, nth=2, times=100)
    thread = threading.Thread(target=core.fs.getattr, args=(f"/dir/{names[1]}",))
    thread.start()
    assert reached.wait(10)
    gate.set()
    thread.join(10)
    assert not thread.is_alive()
    for pool in core.pools:
        pool.shutdown(wait=True)
    assert bench.asked()["head"] > 4


def test_large_directories_are_not_listed_for_one_name(bench: Bench) -> None:
    for index in range(1005):
        bench.put(f"dir/{index:05}")
    core = bench.mount()
    core.fs.getattr("/dir/00001")
    bench.asked()
    core.fs.getattr("/dir/00002")
    assert bench.asked() == {"head": 1, "list_page": 1}
    with pytest.raises(NoEntry):
        core.fs.getattr("/dir/missing")
    assert bench.asked() == {"head": 1, "list_page": 1}
    assert len(core.names("/dir")) == 1005


def test_the_same_question_is_asked_once(bench: Bench) -> None:
    bench.put("a")
    core = bench.mount()
    gate = threading.Event()
    reached = bench.store.block("list_page", gate)
    threads = [threading.Thread(target=core.fs.getattr, args=("/a",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert reached.wait(10)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert bench.asked() == {"head": 1, "list_page": 1}


def test_a_shared_question_that_fails_is_asked_anew(bench: Bench) -> None:
    bench.put("a")
    core = bench.mount()
    gate = threading.Event()
    reached = bench.store.block("list_page", gate)
    bench.store.fail("list_page", ServerFailed("500"))
    outcomes: list[object] = []

    def look() -> None:
        try:
            outcomes.append(core.fs.getattr("/a").size)
        except ServerFailed as error:
            outcomes.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert reached.wait(10)
    gate.set()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes, key=repr)[:2] == [0, 0]


# -- changes made by others ----------------------------------------------------------------


def test_new_content_is_seen(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"ours")
    bench.clock.advance(2)
    bench.put("a", b"theirs")
    assert core.fs.getattr("/a").size == 4
    bench.later()
    assert core.fs.getattr("/a").size == 6
    assert core.read("/a") == b"theirs"
    assert "/a" in core.invalidated


def test_new_attributes_of_the_same_content_are_seen(bench: Bench) -> None:
    bench.put("a", b"same")
    core = bench.mount()
    core.names("/")
    core.fs.getattr("/a")
    bench.clock.advance(2)
    bench.put("a", b"same", {"attr": '{"st_uid": 77}'})
    bench.later()
    core.names("/")
    assert core.fs.getattr("/a").uid == 77
    assert "/a" in core.invalidated


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "looked-up"])
def test_files_and_directories_change_places(bench: Bench, listed: bool) -> None:
    bench.put("a", b"file")
    bench.put("b/in", b"file")
    core = bench.mount()
    assert core.tree() == {"a": b"file", "b": {"in": b"file"}}
    bench.memory.delete("a")
    bench.put("a/in", b"now below")
    bench.memory.delete("b/in")
    bench.put("b", b"now a file")
    bench.later()
    if listed:
        assert core.names("/") == ["a", "b"]
    else:
        assert core.fs.getattr("/a").is_directory
        assert core.fs.getattr("/b").is_regular
    assert core.tree() == {"a": {"in": b"now below"}, "b": b"now a file"}


def test_what_others_delete_is_gone(bench: Bench) -> None:
    for key in ("a", "dir/b", "dir/c"):
        bench.put(key)
    core = bench.mount()
    core.tree()
    bench.memory.delete_many(["a", "dir/b", "dir/c"])
    bench.later()
    with pytest.raises(NoEntry):
        core.fs.getattr("/a")
    with pytest.raises(NoEntry):
        core.fs.getattr("/dir")
    assert core.names("/") == []


def test_a_file_and_a_directory_of_one_name(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.put("x", b"file")
    bench.put("x/in", b"below")
    core = bench.mount()
    assert core.tree() == {"x": {"in": b"below"}}
    assert "only the directory is shown" in caplog.text


def test_keys_that_are_no_names(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for key in ("a//b", "../up", "./here", "dir/../x", "/lead", "ok", "ok2//"):
        bench.put(key)
    core = bench.mount()
    tree = core.tree()
    assert set(tree) == {"a", "dir", "ok", "ok2"}
    assert "cannot be file names" in caplog.text


def test_a_file_in_a_file(bench: Bench) -> None:
    bench.put("a", b"data")
    core = bench.mount()
    with pytest.raises(NotADirectory):
        core.fs.getattr("/a/b")


# -- answers that are overtaken ------------------------------------------------------------


def overtaken(bench: Bench, ask_for: Any, change: Any) -> None:
    """Ask; while the store's first answer is on its way, ``change`` something."""
    gate = threading.Event()
    # The store has answered, but the answer has not arrived.
    reached = threading.Event()

    def hold() -> None:
        reached.set()
        gate.wait(10)

    bench.store.hook("*", hold, when="after")

    def ask() -> None:
        try:
            ask_for()
        except NoEntry:
            pass

    thread = threading.Thread(target=ask)
    thread.start()
    assert reached.wait(10)
    change()
    gate.set()
    thread.join(10)
    assert not thread.is_alive()


def test_an_upload_overtakes_a_listing(bench: Bench) -> None:
    core = bench.mount()
    core.names("/")
    handle = core.fs.create("/new", 1, 0o644, CALLER)
    bench.later()
    overtaken(bench, lambda: core.names("/"), handle.flush)
    handle.release()
    assert core.fs.getattr("/new").size == 0
    assert core.names("/") == ["new"]


def test_a_rewrite_overtakes_a_look(bench: Bench) -> None:
    bench.put("a", b"old")
    core = bench.mount()
    core.fs.getattr("/a")
    bench.later()
    overtaken(bench, lambda: core.fs.getattr("/a"), lambda: core.write("/a", b"longer"))
    assert core.fs.getattr("/a").size == 6
    assert core.read("/a") == b"longer"


def test_a_removal_overtakes_a_listing(bench: Bench) -> None:
    bench.put("a", b"old")
    core = bench.mount()
    core.fs.getattr("/a")
    bench.later()
    overtaken(bench, lambda: core.names("/"), lambda: core.fs.unlink("/a"))
    with pytest.raises(NoEntry):
        core.fs.getattr("/a")


def test_a_moved_directory_overtakes_its_listing(bench: Bench) -> None:
    bench.put("dir/a", b"data")
    core = bench.mount()
    core.fs.getattr("/dir")
    bench.later()
    overtaken(bench, lambda: core.names("/dir"), lambda: core.fs.rename("/dir", "/moved"))
    assert core.tree() == {"moved": {"a": b"data"}}


@pytest.mark.parametrize("rename", [False, True])
def test_a_file_that_a_directory_hid_is_seen_when_that_goes(bench: Bench, rename: bool) -> None:
    bench.put("both", b"file")
    bench.put("both/")
    core = bench.mount()
    assert core.names("/") == ["both"]
    assert core.fs.getattr("/both").is_directory
    if rename:
        core.fs.rename("/both", "/moved")
    else:
        core.fs.rmdir("/both")
    assert core.fs.getattr("/both").size == 4
    assert "both" in core.names("/")
