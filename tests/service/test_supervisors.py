"""Mounts side by side, with mounts that mount nothing: one that fails is no matter for others."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from yas3fs.config.mount_config import MountConfig
from yas3fs.config.service import Service as ServiceConfig
from yas3fs.config.service import load_service
from yas3fs.daemon.service import Service, share_memory
from yas3fs.daemon.supervisor import State
from yas3fs.errors import BadCredentials, ConfigError

pytestmark = pytest.mark.mount  # the mount points are looked at
MIB = 1024 * 1024
WAIT = 30.0


class Fake:
    """A mount that waits for permission to open, and fails as often as it is told."""

    def __init__(self, config: MountConfig) -> None:
        self.config = config
        self.may_open = threading.Event()
        self.may_open.set()
        self.gone = threading.Event()
        self.failures: list[Exception] = []
        self.calls: list[str] = []
        self.left = 0
        self.cache_size = config.cache_size

    def open(self) -> None:
        self.calls.append("open")
        assert self.may_open.wait(WAIT)
        if self.failures:
            raise self.failures.pop(0)

    def start(self) -> None:
        self.calls.append("start")

    def wait(self) -> None:
        assert self.gone.wait(WAIT)

    def stop(self) -> int:
        self.calls.append("stop")
        self.gone.set()
        return self.left

    def status(self) -> dict[str, Any]:
        return {"mode": "standalone", "pending": {"files": 3, "bytes": 5}}

    def pending(self) -> list[dict[str, Any]]:
        return []

    def flush(self) -> Iterator[tuple[str, int, str]]:
        return iter(())

    def reset(self, path: str) -> None:
        self.calls.append(f"reset {path}")

    def set_cache_size(self, size: int) -> None:
        self.cache_size = size


class Bench:
    """A service of fakes; each is prepared by name, and stays the same for every start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fakes: dict[str, Fake] = {}
        self.prepare: Callable[[Fake], None] = lambda _: None
        self.changes = threading.Condition()
        self.watch: Callable[[], None] = lambda: None
        """Called after every change of a mount."""
        self.service: Service | None = None

    def config(self, *names: str, **more: str) -> ServiceConfig:
        """A file with these mounts; ``more`` are lines for some of them."""
        lines = [more.pop("defaults", ""), "mounts:"]
        for name in names:
            (self.folder / name).mkdir(exist_ok=True)
            lines += [f"  {name}:", f"    url: s3://bucket/{name}"]
            lines += [f"    mountpoint: {self.folder / name}", f"    {more.get(name, '')}"]
        path = self.folder / "yas3fs.yaml"
        path.write_text("\n".join(lines))
        return load_service(str(path), environment={"HOME": "/root"})

    def make(self, config: MountConfig) -> Fake:
        if config.name not in self.fakes or "stop" in self.fakes[config.name].calls:
            before = self.fakes.get(config.name)
            fake = self.fakes[config.name] = Fake(config)
            if before is None:
                self.prepare(fake)
            else:
                fake.failures = before.failures
        return self.fakes[config.name]

    def begin(self, *names: str, again: bool = True, **more: str) -> Service:
        self.service = Service(self.config(*names, **more), self.make, self.changed, again=again)
        self.service.start()
        return self.service

    def changed(self) -> None:
        self.watch()
        with self.changes:
            self.changes.notify_all()

    def states(self) -> dict[str, State]:
        assert self.service is not None
        return {
            supervisor.config.name: supervisor.state for supervisor in self.service.supervisors()
        }

    def until(self, **states: State) -> None:
        with self.changes:
            assert self.changes.wait_for(lambda: states.items() <= self.states().items(), WAIT)

    def end(self) -> None:
        for fake in self.fakes.values():
            fake.may_open.set()
        if self.service is not None:
            self.service.begin_stop()
            for supervisor in self.service.supervisors():
                supervisor.join()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.end()


def test_a_mount_that_hangs_does_not_keep_the_others_waiting(bench: Bench) -> None:
    may_open = threading.Event()

    def prepare(fake: Fake) -> None:
        if fake.config.name == "slow":
            fake.may_open = may_open

    bench.prepare = prepare
    service = bench.begin("slow", "fast")
    bench.until(slow=State.STARTING, fast=State.MOUNTED)
    assert not all(supervisor.settled for supervisor in service.supervisors())
    may_open.set()
    bench.until(slow=State.MOUNTED)


def test_a_mount_that_fails_is_tried_again_and_the_reason_is_shown(bench: Bench) -> None:
    def prepare(fake: Fake) -> None:
        if fake.config.name == "bad":
            fake.failures = [BadCredentials("refused\nby S3"), ValueError("what")]

    bench.prepare = prepare
    service = bench.begin("good", "bad")
    bench.until(good=State.MOUNTED, bad=State.FAILED)
    assert service.counts() == (1, 2)
    bad = next(one for one in service.status()["mounts"] if one["name"] == "bad")
    assert (bad["state"], bad["reason"], bad["failures"]) == ("failed", "refused by S3", 1)
    assert service.summary() == (
        "1 of 2 mounted; good: standalone, 3 to upload, 0 to publish; bad: failed (refused by S3)"
    )
    bench.until(bad=State.MOUNTED)  # after two more tries
    assert bench.fakes["good"].calls == ["open", "start"]
    assert service.counts() == (2, 2)
    bad = next(one for one in service.status()["mounts"] if one["name"] == "bad")
    assert (bad["reason"], bad["failures"]) == ("", 2)


