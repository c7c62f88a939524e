"""Who removes names of a directory that he holds open need not wait for each; what can go wrong."""

import os
import threading

import pytest

from tests.doubles.faults import AFTER
from tests.functional.core import CALLER, Core
from tests.unit.fs.bench import Bench
from yas3fs.errors import AccessDenied, InputOutput, NoEntry, NotEmpty, ServerFailed
from yas3fs.fs.handles import DirectoryHandle
from yas3fs.objectstore.protocol import Headers

CREATE = os.O_RDWR | os.O_CREAT


def filled(bench: Bench, count: int, folder: str = "d") -> Core:
    bench.memory.put(f"{folder}/", b"", Headers())
    for number in range(count):
        bench.memory.put(f"{folder}/{number}", b"x", Headers())
    return bench.mount()


def opened(core: Core, path: str = "/d") -> DirectoryHandle:
    """The directory, read to its end."""
    handle = core.fs.opendir(path)
    list(handle.entries(0))
    return handle


def removed(core: Core, count: int) -> DirectoryHandle:
    """The directory, held open, with so many names removed."""
    handle = opened(core)
    for number in range(count):
        core.fs.unlink(f"/d/{number}")
    return handle


def keys(bench: Bench) -> list[str]:
    return sorted(bench.memory._objects)


def test_the_first_name_waits_for_the_store_and_the_others_go_together(bench: Bench) -> None:
    core = filled(bench, 50)
    reached = bench.store.block("delete_many", gate := threading.Event())
    handle = removed(core, 50)
    reached.wait()
    assert bench.store.calls["delete"] == 1
    assert list(opened(core).entries(0)) == []
    with pytest.raises(NoEntry):
        core.fs.getattr("/d/49")
    assert len(keys(bench)) == 50  # the marker, and all but the first
    assert len(bench.mount().names("/d")) == 49  # so that all is back if the process dies now
    gate.set()
    handle.release()
    core.fs.rmdir("/d")
    assert keys(bench) == []
    assert bench.store.calls["delete"] == 1
    assert bench.store.calls["delete_many"] <= 3


def test_who_does_not_hold_the_directory_open_waits_for_each(bench: Bench) -> None:
    core = filled(bench, 3)
    opened(core).release()
    for number in range(3):
        core.fs.unlink(f"/d/{number}")
        assert f"d/{number}" not in keys(bench)
    assert (bench.store.calls["delete"], bench.store.calls["delete_many"]) == (3, 0)


def test_after_the_directory_is_closed_all_is_as_before(bench: Bench) -> None:
    core = filled(bench, 3)
    removed(core, 1).release()
    core.fs.unlink("/d/1")
    assert bench.store.calls["delete_many"] == 0
    assert keys(bench) == ["d/", "d/2"]


def test_a_name_that_the_store_refuses_first_is_refused(bench: Bench) -> None:
    core = filled(bench, 3)
    opened(core)
    bench.store.fail("delete", AccessDenied("no"), times=2)
    for _ in range(2):
        with pytest.raises(AccessDenied):
            core.fs.unlink("/d/0")
    assert bench.store.calls["delete_many"] == 0


def test_names_come_back_and_rmdir_says_why(bench: Bench) -> None:
    core = filled(bench, 3)
    bench.store.fail("delete_many", AccessDenied("no"))
    handle = removed(core, 3)
    handle.release()
    with pytest.raises(AccessDenied):
        core.fs.rmdir("/d")
    assert [entry.name for entry in opened(core).entries(0)] == ["1", "2"]
    assert core.fs.getattr("/d/1").size == 1
    with pytest.raises(NotEmpty):  # it was told
        core.fs.rmdir("/d")
    assert keys(bench) == ["d/", "d/1", "d/2"]


def test_an_unforeseen_failure_lets_nobody_wait_for_ever(bench: Bench) -> None:
    core = filled(bench, 3)
    bench.store.fail("delete_many", ValueError("a defect"))
    removed(core, 3).release()
    with pytest.raises(InputOutput):
        core.fs.rmdir("/d")
    opened(core)
    for number in (1, 2):
        core.fs.unlink(f"/d/{number}")
    assert core.fs.drain() == 0
    assert not [key for key in keys(bench) if key != "d/"]


def test_fsync_of_the_directory_waits_and_says_why(bench: Bench) -> None:
    core = filled(bench, 4)
    handle = removed(core, 2)
    handle.fsync()
    assert keys(bench) == ["d/", "d/2", "d/3"]
    bench.store.fail("delete_many", ServerFailed("no"))
    core.fs.unlink("/d/2")
    with pytest.raises(ServerFailed):
        handle.fsync()
    handle.fsync()
    assert core.fs.getattr("/d/2").size == 1


