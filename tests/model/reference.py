"""Random operations on the core and on an ordinary folder, which must always agree."""

import errno
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.functional.core import Core
from tests.functional.driver import OMIT, CoreDriver, LocalDriver
from yas3fs.fs.keys import name_to_key
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers
from yas3fs.runtime.clock import ManualClock

OLD = 10**17
"""Times before this were set by hand, later ones are the present."""
RENAME_ORDER = {
    errno.EINVAL, errno.EISDIR, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST
}  # fmt: skip
"""A rename may be wrong in two ways at once; which is told first is nobody's business."""


class Model:
    """One run. ``outside`` lets another client change the bucket as well."""

    def __init__(self, seed: int, folder: Path, *, outside: bool) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.outside = outside
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock, min_part_size=1)
        (folder / "reference").mkdir()
        self.local = LocalDriver(str(folder / "reference"))
        self.files: dict[int, tuple[int, int, str]] = {}
        self.next = 0
        self.log: list[str] = []
        self.mount()

    def mount(self) -> None:
        self.core = Core(
            self.store,
            self.folder / "core",
            clock=self.clock,
            ttl=0.0 if self.outside else self.random.choice([0.0, 30.0, 1e9]),
            max_entries=self.random.choice([4, 1000]),
            cache_size=self.random.choice([0, 3000, 100_000, 10_000_000]),
            buffer_size=self.random.choice([0, 8192, 8 << 20]),
            part_size=1500,
            threshold=self.random.choice([3000, 1 << 20]),
            min_part_size=700,
        )
        self.driver = CoreDriver(self.core)

    # -- one step --------------------------------------------------------------------------

    def step(self) -> None:
        self.clock.advance(0.01)
        weights = {name: weight for name, weight in WEIGHTS.items() if weight}
        if not self.outside:
            weights.pop("outside")
        name = self.random.choices(list(weights), list(weights.values()))[0]
        getattr(self, f"do_{name}")()

    def both(self, name: str, *arguments: Any, compare: bool = True) -> Any:
        self.log.append(f"{name}{arguments!r}"[:200])
        mine = self._outcome(getattr(self.driver, name), arguments)
        wanted = self._outcome(getattr(self.local, name), arguments)
        self._agree(name, mine, wanted, compare)
        return mine, wanted

    @staticmethod
    def _outcome(call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        try:
            return call(*arguments)
        except OSError as error:
            return error

    def _agree(self, name: str, mine: Any, wanted: Any, compare: bool) -> None:
        if isinstance(mine, OSError) or isinstance(wanted, OSError):
            assert isinstance(mine, OSError), self.explain(name, mine, wanted)
            assert isinstance(wanted, OSError), self.explain(name, mine, wanted)
            numbers = {mine.errno, wanted.errno}
            either = len(numbers) == 1 or (name == "rename" and numbers <= RENAME_ORDER)
            # The kernel looks at each directory on the way again, the core at the last one.
            either = either or (self.outside and numbers == {errno.ENOENT, errno.ENOTDIR})
            assert either, self.explain(name, mine, wanted)
        elif compare:
            assert mine == wanted, self.explain(name, mine, wanted)

    def explain(self, name: str, mine: Any, wanted: Any) -> str:
        shown = [repr(value)[:300] for value in (mine, wanted)]
        steps = "\n".join(self.log[-60:])
        return f"{steps}\n{name}: core {shown[0]}, reference {shown[1]}"

    # -- what to do it to ------------------------------------------------------------------

    def path(self) -> str:
        depth = self.random.choice([1, 1, 2, 2, 3])
        path = ""
        for _ in range(depth):
            if path and self._kind(path) == stat.S_IFLNK:
                break  # following links is the kernel's part
            path += f"/{self.random.choice(NAMES)}"
        return path

    def data(self) -> bytes:
        size = self.random.choice([0, 1, 10, 500, 1500, 3000, 7000])
        return self.random.randbytes(size)

    def offset(self) -> int:
        return self.random.choice([0, 0, 1, 100, 700, 1500, 3000, 5000])

    def file(self) -> int | None:
        return self.random.choice(list(self.files)) if self.files else None

    # -- the verbs -------------------------------------------------------------------------

    def do_mkdir(self) -> None:
        self.both("mkdir", self.path(), self.random.choice([0o755, 0o700]))

    def do_rmdir(self) -> None:
        self.both("rmdir", self.path())

    def do_unlink(self) -> None:
        self.both("unlink", self.path())

    def do_symlink(self) -> None:
        self.both("symlink", self.random.choice(["x", "../y", "\udcff"]), self.path())

    def do_readlink(self) -> None:
        self.both("readlink", self.path())

    def do_mknod(self) -> None:
        self.both("mknod", self.path(), stat.S_IFIFO | 0o600)

    def do_rename(self) -> None:
        self.both("rename", self.path(), self.path(), self.random.choice([0, 0, 0, 1]))

    def do_write_file(self) -> None:
        self.do_open(self.path(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.do_pwrite(newest=True, at=0)
        if self.random.random() < 0.7:
            self.do_close(newest=True)

    def do_open(self, path: str = "", flags: int = 0) -> None:
        if len(self.files) > 6:
            return
        path = path or self.path()
        flags = flags or self.random.choice(FLAGS)
        if flags & os.O_CREAT == 0 or self._kind(path) in (0, stat.S_IFREG):
            # nothing follows links or blocks on a fifo here
            if self._kind(path) in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR):
                return
            mine, wanted = self.both("open", path, flags, 0o640, compare=False)
            if not isinstance(mine, OSError):
                self.next += 1
                self.files[self.next] = (mine, wanted, path)

    def _kind(self, path: str) -> int:
        try:
            return stat.S_IFMT(self.local.stat(path)["mode"])
        except OSError:
            return 0

    def on_file(self, name: str, *arguments: Any, newest: bool = False) -> None:
        number = self.file()
        if number is None:
            return
        if newest:
            number = max(self.files)
        mine, wanted, path = self.files[number]
        self.log.append(f"[{number}] {name}{arguments!r}"[:120])
        if name == "close":
            del self.files[number]
        outcomes = (
            self._outcome(getattr(self.driver, name), (mine, *arguments)),
            self._outcome(getattr(self.local, name), (wanted, *arguments)),
        )
        if name == "fstat" and not isinstance(outcomes[0], OSError):
            self.compare_status(path, *outcomes)
        else:
            self._agree(name, *outcomes, True)

    def do_pread(self) -> None:
        self.on_file("pread", self.random.choice([10, 3000, 9000]), self.offset())

    def do_pwrite(self, *, newest: bool = False, at: int = -1) -> None:
        offset = self.offset() if at < 0 else at
        self.on_file("pwrite", self.data(), offset, newest=newest)

    def do_append(self) -> None:
        """A program writes a file from its start to its end."""
        for start in range(0, self.random.choice([3000, 9000]), 1000):
            self.on_file("pwrite", self.random.randbytes(1000), start, newest=True)

    def do_ftruncate(self) -> None:
        self.on_file("ftruncate", self.offset())

    def do_fsync(self) -> None:
        self.on_file("fsync")

    def do_fchmod(self) -> None:
        self.on_file("fchmod", self.random.choice([0o600, 0o644, 0o755]))

    def do_fstat(self) -> None:
        self.on_file("fstat")

    def do_close(self, *, newest: bool = False) -> None:
        self.on_file("close", newest=newest)

    def do_truncate(self) -> None:
        path = self.path()
        if self._kind(path) not in (stat.S_IFLNK, stat.S_IFIFO):
            # From nothing to nothing, file systems differ in what becomes of the times.
            self.both("truncate", path, self.offset() + 1)

    def do_chmod(self) -> None:
        path = self.path()
        if self._kind(path) != stat.S_IFLNK:
            self.both("chmod", path, self.random.choice([0o600, 0o755, 0o1777]))

    def do_chown(self) -> None:
        self.both("chown", self.path(), self.random.choice([-1, 5]), self.random.choice([-1, 7]))

    def do_utimens(self) -> None:
        times = [OMIT, 10**15 + 123_456_789, 5 * 10**15 + 1]
        self.both("utimens", self.path(), self.random.choice(times), self.random.choice(times))

    def do_stat(self) -> None:
        path = self.path()
        mine, wanted = self.both("stat", path, compare=False)
        if not isinstance(mine, OSError):
            self.compare_status(path, mine, wanted)

    def do_listdir(self) -> None:
        path = self.random.choice(["/", self.path()])
        if self._kind(path) != stat.S_IFLNK:
            self.both("listdir", path)

    def do_compare(self) -> None:
        self.compare_tree("/")
        count, bound = self.core.fs.volume.names.count, 10_000
        assert 0 <= count <= bound, self.explain("entries", count, bound)

    def do_remount(self) -> None:
        self.log.append("remount")
        for number in list(self.files):
            mine, wanted, _ = self.files.pop(number)
            assert self._outcome(self.driver.close, (mine,)) is None
            self.local.close(wanted)
        assert self.core.close() == 0
        self.mount()
        self.do_compare()

    def do_forget(self) -> None:
        path = self.random.choice(["/", self.path()])
        self.log.append(f"forget {path}")
        self.core.fs.forget(path)

    # -- another client --------------------------------------------------------------------

    def do_outside(self) -> None:
        path = self.path()
        busy = [p for _, _, p in self.files.values()]
        if any(p == path or p.startswith(path + "/") for p in busy) or self._renamed_open():
            return
        parent = path[: path.rindex("/")] or "/"
        if parent != "/" and self._kind(parent) != stat.S_IFDIR:
            return
        kind, data = self._kind(path), self.data()
        self.core.fs.volume.departures.drain()
        self.clock.advance(1)  # the same bytes in the same second are the same version to a listing
        key = name_to_key(path[1:])
        if kind in (0, stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO) and self.random.random() < 0.6:
            self.log.append(f"outside: put {key} {len(data)}")
            self.store.put(key, data, Headers())
            if kind:
                self.local.unlink(path)
            fd = self.local.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
            self.local.pwrite(fd, data, 0)
            self.local.close(fd)
        elif kind == stat.S_IFDIR and not self.local.listdir(path):
            self.log.append(f"outside: rmdir {key}")
            self.store.delete(key + "/")
            self.local.rmdir(path)
        elif kind == 0:
            self.log.append(f"outside: mkdir {key}")
            self.store.put(key + "/", b"", Headers())
            self.local.mkdir(path, 0o755)
        elif kind != stat.S_IFDIR:
            self.log.append(f"outside: delete {key}")
            self.store.delete(key)
            self.local.unlink(path)

    def _renamed_open(self) -> bool:
        """Open files may have other names by now: the other client then leaves all alone."""
        return any("rename" in line for line in self.log[-200:]) and bool(self.files)

    # -- comparing -------------------------------------------------------------------------

    def compare_status(self, path: str, mine: dict[str, int], wanted: dict[str, int]) -> None:
        shown = self.explain(f"stat {path}", mine, wanted)
        assert mine["mode"] == wanted["mode"], shown
        if stat.S_ISDIR(mine["mode"]):
            return
        assert mine["size"] == wanted["size"], shown
        assert (mine["nlink"] == 0) == (wanted["nlink"] == 0), shown
        if wanted["mtime_ns"] < OLD or mine["mtime_ns"] < OLD:
            assert mine["mtime_ns"] == wanted["mtime_ns"], shown

    def compare_tree(self, path: str) -> None:
        names, wanted = self.both("listdir", path)
        assert names == wanted
        for name in names:
            below = f"{path.rstrip('/')}/{name}"
            mine, theirs = self.both("stat", below, compare=False)
            self.compare_status(below, mine, theirs)
            if stat.S_ISDIR(mine["mode"]):
                self.compare_tree(below)
            elif stat.S_ISLNK(mine["mode"]):
                self.both("readlink", below)
            elif stat.S_ISREG(mine["mode"]):
                content = self.core.read(below)
                fd = self.local.open(below, os.O_RDONLY)
                expected = self.local.pread(fd, 1 << 20, 0)
                self.local.close(fd)
                assert content == expected, self.explain(below, content, expected)

    def finish(self) -> None:
        self.do_compare()
        self.do_remount()
        uploads = list(self.store.list_multipart(""))
        assert not uploads, self.explain("uploads left", uploads, [])
        self.core.close()

    def close(self) -> None:
        for _, wanted, _ in self.files.values():
            self.local.close(wanted)


NAMES = ["a", "b", "c", "d%41 +?#&=~*", "e\n\x01", "f\udcff\xe9"]
FLAGS = [
    os.O_RDONLY,
    os.O_RDWR,
    os.O_WRONLY | os.O_CREAT,
    os.O_RDWR | os.O_CREAT,
    os.O_RDWR | os.O_CREAT | os.O_EXCL,
    os.O_RDWR | os.O_CREAT | os.O_TRUNC,
    os.O_RDWR | os.O_TRUNC,
    os.O_WRONLY | os.O_APPEND | os.O_CREAT,
]
WEIGHTS = {
    "mkdir": 8,
    "rmdir": 4,
    "unlink": 6,
    "symlink": 2,
    "readlink": 2,
    "mknod": 1,
    "rename": 12,
    "write_file": 10,
    "open": 12,
    "pread": 8,
    "pwrite": 8,
    "append": 3,
    "ftruncate": 3,
    "fsync": 3,
    "fchmod": 2,
    "fstat": 4,
    "close": 7,
    "truncate": 3,
    "chmod": 3,
    "chown": 2,
    "utimens": 4,
    "stat": 6,
    "listdir": 4,
    "compare": 2,
    "remount": 1,
    "forget": 1,
    "outside": 15,
}
