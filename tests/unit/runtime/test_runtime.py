"""Claims, pools, interrupts and the clock of tests."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from yas3fs.errors import Interrupted
from yas3fs.runtime import interrupts
from yas3fs.runtime.claims import PathClaims
from yas3fs.runtime.clock import ManualClock
from yas3fs.runtime.pools import for_each


def excludes(held: tuple[str, bool], wanted: tuple[str, bool]) -> bool:
    """Whether a claim waits for another; told by an interrupt, which only a waiter meets."""
    claims = PathClaims()
    with claims.claim(held[0], tree=held[1]), interrupts.serve(lambda: True):
        try:
            with claims.claim(wanted[0], tree=wanted[1]):
                return False
        except Interrupted:
            return True


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        (("/a", False), ("/a", False), True),
        (("/a", False), ("/b", False), False),
        (("/a", False), ("/a/b", False), False),
        (("/a", True), ("/a/b", False), True),
        (("/a", True), ("/a/b/c", True), True),
        (("/a", True), ("/ab", False), False),
        (("/a/b", False), ("/a", True), True),
        (("/a/b", False), ("/a", False), False),
        (("/ab", False), ("/a", True), False),
        (("/", True), ("/a", False), True),
        (("/a", True), ("/b", True), False),
    ],
)
def test_claims(held: tuple[str, bool], wanted: tuple[str, bool], expected: bool) -> None:
    assert excludes(held, wanted) is expected


def test_a_claim_ends_with_its_block() -> None:
    claims = PathClaims()
    with pytest.raises(ValueError, match="x"), claims.claim("/a", "/b", tree=True):
        raise ValueError("x")
    with interrupts.serve(lambda: True), claims.claim("/a", "/b/c", tree=True):
        pass


def test_claims_on_both_ends_never_deadlock() -> None:
    claims = PathClaims()
    count = [0]

    def work(paths: tuple[str, str]) -> None:
        for _ in range(300):
            with claims.claim(*paths, tree=True):
                count[0] += 1

    threads = [
        threading.Thread(target=work, args=(paths,))
        for paths in (("/a", "/b"), ("/b", "/a"), ("/a/x", "/b/x"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert count[0] == 900


def test_work_side_by_side() -> None:
    done: list[int] = []
    with ThreadPoolExecutor(4) as pool:
        for_each(pool, done.append, range(500))
    assert sorted(done) == list(range(500))


def test_the_first_failure_is_raised_when_nothing_runs_any_more() -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    def work(number: int) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        try:
            if number == 100:
                raise ValueError("at 100")
        finally:
            with lock:
                running[0] -= 1

    with ThreadPoolExecutor(4) as pool:
        with pytest.raises(ValueError, match="at 100"):
            for_each(pool, work, range(10_000))
        assert running[0] == 0


def test_interrupts_reach_the_waiter_only() -> None:
    future: Future[int] = Future()
    with interrupts.serve(lambda: True), pytest.raises(Interrupted):
        interrupts.result(future)
    with interrupts.serve(lambda: True), interrupts.serve(None):
        interrupts.check()
    interrupts.check()
    future.set_result(5)
    with interrupts.serve(lambda: True):
        assert interrupts.result(future) == 5


def test_a_timeout_of_the_work_is_no_timeout_of_the_waiting() -> None:
    future: Future[int] = Future()
    future.set_exception(TimeoutError("of the work"))
    with pytest.raises(TimeoutError, match="of the work"):
        interrupts.result(future)


def test_the_manual_clock() -> None:
    clock = ManualClock(10)
    clock.sleep(1.5)
    assert (clock.time(), clock.time_ns(), clock.monotonic()) == (11.5, 11_500_000_000, 11.5)
