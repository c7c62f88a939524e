"""What verbs cost, what an open file sees when its object changes, and what without metadata."""

import os
import stat
import threading

import pytest

from tests.functional.core import CALLER, MIB, Core
from tests.unit.fs.bench import Bench
from yas3fs.errors import (
    AccessDenied,
    NoEntry,
    NotPermitted,
    ServerFailed,
    StaleHandle,
    Yas3fsError,
)
from yas3fs.fs.handles import FileHandle
from yas3fs.fs.types import Changes
from yas3fs.objectstore.protocol import Headers

CREATE = os.O_RDWR | os.O_CREAT


def create(core: Core, path: str, data: bytes, flags: int = 0) -> FileHandle:
    handle = core.fs.create(path, CREATE | flags, 0o644, CALLER)
    if data:
        handle.write(memoryview(data), 0)
    return handle


def close(handle: FileHandle) -> None:
    try:
        handle.flush()
    finally:
        handle.release()


# -- what verbs cost -----------------------------------------------------------------------


def test_renaming_an_unsaved_file_costs_nothing(bench: Bench) -> None:
    core = bench.mount()
    core.names("/")
    handle = create(core, "/a", b"data")
    assert not bench.cost(lambda: core.fs.rename("/a", "/b"))
    assert bench.cost(lambda: close(handle)) == {"put": 1}
    assert core.tree() == {"b": b"data"}


def test_attributes_of_an_unsaved_file_ride_along(bench: Bench) -> None:
    core = bench.mount()
    handle = create(core, "/a", b"data")

    def change() -> None:
        core.fs.chmod("/a", 0o600)
        core.fs.chown("/a", 5, 6)
        core.fs.utimens("/a", 10**18, 10**18)
        core.fs.setxattr("/a", "user.x", b"1", 0)

    assert not bench.cost(change)
    assert bench.cost(lambda: close(handle)) == {"put": 1}
    other = bench.mount().fs
    assert (other.getattr("/a").uid, other.getattr("/a").mtime_ns) == (5, 10**18)
    assert other.getxattr("/a", "user.x") == b"1"


def test_attributes_set_while_parts_are_on_their_way(bench: Bench) -> None:
    core = bench.mount()
    handle = create(core, "/a", os.urandom(6 * MIB))
    core.fs.chmod("/a", 0o600)
    core.fs.utimens("/a", 10**18, 10**18)
    close(handle)
    other = bench.mount().fs.getattr("/a")
    assert (stat.S_IMODE(other.mode), other.mtime_ns, other.size) == (0o600, 10**18, 6 * MIB)


def test_renaming_a_stored_file_is_one_copy_and_one_deletion(bench: Bench) -> None:
    core = bench.mount()
    core.fs.mkdir("/dir", 0o755, CALLER)
    core.write("/dir/a", b"data")
    assert bench.cost(lambda: core.fs.rename("/dir/a", "/dir/b")) == {"copy": 1, "delete": 1}
    assert not bench.cost(lambda: core.read("/dir/b"))  # its bytes are here under the new name


def test_appending_to_a_large_file_sends_what_was_appended(bench: Bench) -> None:
    core = bench.mount(cache_size=1 * MIB)
    content = os.urandom(24 * MIB)
    bench.memory.put("a", content, Headers())
    handle = core.fs.open("/a", os.O_WRONLY)
    handle.write(memoryview(b"line\n"), len(content))
    sent: list[int] = []
    bench.store.hook("upload_part", lambda: sent.append(1), times=100)
    cost = bench.cost(lambda: close(handle))
    assert cost["copy_part"] >= 1
    assert len(sent) == 1
    assert cost["get"] == 0
    assert bench.body("a") == content + b"line\n"


def test_opening_and_closing_without_writing_costs_nothing(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"data")

    def look() -> None:
        close(core.fs.open("/a", os.O_RDWR))
        close(core.fs.create("/a", CREATE, 0o600, CALLER))

    assert not bench.cost(look)


def test_fsync_and_close_send_once(bench: Bench) -> None:
    core = bench.mount()
    handle = create(core, "/a", b"data")
    handle.fsync()
    assert not bench.cost(lambda: (handle.fsync(), close(handle)))


# -- open files whose object changes -------------------------------------------------------