def test_one_of_many_that_fails_comes_back_alone(bench: Bench) -> None:
    core = filled(bench, 4)
    real = bench.memory.delete_many
    refused = AccessDenied("locked")
    bench.memory.delete_many = lambda asked: [  # type: ignore[method-assign]
        *real([key for key in asked if key != "d/2"]),
        *([("d/2", refused)] if "d/2" in asked else []),
    ]
    removed(core, 4).release()
    with pytest.raises(AccessDenied):
        core.fs.rmdir("/d")
    assert [entry.name for entry in opened(core).entries(0)] == ["2"]


def test_a_file_made_anew_meanwhile_is_not_deleted(bench: Bench) -> None:
    core = filled(bench, 3)
    reached = bench.store.block("delete_many", gate := threading.Event())
    removed(core, 2)
    reached.wait()  # d/1 is under way, d/2 waits
    core.fs.unlink("/d/2")
    handle = core.fs.create("/d/2", CREATE, 0o644, CALLER)
    handle.write(memoryview(b"anew"), 0)
    handle.flush()
    handle.release()
    gate.set()
    core.fs.volume.removals.settle("/d")
    assert keys(bench) == ["d/", "d/2"]
    assert core.fs.getattr("/d/2").size == 4


def test_a_file_made_anew_while_its_object_is_being_deleted_comes_after(bench: Bench) -> None:
    core = filled(bench, 2)
    reached = bench.store.block("delete_many", gate := threading.Event())
    removed(core, 2)
    reached.wait()

    def make() -> None:
        handle = core.fs.create("/d/1", CREATE, 0o644, CALLER)
        handle.write(memoryview(b"anew"), 0)
        handle.flush()
        handle.release()

    maker = threading.Thread(target=make)
    maker.start()
    gate.set()
    maker.join()
    core.fs.volume.removals.settle("/")
    assert bench.body("d/1") == b"anew"


def test_what_somebody_else_puts_there_keeps_the_directory(bench: Bench) -> None:
    core = filled(bench, 3)
    removed(core, 3).release()
    bench.memory.put("d/new", b"x", Headers())
    with pytest.raises(NotEmpty):
        core.fs.rmdir("/d")
    core.fs.volume.removals.settle("/")
    assert keys(bench) == ["d/", "d/new"]


def test_a_tree_goes_with_a_request_for_each_directory(bench: Bench) -> None:
    for folder in ("d/a", "d/b"):
        bench.memory.put(f"{folder}/", b"", Headers())
        for number in range(20):
            bench.memory.put(f"{folder}/{number}", b"x", Headers())
    core = filled(bench, 0)
    top = opened(core)
    for folder in ("/d/a", "/d/b"):
        handle = opened(core, folder)
        for number in range(20):
            core.fs.unlink(f"{folder}/{number}")
        handle.release()
        core.fs.rmdir(folder)
    top.release()
    core.fs.rmdir("/d")
    assert keys(bench) == []
    assert bench.store.calls["delete"] == 3  # the first of each, and the marker of /d


def test_the_end_of_the_mount_waits(bench: Bench) -> None:
    core = filled(bench, 5)
    removed(core, 5)
    assert core.fs.drain() == 0
    assert keys(bench) == ["d/"]


def test_renaming_the_directory_leaves_what_went(bench: Bench) -> None:
    core = filled(bench, 3)
    reached = bench.store.block("delete_many", gate := threading.Event())
    removed(core, 2)
    reached.wait()
    core.fs.rename("/d", "/e")
    gate.set()
    core.fs.volume.removals.settle("/")
    assert keys(bench) == ["e/", "e/2"]


def test_a_failure_that_was_mended_since_is_not_told(bench: Bench) -> None:
    core = filled(bench, 3)
    bench.store.fail("delete_many", AccessDenied("no"))
    removed(core, 2).release()
    while not core.fs.volume.removals.failed("/d"):
        pass
    handle = opened(core)
    for number in (1, 2):
        core.fs.unlink(f"/d/{number}")
    handle.release()
    core.fs.rmdir("/d")
    assert keys(bench) == []


@pytest.mark.parametrize("verb", ["rmdir", "list", "rename"])
def test_a_listing_from_before_the_deletion_shows_nothing(bench: Bench, verb: str) -> None:
    """The store made it while the objects were there; when it arrives they are gone."""
    core = filled(bench, 3)
    bench.memory.put("d/kept", b"x", Headers())
    reached = bench.store.block("delete_many", gate := threading.Event())
    handle = removed(core, 3)
    reached.wait()
    if verb == "list":
        core.fs.forget("/d")

    def delete_meanwhile() -> None:
        gate.set()
        while core.fs.volume.discovery.dying:
            pass

    if verb == "rmdir":
        bench.memory.delete("d/kept")
    bench.store.hook("list_page", delete_meanwhile, when=AFTER)
    match verb:
        case "rmdir":
            core.fs.rmdir("/d")
            assert keys(bench) == []
        case "list":
            assert [entry.name for entry in handle.entries(0)] == ["kept"]
        case "rename":
            core.fs.rename("/d", "/e")
            assert keys(bench) == ["e/", "e/kept"]
