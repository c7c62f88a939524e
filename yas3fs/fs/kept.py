"""The names that the kernel keeps of directories, so that who reads one again asks nobody.

The kernel keeps them until a directory is opened without the promise that they are still right, or
until it is told to drop them; it does not let them expire. So the promise is given only for the
very version of the listing which somebody read to its end while nobody else had the directory open
(the kernel puts together what several readers get), and not for so long that the names' attributes,
which came with them, have expired. A directory that is held open is looked after: what a program
reads after it has gone back to the beginning is no older than anything else that is shown.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple

from yas3fs.fs.discovery import Discovery
from yas3fs.fs.entries import Directory
from yas3fs.fs.namespace import Namespace

LONGEST = 150.0
"""Seconds; half of those for which the kernel believes attributes at most."""
SHORTEST = 0.5
"""Where answers are believed for less than twice that, nothing is kept."""


class Snapshot(NamedTuple):
    """Names of a directory, and the version of the listing that has just these; -1 if unknown."""

    names: list[str]
    version: int


class _Holders:
    """A directory that is open: where, how often, and since when the kernel may keep its names."""

    __slots__ = ("count", "path", "since")

    def __init__(self, path: str, since: int) -> None:
        self.path = path
        self.count = 0
        self.since = since


class KeptListings:
    """Of one mount. ``drop`` has the kernel forget a directory's names and attributes.

    Lock order: that of the names, then ``_changed``, a leaf.
    """

    def __init__(
        self,
        names: Namespace,
        discovery: Discovery,
        drop: Callable[[str], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._names = names
        self._discovery = discovery
        self._drop = drop
        self._now_ms = now_ms
        self._changed = threading.Condition()
        self._open: dict[Directory, _Holders] = {}
        self._thread: threading.Thread | None = None

    @property
    def _seconds(self) -> float:
        """For how long names may be kept; 0 for not at all."""
        seconds = min(self._discovery.ttl / 2, LONGEST)
        return seconds if seconds >= SHORTEST else 0.0

    def open(self, path: str, directory: Directory) -> Snapshot | None:
        """Somebody opens the directory: the names that the kernel keeps, if they are right.

        Where it is None, the kernel drops them. :meth:`close` follows.
        """
        with self._names.lock:
            now, right = self._now_ms(), False
            if directory.shown >= 0:
                right = (
                    directory.shown == directory.version
                    and now - directory.shown_at <= self._seconds * 1000
                    and self._discovery.is_listed(directory)
                )
            if right:
                self._names.used(path, directory)
            else:
                directory.shown = -1
            with self._changed:
                holders = self._open.get(directory)
                if holders is None:
                    holders = self._open[directory] = _Holders(path, now)
                holders.count += 1
                if self._thread is None and self._seconds:
                    self._thread = threading.Thread(target=self._run, name="kept", daemon=True)
                    self._thread.start()
            return Snapshot(list(directory.children), directory.version) if right else None

    def close(self, directory: Directory) -> None:
        """As often as :meth:`open`."""
        with self._changed:
            holders = self._open[directory]
            holders.count -= 1
            if not holders.count:
                del self._open[directory]

    @property
    def may_be_kept(self) -> bool:
        """Whether the kernel may keep names at all."""
        return self._seconds > 0

    def snapshot(self, path: str, names: list[str]) -> Snapshot:
        """``names``, which were just listed, in the order and with the version that is known."""
        with self._names.lock:
            directory = self._names.known(path)
            if isinstance(directory, Directory) and self._discovery.is_listed(directory):
                return Snapshot(list(directory.children), directory.version)
        return Snapshot(names, -1)

    def is_alone(self, directory: Directory) -> bool:
        """Whether it is open only once."""
        holders = self._open.get(directory)
        return holders is not None and holders.count == 1

    def was_read(self, directory: Directory, version: int) -> None:
        """Who holds it open alone, and since nobody else, has read all names of that version."""
        with self._names.lock:
            if version == directory.version and self.is_alone(directory):
                directory.shown, directory.shown_at = version, self._now_ms()

    def doubt(self, path: str) -> None:
        """Names may have changed in the directory: the kernel drops those that it keeps."""
        directory = self._names.known(path)
        if not isinstance(directory, Directory):
            return
        with self._names.lock, self._changed:
            holders = self._open.get(directory)
            if directory.shown < 0 and holders is None:
                return
            directory.shown = -1
            if holders is not None:
                holders.since = self._now_ms()
        self._drop(path)

    # -- what is held open for long ----------------------------------------------------------

    def expire(self) -> bool:
        """Drop what has been kept for as long as it may; whether a directory is still open."""
        seconds = self._discovery.ttl
        with self._changed:
            oldest = self._now_ms() - seconds * 1000
            late = [one.path for one in self._open.values() if one.since <= oldest]
        for path in late:
            self.doubt(path)
        with self._changed:
            return bool(self._open)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(max(SHORTEST, min(self._discovery.ttl, LONGEST)))
            if not self.expire():
                with self._changed:
                    if not self._open:
                        self._thread = None
                        return