def test_a_reader_that_has_begun_keeps_its_version_or_is_told(bench: Bench) -> None:
    old = os.urandom(4 * MIB)
    bench.memory.put("a", old, Headers())
    core = bench.mount()
    handle = core.fs.open("/a", os.O_RDONLY)
    assert core.pread(handle, 1000, 0) == old[:1000]
    bench.memory.put("a", os.urandom(4 * MIB), Headers())
    assert core.pread(handle, 1000, 0) == old[:1000]
    with pytest.raises(StaleHandle):
        core.pread(handle, 1000, 3 * MIB)
    handle.release()


def test_a_reader_that_has_not_begun_gets_what_is_there(bench: Bench) -> None:
    bench.memory.put("a", b"old", Headers())
    core = bench.mount(cache_size=0)
    handle = core.fs.open("/a", os.O_RDONLY)
    bench.memory.put("a", b"newer", Headers())
    assert core.pread(handle, 100, 0) == b"newer"
    handle.release()


def test_a_reader_of_what_was_deleted(bench: Bench) -> None:
    bench.memory.put("a", os.urandom(4 * MIB), Headers())
    core = bench.mount()
    handle = core.fs.open("/a", os.O_RDONLY)
    core.pread(handle, 10, 0)
    bench.memory.delete("a")
    with pytest.raises(StaleHandle):
        core.pread(handle, 10, 3 * MIB)
    handle.release()


def test_unsaved_bytes_survive_whatever_others_do(bench: Bench) -> None:
    bench.memory.put("a", b"old", Headers())
    core = bench.mount()
    handle = core.fs.open("/a", os.O_RDWR | os.O_TRUNC)
    handle.write(memoryview(b"ours"), 0)
    bench.memory.put("a", b"theirs", Headers())
    bench.clock.advance(60)
    core.fs.forget("/")
    assert core.names("/") == ["a"]
    assert core.fs.getattr("/a").size == 4
    close(handle)
    assert bench.body("a") == b"ours"  # the last close wins


def test_two_handles_write_one_file(bench: Bench) -> None:
    core = bench.mount()
    first = create(core, "/a", b"0123456789")
    first.fsync()
    bench.clock.advance(60)
    core.names("/")  # which finds the new version
    second = core.fs.open("/a", os.O_RDWR)
    first.write(memoryview(b"A"), 0)
    second.write(memoryview(b"B"), 9)
    assert core.pread(first, 100, 0) == b"A12345678B"
    close(first)
    close(second)
    assert bench.body("a") == b"A12345678B"


def test_o_excl_does_not_replace_what_another_node_made(bench: Bench) -> None:
    core = bench.mount()
    handle = create(core, "/a", b"ours", os.O_EXCL)
    bench.memory.put("a", b"theirs", Headers())
    with pytest.raises(Yas3fsError):
        close(handle)
    assert bench.body("a") == b"theirs"
    assert core.rescue.count() == 1
    core.fs.forget("/")
    assert core.read("/a") == b"theirs"


def test_the_kernel_keeps_pages_while_the_version_is_the_same(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"data")

    def keeps() -> bool:
        handle = core.fs.open("/a", os.O_RDONLY)
        handle.release()
        return handle.keep_cache

    assert keeps()
    core.fs.chmod("/a", 0o600)
    assert keeps()
    bench.memory.put("a", b"else", Headers())
    core.fs.forget("/a")
    assert not keeps()
    assert keeps()


# -- failures ------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ServerFailed("500"), AccessDenied("403")])
def test_what_could_not_be_stored_is_rescued(bench: Bench, error: Yas3fsError) -> None:
    core = bench.mount()
    core.write("/a", b"old")
    handle = core.fs.open("/a", os.O_RDWR)
    handle.write(memoryview(b"new!"), 0)
    bench.store.fail("put", error, times=100)
    with pytest.raises(type(error)):
        handle.flush()
    assert core.pread(handle, 10, 0) == b"new!"  # still there while it is open
    handle.release()
    bench.store._rules.clear()
    assert core.read("/a") == b"old"
    rescued = [path for path in core.rescue.folder.iterdir() if path.suffix != ".json"]
    assert [path.read_bytes() for path in rescued] == [b"new!"]


def test_a_second_close_stores_what_the_first_could_not(bench: Bench) -> None:
    core = bench.mount()
    handle = create(core, "/a", b"data")
    bench.store.fail("put", ServerFailed("500"))
    with pytest.raises(ServerFailed):
        handle.flush()
    close(handle)
    assert bench.body("a") == b"data"
    assert core.rescue.count() == 0


