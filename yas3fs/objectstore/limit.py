"""A bound on the requests under way: the rest wait their turn, and may be interrupted."""

import threading
from collections.abc import Callable
from typing import TypeVar

from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.objectstore.wrapping import StoreWrapper
from yas3fs.runtime import interrupts

T = TypeVar("T")


class LimitedStore(StoreWrapper):
    """At most ``limit`` calls of ``inner`` at a time. Waiting raises Interrupted."""

    def __init__(self, inner: ObjectStore, limit: int) -> None:
        super().__init__(inner)
        if limit < 1:
            raise ValueError("a store must be allowed one request")
        self._free = limit
        self._waiting = 0
        self._lock = threading.Lock()
        self._condition = threading.Condition(self._lock)

    def _run(self, operation: str, key: str, call: Callable[[], T]) -> T:  # noqa: ARG002
        with self._lock:
            if self._free <= 0:
                self._wait()
            self._free -= 1
        try:
            return call()
        finally:
            with self._lock:
                self._free += 1
                if self._waiting:
                    self._condition.notify()

    def _wait(self) -> None:
        self._waiting += 1
        try:
            interrupts.wait_for(self._condition, lambda: self._free > 0)
        finally:
            self._waiting -= 1
