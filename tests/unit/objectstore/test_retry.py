"""Retries on a clock that the test owns."""

import hashlib
import logging

import pytest

from tests.doubles.faults import AFTER, FaultyStore
from yas3fs.errors import (
    AccessDenied,
    BodyCorrupted,
    ConnectionFailed,
    Interrupted,
    NotFound,
    PreconditionFailed,
    ServerFailed,
    Throttled,
    TimedOut,
)
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers, ObjectStore
from yas3fs.objectstore.retry import RetryingStore, multipart_etag
from yas3fs.runtime import interrupts
from yas3fs.runtime.clock import ManualClock

ATTR = Headers({"attr": '{"st_mtime": 1.5}'})
NONE = Headers()
LOST = ConnectionFailed("the answer was lost")


CALLS = [name for name in vars(ObjectStore) if name[0] != "_" and name not in {"presign", "close"}]


class Bench:
    """A retrying store on a faulty one on memory, and their clock."""

    def __init__(self, budget: float = 60.0, draw: float = 1.0) -> None:
        self.clock = ManualClock()
        self.memory = MemoryStore(self.clock, min_part_size=1)
        self.faults = FaultyStore(self.memory)
        self.store = RetryingStore(self.faults, budget=budget, clock=self.clock, draw=lambda: draw)
        self.began = self.clock.monotonic()

    @property
    def spent(self) -> float:
        return round(self.clock.monotonic() - self.began, 6)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_pauses_double(bench: Bench) -> None:
    bench.faults.fail("put", ServerFailed("500"), times=4)
    bench.store.put("key", b"x", NONE)
    assert bench.spent == pytest.approx(0.1 + 0.2 + 0.4 + 0.8)
    assert bench.faults.calls["put"] == 5


def test_jitter_takes_any_part_of_a_pause() -> None:
    bench = Bench(draw=0.25)
    bench.faults.fail("put", ServerFailed("500"), times=2)
    bench.store.put("key", b"x", NONE)
    assert bench.spent == pytest.approx((0.1 + 0.2) / 4)


def test_pauses_have_an_upper_bound() -> None:
    bench = Bench(budget=100)
    bench.faults.fail("head", TimedOut("silence"), times=10)
    bench.memory.put("key", b"", NONE)
    bench.store.head("key")
    assert bench.spent == pytest.approx(0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 6.4 + 10 * 3)


def test_the_budget_ends_it(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.faults.fail("put", ServerFailed("500"), times=1000)
    with pytest.raises(ServerFailed):
        bench.store.put("key", b"x", NONE)
    assert bench.spent <= 60.0
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.INFO] * (bench.faults.calls["put"] - 1) + [logging.WARNING]


def test_the_stores_own_wish_is_honoured(bench: Bench) -> None:
    error = Throttled("slow down")
    error.retry_after = 7.0
    bench.faults.fail("put", error)
    bench.store.put("key", b"x", NONE)
    assert bench.spent == 7.0


def test_a_wish_beyond_the_budget_ends_it(bench: Bench) -> None:
    error = Throttled("slow down")
    error.retry_after = 61.0
    bench.faults.fail("put", error)
    with pytest.raises(Throttled):
        bench.store.put("key", b"x", NONE)
    assert bench.spent == 0.0


@pytest.mark.parametrize("error", [AccessDenied("no"), NotFound("no"), PreconditionFailed("no")])
def test_what_time_does_not_cure_is_not_repeated(bench: Bench, error: Exception) -> None:
    bench.faults.fail("put", error)
    with pytest.raises(type(error)):
        bench.store.put("key", b"x", NONE)
    assert bench.faults.calls["put"] == 1


def test_an_object_that_is_too_short_stays_so(bench: Bench) -> None:
    bench.memory.put("key", b"short", NONE)
    with pytest.raises(BodyCorrupted):
        bench.store.get("key", memoryview(bytearray(10)))
    assert bench.faults.calls["get"] == 1


