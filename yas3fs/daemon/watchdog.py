"""Tells systemd, again and again, that the mounts answer and how they are."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from yas3fs.daemon.service import Service
from yas3fs.daemon.supervisor import State
from yas3fs.daemon.systemd import Systemd

log = logging.getLogger(__name__)

_INTERVAL = 10.0
"""Seconds between two looks, where the watchdog does not want them sooner."""


class Watchdog:
    """A thread that looks at the mounts until :meth:`stop`.

    A sign of life is only given after a request went through the kernel to every mount and back: a
    process whose mounts hang is restarted by the watchdog.
    """

    def __init__(self, service: Service, systemd: Systemd) -> None:
        self._service = service
        self._systemd = systemd
        self._ended = threading.Event()
        watchdog = systemd.watchdog_seconds
        self._interval = min(_INTERVAL, watchdog / 4) if watchdog else _INTERVAL
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin; returns at once. Without a service manager there is nobody to tell."""
        if self._systemd.is_there:
            self._thread.start()

    def stop(self) -> None:
        """End; returns at once."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                self._beat()
            except Exception:
                log.exception("looking at the mounts failed, and goes on")

    def _beat(self) -> None:
        supervisors = self._service.supervisors()
        if any(supervisor.state in {State.STOPPING, State.STARTING} for supervisor in supervisors):
            self._systemd.extend()
        else:
            self._systemd.status(self._service.summary())
        if not self._systemd.watchdog_seconds:
            return
        limit = self._systemd.watchdog_seconds / 2
        with ThreadPoolExecutor(max(1, len(supervisors)), thread_name_prefix="watchdog") as pool:
            answers = list(pool.map(lambda supervisor: supervisor.answers(limit), supervisors))
        silent = [
            supervisor.config.name
            for supervisor, ok in zip(supervisors, answers, strict=True)
            if not ok
        ]
        if silent:
            log.error("no answer through the kernel from %s", ", ".join(silent))
        else:
            self._systemd.alive()
