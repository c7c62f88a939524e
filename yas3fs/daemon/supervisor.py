"""One mount's life inside the service: it is made, served, and made again after a failure.

::

    STARTING ──> MOUNTED ──> ENDED        unmounted by an administrator
        │ ▲          │
        ▼ │ pause    ▼
      FAILED      STOPPING ──> ENDED      stopped: what is due is uploaded

Each supervisor has a thread of its own, so that no mount waits for another.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, Protocol

from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import ConfigError, MountError, Yas3fsError
from yas3fs.fs.warming import Warmth
from yas3fs.fuse import mountpoint, mounts
from yas3fs.runtime import naming

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a mount that failed is tried again: doubled each time."""
_ABANDON = 2.0
"""Seconds that a start may go on after it was told to end: nothing is mounted by then."""


class Mount(Protocol):
    """What the process does with a mount."""

    def open(self) -> None:
        """Prove credentials, bucket, prefix and folders; nothing is mounted yet."""

    def start(self) -> None:
        """Mount; returns when the mount is visible."""

    def wait(self) -> None:
        """Block until the mount is gone."""

    def stop(self) -> int:
        """Upload what is due, unmount; returns how many files could not be uploaded.

        May be called at any time, in any state, and again.
        """

    def status(self) -> dict[str, Any]:
        """Numbers for status pages; callable in any state."""

    def pending(self) -> list[dict[str, Any]]:
        """The files that hold more than the store does: ``path``, ``size`` in bytes, ``reason``."""

    def flush(self) -> Iterator[tuple[str, int, str]]:
        """Upload them all: path, how many there are, and why it failed (empty: it did not)."""

    def reset(self, path: str) -> None:
        """Ask S3 again about ``path`` and what is below it."""

    def warm(self, path: str) -> Iterator[Warmth]:
        """Fetch what is at and below ``path`` into memory; tells how far it is."""

    def store_rescued(self, identity: str, *, force: bool) -> list[tuple[str, str]]:
        """Upload a rescued file, or ``all``: each one's path or name, and why not."""

    def set_cache_size(self, size: int) -> None:
        """Keep so many bytes of content in memory from now on."""


MakeMount = Callable[[MountConfig], Mount]


class State(Enum):
    """See the module's docstring."""

    STARTING = "starting"
    MOUNTED = "mounted"
    FAILED = "failed"
    STOPPING = "stopping"
    ENDED = "ended"


