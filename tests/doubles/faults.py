"""A store that fails by count: "the third put fails before it took effect"."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from yas3fs.errors import ConnectionFailed
from yas3fs.objectstore.protocol import ObjectInfo, ObjectStore
from yas3fs.objectstore.wrapping import StoreWrapper
from yas3fs.runtime import interrupts

T = TypeVar("T")

BEFORE = "before"
AFTER = "after"


@dataclass
class _Rule:
    operation: str
    first: int
    times: int
    hook: Callable[[], object]
    when: str
    cut: int = -1

    def covers(self, operation: str, count: int) -> bool:
        if self.operation not in {operation, "*"}:
            return False
        return self.first <= count < self.first + self.times


class FaultyStore(StoreWrapper):
    """Runs the rules it was given around the calls of ``inner``.

    Operations are the names of the protocol's methods, or ``"*"``. ``nth`` counts the calls of
    that operation from 1, beginning when the rule is made; ``times`` is for how many calls it
    holds. ``calls`` counts every call since the start.
    """

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []

    def fail(
        self, operation: str, error: Exception, *, nth: int = 1, times: int = 1, when: str = BEFORE
    ) -> None:
        """Raise ``error`` before the call, or ``AFTER`` it took effect (a lost answer)."""

        def hook() -> None:
            raise error

        self.hook(operation, hook, nth=nth, times=times, when=when)

    def hook(
        self,
        operation: str,
        hook: Callable[[], object],
        *,
        nth: int = 1,
        times: int = 1,
        when: str = BEFORE,
    ) -> None:
        """Call ``hook`` before or after; what it raises is what the caller gets."""
        self._add(_Rule(operation, nth, times, hook, when))

    def block(
        self, operation: str, gate: threading.Event, *, nth: int = 1, times: int = 1
    ) -> threading.Event:
        """Hold the call until ``gate`` is set; returns the event that says it has come."""
        reached = threading.Event()

        def hook() -> None:
            reached.set()
            while not gate.wait(interrupts.SLICE):
                interrupts.check()

        self.hook(operation, hook, nth=nth, times=times)
        return reached

    def truncate(
        self, after: int, error: Exception | None = None, *, nth: int = 1, times: int = 1
    ) -> None:
        """Let a get deliver ``after`` bytes, announce them, and fail."""
        failure = error or ConnectionFailed("the connection was reset")

        def hook() -> None:
            raise failure

        self._add(_Rule("get", nth, times, hook, AFTER, after))

    def _add(self, rule: _Rule) -> None:
        with self._lock:
            seen = self.calls.total() if rule.operation == "*" else self.calls[rule.operation]
            rule.first += seen
            self._rules.append(rule)

    def _begin(self, operation: str) -> list[_Rule]:
        with self._lock:
            self.calls[operation] += 1
            one, all_of_them = self.calls[operation], self.calls.total()
            return [
                rule
                for rule in self._rules
                if rule.covers(operation, all_of_them if rule.operation == "*" else one)
            ]

    def _run(self, operation: str, key: str, call: Callable[[], T]) -> T:
        return _surround(self._begin(operation), call)

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
        rules = self._begin("get")
        cut = min((rule.cut for rule in rules if rule.cut >= 0), default=len(into))
        view = into[:cut]
        return _surround(
            rules,
            lambda: self.inner.get(
                key,
                view,
                offset=offset,
                etag=etag,
                whole=whole and len(view) == len(into),
                arrived=arrived,
            ),
        )


def _surround(rules: list[_Rule], call: Callable[[], T]) -> T:
    for rule in rules:
        if rule.when == BEFORE:
            rule.hook()
    result = call()
    for rule in rules:
        if rule.when == AFTER:
            rule.hook()
    return result
