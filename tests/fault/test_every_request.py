"""Every single request to the store fails in every way, and nothing acknowledged is lost."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.doubles.faults import AFTER, BEFORE
from tests.fault.script import Script
from yas3fs.errors import (
    AccessDenied,
    BodyCorrupted,
    NotFound,
    PreconditionFailed,
    QuotaExceeded,
    ServerFailed,
    TimedOut,
)

BOUND = 60.0
"""Seconds after which a run counts as hung."""

WAYS: dict[str, Callable[[Script, int], None]] = {
    "failed": lambda s, n: s.store.fail("*", ServerFailed("500"), nth=n, when=BEFORE),
    "answer-lost": lambda s, n: s.store.fail("*", ServerFailed("500"), nth=n, when=AFTER),
    "timed-out": lambda s, n: s.store.fail("*", TimedOut("late"), nth=n, when=AFTER),
    "denied": lambda s, n: s.store.fail("*", AccessDenied("403"), nth=n),
    "not-found": lambda s, n: s.store.fail("*", NotFound("404"), nth=n),
    "precondition": lambda s, n: s.store.fail("*", PreconditionFailed("412"), nth=n),
    "quota": lambda s, n: s.store.fail("*", QuotaExceeded("full"), nth=n),
    "truncated": lambda s, n: s.store.truncate(100, BodyCorrupted("cut short"), nth=n),
    "down-from-here": lambda s, n: s.store.fail("*", ServerFailed("500"), nth=n, times=8),
}


def bounded(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread, so that a deadlock is a failure and no hang."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(BOUND)
    assert not thread.is_alive(), "hung"
    if failures:
        raise failures[0]


def requests(folder: Path) -> int:
    """How many requests the script makes when nothing fails."""
    script = Script(folder)
    bounded(script.run)
    assert not script.errors
    count = script.store.calls.total()
    bounded(script.check)
    return count


@pytest.mark.parametrize("way", WAYS)
def test_one_request_fails(tmp_path: Path, way: str) -> None:
    for nth in range(1, requests(tmp_path / "none") + 1):
        script = Script(tmp_path / str(nth))
        WAYS[way](script, nth)
        try:
            bounded(script.run)
            bounded(script.check)
        except BaseException as error:
            error.add_note(f"request {nth}, {way}; the program saw {script.errors}")
            raise
