"""What systemd is told, as sd_notify(3) describes it; nothing happens without systemd."""

import os
import time
from collections.abc import Mapping

EXTENSION = 60.0
"""Seconds more that a stop which makes progress is given each time."""


class Systemd:
    """The service manager that started this process, if one did."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self.is_there = bool(environment.get("NOTIFY_SOCKET"))
        self._said = ""
        self.watchdog_seconds = _watchdog(environment) if self.is_there else 0.0
        """How long systemd waits for a sign of life; 0 when it does not."""

    def ready(self, status: str) -> None:
        """Every mount answers, or is known not to."""
        self._tell("READY=1", f"STATUS={status}")
        self._said = status

    def status(self, status: str) -> None:
        """One line for ``systemctl status``; the same line again is not sent."""
        if status != self._said:
            self._said = status
            self._tell(f"STATUS={status}")

    def alive(self) -> None:
        """The mounts answer."""
        self._tell("WATCHDOG=1")

    def reloading(self) -> None:
        """The configuration is read anew; :meth:`ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._tell("STOPPING=1", f"STATUS={status}")
        self._said = status

    def extend(self, seconds: float = EXTENSION) -> None:
        """Files are still being uploaded: wait for so long from now at least."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def _tell(self, *lines: str) -> None:
        if self.is_there:
            import sdnotify

            sdnotify.SystemdNotifier().notify("\n".join(lines))


def _watchdog(environment: Mapping[str, str]) -> float:
    """Seconds of WATCHDOG_USEC, when it is meant for this process."""
    pid = environment.get("WATCHDOG_PID", "")
    text = environment.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(text) / 1_000_000
