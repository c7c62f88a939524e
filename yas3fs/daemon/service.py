"""All mounts of the process: started side by side, changed one by one, stopped together."""

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from threading import Lock, RLock
from typing import Any

from yas3fs import __version__
from yas3fs.config.mount_config import MountConfig
from yas3fs.config.service import Service as ServiceConfig
from yas3fs.daemon.supervisor import MakeMount, State, Supervisor
from yas3fs.runtime.clock import SystemClock

log = logging.getLogger(__name__)


class Service:
    """The supervisors of ``config``'s mounts. Thread-safe.

    ``changed`` is called after every change of any mount. With ``again``, mounts that fail are
    tried again for as long as it takes.
    """

    def __init__(
        self,
        config: ServiceConfig,
        make: MakeMount,
        changed: Callable[[], None],
        *,
        again: bool,
    ) -> None:
        self._config = config
        self._make = make
        self._changed = changed
        self._again = again
        self._lock = RLock()
        """One reload at a time holds it."""
        self._table = Lock()
        """Guards the supervisors' table and whether it may grow; a leaf."""
        self._supervisors: dict[str, Supervisor] = {}
        self._reloading = False
        self._started = SystemClock().time()
        self._stopping = False

    @property
    def config(self) -> ServiceConfig:
        """What is served now."""
        return self._config

    def supervisors(self) -> list[Supervisor]:
        """One for each mount."""
        return list(self._supervisors.values())

    def start(self) -> None:
        """Begin with every mount; returns at once."""
        with self._lock:
            for mount in share_memory(self._config.mounts, self._config.process.cache_total):
                self._add(mount)

    def _add(self, mount: MountConfig) -> list[Supervisor]:
        """Begin with one more, unless the end has begun."""
        with self._table:
            if self._stopping:
                return []
            supervisor = Supervisor(mount, self._make, self._changed, again=self._again)
            self._supervisors = {**self._supervisors, mount.name: supervisor}
            supervisor.start()
        return [supervisor]

    @property
    def is_settled(self) -> bool:
        """Whether the first try of every mount is over."""
        return all(supervisor.settled for supervisor in self.supervisors())

    def counts(self) -> tuple[int, int]:
        """How many mounts are there, and how many should be."""
        supervisors = self.supervisors()
        wanted = [one for one in supervisors if one.state is not State.ENDED or one.failure]
        return sum(one.state is State.MOUNTED for one in supervisors), len(wanted)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is served any more, nor will be."""
        ended = all(supervisor.state is State.ENDED for supervisor in self.supervisors())
        return ended and not self._reloading

    def reload(self, config: ServiceConfig) -> dict[str, list[str]]:
        """Serve ``config`` from now on; mounts that are the same are not touched.

        Returns the names of what was added, removed, changed and kept, when all that is over.
        """
        with self._lock:
            if self._stopping:
                return {}
            before = {mount.name: mount for mount in self._config.mounts}
            after = {mount.name: mount for mount in config.mounts}
            ended = {one.config.name for one in self.supervisors() if one.state is State.ENDED}
            same = {name for name in after if before.get(name) == after[name] and name not in ended}
            going = [name for name in before if name not in same]
            stopped = [self._supervisors[name] for name in going if name in self._supervisors]
            self._reloading = True
            for supervisor in stopped:
                supervisor.begin_stop()
            for supervisor in stopped:
                supervisor.join()
            with self._table:
                self._supervisors = {
                    name: self._supervisors[name] for name in self._supervisors if name in same
                }
            added = self._apply(config, same)
            self._config = config
            self._reloading = False
        for supervisor in added:
            supervisor.wait_settled()
        self._changed()
        return {
            "added": sorted(after.keys() - before.keys()),
            "removed": sorted(before.keys() - after.keys()),
            "changed": sorted((after.keys() & before.keys()) - same),
            "kept": sorted(same),
        }

    def _apply(self, config: ServiceConfig, same: set[str]) -> list[Supervisor]:
        added = []
        for mount in share_memory(config.mounts, config.process.cache_total):
            if mount.name not in same:
                added += self._add(mount)
                continue
            supervisor = self._supervisors[mount.name]
            there = supervisor.mounted()
            if there is not None and supervisor.config.cache_size != mount.cache_size:
                there.set_cache_size(mount.cache_size)
            supervisor.config = mount
            supervisor.retry_now()
        return added

    def begin_stop(self) -> None:
        """Let every mount end, side by side; returns at once."""
        with self._table:
            self._stopping = True
        for supervisor in self.supervisors():
            supervisor.begin_stop()

    def left(self) -> int:
        """How many files could not be uploaded."""
        return sum(supervisor.left for supervisor in self.supervisors())

    def status(self) -> dict[str, Any]:
        """Everything for a status page; plain values only."""
        return {
            "version": __version__,
            "pid": os.getpid(),
            "since": self._started,
            "cache_total": memory_budget(self._config.mounts, self._config.process.cache_total),
            "mounts": [supervisor.status() for supervisor in self.supervisors()],
        }

    def summary(self) -> str:
        """One line for the service manager."""
        mounted, wanted = self.counts()
        parts = [f"{mounted} of {wanted} mounted"]
        parts += [_line(supervisor.status()) for supervisor in self.supervisors()]
        return "; ".join(parts)


def _line(status: dict[str, Any]) -> str:
    name, state = status["name"], status["state"]
    if state != State.MOUNTED.value:
        reason = status["reason"]
        return f"{name}: {state}" + (f" ({reason})" if reason else "")
    pending = status.get("pending", {}).get("files", 0)
    waiting = status.get("publisher", {}).get("waiting", 0)
    return f"{name}: {status.get('mode', state)}, {pending} to upload, {waiting} to publish"


def memory_budget(mounts: Iterable[MountConfig], total: int | None) -> int:
    """Bytes of content that all mounts together may keep in memory.

    Unless it is given: half of the machine's memory, or what the largest cache alone asks for.
    """
    if total is not None:
        return total
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max([memory // 2, *(mount.cache_size for mount in mounts)])


def share_memory(mounts: Iterable[MountConfig], total: int | None) -> list[MountConfig]:
    """``mounts``, each with its part of the budget where the caches sum up to more."""
    wanted = list(mounts)
    budget = memory_budget(wanted, total)
    asked = sum(mount.cache_size for mount in wanted)
    if asked <= budget:
        return wanted
    log.info("the caches of all mounts share %d MB", budget >> 20)
    return [
        replace(mount, cache_size=max(1 << 20, mount.cache_size * budget // asked))
        for mount in wanted
    ]
