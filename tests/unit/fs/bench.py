"""A store that can fail and a clock that stands still, with mounts on them."""

from collections import Counter
from pathlib import Path
from typing import Any

from tests.doubles.faults import FaultyStore
from tests.functional.core import Core
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.runtime.clock import ManualClock


class Bench:
    """Mounts believe answers for 30 seconds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.memory = MemoryStore(self.clock)
        self.store = FaultyStore(self.memory)
        self.cores: list[Core] = []

    def mount(self, **settings: Any) -> Core:
        folder = self.folder / str(len(self.cores))
        core = Core(self.store, folder, clock=self.clock, **{"ttl": 30.0, **settings})
        self.cores.append(core)
        return core

    def cost(self, work: Any) -> Counter[str]:
        before = Counter(self.store.calls)
        work()
        return Counter(self.store.calls) - before

    def body(self, key: str) -> bytes:
        return self.memory._objects[key].body
