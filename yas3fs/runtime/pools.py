"""Work done side by side, without a queue that grows with the work."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from yas3fs.runtime import interrupts

T = TypeVar("T")
_WINDOW = 64
"""Tasks handed to a pool at a time: more than any pool has threads."""


def for_each(pool: ThreadPoolExecutor, work: Callable[[T], None], items: Iterable[T]) -> None:
    """Run ``work`` on every item; the first failure is raised once nothing runs any more."""
    running: deque[Future[None]] = deque()
    try:
        for item in items:
            if len(running) >= _WINDOW:
                interrupts.result(running.popleft())
            running.append(pool.submit(work, item))
        while running:
            interrupts.result(running.popleft())
    except BaseException:
        for future in running:
            future.cancel()
        for future in running:
            if not future.cancelled():
                future.exception()
        raise
