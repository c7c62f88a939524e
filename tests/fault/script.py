"""Programs at work on a store that fails once, and what must be true whatever failed when."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from tests.doubles.faults import FaultyStore
from tests.functional.core import Core
from tests.functional.driver import CoreDriver
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.runtime.clock import ManualClock

EXPECTED = {
    errno.EIO, errno.EACCES, errno.ENOENT, errno.EEXIST, errno.ESTALE, errno.ENOTDIR,
    errno.ENOTEMPTY, errno.EDQUOT, errno.EFBIG,
}  # fmt: skip


class Script:
    """``run`` does one thing of everything. Each written content is unique, so that it can be told
    afterwards whether it is still somewhere: in ``kept`` is what was acknowledged and nobody tried
    to replace or remove, in ``refused`` what a failed close() left to the rescue folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = MemoryStore(ManualClock(), min_part_size=1)
        self.store = FaultyStore(self.memory)
        self.clock = ManualClock()
        self.core = self.mount("first", self.store)
        self.driver = CoreDriver(self.core)
        self.kept: dict[bytes, str] = {}
        self.refused: dict[bytes, str] = {}
        self.errors: list[OSError] = []
        self.number = 0

    def mount(self, name: str, store: object) -> Core:
        return Core(
            store,  # type: ignore[arg-type]
            self.folder / name,
            clock=self.clock,
            cache_size=20_000,
            part_size=1500,
            threshold=3000,
            min_part_size=700,
            ttl=1e9,
        )

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """A program goes on after an error, but the error is one that it may meet."""
        try:
            yield
        except OSError as error:
            if error.errno not in EXPECTED:
                raise
            self.errors.append(error)

    def content(self, size: int) -> bytes:
        self.number += 1
        return (f"content {self.number:04d} ".encode() * (size // 13 + 1))[:size]

    def gone(self, *paths: str) -> None:
        """What was there may be gone from here on."""
        for known in (self.kept, self.refused):
            for data in [d for d, p in known.items() if p in paths]:
                del known[data]

    def moved(self, old: str, new: str) -> None:
        """A failed rename may leave a file under either name or both, but never under none."""
        self.gone(new)
        for data, path in list(self.kept.items()):
            if path == old or path.startswith(old + "/"):
                self.kept[data] = new + path[len(old) :]

    def write(self, path: str, size: int, flags: int = 0, step: int = 1000) -> None:
        data = self.content(size)
        with self.attempt():
            fd = self.driver.open(path, os.O_RDWR | os.O_CREAT | flags, 0o640)
            self.gone(path)
            written = False
            try:
                for start in range(0, size, step):
                    self.driver.pwrite(fd, data[start : start + step], start)
                written = True
                self.driver.close(fd)
                self.kept[data] = path
            except OSError:
                if written:
                    self.refused[data] = path
                raise

    def run(self) -> None:
        driver = self.driver
        self.names()
        self.contents()
        self.renames()
        with self.attempt():
            driver.truncate("/e/big", 4000)
        self.gone("/e/big")
        with self.attempt():
            driver.unlink("/e/l")
        with self.attempt():
            driver.mkdir("/e/s")
        with self.attempt():
            driver.rmdir("/e/s")
        with self.attempt():
            fd = driver.open("/e/b", os.O_RDONLY)
            with self.attempt():
                self.gone("/e/b")
                driver.unlink("/e/b")
            with self.attempt():
                driver.pread(fd, 100, 0)
            driver.close(fd)
        self.write("/v", 600, os.O_EXCL)
        self.write("/v", 900, os.O_TRUNC)
        self.look("/")

    def names(self) -> None:
        driver = self.driver
        with self.attempt():
            driver.mkdir("/d")
        with self.attempt():
            driver.symlink("target", "/d/l")
        with self.attempt():
            assert driver.readlink("/d/l") == "target"
        with self.attempt():
            driver.mknod("/d/fifo", stat.S_IFIFO | 0o600)

    def contents(self) -> None:
        driver = self.driver
        self.write("/d/a", 500)
        self.write("/d/big", 10_000)
        with self.attempt():
            fd = driver.open("/d/big", os.O_RDWR)
            grown = self.content(300)
            try:
                whole = driver.pread(fd, 20_000, 0)
                assert len(whole) == 10_000
                self.gone("/d/big")
                driver.pwrite(fd, grown, len(whole))
                driver.fsync(fd)
                self.kept[whole + grown] = "/d/big"
            finally:
                driver.close(fd)
        with self.attempt():
            driver.chmod("/d/a", 0o600)
        with self.attempt():
            driver.setxattr("/d/a", "user.x", b"\xff\0")
        with self.attempt():
            driver.utimens("/d", 10**18, 10**18)

    def renames(self) -> None:
        driver = self.driver
        with self.attempt():
            self.moved("/d/a", "/d/b")
            driver.rename("/d/a", "/d/b")
        self.write("/x", 700)
        with self.attempt():
            self.moved("/x", "/d/b")
            driver.rename("/x", "/d/b")
        data = self.content(800)
        with self.attempt():
            fd = driver.open("/t", os.O_WRONLY | os.O_CREAT)
            try:
                driver.pwrite(fd, data, 0)
                driver.rename("/t", "/u")
            finally:
                driver.close(fd)
            self.kept[data] = "/u"
        with self.attempt():
            self.moved("/d", "/e")
            driver.rename("/d", "/e")

    def look(self, path: str) -> None:
        with self.attempt():
            for name in self.driver.listdir(path):
                below = f"{path.rstrip('/')}/{name}"
                with self.attempt():
                    if stat.S_ISDIR(self.driver.stat(below)["mode"]):
                        self.look(below)

    # -- afterwards ------------------------------------------------------------------------

    def check(self) -> None:
        self.store._rules.clear()  # an outage is over
        self.check_works()
        assert self.core.close() == 0
        # What the first shows once it looks again is what any other shows.
        bodies = [found.body for found in self.memory._objects.values()]
        rescued = [p.read_bytes() for p in self.core.rescue.folder.glob("*") if p.suffix != ".json"]
        for data, path in self.kept.items():
            assert data in bodies, f"{path} was acknowledged and is lost"
        for data, path in self.refused.items():
            assert data in bodies or data in rescued, f"{path} was refused and not rescued"
        second = self.mount("first", self.memory)  # with what the first left in its journal
        second.recover()
        tree = second.tree()
        assert tree["works"] == {"b": b"fine", "l": "b"}
        again = self.mount("third", self.memory)
        assert again.tree() == tree
        for core in (second, again):
            core.close()
        # An upload whose beginning was not answered is known to nobody, and has no parts.
        assert not any(upload.parts for upload in self.memory._uploads.values())

    def check_works(self) -> None:
        """The same file system still does its work."""
        core, driver = self.core, self.driver
        core.fs.forget("/")
        driver.mkdir("/works")
        core.write("/works/a", b"fine")
        driver.rename("/works/a", "/works/b")
        driver.symlink("b", "/works/l")
        assert core.tree("/works") == {"b": b"fine", "l": "b"}