def test_a_pause_can_be_interrupted(bench: Bench) -> None:
    error = Throttled("slow down")
    error.retry_after = 50.0
    bench.faults.fail("put", error)
    until = bench.clock.monotonic() + 1.0
    with (
        interrupts.serve(lambda: bench.clock.monotonic() >= until),
        pytest.raises(Interrupted),
    ):
        bench.store.put("key", b"x", NONE)
    assert bench.spent <= 1.0 + interrupts.SLICE


def test_every_call_is_repeated(bench: Bench) -> None:
    store = bench.store
    bench.memory.put("key", b"body", ATTR)
    for name in CALLS:
        bench.faults.fail(name, ServerFailed("500"))
    store.head("key")
    store.get("key", memoryview(bytearray(4)))
    store.put("key", b"body", ATTR)
    upload = store.create_multipart("big", NONE)
    parts = [
        store.upload_part("big", upload, 1, b"x"),
        store.copy_part("big", upload, 2, "key", 0, 4),
    ]
    assert [one.upload_id for one in store.list_multipart("")] == [upload]
    store.complete_multipart("big", upload, parts)
    store.abort_multipart("big", "gone")
    store.copy("big", "copy")
    store.delete("big")
    assert [one.key for one in store.list_page("").objects] == ["copy", "key"]
    assert list(store.delete_many(["copy", "key"])) == []
    assert set(bench.faults.calls) == set(CALLS)
    assert all(count == 2 for count in bench.faults.calls.values())


# --- resuming


def test_a_pinned_get_resumes_behind_what_arrived(bench: Bench) -> None:
    etag = bench.memory.put("key", b"0123456789", NONE).etag
    bench.faults.truncate(4)
    bench.faults.truncate(3, nth=2)
    body, told = bytearray(8), list[int]()
    bench.store.get("key", memoryview(body), offset=1, etag=etag, arrived=told.append)
    assert body == b"12345678"
    assert told == [4, 7, 8]


def test_a_pinned_get_never_mixes_versions(bench: Bench) -> None:
    etag = bench.memory.put("key", b"0123456789", NONE).etag
    bench.faults.truncate(4)
    bench.faults.hook("get", lambda: bench.memory.put("key", b"abcdefghij", NONE), nth=2)
    with pytest.raises(PreconditionFailed):
        bench.store.get("key", memoryview(bytearray(10)), etag=etag)


def test_a_get_of_any_version_begins_again_and_announces_nothing_early(bench: Bench) -> None:
    bench.memory.put("key", b"0123456789", NONE)
    bench.faults.truncate(4)
    bench.faults.hook("get", lambda: bench.memory.put("key", b"abcdefghij", NONE), nth=2)
    body, told = bytearray(10), list[int]()
    bench.store.get("key", memoryview(body), arrived=told.append)
    assert body == b"abcdefghij"
    assert told == [10]


# --- lost answers


@pytest.mark.parametrize("headers", [ATTR, NONE])
def test_a_creation_whose_answer_was_lost_succeeded(bench: Bench, headers: Headers) -> None:
    bench.faults.fail("put", LOST, when=AFTER)
    written = bench.store.put("key", b"mine", headers, if_none_match=True)
    assert written.etag == bench.memory.head("key").etag


def test_a_replacement_whose_answer_was_lost_succeeded(bench: Bench) -> None:
    old = bench.memory.put("key", b"old", ATTR).etag
    bench.faults.fail("put", LOST, when=AFTER)
    written = bench.store.put("key", b"mine", ATTR, if_match=old)
    assert written.etag == hashlib.md5(b"mine").hexdigest()


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"them", NONE), (b"mine", Headers({"attr": "theirs"})), (b"longer", ATTR), (b"them", ATTR)],
)
def test_a_creation_that_lost_to_another_is_refused(
    bench: Bench, body: bytes, headers: Headers
) -> None:
    ours = NONE if headers is NONE or body == b"them" else ATTR
    bench.faults.fail("put", LOST)
    bench.faults.hook("put", lambda: bench.memory.put("key", body, headers), nth=2)
    with pytest.raises(PreconditionFailed):
        bench.store.put("key", b"mine", ours, if_none_match=True)
    assert bench.memory.head("key").size == len(body)


