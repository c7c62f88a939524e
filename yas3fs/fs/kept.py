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
from yas3fs.fs.opened import OpenDirectories

LONGEST = 150.0
"""Seconds; half of those for which the kernel believes attributes at most."""
SHORTEST = 0.5
"""Where answers are believed for less than twice that, nothing is kept."""


class Snapshot(NamedTuple):
    """Names of a directory, and the version of the listing that has just these; -1 if unknown."""

    names: list[str]
    version: int


class KeptListings:
    """Of one mount. ``drop`` has the kernel forget a directory's names and attributes.

    Lock order: that of the names, then that of the open directories, a leaf.
    """

    def __init__(
        self,
        names: Namespace,
        discovery: Discovery,
        opened: OpenDirectories,
        drop: Callable[[str], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._names = names
        self._discovery = discovery
        self._opened = opened
        self._drop = drop
        self._now_ms = now_ms
        self._thread: threading.Thread | None = None

    @property
    def _seconds(self) -> float:
        """For how long names may be kept; 0 for not at all."""
        seconds = min(self._discovery.ttl / 2, LONGEST)
        return seconds if seconds >= SHORTEST else 0.0

    def open(self, path: str, directory: Directory) -> Snapshot | None:
        """Somebody opens the directory: the names that the kernel keeps, if they are right.

        Where it is None, the kernel drops them. ``OpenDirectories.close`` follows.
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
            self._opened.open(path, directory, now)
            self._look_after()
            return Snapshot(list(directory.children), directory.version) if right else None

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
        opened = self._opened.get(directory)
        return opened is not None and opened.count == 1

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
        with self._names.lock:
            opened = self._opened.get(directory)
            if directory.shown < 0 and opened is None:
                return
            directory.shown = -1
            if opened is not None:
                opened.since = self._now_ms()
        self._drop(path)

    # -- what is held open for long ----------------------------------------------------------

    def _look_after(self) -> None:
        with self._opened.changed:
            if self._thread is None and self._seconds:
                self._thread = threading.Thread(target=self._run, name="kept", daemon=True)
                self._thread.start()

    def expire(self) -> None:
        """Drop what has been kept for as long as it may."""
        oldest = self._now_ms() - self._discovery.ttl * 1000
        for opened in self._opened.all():
            if opened.since <= oldest:
                self.doubt(opened.path)

    def _run(self) -> None:
        while True:
            with self._opened.changed:
                self._opened.changed.wait(max(SHORTEST, min(self._discovery.ttl, LONGEST)))
            self.expire()
            with self._opened.changed:
                if not self._opened.all():
                    self._thread = None
                    return