def test_a_refused_removal_changes_nothing(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"data")
    handle = core.fs.open("/a", os.O_RDWR)
    handle.write(memoryview(b"DATA"), 0)
    bench.store.fail("delete", AccessDenied("403"))
    with pytest.raises(AccessDenied):
        core.fs.unlink("/a")
    assert core.pread(handle, 10, 0) == b"DATA"
    close(handle)
    assert core.read("/a") == b"DATA"
    core.fs.unlink("/a")
    assert not bench.memory._objects


def test_a_refused_rename_keeps_the_unsaved_target(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"source")
    target = create(core, "/b", b"unsaved")
    bench.store.fail("copy", AccessDenied("403"))
    with pytest.raises(AccessDenied):
        core.fs.rename("/a", "/b")
    close(target)
    assert core.tree() == {"a": b"source", "b": b"unsaved"}


def test_drain_stores_what_is_open(bench: Bench) -> None:
    core = bench.mount()
    create(core, "/a", b"data")
    assert core.fs.drain() == 0
    assert bench.body("a") == b"data"
    create(core, "/b", b"data")
    bench.store.fail("put", ServerFailed("500"), times=100)
    assert core.fs.drain() == 1
    assert core.rescue.count() == 1


# -- a file written while its name moves ---------------------------------------------------


def test_a_close_during_the_renaming_of_its_directory(bench: Bench) -> None:
    core = bench.mount()
    core.fs.mkdir("/old", 0o755, CALLER)
    for name in ("a", "b"):
        core.write(f"/old/{name}", b"first")
    handle = core.fs.open("/old/a", os.O_RDWR)
    gate = threading.Event()
    reached = bench.store.block("delete_many", gate)
    renaming = threading.Thread(target=core.fs.rename, args=("/old", "/new"))
    renaming.start()
    assert reached.wait(10)  # everything is copied, nothing deleted

    def write() -> None:
        handle.write(memoryview(b"SECOND"), 0)
        close(handle)

    writing = threading.Thread(target=write)
    writing.start()
    gate.set()
    for thread in (renaming, writing):
        thread.join(10)
        assert not thread.is_alive()
    core.fs.forget("/")
    assert core.tree() == {"new": {"a": b"SECOND", "b": b"first"}}


def test_a_reader_during_the_renaming_of_its_directory(bench: Bench) -> None:
    core = bench.mount(cache_size=0)
    core.fs.mkdir("/old", 0o755, CALLER)
    core.write("/old/a", b"content")
    handle = core.fs.open("/old/a", os.O_RDONLY)
    gate = threading.Event()
    reached = bench.store.block("delete_many", gate)
    renaming = threading.Thread(target=core.fs.rename, args=("/old", "/new"))
    renaming.start()
    assert reached.wait(10)
    bench.memory.delete("old/a")  # as the request that is held up is about to
    found: list[bytes] = []
    reading = threading.Thread(target=lambda: found.append(core.pread(handle, 100, 0)))
    reading.start()
    gate.set()
    for thread in (renaming, reading):
        thread.join(10)
    assert found == [b"content"]
    handle.release()


# -- without metadata ----------------------------------------------------------------------


def test_without_metadata_nothing_of_ours_is_stored(bench: Bench) -> None:
    core = bench.mount(metadata=False)
    core.write("/a", b"data")
    core.fs.mkdir("/dir", 0o700, CALLER)
    core.fs.chmod("/a", 0o600)
    core.fs.setxattr("/a", "user.x", b"1", 0)
    core.fs.rename("/a", "/b")
    for key in bench.memory._keys:
        assert not bench.memory.head(key).headers.metadata
    with pytest.raises(NotPermitted):
        core.fs.symlink("target", "/link", CALLER)
    with pytest.raises(NotPermitted):
        core.fs.mknod("/fifo", stat.S_IFIFO | 0o600, 0, CALLER)


