"""Who walks a tree finds what comes next already there; who does not costs nothing more."""

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.doubles.faults import AFTER
from tests.functional.core import Core
from tests.unit.fs.test_discovery import Bench
from yas3fs.errors import ServerFailed

FOLDERS, FILES = 12, 6


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    for folder in range(FOLDERS):
        for number in range(FILES):
            made.put(f"tree/{folder:02}/{number}", b"x" * 100)
    made.later()
    yield made
    for core in made.cores:
        core.end()


def look(core: Core, path: str) -> None:
    """As ls -l does."""
    for name in core.names(path):
        core.fs.getattr(f"{path}/{name}")


def requests(bench: Bench) -> Counter[str]:
    """All since the last time, those that follow from each other included."""
    found: Counter[str] = Counter()
    while more := bench.asked():
        found += more
    return found


def walked(bench: Bench, core: Core, first: int = 0, folders: int = 4) -> Counter[str]:
    """The requests of a look at some folders."""
    look(core, "/tree")
    for folder in range(first, first + folders):
        look(core, f"/tree/{folder:02}")
    return requests(bench)


def test_the_directories_that_come_next_are_asked_for(bench: Bench) -> None:
    core = bench.mount()
    walked(bench, core)
    for folder in range(4, FOLDERS):
        look(core, f"/tree/{folder:02}")
    assert not requests(bench), "all of it had been asked for by the time the first four were seen"


def test_each_name_is_asked_for_once(bench: Bench) -> None:
    core = bench.mount()
    asked = walked(bench, core, folders=FOLDERS)
    assert asked["head"] <= FOLDERS * (FILES + 1) + 4
    assert asked["list_page"] <= FOLDERS + 4


def test_who_reads_names_only_costs_no_look_at_files(bench: Bench) -> None:
    core = bench.mount()
    look(core, "/tree")
    for folder in range(FOLDERS):
        core.names(f"/tree/{folder:02}")
    assert requests(bench)["head"] <= 2 * FOLDERS + 4


def test_one_directory_is_no_walk(bench: Bench) -> None:
    core = bench.mount()
    asked = walked(bench, core, folders=1)
    assert asked["head"] <= FOLDERS + FILES + 4


def test_two_directories_long_after_each_other_are_none(bench: Bench) -> None:
    core = bench.mount(ttl=3600.0)
    walked(bench, core, folders=1)
    for folder in (5, 9):
        bench.later()
        look(core, f"/tree/{folder:02}")
    assert requests(bench)["head"] <= 2 * FILES


def test_content_comes_along_for_who_reads_it(bench: Bench) -> None:
    core = bench.mount()
    look(core, "/tree")
    for folder in range(4):
        for name in core.names(f"/tree/{folder:02}"):
            core.fs.getattr(f"/tree/{folder:02}/{name}")
            core.read(f"/tree/{folder:02}/{name}")
    requests(bench)
    for folder in range(4, FOLDERS):
        for name in core.names(f"/tree/{folder:02}"):
            assert core.read(f"/tree/{folder:02}/{name}") == b"x" * 100
    assert requests(bench)["get"] <= 2 * FILES


def test_content_does_not_come_along_for_who_only_looks(bench: Bench) -> None:
    core = bench.mount()
    assert walked(bench, core, folders=FOLDERS)["get"] <= 2


def test_failures_ahead_are_for_whoever_asks(bench: Bench) -> None:
    core = bench.mount()
    look(core, "/tree")
    look(core, "/tree/00")
    bench.store.fail("head", ServerFailed("no"), times=3)
    for folder in range(1, FOLDERS):
        for name in core.names(f"/tree/{folder:02}"):
            try:
                core.fs.getattr(f"/tree/{folder:02}/{name}")
            except ServerFailed:
                core.fs.getattr(f"/tree/{folder:02}/{name}")


def test_a_long_walk_is_followed_to_its_end(tmp_path: Path) -> None:
    bench, folders = Bench(tmp_path), 200
    for folder in range(folders):
        for number in range(2):
            bench.put(f"tree/{folder:03}/{number}", b"x" * 100)
    bench.later()
    core = bench.mount()
    askers: list[str] = []
    for operation in ("head", "get", "list_page"):
        note = partial(lambda names: names.append(threading.current_thread().name), askers)
        bench.store.hook(operation, note, times=10_000)
    look(core, "/tree")
    for folder in range(folders):
        requests(bench)  # those ahead have been answered
        if folder == 4:
            askers.clear()
        look(core, f"/tree/{folder:03}")
    assert askers
    assert threading.current_thread().name not in askers
    core.end()


@pytest.mark.parametrize("metadata", [True, False])
def test_who_reads_names_only_finds_the_next_listings(bench: Bench, metadata: bool) -> None:
    core = bench.mount(metadata=metadata)
    core.names("/tree")
    for folder in range(4):
        core.names(f"/tree/{folder:02}")
    asked = requests(bench)
    assert asked["list_page"] == FOLDERS + 2  # those of / and /tree as well
    for folder in range(4, FOLDERS):
        core.names(f"/tree/{folder:02}")
    assert not requests(bench)


def test_who_jumps_about_has_nothing_listed_ahead(bench: Bench) -> None:
    core = bench.mount()
    core.names("/tree")
    for folder in (5, 2, 9, 7):
        core.names(f"/tree/{folder:02}")
    assert requests(bench)["list_page"] == 6


def test_walkers_in_trees_of_several_levels_are_followed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for upper in range(8):
        for lower in range(8):
            bench.put(f"tree/{upper}/{lower}/file", b"x" * 100)
    bench.later()
    core = bench.mount()
    core.names("/tree")
    for upper in range(4):
        core.names(f"/tree/{upper}")
        for lower in range(8):
            core.names(f"/tree/{upper}/{lower}")
    requests(bench)
    for upper in range(4, 8):
        core.names(f"/tree/{upper}")
    assert not requests(bench)
    core.end()


def test_a_listing_ahead_that_fails_harms_nobody(bench: Bench) -> None:
    core, walker = bench.mount(), threading.current_thread()

    def refuse() -> None:
        if threading.current_thread() is not walker:
            raise ServerFailed("no")

    core.names("/tree")
    bench.store.hook("list_page", refuse, times=10_000)
    for folder in range(FOLDERS):
        assert len(core.names(f"/tree/{folder:02}")) == FILES
        requests(bench)


def test_a_listing_that_is_not_believed_is_not_asked_for_again(bench: Bench) -> None:
    core, walker, doubted = bench.mount(), threading.current_thread(), 0

    def news() -> None:
        nonlocal doubted
        if threading.current_thread() is not walker and doubted < 500:
            doubted += 1
            core.fs.volume.names.forget_below("/tree")

    core.names("/tree")
    for folder in range(2):
        look(core, f"/tree/{folder:02}")
    bench.store.hook("list_page", news, times=10_000, when=AFTER)
    look(core, "/tree/02")
    requests(bench)
    assert 0 < doubted < 10 * FOLDERS