class Supervisor:
    """Keeps one mount. ``changed`` is called, in the supervisor's threads, after every change.

    With ``again``, a start that failed is repeated after a pause, and a dead mount in its place is
    cleared away first.
    """

    def __init__(
        self,
        config: MountConfig,
        make: MakeMount,
        changed: Callable[[], None],
        *,
        again: bool,
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self.config = config
        self._make = make
        self._changed = changed
        self._again = again
        self._pause = first_pause
        self._lock = threading.Condition()
        self._stop_wanted = False
        self._tried = False
        self._mount: Mount | None = None
        self.state = State.STARTING
        self.failure: BaseException | None = None
        """Why the last start failed."""
        self.failures = 0
        self.left = 0
        """How many files could not be uploaded."""
        self.since = time.time()
        self._thread = threading.Thread(target=self._run, name=f"mount {config.name}", daemon=True)

    # -- for the service -------------------------------------------------------------------

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    @property
    def settled(self) -> bool:
        """Whether the first try to mount is over, one way or the other."""
        return self._tried

    def wait_settled(self) -> None:
        """Block until it is."""
        with self._lock:
            self._lock.wait_for(lambda: self._tried)

    def retry_now(self) -> None:
        """Try a failed mount again without waiting for the pause to end."""
        with self._lock:
            self._pause = 0.0
            self._lock.notify_all()

    def begin_stop(self) -> None:
        """Let it end: upload what is due and unmount; returns at once."""
        with self._lock:
            if self._stop_wanted:
                return
            self._stop_wanted = True
            mount = self._mount if self.state is not State.STARTING else None
            self._lock.notify_all()
        threading.Thread(
            target=self._end, args=(mount,), name=f"stop {self.config.name}", daemon=True
        ).start()

    def join(self) -> None:
        """Block until it has ended."""
        with self._lock:
            self._lock.wait_for(lambda: self.state is State.ENDED)

    def answers(self, timeout: float) -> bool:
        """Whether a request goes through the kernel to the mount and back within ``timeout``.

        A mount that is not there has nothing to answer and counts as well.
        """
        if self.state is not State.MOUNTED:
            return True
        return mounts.answers(self.config.mountpoint, timeout)

    def status(self) -> dict[str, Any]:
        """The state, with the mount's own numbers below it while there is a mount."""
        with self._lock:
            mount = self._mount if self.state in {State.MOUNTED, State.STOPPING} else None
            found: dict[str, Any] = {
                "name": self.config.name,
                "url": self.config.url,
                "mountpoint": self.config.mountpoint,
                "read_only": self.config.read_only,
                "state": self.state.value,
                "since": self.since,
                "failures": self.failures,
                "reason": "" if self.failure is None else one_line(self.failure),
            }
        return found | ({} if mount is None else mount.status())

    def mounted(self) -> Mount | None:
        """The mount while it is there."""
        with self._lock:
            return self._mount if self.state is State.MOUNTED else None

    # -- its own thread ----------------------------------------------------------------------

    def _run(self) -> None:
        naming.enter(self.config.name)
        pause = self._pause
        while not self._stop_wanted:
            self._pause = pause
            mount = self._try()
            if mount is not None:
                self._serve(mount)
                return
            with self._lock:
                if self._again and not self._stop_wanted:
                    self._enter(State.FAILED)
                    self._tried = True
                    self._lock.notify_all()
            self._changed()
            with self._lock:
                if not self._again:
                    break
                self._lock.wait_for(lambda: self._stop_wanted or self._pause == 0.0, self._pause)
                if not self._stop_wanted:
                    self._enter(State.STARTING)
            pause = min(max(pause, FIRST_PAUSE / 8) * 2, LONGEST_PAUSE)
        self._finish()

    def _try(self) -> Mount | None:
        """One start; None when it failed, and what was begun is taken back."""
        mount: Mount | None = None
        try:
            if self._again:
                self._clear_dead()
            mountpoint.prepare(
                self.config.mountpoint, mkdir=self.config.mkdir, nonempty=self.config.nonempty
            )
            mount = self._make(self.config)
            with self._lock:
                self._mount = mount
            mount.open()
            if not self._stop_wanted:
                mount.start()
                return mount
        except Exception as failure:  # noqa: BLE001 (no mount may end the others)
            self._note(failure)
        if mount is not None:
            self._take_back(mount)
        with self._lock:
            self._mount = None
        return None

    def _clear_dead(self) -> None:
        place = self.config.mountpoint
        if mounts.is_mounted(place) and mounts.is_dead(place):
            log.warning("%s is a dead mount of an earlier process, it is unmounted", place)
            mounts.unmount(place, lazy=True)

    def _note(self, failure: Exception) -> None:
        self.failure = failure
        self.failures += 1
        if not isinstance(failure, Yas3fsError):
            log.critical("%s", one_line(failure), exc_info=failure)
        elif self._again:
            log.error("%s: not mounted: %s", self.config.mountpoint, one_line(failure))
            log.debug("where that was found", exc_info=failure)

    @staticmethod
    def _take_back(mount: Mount) -> None:
        try:
            mount.stop()
        except Exception:
            log.exception("taking back a mount that failed")

    def _serve(self, mount: Mount) -> None:
        with self._lock:
            self.failure = None
            if not self._stop_wanted:
                self._enter(State.MOUNTED)
            late = self._stop_wanted
            self._tried = True
            self._lock.notify_all()
        if late:
            self._end(mount)
            return
        log.info("mounted %s", self.config.url)
        self._changed()
        mount.wait()
        if not self._stop_wanted:
            log.info("ending: unmounted")
            self.begin_stop()

    # -- the end -----------------------------------------------------------------------------

    def _end(self, mount: Mount | None) -> None:
        naming.enter(self.config.name)
        if mount is None:
            self._abandon()
            return
        with self._lock:
            self._enter(State.STOPPING)
        self._changed()
        try:
            self.left = mount.stop()
        except Exception:
            log.exception("unmounting %s", self.config.mountpoint)
            self.left = max(1, self.left)
        if self.left:
            log.error(
                "%d files could not be uploaded; they are below %s",
                self.left,
                self.config.state_path,
            )
        self._finish()

    def _abandon(self) -> None:
        """It has not been mounted yet: give the start a moment, then go without it."""
        self._thread.join(_ABANDON)
        with self._lock:
            mount = self._mount if self.state is not State.ENDED else None
        if self._thread.is_alive() and mount is not None:
            self._take_back(mount)
        self._finish()

    def _finish(self) -> None:
        with self._lock:
            if self.state is State.ENDED:
                return
            self._enter(State.ENDED)
            self._tried = True
            self._lock.notify_all()
        self._changed()

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state, self.since = state, time.time()
            self._lock.notify_all()


def one_line(failure: BaseException) -> str:
    """What to tell an administrator of ``failure``."""
    if isinstance(failure, ConfigError | MountError | Yas3fsError):
        return " ".join(str(failure).split())
    return f"failed in an unforeseen way: {failure!r}"
