"""Another file system in the place of the present one: what goes where."""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.core import CALLER, Core
from yas3fs.errors import NoEntry
from yas3fs.fs.switch import SwitchableFilesystem
from yas3fs.fuse.served import ServedFilesystem
from yas3fs.objectstore.memory import MemoryStore

WITHIN = 10.0


class Bench:
    """Two places with a file of one name, and what serves the first of them."""

    def __init__(self, folder: Path) -> None:
        self.stores = [MemoryStore(), MemoryStore()]
        self.old, self.new = (
            Core(store, folder / str(number)) for number, store in enumerate(self.stores)
        )
        self.old.write("/f", b"old content")
        self.new.write("/f", b"new")
        self.served = SwitchableFilesystem(self.old.fs)

    def switch(self) -> None:
        self.served.switch(self.new.fs, lambda: None)

    def body(self, number: int, key: str = "f") -> bytes:
        return self.stores[number]._objects[key].body


@pytest.fixture(name="bench")
def make_bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.old.close()
    bench.new.close()


def test_it_is_what_the_kernel_edge_serves(bench: Bench) -> None:
    served: ServedFilesystem = bench.served
    assert served.getattr("/f").size == 11
    assert served.block_size == bench.old.fs.block_size


def test_whatever_begins_afterwards_is_of_the_new_one(bench: Bench) -> None:
    bench.switch()
    served = bench.served
    assert served.present is bench.new.fs
    assert served.getattr("/f").size == 3
    served.mkdir("/d", 0o755, CALLER)
    served.symlink("f", "/l", CALLER)
    served.setxattr("/f", "user.a", b"x", 0)
    served.rename("/f", "/d/f")
    assert served.readlink("/l") == "f"
    assert served.getxattr("/d/f", "user.a") == b"x"
    assert [entry.name for entry in served.opendir("/").entries(0)] == ["d", "l"]
    served.unlink("/d/f")
    served.rmdir("/d")
    assert set(bench.stores[1]._objects) == {"l"}
    assert set(bench.stores[0]._objects) == {"f"}


def test_a_file_that_is_open_goes_on_as_it_was(bench: Bench) -> None:
    reader = bench.served.open("/f", os.O_RDONLY)
    bench.switch()
    assert bench.old.pread(reader, 100, 0) == b"old content"
    assert reader.getattr().size == 11
    reader.release()


def test_what_is_written_to_it_goes_to_the_old_place(bench: Bench) -> None:
    writer = bench.served.open("/f", os.O_RDWR)
    fresh = bench.served.create("/fresh", os.O_RDWR | os.O_CREAT, 0o644, CALLER)
    writer.write(memoryview(b"OLD"), 0)
    bench.switch()
    writer.write(memoryview(b"!"), 11)
    fresh.write(memoryview(b"fresh"), 0)
    bench.served.truncate("", 5, fresh)
    bench.served.chmod("", 0o600, writer)
    bench.served.chown("", 5, 6, writer)
    bench.served.utimens("", 7, 8, writer)
    for handle in (writer, fresh):
        handle.flush()
        handle.release()
    assert bench.body(0) == b"OLD content!"
    assert bench.body(0, "fresh") == b"fresh"
    assert bench.body(1) == b"new"
    assert "fresh" not in bench.stores[1]._objects
    old = bench.old.fs.getattr("/f")
    assert (stat.S_IMODE(old.mode), old.uid, old.gid, old.atime_ns) == (0o600, 5, 6, 7)
    assert stat.S_IMODE(bench.new.fs.getattr("/f").mode) == 0o644
    with pytest.raises(NoEntry):
        bench.served.getattr("/fresh")


def test_the_pages_of_a_file_that_is_open_are_not_shared(bench: Bench) -> None:
    reader = bench.served.open("/f", os.O_RDONLY)
    bench.switch()
    other = bench.served.open("/f", os.O_RDONLY)
    assert other.direct
    other.release()
    reader.release()
    later = bench.served.open("/f", os.O_RDONLY)
    assert not later.direct
    later.release()


def test_a_change_that_is_under_way_is_waited_for(bench: Bench) -> None:
    switched = threading.Event()

    def switch() -> None:
        bench.switch()
        switched.set()

    with bench.old.fs.volume.claims.claim("/somewhere/below"):
        thread = threading.Thread(target=switch)
        thread.start()
        assert not switched.wait(0.1)
        assert bench.served.present is bench.old.fs
    assert switched.wait(WITHIN)
    thread.join(WITHIN)


def test_what_is_to_be_done_before_is_done_before(bench: Bench) -> None:
    seen = []
    bench.served.switch(bench.new.fs, lambda: seen.append(bench.served.present))
    assert seen == [bench.old.fs]


def test_the_old_one_is_in_use_as_long_as_a_file_is_open(bench: Bench) -> None:
    files = bench.old.fs.files
    assert not files.in_use
    handle = bench.served.open("/f", os.O_RDWR)
    bench.switch()
    assert files.in_use
    handle.write(memoryview(b"x"), 0)
    handle.release()
    assert not files.in_use
    bench.served.leave(bench.old.fs)
    assert bench.body(0).startswith(b"x")
