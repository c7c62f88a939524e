"""A pool whose size may change while it works."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future

import pytest

from yas3fs.runtime.pools import Pool

WITHIN = 10.0


class Gate:
    """Tasks that tell when they run, and end when they are let go."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.changed = threading.Condition()
        self.running = 0
        self.most = 0
        self.let_go = 0

    def task(self) -> int:
        with self.changed:
            self.running += 1
            self.most = max(self.most, self.running)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.let_go > 0, WITHIN)
            self.let_go -= 1
            self.running -= 1
            self.changed.notify_all()
        return 7

    def submit(self, count: int) -> "list[Future[int]]":
        return [self.pool.submit(self.task) for _ in range(count)]

    def wait_running(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.running == count, WITHIN)

    def release(self, count: int) -> None:
        with self.changed:
            self.let_go += count
            self.changed.notify_all()


@pytest.fixture(name="gate")
def make_gate() -> Iterator[Gate]:
    gate = Gate(Pool("test", 2, 8))
    yield gate
    gate.release(1000)
    gate.pool.shutdown(cancel_futures=True)


def test_no_more_than_its_size_run(gate: Gate) -> None:
    futures = gate.submit(5)
    gate.wait_running(2)
    assert gate.pool.load == 5
    gate.release(5)
    assert [future.result(WITHIN) for future in futures] == [7] * 5
    assert gate.most == 2


def test_it_grows_at_once_and_shrinks_as_tasks_end(gate: Gate) -> None:
    futures = gate.submit(9)
    gate.wait_running(2)
    gate.pool.resize(4)
    gate.wait_running(4)
    gate.pool.resize(1)
    gate.release(3)
    for future in futures[:3]:
        assert future.result(WITHIN) == 7
    gate.wait_running(1)
    assert gate.pool.size == 1
    gate.most = 0
    gate.release(6)
    for future in futures:
        assert future.result(WITHIN) == 7
    assert gate.most <= 1


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-5, 1), (3, 3), (99, 8)])
def test_its_size_has_bounds(gate: Gate, asked: int, given: int) -> None:
    gate.pool.resize(asked)
    assert gate.pool.size == given


def test_what_a_task_raises_is_its_futures(gate: Gate) -> None:
    def fail() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError):
        gate.pool.submit(fail).result(WITHIN)
    assert gate.pool.submit(lambda: 3).result(WITHIN) == 3


def test_a_cancelled_task_does_not_run(gate: Gate) -> None:
    gate.submit(2)
    gate.wait_running(2)
    ran: list[int] = []
    waiting = gate.pool.submit(ran.append, 1)
    assert waiting.cancel()
    last = gate.pool.submit(ran.append, 2)
    gate.release(2)
    last.result(WITHIN)
    assert ran == [2]


def test_the_end(gate: Gate) -> None:
    running = gate.submit(2)
    gate.wait_running(2)
    waiting = gate.pool.submit(lambda: None)
    gate.release(2)
    gate.pool.shutdown(cancel_futures=True)
    assert [future.result(WITHIN) for future in running] == [7, 7]
    if not waiting.cancelled():
        waiting.result(WITHIN)
    with pytest.raises(RuntimeError):
        gate.pool.submit(lambda: None)


def test_the_end_waits_for_what_was_handed_in(gate: Gate) -> None:
    futures = gate.submit(5)
    gate.release(5)
    gate.pool.shutdown(wait=True)
    assert all(future.done() for future in futures)


def test_waiting_tasks_are_dropped_on_demand(gate: Gate) -> None:
    gate.submit(2)
    gate.wait_running(2)
    waiting = gate.submit(3)
    gate.pool.shutdown(wait=False, cancel_futures=True)
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(WITHIN)
