"""How a signal sent to the waiting program reaches the thread that works for it.

The kernel edge calls :func:`serve` with its test ("was this request interrupted?") around each
request. Whoever waits below it waits in slices of :data:`SLICE` seconds and calls :func:`check`
between them. Threads that serve nobody are never interrupted.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from yas3fs.errors import Interrupted

SLICE = 0.2
"""Longest time in seconds between two looks: a Ctrl-C feels immediate below a quarter second."""

T = TypeVar("T")


class _Local(threading.local):
    test: Callable[[], bool] | None = None


_local = _Local()


@contextmanager
def serve(test: Callable[[], bool] | None) -> Iterator[None]:
    """Let :func:`check` in this thread ask ``test``; None shields what runs inside."""
    before = _local.test
    _local.test = test
    try:
        yield
    finally:
        _local.test = before


def set_test(test: Callable[[], bool] | None) -> None:
    """As :func:`serve`, for a thread that serves one request and then ends or sets it anew."""
    _local.test = test


def check() -> None:
    """Raise Interrupted if the program this thread works for was interrupted."""
    test = _local.test
    if test is not None and test():
        raise Interrupted("interrupted by a signal")


def wait_for(condition: threading.Condition, predicate: Callable[[], bool]) -> None:
    """Wait, with ``condition`` held, until ``predicate()``; raises Interrupted."""
    while not predicate():
        condition.wait(SLICE)
        if not predicate():
            check()


def result(future: "Future[T]") -> T:
    """The future's result, waited for in slices; raises Interrupted and what the future raises."""
    while True:
        try:
            return future.result(SLICE)
        except TimeoutError:
            if future.done():
                return future.result()
            check()
