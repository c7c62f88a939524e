"""Objects that leave the bucket a moment after their names have left this node.

The kernel library renames a file that is open to a hidden name both when it is unlinked and when
another file is about to be renamed over it, and does not say which. If the object were deleted at
once, replacing an open file would leave the name empty for a moment, on every node. So it is
deleted :data:`DELAY` seconds later, unless something is stored under its key before that. Whoever
still reads the file gets its bytes brought here first.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from yas3fs.errors import Yas3fsError
from yas3fs.fs.inode import Inode
from yas3fs.objectstore.protocol import ObjectStore

_log = logging.getLogger(__name__)

DELAY = 0.02
_AGAIN = 5.0
"""Seconds until a deletion that failed is tried again."""


@dataclass(slots=True)
class _Departure:
    key: str
    inode: Inode | None
    due: float
    busy: bool = False


class Departures:
    """The pending deletions of one mount. ``dying`` is shared with whoever must not show them.

    Lock order: ``_changed`` is a leaf; an inode is detached without it.
    """

    def __init__(
        self, store: ObjectStore, dying: set[str], deleted: Callable[[Inode], None]
    ) -> None:
        self._store = store
        self._dying = dying
        self._deleted = deleted
        self._changed = threading.Condition()
        self._pending: dict[str, _Departure] = {}
        self._thread: threading.Thread | None = None
        self._hurry = False

    def schedule(self, key: str, inode: Inode | None) -> None:
        """Delete ``key`` soon; ``inode`` is who still reads it."""
        with self._changed:
            self._pending[key] = _Departure(key, inode, time.monotonic() + DELAY)
            self._dying.add(key)
            self._wake()

    def vacate(self, key: str) -> None:
        """Nobody is shown ``key`` any more; it stays until :meth:`finish`."""
        with self._changed:
            self._dying.add(key)

    def finish(self, key: str) -> None:
        """Delete a vacated key now, or soon if that fails; not if something was stored there."""
        with self._changed:
            if key not in self._dying or key in self._pending:
                return
            departure = self._pending[key] = _Departure(key, None, 0.0, busy=True)
        self._delete(departure)
        with self._changed:
            if self._pending.get(key) is departure:
                self._wake()

    def keep(self, key: str) -> None:
        """A vacated key stays after all."""
        with self._changed:
            if key not in self._pending:
                self._dying.discard(key)

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="departures", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def cancel(self, key: str) -> bool:
        """Something is about to be stored under ``key``: bring its readers' bytes here, stay.

        Returns whether there is an object that nobody is shown any more: it may be replaced.
        """
        if key not in self._dying:
            return False
        with self._changed:
            departure = self._pending.get(key)
            while departure is not None and departure.busy:
                self._changed.wait()
                departure = self._pending.get(key)
            if departure is None:  # vacated: what comes now must not go with it; or gone
                found = key in self._dying
                self._dying.discard(key)
                return found
            departure.busy = True
        try:
            self._detach(departure)
        finally:
            with self._changed:
                self._pending.pop(key, None)
                self._dying.discard(key)
                self._changed.notify_all()
        return True

    def drain(self) -> None:
        """Return when everything that can be deleted is; each is tried once more at most."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            while self._pending and self._thread is not None:
                self._changed.wait()
            self._hurry = False

    @staticmethod
    def _detach(departure: _Departure) -> None:
        inode = departure.inode
        try:
            if inode is not None and inode.opens:
                inode.detach()
        except (Yas3fsError, OSError) as error:
            _log.warning(
                "%r goes while it is read: bytes not here are lost to its readers (%s)",
                departure.key,
                error,
            )

    def _run(self) -> None:
        while True:
            due = self._wait_due()
            if due is None:
                return
            for departure in due:
                self._delete(departure)

    def _wait_due(self) -> list[_Departure] | None:
        """What is to be deleted now; None when nothing is pending and the thread ends."""
        with self._changed:
            while self._pending:
                now = time.monotonic()
                waiting = [d for d in self._pending.values() if not d.busy]
                due = [d for d in waiting if self._hurry or d.due <= now]
                if due:
                    for departure in due:
                        departure.busy = True
                    return due
                nearest = min((d.due for d in waiting), default=None)
                self._changed.wait(None if nearest is None else nearest - now)
            self._thread = None
            self._changed.notify_all()
            return None

    def _delete(self, departure: _Departure) -> None:
        self._detach(departure)
        try:
            self._store.delete(departure.key)
        except Yas3fsError as error:
            _log.error("%r was unlinked but its object is still there: %s", departure.key, error)
            with self._changed:
                departure.busy = False
                departure.due = time.monotonic() + _AGAIN
                if self._hurry:
                    self._pending.pop(departure.key, None)
                self._changed.notify_all()
            return
        with self._changed:
            self._pending.pop(departure.key, None)
            self._dying.discard(departure.key)
            self._changed.notify_all()
        if departure.inode is not None:
            self._deleted(departure.inode)
