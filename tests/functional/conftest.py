"""The file systems that the cases run on."""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.doubles import servers
from tests.doubles.plugin import moto_server, versitygw_server  # noqa: F401
from tests.functional.core import Core
from tests.functional.driver import CoreDriver
from tests.functional.mounted import MountDriver
from tests.mount.program import S3Mount, new_bucket_name
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.runtime.clock import ManualClock


class Bench(Protocol):
    """A file system, empty at ``driver``'s root; ``remount`` shows what another mount sees.

    ``tick`` lets time pass between two things whose times are compared.
    """

    driver: Any
    any_key: bool
    """Whether the store below can list every key that S3 can."""

    def remount(self) -> None: ...
    def tick(self) -> None: ...
    def end(self) -> None: ...


class CoreBench:
    """The core over a store in memory."""

    any_key = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = MemoryStore()
        self._clock = ManualClock()
        self._mounts = 0
        self._mount()

    def _mount(self) -> None:
        self._mounts += 1
        folder = self._folder / str(self._mounts)
        self._core = Core(self._store, folder, clock=self._clock)
        self.driver = CoreDriver(self._core)

    def remount(self) -> None:
        assert self._core.close() == 0
        self._mount()

    def tick(self) -> None:
        self._clock.advance(1)

    def end(self) -> None:
        self._core.close()


class MountBench:
    """A fresh folder in a real mount; the mount is made anew for a remount only."""

    mounts = itertools.count(1)
    any_key = False

    def __init__(self, server: servers.Server, folder: Path) -> None:
        self._folder = folder
        self._server = server
        self._bucket = new_bucket_name(server)
        self._tests = itertools.count(1)
        self._stack = contextlib.ExitStack()
        self._mount()

    def _mount(self) -> None:
        folder = self._folder / str(next(self.mounts))
        folder.mkdir()
        self._process = S3Mount(folder, self._bucket, self._server.endpoint)
        self._stack.callback(self._process.close)
        self._process.wait_ready()

    def fresh(self) -> None:
        """A folder for the next test."""
        if self._process.process.poll() is not None:
            self._mount()
        self._root = f"/test-{next(self._tests)}"
        top = MountDriver(self._process, self._process.mountpoint)
        try:
            top.mkdir(self._root, 0o755)
        finally:
            top.end()
        self._open()

    def _open(self) -> None:
        self.driver = MountDriver(self._process, Path(f"{self._process.mountpoint}{self._root}"))

    def remount(self) -> None:
        self.driver.end()
        self._process.close()
        self._mount()
        self._open()

    def tick(self) -> None:
        """The clock of the machine goes on by itself."""

    def end(self) -> None:
        self.driver.end()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def _mounted(request: pytest.FixtureRequest) -> Iterator[MountBench]:
    fast = servers.find_versitygw() is not None
    server = request.getfixturevalue("versitygw_server" if fast else "moto_server")
    with tempfile.TemporaryDirectory(prefix="yas3fs-functional-") as folder:
        bench = MountBench(server, Path(folder))
        try:
            yield bench
        finally:
            bench.close()


@pytest.fixture(params=["core", pytest.param("mount", marks=pytest.mark.mount)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    made: Any
    if request.param == "mount":
        made = request.getfixturevalue("_mounted")
        made.fresh()
    else:
        made = CoreBench(tmp_path)
    before = os.umask(0)
    try:
        yield made
    finally:
        os.umask(before)
        made.end()


@pytest.fixture
def driver(bench: Bench) -> Any:
    return bench.driver
