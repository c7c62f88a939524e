"""What happened how often, by kind, and one line in the log for the first of each kind."""

import logging
import threading
from collections import Counter


class Counters:
    """Counts of one publisher or transport. Thread-safe."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._told: set[str] = set()

    def count(self, kind: str, number: int = 1) -> None:
        """One more of ``kind`` (or ``number`` more)."""
        with self._lock:
            self._counts[kind] += number

    def warn(self, kind: str, text: str, *arguments: object) -> None:
        """Count one of ``kind`` and log it, if it is the first or :meth:`recovered` was called."""
        with self._lock:
            self._counts[kind] += 1
            if kind in self._told:
                return
            self._told.add(kind)
        self._log.warning(text, *arguments)

    def recovered(self, kind: str) -> bool:
        """Let the next of ``kind`` be logged again; True when one had been."""
        if kind not in self._told:
            return False
        with self._lock:
            self._told.discard(kind)
        return True

    def snapshot(self) -> dict[str, int]:
        """A copy of the counts."""
        with self._lock:
            return dict(self._counts)
