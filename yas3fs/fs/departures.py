"""Objects whose file has another name by now, and which go when that is safe.

A file that is renamed while it has unsaved content is stored under its new name only, when it is
closed. What an earlier fsync() made durable under the old name stays until then, out of
sight; then it is deleted, unless something new was stored under its key before that.
"""

import logging
import threading
import time

from yas3fs.errors import Yas3fsError
from yas3fs.objectstore.protocol import ObjectStore

_log = logging.getLogger(__name__)

_AGAIN = 5.0
"""Seconds until a deletion that failed is tried again."""


class Hidden:
    """Keys that are not to be shown although a listing has them.

    Made before the store is asked: an object may be deleted after the listing was made, and before
    it arrives.
    """

    __slots__ = ("_before", "_dying")

    def __init__(self, dying: set[str]) -> None:
        self._dying = dying
        self._before = frozenset(dying)

    def __contains__(self, key: object) -> bool:
        return key in self._before or key in self._dying

    def __len__(self) -> int:
        """How many there were."""
        return len(self._before)


class Departures:
    """The objects of one mount that are to go; ``dying`` is shared with whoever must not show them.

    Lock order: ``_changed`` is a leaf.
    """

    def __init__(self, store: ObjectStore, dying: set[str]) -> None:
        self._store = store
        self._dying = dying
        self._changed = threading.Condition()
        self._busy: set[str] = set()
        """Keys that are being deleted now."""
        self._failed: dict[str, float] = {}
        """Keys whose deletion failed, and when it is tried again."""
        self._thread: threading.Thread | None = None
        self._hurry = False

    def vacate(self, key: str) -> None:
        """Nobody is shown ``key`` any more; it stays until :meth:`finish`."""
        with self._changed:
            self._dying.add(key)

    def keep(self, key: str) -> None:
        """A vacated key stays after all."""
        with self._changed:
            if key not in self._busy and key not in self._failed:
                self._dying.discard(key)

    def cancel(self, key: str) -> bool:
        """Something is about to be stored under ``key``, which must not be deleted any more.

        Returns whether there is an object that nobody is shown any more: it may be replaced.
        """
        if key not in self._dying:
            return False
        with self._changed:
            while key in self._busy:
                self._changed.wait()
            self._failed.pop(key, None)
            found = key in self._dying
            self._dying.discard(key)
            self._changed.notify_all()
            return found

    def finish(self, key: str) -> None:
        """Delete a vacated key now, or soon if that fails; not if something was stored there."""
        with self._changed:
            if key not in self._dying or key in self._busy or key in self._failed:
                return
            self._busy.add(key)
        self._delete(key)

    def begin(self, keys: list[str]) -> list[str]:
        """Those of ``keys`` that are to go, which the caller deletes now; :meth:`ended` follows."""
        with self._changed:
            going = [
                key
                for key in keys
                if key in self._dying and key not in self._busy and key not in self._failed
            ]
            self._busy.update(going)
            return going

    def ended(self, keys: list[str]) -> None:
        """They are deleted, or stay and are shown again."""
        with self._changed:
            self._busy.difference_update(keys)
            self._dying.difference_update(keys)
            self._changed.notify_all()

    def _delete(self, key: str) -> None:
        failed: Yas3fsError | None = None
        try:
            self._store.delete(key)
        except Yas3fsError as error:
            _log.error("%r has lost its name but is still there: %s", key, error)
            failed = error
        with self._changed:
            self._busy.discard(key)
            if failed is None:
                self._dying.discard(key)
            elif not self._hurry:
                self._failed[key] = time.monotonic() + _AGAIN
                self._start()
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="departures", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (key := self._wait_due()) is not None:
            self._delete(key)

    def _wait_due(self) -> str | None:
        """A key whose deletion is to be tried again now; None when there are no more."""
        with self._changed:
            while self._failed:
                key = min(self._failed, key=lambda key: self._failed[key])
                left = self._failed[key] - time.monotonic()
                if self._hurry or left <= 0:
                    del self._failed[key]
                    self._busy.add(key)
                    return key
                self._changed.wait(left)
            self._thread = None
            self._changed.notify_all()
            return None

    def drain(self) -> None:
        """Return when everything that can be deleted is; each is tried once more at most."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()
            while self._busy or self._thread is not None:
                self._changed.wait()
            self._hurry = False
