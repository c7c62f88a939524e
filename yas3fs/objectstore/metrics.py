"""Counts of what was asked of the store, for status pages and logs."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from yas3fs.errors import Yas3fsError
from yas3fs.objectstore.protocol import Buffer, Headers, ObjectInfo, ObjectStore, Part, Written
from yas3fs.objectstore.wrapping import StoreWrapper
from yas3fs.runtime.clock import Clock, SystemClock

T = TypeVar("T")

BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of the latency histogram's buckets; one more holds the rest."""
_ANSWERS = frozenset({"NotFound", "PreconditionFailed", "RangeNotSatisfiable", "Interrupted"})
"""What a question has for an answer, or the program did not wait for: nothing is wrong then."""


@dataclass(slots=True)
class OperationMetrics:
    """One operation since the start; ``errors`` counts by the exception's class."""

    calls: int = 0
    under_way: int = 0
    bytes: int = 0
    """Body bytes of the calls that succeeded, either way."""
    seconds: float = 0.0
    slowest: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    histogram: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    @property
    def failures(self) -> int:
        """Errors that somebody should know of: not that there is no such key, for instance."""
        return sum(count for kind, count in self.errors.items() if kind not in _ANSWERS)


class MeteredStore(StoreWrapper):
    """Counts calls, bytes, errors and latencies (a call's own retries included)."""

    def __init__(self, inner: ObjectStore, clock: Clock = SystemClock()) -> None:
        super().__init__(inner)
        self._clock = clock
        self._lock = threading.Lock()
        self._operations: dict[str, OperationMetrics] = {}

    def snapshot(self) -> dict[str, OperationMetrics]:
        """A copy of the counts by operation (the names of the protocol's methods)."""
        with self._lock:
            return {
                name: OperationMetrics(
                    one.calls,
                    one.under_way,
                    one.bytes,
                    one.seconds,
                    one.slowest,
                    Counter(one.errors),
                    list(one.histogram),
                )
                for name, one in self._operations.items()
            }

    def _run(self, operation: str, key: str, call: Callable[[], T]) -> T:  # noqa: ARG002
        with self._lock:
            metrics = self._operations.get(operation)
            if metrics is None:
                metrics = self._operations[operation] = OperationMetrics()
            metrics.calls += 1
            metrics.under_way += 1
        began = self._clock.monotonic()
        failure = ""
        try:
            return call()
        except BaseException as error:
            failure = type(error).__name__ if isinstance(error, Yas3fsError) else "Exception"
            raise
        finally:
            took = self._clock.monotonic() - began
            with self._lock:
                metrics.under_way -= 1
                metrics.seconds += took
                metrics.slowest = max(metrics.slowest, took)
                metrics.histogram[bisect_left(BOUNDS, took)] += 1
                if failure:
                    metrics.errors[failure] += 1

    def _add_bytes(self, operation: str, count: int) -> None:
        with self._lock:
            self._operations[operation].bytes += count

    def get(
        self,
        key: str,
        into: memoryview,
        *,
        offset: int = 0,
        etag: str = "",
        whole: bool = False,
        arrived: Callable[[int], None] | None = None,
    ) -> ObjectInfo:
        info = super().get(key, into, offset=offset, etag=etag, whole=whole, arrived=arrived)
        self._add_bytes("get", len(into))
        return info

    def put(
        self,
        key: str,
        body: Buffer,
        headers: Headers,
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        written = super().put(key, body, headers, if_match=if_match, if_none_match=if_none_match)
        self._add_bytes("put", len(body))
        return written

    def upload_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        part = super().upload_part(key, upload_id, number, body)
        self._add_bytes("upload_part", len(body))
        return part