def test_without_metadata_a_listing_is_enough(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.memory.put(f"dir/{name}", b"data", Headers({"attr": '{"st_uid": 7}'}))
    core = bench.mount(metadata=False)
    core.names("/dir")

    def look() -> None:
        for name in ("a", "b", "c"):
            assert core.fs.getattr(f"/dir/{name}").uid == 0

    assert not bench.cost(look)


def test_without_metadata_attributes_live_in_memory(bench: Bench) -> None:
    core = bench.mount(metadata=False)
    core.write("/a", b"data")
    core.fs.mkdir("/dir", 0o755, CALLER)
    core.fs.chmod("/a", 0o600)
    core.fs.chmod("/dir", 0o700)
    for look in (lambda: None, lambda: core.names("/")):
        bench.clock.advance(60)
        look()
        assert stat.S_IMODE(core.fs.getattr("/a").mode) == 0o600
        assert stat.S_IMODE(core.fs.getattr("/dir").mode) == 0o700
    bench.memory.put("a", b"theirs", Headers())
    bench.clock.advance(60)
    assert core.fs.getattr("/a").size == 6


def test_unlinked_open_files_leave_the_bucket_at_once(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"data")
    handle = core.fs.open("/a", os.O_RDWR)
    core.fs.unlink("/a")
    assert not bench.memory._objects
    assert core.names("/") == []
    with pytest.raises(NoEntry):
        core.fs.getattr("/a")
    assert core.pread(handle, 10, 0) == b"data"
    assert handle.getattr().nlink == 0
    handle.write(memoryview(b"more"), 4)
    handle.release()
    assert core.fs.drain() == 0
    assert not bench.memory._objects


def test_an_unlinked_file_has_attributes_while_it_is_open(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"data")
    handle = core.fs.open("/a", os.O_RDONLY)
    core.fs.unlink("/a")
    core.write("/a", b"another")
    core.fs.setattr("", Changes(mode=0o600, mtime_ns=5), handle)
    core.fs.setxattr("", "user.x", b"1", 0, handle)
    assert (handle.getattr().mode & 0o777, handle.getattr().mtime_ns) == (0o600, 5)
    assert core.fs.listxattr("", handle) == ["user.x"]
    assert core.fs.getxattr("", "user.x", handle) == b"1"
    core.fs.removexattr("", "user.x", handle)
    assert core.fs.listxattr("", handle) == []
    handle.release()
    assert core.fs.getattr("/a").mode & 0o777 == 0o644
    assert core.fs.listxattr("/a") == []


def test_a_file_without_a_name_is_opened_again_while_it_is_open(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"old")
    core.write("/b", b"new")
    first = core.fs.open("/a", os.O_RDONLY)
    core.fs.rename("/b", "/a")
    second = first.reopen(os.O_RDWR)
    first.release()
    assert core.pread(second, 10, 0) == b"old"
    second.reopen(os.O_WRONLY | os.O_TRUNC).release()
    assert core.pread(second, 10, 0) == b""
    second.release()
    with pytest.raises(NoEntry):
        second.reopen(os.O_RDONLY)
    assert bench.body("a") == b"new"


def test_an_unlink_that_cannot_bring_the_content_here_does_not_happen(bench: Bench) -> None:
    core = bench.mount(cache_size=MIB, buffer_size=MIB)
    core.write("/a", bytes(3 * MIB))
    handle = core.fs.open("/a", os.O_RDONLY)
    bench.store.fail("get", ServerFailed("as told"))
    with pytest.raises(ServerFailed):
        core.fs.unlink("/a")
    assert core.pread(handle, 10, 0) == bytes(10)
    assert core.fs.getattr("/a").size == 3 * MIB
    handle.release()


def test_readers_of_a_version_that_somebody_replaced_get_no_zeros(bench: Bench) -> None:
    """What was not read before cannot be had any more; the unlink succeeds all the same."""
    core = bench.mount(cache_size=MIB, buffer_size=MIB)
    core.write("/a", b"x" * (3 * MIB))
    handle = core.fs.open("/a", os.O_RDONLY)
    assert core.pread(handle, 10, 0) == b"x" * 10
    bench.memory.put("a", b"theirs", Headers())
    core.fs.unlink("/a")
    assert not bench.memory._objects
    with pytest.raises(StaleHandle):
        core.pread(handle, 10, 3 * MIB - 10)
    handle.release()


def test_several_attributes_are_one_write(bench: Bench) -> None:
    core = bench.mount()
    core.write("/a", b"data")

    def change() -> None:
        changed = core.fs.setattr("/a", Changes(0o600, 1, 2, None, 3, 4))
        assert (changed.uid, changed.gid, changed.atime_ns, changed.mtime_ns) == (1, 2, 3, 4)

    assert bench.cost(change) == {"copy": 1}

    def resize() -> None:
        changed = core.fs.setattr("/a", Changes(mode=0o640, size=2, mtime_ns=9))
        assert (changed.size, changed.mode & 0o777, changed.mtime_ns) == (2, 0o640, 9)

    assert bench.cost(resize) == {"put": 1}
    assert bench.body("a") == b"da"
    assert bench.mount().fs.getattr("/a").uid == 1
