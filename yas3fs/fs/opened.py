"""The directories that programs hold open, each with what is to be known of it meanwhile."""

import threading

from yas3fs.fs.entries import Directory


class OpenDirectory:
    """How often it is open, where it was opened first, and what has happened since."""

    __slots__ = ("count", "names_go", "path", "since")

    def __init__(self, path: str, since: int) -> None:
        self.path = path
        self.count = 0
        self.since = since
        """Millisecond from which on the kernel may keep names of it."""
        self.names_go = False
        """Whether a name was removed from it, and the store agreed."""


class OpenDirectories:
    """Of one mount. ``changed`` guards all of it; a leaf."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._open: dict[Directory, OpenDirectory] = {}

    def open(self, path: str, directory: Directory, now: int) -> None:
        """Somebody opens it; :meth:`close` follows. ``now`` in milliseconds."""
        with self.changed:
            found = self._open.get(directory)
            if found is None:
                found = self._open[directory] = OpenDirectory(path, now)
            found.count += 1

    def close(self, directory: Directory) -> None:
        """As often as :meth:`open`."""
        with self.changed:
            found = self._open[directory]
            found.count -= 1
            if not found.count:
                del self._open[directory]

    def get(self, directory: Directory) -> OpenDirectory | None:
        """What is known of it; None when it is not open."""
        return self._open.get(directory)

    def all(self) -> list[OpenDirectory]:
        """Those that are open now."""
        with self.changed:
            return list(self._open.values())
