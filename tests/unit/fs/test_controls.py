"""Settings of a running mount: each takes effect, and none is lost."""

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.node import Node, make_node  # noqa: F401
from tests.doubles.faults import FaultyStore
from tests.functional.core import CALLER, MIB, Core
from yas3fs.events import SETTINGS, Setting
from yas3fs.fs.controls import Controls
from yas3fs.objectstore.memory import MemoryStore


def test_every_setting_of_a_message_is_known_or_said_not_to_apply(node: Node) -> None:
    controls = Controls(node.fs.volume)
    nothing = {name for name in SETTINGS if not controls.set(Setting(name, 10 << 20))}
    assert nothing == {"cache_disk", "multipart_retries"}


def test_the_bound_of_names(node: Node) -> None:
    for number in range(20):
        node.put(f"f{number}", b"x")
    node.names()
    for number in range(20):
        node.core.read(f"/f{number}")
    assert node.core.cache.statistics().contents == 20
    controls = Controls(node.fs.volume)
    controls.set(Setting("cache_entries", 5))
    assert node.fs.volume.names.count <= 5
    assert node.core.cache.statistics().contents <= 5
    assert len(node.names()) == 20  # and nothing is hidden by it
    assert controls.values()["cache_entries"] == 5


def test_the_bound_of_content(node: Node) -> None:
    for number in range(8):
        node.core.write(f"/f{number}", os.urandom(MIB))
        node.core.read(f"/f{number}")
    controls = Controls(node.fs.volume)
    controls.set(Setting("cache_memory", 3 * MIB))
    assert node.core.cache.statistics().used <= 3 * MIB
    assert controls.values()["cache_memory"] == 3 * MIB


class Ranges(FaultyStore):
    """Remembers how long each requested range was."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.lengths: list[int] = []

    def get(self, key: str, into: memoryview, **more: object) -> object:  # type: ignore[override]
        self.lengths.append(len(into))
        return super().get(key, into, **more)  # type: ignore[arg-type]


@pytest.fixture(name="ranged")
def make_ranged(tmp_path: Path) -> Core:
    return Core(Ranges(), tmp_path)


def longest_read(core: Core, path: str) -> int:
    """Of a file that is read from end to end by 128 KiB, the longest request."""
    core.cache.clear()
    assert isinstance(core.store, Ranges)
    core.store.lengths.clear()
    handle = core.fs.open(path, os.O_RDONLY)
    size = handle.getattr().size
    for offset in range(0, size, 128 * 1024):
        core.pread(handle, 128 * 1024, offset)
    handle.release()
    return max(core.store.lengths)


def test_the_size_of_a_download(ranged: Core) -> None:
    ranged.write("/f", os.urandom(6 * MIB))
    controls = Controls(ranged.fs.volume)
    assert longest_read(ranged, "/f") > 256 * 1024
    controls.set(Setting("buffer_size", 256 * 1024))
    assert longest_read(ranged, "/f") == 256 * 1024
    controls.set(Setting("buffer_size", 0))  # the file as a whole
    ranged.cache.clear()
    handle = ranged.fs.open("/f", os.O_RDONLY)
    ranged.pread(handle, 10, 0)
    handle.release()
    entry = ranged.fs.volume.lookup("/f")
    assert ranged.reader.covered(ranged.fs.volume.version_of("/f", entry))
    assert controls.values()["buffer_size"] == 0
    ranged.close()


def test_how_far_ahead_of_a_reader(ranged: Core) -> None:
    controls = Controls(ranged.fs.volume)
    controls.set(Setting("buffer_size", 512 * 1024))
    controls.set(Setting("buffer_prefetch", 3))
    assert controls.values()["read_ahead"] == 3 * 512 * 1024
    assert ranged.reader.new_read_ahead().limit == 3 * 512 * 1024
    controls.set(Setting("buffer_prefetch", 0))
    assert ranged.reader.new_read_ahead().limit == 0
    controls.set(Setting("buffer_prefetch", 10**9))
    assert controls.values()["read_ahead"] == 16 << 30
    ranged.close()


def test_files_are_fetched_when_a_listing_shows_them(node: Node) -> None:
    node.put("f", b"content")
    controls = Controls(node.fs.volume)
    node.names()
    node.settle()
    assert node.core.cache.statistics().contents == 0
    controls.set(Setting("prefetch", 1))
    node.names()
    node.core.pools[0].shutdown(wait=True)
    assert node.core.cache.statistics().contents == 1
    controls.set(Setting("prefetch", 0))
    assert controls.values()["prefetch"] is False


def test_the_size_of_parts(tmp_path: Path) -> None:
    store = FaultyStore(MemoryStore())
    core = Core(store, tmp_path)
    controls = Controls(core.fs.volume)

    def upload() -> Counter[str]:
        store.calls.clear()
        core.write("/f", bytes(20 * MIB))
        return store.calls

    assert upload()["upload_part"] == 4
    controls.set(Setting("multipart_size", 10 * MIB))
    assert upload()["upload_part"] == 2
    controls.set(Setting("multipart_size", 32 * MIB))  # the threshold is the size of a part
    assert upload()["upload_part"] == 0
    core.close()


def test_a_threshold_that_was_chosen_stays(tmp_path: Path) -> None:
    core = Core(MemoryStore(), tmp_path, threshold=6 * MIB)
    Controls(core.fs.volume).set(Setting("multipart_size", 32 * MIB))
    assert core.uploader.settings.threshold == 6 * MIB
    core.close()


def test_parts_at_a_time(node: Node) -> None:
    controls = Controls(node.fs.volume)
    controls.set(Setting("multipart_num", 2))
    assert controls.values()["multipart_num"] == 2
    controls.set(Setting("multipart_num", 0))  # large files cannot be sent in one piece
    assert controls.values()["multipart_num"] == 1
    controls.set(Setting("multipart_num", 10_000))
    assert controls.values()["multipart_num"] == node.core.pools[1].most


def test_what_was_set_holds_for_the_volume_that_follows(tmp_path: Path) -> None:
    first, second = Core(MemoryStore(), tmp_path / "1"), Core(MemoryStore(), tmp_path / "2")
    controls = Controls(first.fs.volume)
    controls.set(Setting("cache_entries", 77))
    controls.set(Setting("multipart_size", 6 * MIB))
    controls.follow(second.fs.volume)
    values = controls.values()
    assert (values["cache_entries"], values["multipart_size"]) == (77, 6 * MIB)
    assert second.fs.volume.names.limit == 77
    second.fs.create("/f", os.O_WRONLY, 0o644, CALLER).release()
    first.close()
    second.close()
