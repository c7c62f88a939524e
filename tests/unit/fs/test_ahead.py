"""Who walks a tree finds what comes next already there; who does not costs nothing more."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

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
