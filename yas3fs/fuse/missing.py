"""Names of which the kernel was told that they do not exist, and keeps note of that.

Programs look for names that are not there all the time (a compiler its headers, a shell its
commands), so it pays that the kernel answers. But only what is noted here can be taken back when
many names change at once, or one at the end of a path that does not exist yet; the tree of nodes
has no place for what does not exist.

The kernel holds the directory's lock from a lookup until it has taken note of the answer, and takes
the same lock to forget a name. So a note that is made before the answer is given can be relied on:
whoever finds it here and has the name forgotten comes after the kernel has learnt it.
"""

import threading
import time
from collections.abc import Callable, Collection

from yas3fs.fuse.nodes import Node, above

LIMIT = 20_000
"""So many notes (about 200 bytes each) are kept; beyond, the kernel is told to ask again."""
SWEEP_SECONDS = 1.0


class MissingNames:
    """Notes of one session, each valid for as long as the kernel may believe it."""

    def __init__(self, limit: int = LIMIT, now: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._now = now
        self._lock = threading.Lock()
        self._until: dict[Node, dict[str, float]] = {}
        self._count = 0
        self._swept = -SWEEP_SECONDS
        self.resets = 0
        """How often notes were taken back; see :meth:`note`."""

    def note(self, directory: Node, name: str, seconds: float, resets: int) -> bool:
        """Note that ``name`` does not exist; whether the kernel may believe that for ``seconds``.

        ``resets`` is what that was before the question was asked: the answer may be older than what
        was taken back since.
        """
        with self._lock:
            if resets != self.resets or directory.gone or not self._has_room():
                return False
            names = self._until.setdefault(directory, {})
            self._count += name not in names
            names[name] = self._now() + seconds
            return True

    def _has_room(self) -> bool:
        now = self._now()
        if self._count >= self._limit and now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            for directory, names in list(self._until.items()):
                for name, until in list(names.items()):
                    if directory.gone or until <= now:
                        self._drop(directory, name)
        return self._count < self._limit

    def _drop(self, directory: Node, name: str) -> bool:
        names = self._until.get(directory)
        if names is None or names.pop(name, None) is None:
            return False
        self._count -= 1
        if not names:
            del self._until[directory]
        return True

    def _drop_all(self, directory: Node) -> list[tuple[Node, str]]:
        names = self._until.pop(directory, {})
        self._count -= len(names)
        return [(directory, name) for name in names]

    def of(self, directory: Node) -> Collection[str]:
        """The names in a directory that are noted."""
        return self._until.get(directory, ())

    def take(self, directory: Node, name: str) -> bool:
        """Drop a note; whether there was one, so that the kernel has to forget."""
        with self._lock:
            self.resets += 1
            return self._drop(directory, name)

    def take_below(self, top: Node) -> list[tuple[Node, str]]:
        """Drop the notes at any depth below a directory; the kernel has to forget them."""
        with self._lock:
            self.resets += 1
            if top.children is None:  # no directory below it has been looked at
                return self._drop_all(top)
            directories = [one for one in self._until if top in above((one, ""))]
            return [note for one in directories for note in self._drop_all(one)]