def test_one_from_the_command_line_is_tried_once(bench: Bench) -> None:
    bench.prepare = lambda fake: fake.failures.append(ConfigError("no"))
    service = bench.begin("one", again=False)
    bench.until(one=State.ENDED)
    (supervisor,) = service.supervisors()
    assert str(supervisor.failure) == "no"
    assert bench.fakes["one"].calls == ["open", "stop"]
    assert service.has_ended


def test_an_unmounted_mount_ends_and_the_others_stay(bench: Bench) -> None:
    service = bench.begin("one", "two")
    bench.until(one=State.MOUNTED, two=State.MOUNTED)
    bench.fakes["one"].gone.set()
    bench.until(one=State.ENDED)
    assert bench.fakes["one"].calls == ["open", "start", "stop"]
    assert not service.has_ended
    assert service.counts() == (1, 1)


def test_what_could_not_be_uploaded_is_counted(bench: Bench) -> None:
    service = bench.begin("one", "two")
    bench.until(one=State.MOUNTED, two=State.MOUNTED)
    bench.fakes["one"].left, bench.fakes["two"].left = 2, 1
    bench.end()
    assert service.left() == 3
    assert service.has_ended


def test_a_stop_does_not_wait_for_a_start_that_hangs(bench: Bench) -> None:
    bench.prepare = lambda fake: fake.may_open.clear()
    service = bench.begin("one")
    bench.until(one=State.STARTING)
    service.begin_stop()
    service.supervisors()[0].join()
    assert "start" not in bench.fakes["one"].calls
    bench.fakes["one"].may_open.set()


def test_a_reload_touches_only_what_changed(bench: Bench) -> None:
    service = bench.begin("same", "changes", "goes")
    bench.until(same=State.MOUNTED, changes=State.MOUNTED, goes=State.MOUNTED)
    same, changes, goes = (bench.fakes[name] for name in ("same", "changes", "goes"))
    result = service.reload(bench.config("same", "changes", "comes", changes="read-only: yes"))
    assert result == {
        "added": ["comes"],
        "removed": ["goes"],
        "changed": ["changes"],
        "kept": ["same"],
    }
    assert same.calls == ["open", "start"]
    assert changes.calls == goes.calls == ["open", "start", "stop"]
    assert bench.fakes["changes"].config.read_only
    assert bench.states() == dict.fromkeys(("same", "changes", "comes"), State.MOUNTED)


def test_a_reload_mounts_again_what_was_unmounted_and_tries_what_failed(bench: Bench) -> None:
    def prepare(fake: Fake) -> None:
        fake.failures = [ConfigError("no")] * (6 if fake.config.name == "bad" else 0)

    bench.prepare = prepare
    service = bench.begin("one", "bad")
    bench.until(one=State.MOUNTED, bad=State.FAILED)
    bench.fakes["one"].gone.set()
    bench.until(one=State.ENDED)
    bench.fakes["bad"].failures.clear()
    service.reload(bench.config("one", "bad"))
    bench.until(one=State.MOUNTED, bad=State.MOUNTED)


def test_a_reload_of_everything_is_no_end(bench: Bench) -> None:
    service = bench.begin("one")
    bench.until(one=State.MOUNTED)
    ended: list[bool] = []
    bench.watch = lambda: ended.append(service.has_ended)
    service.reload(bench.config("one", one="read-only: yes"))
    assert ended
    assert not any(ended)
    assert bench.states() == {"one": State.MOUNTED}


def test_nothing_is_added_once_the_end_has_begun(bench: Bench) -> None:
    service = bench.begin("one")
    bench.until(one=State.MOUNTED)
    bench.watch = service.begin_stop  # while the reload is at it
    service.reload(bench.config("one", "two", one="read-only: yes"))
    assert State.MOUNTED not in bench.states().values()
    bench.watch = lambda: None
    bench.end()
    assert service.has_ended


def test_the_caches_share_one_budget(bench: Bench) -> None:
    defaults = "defaults:\n  cache-total: 100\n  cache-size: 100"
    service = bench.begin("one", "two", defaults=defaults, two="cache-size: 300")
    bench.until(one=State.MOUNTED, two=State.MOUNTED)
    assert [bench.fakes[name].cache_size for name in ("one", "two")] == [25 * MIB, 75 * MIB]
    service.reload(bench.config("one", defaults=defaults))
    assert bench.fakes["one"].cache_size == 100 * MIB
    assert bench.fakes["one"].calls == ["open", "start"]


def test_a_budget_that_suffices_changes_nothing(bench: Bench) -> None:
    mounts = bench.config("one", "two", defaults="defaults:\n  cache-size: 8").mounts
    assert share_memory(mounts, 16 * MIB) == list(mounts)
    assert share_memory(mounts, None) == list(mounts)
    assert [one.cache_size for one in share_memory(mounts, 8 * MIB)] == [4 * MIB, 4 * MIB]
