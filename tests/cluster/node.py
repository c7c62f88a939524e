"""One core that is coherent, without a network, and a bucket that others change."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.faults import FaultyStore
from tests.functional.core import Core
from yas3fs.errors import NoEntry
from yas3fs.fs.attributes import compose_headers
from yas3fs.fs.coherence import Coherence
from yas3fs.fs.types import Attributes
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.runtime.clock import ManualClock

LONG = 10_000_000.0


class Node:
    """One mount that is coherent, and a bucket that others change behind its back."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.memory = MemoryStore(self.clock)
        self.store = FaultyStore(self.memory)
        self.core = Core(self.store, folder, clock=self.clock, ttl=30.0)
        self.fs = self.core.fs
        self.kernel: list[float] = []
        self.coherence = Coherence(
            self.fs.volume, self.fs.files, self.core.cache, self.kernel.append
        )
        self.apply = self.coherence.apply
        self.coherence.degrade()
        self.coherence.alive(True)
        self.settle()

    def settle(self) -> int:
        """Requests since the last time, once none is under way."""
        everybody = threading.Barrier(5)
        for _ in range(4):
            self.core.pools[2].submit(everybody.wait, 10)
        everybody.wait(10)
        count = self.store.calls.total()
        self.store.calls.clear()
        self.core.invalidated.clear()
        return count

    def put(self, key: str, body: bytes = b"", mode: int = 0o100644) -> str:
        """Another node stores an object; its ETag."""
        self.clock.advance(2)
        now = self.clock.time_ns()
        attributes = Attributes(mode, len(body), 1000, 1000, now, now, now)
        return self.memory.put(
            key, body, compose_headers(key, attributes, {}, None, metadata=True)
        ).etag

    def names(self, path: str = "/") -> list[str]:
        return self.core.names(path)

    def exists(self, path: str) -> bool:
        with contextlib.suppress(NoEntry):
            self.fs.getattr(path)
            return True
        return False


@pytest.fixture(name="node")
def make_node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.core.end()