def test_a_refusal_of_the_first_try_is_believed(bench: Bench) -> None:
    bench.memory.put("key", b"mine", ATTR)
    with pytest.raises(PreconditionFailed):
        bench.store.put("key", b"mine", ATTR, if_none_match=True)
    assert bench.faults.calls["head"] == 0


def test_the_check_of_a_lost_answer_may_fail_for_a_while(bench: Bench) -> None:
    bench.faults.fail("put", LOST, when=AFTER)
    bench.faults.fail("head", ServerFailed("500"), times=2)
    assert bench.store.put("key", b"mine", ATTR, if_none_match=True).etag
    assert bench.faults.calls["head"] == 3


def test_a_completion_whose_answer_was_lost_succeeded(bench: Bench) -> None:
    upload = bench.store.create_multipart("big", ATTR)
    parts = [bench.store.upload_part("big", upload, n, b"part") for n in (1, 2)]
    bench.faults.fail("complete_multipart", LOST, when=AFTER)
    written = bench.store.complete_multipart("big", upload, parts, if_none_match=True)
    assert written.etag == multipart_etag(parts) == bench.memory.head("big").etag


def test_a_completion_of_an_upload_that_others_aborted_is_refused(bench: Bench) -> None:
    upload = bench.store.create_multipart("big", ATTR)
    part = bench.store.upload_part("big", upload, 1, b"part")
    bench.memory.put("big", b"part", NONE)
    bench.faults.fail("complete_multipart", LOST)
    bench.faults.hook(
        "complete_multipart", lambda: bench.memory.abort_multipart("big", upload), nth=2
    )
    with pytest.raises(NotFound):
        bench.store.complete_multipart("big", upload, [part])


def test_a_deletion_whose_answer_was_lost_succeeded(bench: Bench) -> None:
    etag = bench.memory.put("key", b"x", NONE).etag
    bench.faults.fail("delete", LOST, when=AFTER)
    bench.store.delete("key", if_match=etag)
    with pytest.raises(NotFound):
        bench.memory.head("key")


def test_a_change_of_headers_whose_answer_was_lost_succeeded(bench: Bench) -> None:
    upload = bench.memory.create_multipart("key", NONE)
    part = bench.memory.upload_part("key", upload, 1, b"x")
    etag = bench.memory.complete_multipart("key", upload, [part]).etag
    bench.faults.fail("copy", LOST, when=AFTER)
    written = bench.store.copy("key", "key", headers=ATTR, source_etag=etag)
    assert written.etag == bench.memory.head("key").etag != etag


# --- deletion of many


def test_only_keys_that_failed_for_a_while_are_deleted_again(bench: Bench) -> None:
    asked: list[list[str]] = []

    class Picky(MemoryStore):
        def delete_many(self, keys):  # type: ignore[no-untyped-def]
            asked.append(list(keys))
            if len(asked) == 1:
                return [("a", ServerFailed("500")), ("b", AccessDenied("no"))]
            return super().delete_many(keys)

    store = RetryingStore(Picky(), clock=bench.clock, draw=lambda: 0.0)
    failed = store.delete_many(["a", "b", "c"])
    assert asked == [["a", "b", "c"], ["a"]]
    assert [key for key, _ in failed] == ["b"]


def test_keys_that_keep_failing_are_told(bench: Bench) -> None:
    bench.faults.fail("delete_many", ServerFailed("500"), times=1000)
    failed = bench.store.delete_many(["a", "b"])
    assert [key for key, _ in failed] == ["a", "b"]
    assert bench.spent <= 60.0
