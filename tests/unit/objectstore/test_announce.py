"""Which writes are announced, and as what."""

from collections.abc import Callable

import pytest

from tests.doubles.faults import AFTER, BEFORE, FaultyStore
from yas3fs.errors import AccessDenied, Interrupted, NotFound, PreconditionFailed, TimedOut
from yas3fs.events import Event, Metadata, Mkdir, Rmdir, Unlink, Upload
from yas3fs.fs.keys import KeyMap
from yas3fs.objectstore.announce import AnnouncingStore
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers

PLAIN = Headers()


class Bench:
    """A store that announces, over one that can be made to fail; the mount is ``data/``."""

    def __init__(self, prefix: str = "data") -> None:
        self.inner = FaultyStore(MemoryStore(min_part_size=1))
        self.said: list[Event] = []
        self.store = AnnouncingStore(self.inner, KeyMap(prefix).path, self.said.append)

    def take(self) -> list[Event]:
        said, self.said[:] = list(self.said), []
        return said


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_every_kind_of_write(bench: Bench) -> None:
    store = bench.store
    etag = store.put("data/a", b"1", PLAIN).etag
    assert bench.take() == [Upload("/a", etag)]
    store.put("data/d/", b"", PLAIN, if_none_match=True)
    assert bench.take() == [Mkdir("/d")]
    store.put("data/d/", b"", PLAIN)
    assert bench.take() == [Metadata("/d")]
    etag = store.copy("data/a", "data/d/b").etag
    assert bench.take() == [Upload("/d/b", etag)]
    store.copy("data/a", "data/a", headers=PLAIN)
    assert bench.take() == [Metadata("/a")]
    upload = store.create_multipart("data/m", PLAIN)
    part = store.upload_part("data/m", upload, 1, b"1")
    assert bench.take() == []
    etag = store.complete_multipart("data/m", upload, [part]).etag
    assert bench.take() == [Upload("/m", etag)]
    store.delete("data/a")
    store.delete("data/d/")
    assert bench.take() == [Unlink("/a"), Rmdir("/d")]
    store.delete_many(["data/d/b", "data/m", "data/e/"])
    assert bench.take() == [Unlink("/d/b"), Unlink("/m"), Rmdir("/e")]


def test_looking_is_not_announced(bench: Bench) -> None:
    bench.store.put("data/a", b"1", PLAIN)
    upload = bench.store.create_multipart("data/a", PLAIN)
    bench.take()
    bench.store.head("data/a")
    bench.store.get("data/a", memoryview(bytearray(1)))
    bench.store.list_page("data/")
    list(bench.store.list_multipart("data/"))
    bench.store.abort_multipart("data/a", upload)
    assert bench.take() == []


@pytest.mark.parametrize("key", ["elsewhere/a", "database", "data/a//b", "data/../x"])
def test_what_is_no_path_of_the_mount_is_not_announced(bench: Bench, key: str) -> None:
    bench.store.put(key, b"", PLAIN)
    bench.store.delete_many([key])
    assert bench.take() == []


@pytest.mark.parametrize(("prefix", "key"), [("data", "data/"), ("", ".")])
def test_the_root_is_a_directory(prefix: str, key: str) -> None:
    bench = Bench(prefix)
    bench.store.put(key, b"", PLAIN, if_none_match=True)
    bench.store.put(key, b"", PLAIN)
    assert bench.take() == [Mkdir("/"), Metadata("/")]


WRITES: list[tuple[str, Callable[[Bench], object], Event]] = [
    ("put", lambda b: b.store.put("data/a", b"2", PLAIN), Upload("/a", None)),
    ("put", lambda b: b.store.put("data/d/", b"", PLAIN), Metadata("/d")),
    ("put", lambda b: b.store.put("data/d/", b"", PLAIN, if_none_match=True), Mkdir("/d")),
    ("copy", lambda b: b.store.copy("data/a", "data/b"), Upload("/b", None)),
    ("copy", lambda b: b.store.copy("data/a", "data/a", headers=PLAIN), Metadata("/a")),
    ("delete", lambda b: b.store.delete("data/a"), Unlink("/a")),
    ("delete_many", lambda b: b.store.delete_many(["data/a"]), Unlink("/a")),
]


@pytest.mark.parametrize("error", [TimedOut("lost"), Interrupted("by a signal"), OSError(5, "x")])
@pytest.mark.parametrize(("operation", "write", "event"), WRITES)
def test_a_write_of_unknown_outcome_is_announced(
    bench: Bench,
    operation: str,
    write: Callable[[Bench], object],
    event: Event,
    error: Exception,
) -> None:
    bench.inner.inner.put("data/a", b"1", PLAIN)
    bench.inner.fail(operation, error, when=AFTER)
    with pytest.raises(type(error)):
        write(bench)
    assert bench.take() == [event]


@pytest.mark.parametrize("error", [AccessDenied("no"), PreconditionFailed("no"), NotFound("no")])
@pytest.mark.parametrize(("operation", "write", "_event"), WRITES[:-1])
def test_a_refused_write_is_not_announced(
    bench: Bench,
    operation: str,
    write: Callable[[Bench], object],
    _event: Event,
    error: Exception,
) -> None:
    bench.inner.inner.put("data/a", b"1", PLAIN)
    bench.inner.fail(operation, error, when=BEFORE)
    with pytest.raises(type(error)):
        write(bench)
    assert bench.take() == []


def test_it_is_announced_after_the_store_has_it(bench: Bench) -> None:
    found: list[int] = []
    store = AnnouncingStore(
        bench.inner, KeyMap("data").path, lambda _: found.append(bench.inner.head("data/a").size)
    )
    store.put("data/a", b"12345", PLAIN)
    assert found == [5]


def test_only_those_of_many_that_went_are_announced(bench: Bench) -> None:
    class Stubborn(MemoryStore):
        def delete_many(self, keys):  # type: ignore[no-untyped-def]
            return [("data/kept", AccessDenied("no")), ("data/perhaps", TimedOut("lost"))]

    store = AnnouncingStore(Stubborn(), KeyMap("data").path, bench.said.append)
    store.delete_many(["data/kept", "data/perhaps", "data/gone"])
    assert bench.take() == [Unlink("/perhaps"), Unlink("/gone")]
