"""Names that go one after the other, as ``rm -r`` removes them: their objects go in bulk.

A program that removes a tree holds each directory open while it removes the names that it found
there, and then the directory. Waiting for S3 at each name would make that as slow as the
round trips are long. So, from the second name on that goes while somebody holds the directory open,
the name goes at once, and its object with all others that wait, a moment later. ``rmdir``, and
``fsync`` of the directory, wait until that has happened, and say so when it has not: the names are
back then.
"""

import logging
import threading
from collections.abc import Callable
from itertools import islice

from yas3fs.errors import InputOutput, Yas3fsError
from yas3fs.fs.departures import Departures
from yas3fs.fs.entries import Directory
from yas3fs.fs.opened import OpenDirectories
from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.runtime import interrupts

_log = logging.getLogger(__name__)

BATCH = 1000
"""Keys of one request; more S3 does not take."""
DELAY = 0.01
"""Seconds for which keys gather; a request that is under way gathers more."""
LIMIT = 10_000
"""Keys that wait at most; who removes faster waits for them."""


class Removals:
    """Of one mount. ``restore`` is called with a path whose object could not be deleted.

    Lock order: ``_changed`` comes before that of ``departures``; neither is held while the store is
    asked or ``restore`` runs.
    """

    def __init__(
        self,
        store: ObjectStore,
        departures: Departures,
        opened: OpenDirectories,
        restore: Callable[[str], None],
    ) -> None:
        self._store = store
        self._departures = departures
        self._opened = opened
        self._restore = restore
        self._changed = threading.Condition()
        self._waiting: dict[str, str] = {}
        """Paths by key, in the order in which they went."""
        self._under_way: dict[str, str] = {}
        self._failures: dict[str, Yas3fsError] = {}
        """By path, until somebody was told."""
        self._settling = 0
        self._thread: threading.Thread | None = None

    # -- directories that are held open ------------------------------------------------------

    def goes_on(self, directory: Directory) -> bool:
        """Whether a name has gone from the directory since somebody holds it open."""
        opened = self._opened.get(directory)
        return opened is not None and opened.names_go

    def has_begun(self, directory: Directory) -> None:
        """A name has gone, and the store agreed."""
        opened = self._opened.get(directory)
        if opened is not None:
            opened.names_go = True

    # -- keys --------------------------------------------------------------------------------

    def add(self, path: str, key: str) -> None:
        """Nobody is shown ``key`` any more, and it will be deleted soon."""
        with self._changed:
            interrupts.wait_for(self._changed, lambda: len(self._waiting) < LIMIT)
            self._departures.vacate(key)
            self._waiting[key] = path
            self._failures.pop(path, None)  # of an attempt before
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="removals", daemon=True)
                self._thread.start()
            elif len(self._waiting) == BATCH:
                self._changed.notify_all()

    def has_below(self, path: str) -> bool:
        """Whether something at or below ``path`` is still to be deleted."""
        with self._changed:
            return self._has_below(path)

    def _has_below(self, path: str) -> bool:
        return any(
            _is_below(one, path)
            for paths in (self._waiting, self._under_way)
            for one in paths.values()
        )

    def settle(self, path: str) -> None:
        """Return when everything that went at and below ``path`` is deleted; raise what failed.

        A failure is told once; Interrupted.
        """
        with self._changed:
            self._settling += 1
            self._changed.notify_all()
            try:
                interrupts.wait_for(self._changed, lambda: not self._has_below(path))
            finally:
                self._settling -= 1
            failed = self._failed(path)
            for one in failed:
                del self._failures[one]
        for error in failed.values():
            raise error

    def failed(self, path: str) -> dict[str, Yas3fsError]:
        """What failed at and below ``path`` and was not told yet."""
        with self._changed:
            return self._failed(path)

    def _failed(self, path: str) -> dict[str, Yas3fsError]:
        return {one: error for one, error in self._failures.items() if _is_below(one, path)}

    def excuse(self, failed: dict[str, Yas3fsError]) -> None:
        """These names are gone after all: nobody need be told."""
        with self._changed:
            for path, error in failed.items():
                if self._failures.get(path) is error:
                    del self._failures[path]

    def _run(self) -> None:
        while batch := self._next():
            failed = self._delete(list(batch))
            for key, error in failed.items():
                _log.error("%r could not be deleted, and has its name again: %s", key, error)
                self._restore(batch[key])
            with self._changed:
                for key, error in failed.items():
                    self._failures[batch[key]] = error
                while len(self._failures) > LIMIT:
                    del self._failures[next(iter(self._failures))]
                self._under_way = {}
                self._changed.notify_all()

    def _next(self) -> dict[str, str]:
        """What is to be deleted now, once it is time; empty at the end."""
        with self._changed:
            if self._waiting:
                self._changed.wait_for(
                    lambda: self._settling or len(self._waiting) >= BATCH, timeout=DELAY
                )
            keys = list(islice(self._waiting, BATCH))
            if not keys:
                self._thread = None
            self._under_way = {key: self._waiting.pop(key) for key in keys}
            self._changed.notify_all()
            return dict(self._under_way)

    def _delete(self, keys: list[str]) -> dict[str, Yas3fsError]:
        """Delete those that still are to go; what failed, and why."""
        going = self._departures.begin(keys)
        failed: dict[str, Yas3fsError] = {}
        try:
            for key, error in self._store.delete_many(going) if going else ():
                failed[key] = error if isinstance(error, Yas3fsError) else Yas3fsError(str(error))
        except Yas3fsError as error:
            failed = dict.fromkeys(going, error)
        except Exception as error:  # noqa: BLE001 - whoever waits must not wait for ever
            _log.exception("deleting failed unforeseen")
            failed = dict.fromkeys(going, InputOutput(str(error)))
        self._departures.ended(going)
        return failed


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder == "/" else f"{folder}/")
