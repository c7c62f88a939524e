"""Many threads at once, under names that move: nothing acknowledged is lost, nothing hangs.

Each thread owns files with contents of their own; everybody renames the directories they lie in.
``MODEL_RUNS`` makes it longer.
"""

import os
import random
import threading
from pathlib import Path

import pytest

from tests.functional.core import CALLER, Core
from yas3fs.errors import (
    Exists,
    InvalidArgument,
    NoEntry,
    NotADirectory,
    NotEmpty,
    StaleHandle,
)
from yas3fs.objectstore.memory import MemoryStore

SEEDS = range(int(os.environ.get("MODEL_RUNS", "12")) // 3)
THREADS = 6
STEPS = 60
BOUND = 120.0
MAY_HAPPEN = (NoEntry, NotADirectory, NotEmpty, Exists, InvalidArgument, StaleHandle)
"""What a program may meet whose files are moved by others."""


class Worker:
    """One thread. ``content`` is what its files must hold, by file name: names are unique."""

    def __init__(self, core: Core, number: int, seed: int) -> None:
        self.core = core
        self.number = number
        self.random = random.Random(f"{seed} {number}")
        self.content: dict[str, bytes] = {}
        self.made = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for _ in range(STEPS):
                step = self.random.choice(
                    [self.make, self.make, self.change, self.look, self.move, self.move_file]
                )
                try:
                    step()
                except MAY_HAPPEN:
                    pass
        except BaseException as error:
            self.error = error

    def folder(self) -> str:
        return f"/{self.random.choice('abc')}{self.random.choice(['', '/x', '/y'])}"

    def data(self) -> bytes:
        size = self.random.choice([10, 500, 2000, 5000])
        return self.random.randbytes(size)

    def make(self) -> None:
        self.made += 1
        name = f"file-{self.number}-{self.made}"
        flags = os.O_RDWR | os.O_CREAT | self.random.choice([0, os.O_EXCL])
        handle = self.core.fs.create(f"{self.folder()}/{name}", flags, 0o644, CALLER)
        self.fill(handle, name)

    def fill(self, handle, name: str) -> None:  # type: ignore[no-untyped-def]
        data = self.data()
        try:
            for start in range(0, len(data), 1000):
                handle.write(memoryview(data[start : start + 1000]), start)
            handle.truncate(len(data))
            handle.flush()
            self.content[name] = data
            assert self.core.pread(handle, len(data) + 1, 0) == data
        finally:
            handle.release()

    def change(self) -> None:
        if self.content:
            name = self.random.choice(sorted(self.content))
            path = f"{self.folder()}/{name}"
            handle = self.core.fs.open(path, os.O_RDWR)
            assert self.core.pread(handle, 10_000, 0) == self.content[name]
            self.fill(handle, name)
            self.core.fs.chmod(path, 0o600)

    def look(self) -> None:
        path = self.folder()
        for name in self.core.names(path):
            self.core.fs.getattr(f"{path}/{name}")

    def move(self) -> None:
        self.core.fs.rename(self.folder(), self.folder())

    def move_file(self) -> None:
        if self.content:
            name = self.random.choice(sorted(self.content))
            self.core.fs.rename(f"{self.folder()}/{name}", f"{self.folder()}/{name}")


def all_files(tree: dict[str, object]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            for below, contents in all_files(value).items():
                found.setdefault(below, []).extend(contents)
        else:
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    store = MemoryStore(min_part_size=1)
    core = Core(
        store,
        tmp_path / "one",
        ttl=choose.choice([0.0, 1e9]),
        max_entries=choose.choice([5, 10_000]),
        cache_size=choose.choice([10_000, 10_000_000]),
        part_size=1500,
        threshold=choose.choice([3000, 1 << 20]),
        min_part_size=700,
    )
    for folder in ("/a", "/b", "/c", "/a/x", "/a/y", "/b/x"):
        core.fs.mkdir(folder, 0o755, CALLER)
    workers = [Worker(core, number, seed) for number in range(THREADS)]
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert not any(thread.is_alive() for thread in threads), "hung"
    for worker in workers:
        if worker.error is not None:
            raise worker.error
    core.fs.forget("/")
    tree = core.tree()
    found = all_files(tree)
    assert sum(len(worker.content) for worker in workers) > THREADS  # it was no idle run
    for worker in workers:
        for name, data in worker.content.items():
            assert found.get(name) == [data], name
    assert core.close() == 0
    assert not list(store.list_multipart(""))
    again = Core(store, tmp_path / "two")
    assert again.tree() == tree
    again.close()
