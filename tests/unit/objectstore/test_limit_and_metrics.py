"""The bound on requests under way, and the counts."""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from tests.doubles.faults import FaultyStore
from yas3fs.errors import Interrupted, NotFound
from yas3fs.objectstore.limit import LimitedStore
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.metrics import BOUNDS, MeteredStore, OperationMetrics
from yas3fs.objectstore.protocol import Headers
from yas3fs.runtime import interrupts
from yas3fs.runtime.clock import ManualClock

NONE = Headers()


def start(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_no_more_calls_than_allowed_are_under_way() -> None:
    under_way, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3)

    class Counting(MemoryStore):
        def put(self, *args, **more):  # type: ignore[no-untyped-def]
            nonlocal under_way, most
            with lock:
                under_way += 1
                most = max(most, under_way)
            together.wait(30)  # only when three are inside does anybody go on
            with lock:
                under_way -= 1
            return super().put(*args, **more)

    store = LimitedStore(Counting(), 3)
    threads = [start(partial(store.put, f"k{n}", b"", NONE)) for n in range(9)]
    for thread in threads:
        thread.join(30)
    assert most == 3
    assert len(store.list_page("").objects) == 9


def test_waiting_for_a_turn_can_be_interrupted() -> None:
    faults = FaultyStore(MemoryStore())
    gate = threading.Event()
    reached = faults.block("put", gate)
    store = LimitedStore(faults, 1)
    first = start(lambda: store.put("key", b"", NONE))
    assert reached.wait(30)
    with interrupts.serve(lambda: True), pytest.raises(Interrupted):
        store.head("key")
    gate.set()
    first.join(30)
    assert store.head("key").size == 0


def test_a_failed_call_frees_its_place() -> None:
    store = LimitedStore(MemoryStore(), 1)
    for _ in range(3):
        with pytest.raises(NotFound):
            store.head("nothing")


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="one request"):
        LimitedStore(MemoryStore(), 0)


def test_counts_bytes_errors_and_latencies() -> None:
    clock = ManualClock()
    faults = FaultyStore(MemoryStore(clock, min_part_size=1))
    faults.hook("put", lambda: clock.advance(0.3))
    faults.hook("put", lambda: clock.advance(100.0), nth=2)
    store = MeteredStore(faults, clock)
    store.put("a", b"12345", NONE)
    store.put("b", b"123", NONE)
    store.get("a", memoryview(bytearray(5)))
    store.upload_part("c", store.create_multipart("c", NONE), 1, b"12")
    with pytest.raises(NotFound):
        store.get("nothing", memoryview(bytearray(5)))
    found = store.snapshot()
    put, get = found["put"], found["get"]
    assert (put.calls, put.bytes, dict(put.errors)) == (2, 8, {})
    assert put.seconds == pytest.approx(100.3)
    assert put.slowest == pytest.approx(100.0)
    assert put.histogram[BOUNDS.index(0.5)] == 1
    assert put.histogram[-1] == 1
    assert (get.calls, get.bytes, dict(get.errors)) == (2, 5, {"NotFound": 1})
    assert found["upload_part"].bytes == 2
    assert all(one.under_way == 0 for one in found.values())


def test_an_answer_of_no_is_no_failure() -> None:
    store = MeteredStore(MemoryStore())
    with pytest.raises(NotFound):
        store.head("nothing")
    assert store.snapshot()["head"].failures == 0
    assert OperationMetrics(errors=Counter(NotFound=3, TimedOut=2, AccessDenied=1)).failures == 3


def test_calls_under_way_are_seen() -> None:
    faults = FaultyStore(MemoryStore())
    gate = threading.Event()
    reached = faults.block("put", gate)
    store = MeteredStore(faults)
    thread = start(lambda: store.put("key", b"", NONE))
    assert reached.wait(30)
    assert store.snapshot()["put"].under_way == 1
    gate.set()
    thread.join(30)
    assert store.snapshot()["put"].under_way == 0


def test_a_snapshot_does_not_change() -> None:
    store = MeteredStore(MemoryStore())
    store.put("a", b"", NONE)
    before = store.snapshot()
    store.put("b", b"", NONE)
    assert before["put"].calls == 1
    assert store.snapshot()["put"].calls == 2
