"""When the kernel may go on with the names that it was told."""

import pytest

from tests.functional.core import CALLER, Core
from tests.unit.fs.bench import Bench
from yas3fs.events import Mkdir
from yas3fs.fs.coherence import Coherence
from yas3fs.fs.handles import DirectoryHandle
from yas3fs.objectstore.protocol import Headers

LARGE = bytes(5000)
"""Too large for a symlink, so that listings tell the type."""


@pytest.fixture(name="core")
def one_core(bench: Bench) -> Core:
    bench.memory.put("d/", b"", Headers())
    for name in "abc":
        bench.memory.put(f"d/{name}", LARGE, Headers())
    return bench.mount()


def read(core: Core) -> DirectoryHandle:
    handle = core.fs.opendir("/d")
    list(handle.entries(0))
    return handle


def keeps(core: Core) -> bool | None:
    """What the kernel is told when a program reads the directory; it asks unless it may not."""
    handle = core.fs.opendir("/d")
    if not handle.keep_cache:
        list(handle.entries(0))
    handle.release()
    return handle.keep_cache


def test_names_that_were_read_to_the_end_are_kept(core: Core) -> None:
    assert [keeps(core) for _ in range(3)] == [False, True, True]


def test_names_of_which_only_some_were_read_are_not(core: Core) -> None:
    handle = core.fs.opendir("/d")
    next(iter(handle.entries(0)))
    handle.release()
    assert keeps(core) is False
    assert keeps(core) is True


def test_names_that_were_read_in_pieces_are_kept(core: Core) -> None:
    handle = core.fs.opendir("/d")
    for offset in range(4):
        next(iter(handle.entries(offset)), None)
    handle.release()
    assert keeps(core) is True


def test_a_name_without_a_type_is_not_kept(bench: Bench, core: Core) -> None:
    bench.memory.put("d/small", b"may be a link", Headers())
    assert [keeps(core) for _ in range(2)] == [False, False]
    core.fs.getattr("/d/small")
    assert [keeps(core) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("change", ["mkdir", "unlink", "rename", "rmdir"])
def test_a_change_of_our_own_ends_it(core: Core, change: str) -> None:
    core.fs.mkdir("/d/sub", 0o755, CALLER)
    assert [keeps(core) for _ in range(2)] == [False, True]
    match change:
        case "mkdir":
            core.fs.mkdir("/d/new", 0o755, CALLER)
        case "unlink":
            core.fs.unlink("/d/a")
        case "rename":
            core.fs.rename("/d/a", "/d/z")
        case "rmdir":
            core.fs.rmdir("/d/sub")
    assert [keeps(core) for _ in range(2)] == [False, True]


def test_news_of_others_ends_it_and_the_kernel_is_told(bench: Bench, core: Core) -> None:
    coherence = Coherence(core.fs.volume, core.fs.files, core.cache, lambda _: None)
    coherence.alive(True)
    assert [keeps(core) for _ in range(2)] == [False, True]
    bench.memory.put("d/new/", b"", Headers())
    core.invalidated.clear()
    coherence.apply(Mkdir("/d/new"))
    assert "/d" in core.invalidated
    core.invalidated.clear()
    coherence.apply(Mkdir("/d/new"))
    assert "/d" not in core.invalidated  # it keeps nothing any more
    assert [keeps(core) for _ in range(2)] == [False, True]


def test_a_directory_that_is_held_open_is_told_each_time(core: Core) -> None:
    handle = read(core)
    for _ in range(2):
        core.invalidated.clear()
        core.fs.forget("/d/elsewhere")
        assert "/d" in core.invalidated
    handle.release()


def test_it_ends_before_the_attributes_do(bench: Bench, core: Core) -> None:
    assert [keeps(core) for _ in range(2)] == [False, True]
    bench.clock.advance(14.0)
    assert keeps(core) is True
    bench.clock.advance(2.0)
    assert [keeps(core) for _ in range(2)] == [False, True]


def test_where_nothing_is_believed_nothing_is_kept(bench: Bench) -> None:
    bench.memory.put("d/a", LARGE, Headers())
    core = bench.mount(ttl=0.0)
    assert [keeps(core) for _ in range(2)] == [None, None]


def test_what_two_readers_were_told_is_not_kept(core: Core) -> None:
    first, second = core.fs.opendir("/d"), core.fs.opendir("/d")
    list(first.entries(0))
    list(second.entries(0))
    first.release()
    list(second.entries(0))
    second.release()
    assert [keeps(core) for _ in range(2)] == [False, True]


def test_who_goes_back_to_the_beginning_later_is_told_anew(bench: Bench, core: Core) -> None:
    handle = read(core)
    core.invalidated.clear()
    bench.clock.advance(29.0)
    core.fs.volume.kept.expire()
    assert core.invalidated == []
    bench.clock.advance(2.0)
    core.fs.volume.kept.expire()
    assert core.invalidated == ["/d"]
    bench.memory.put("d/new", LARGE, Headers())
    assert [entry.name for entry in handle.entries(0)] == ["a", "b", "c", "new"]
    handle.release()
    assert core.fs.volume.opened.all() == []


def test_a_kept_listing_stays_one_when_it_changes_meanwhile(core: Core) -> None:
    """The kernel may have let go of some of its pages: it asks for what comes after others."""
    read(core).release()
    handle = core.fs.opendir("/d")
    assert handle.keep_cache
    core.fs.unlink("/d/a")
    assert [entry.name for entry in handle.entries(1)] == ["b", "c"]
    handle.release()
