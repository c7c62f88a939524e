"""Who may change which path now.

A verb *claims* the paths it changes, all at once or not at all, so two verbs can never wait for
each other. A claim of a *tree* (renaming a directory) also covers everything below the path.
Claims come first in the lock order: claims, then an inode's lock, then the namespace's.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from yas3fs.runtime import interrupts


class PathClaims:
    """The claims of one mount."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paths: set[str] = set()
        self._trees: list[str] = []

    @contextmanager
    def claim(self, *paths: str, tree: bool = False) -> Iterator[None]:
        """Hold the claim while the block runs; raises Interrupted while waiting for it."""
        wanted = set(paths)
        with self._changed:
            interrupts.wait_for(self._changed, lambda: self._free(wanted, tree))
            self._paths |= wanted
            if tree:
                self._trees.extend(wanted)
        try:
            yield
        finally:
            with self._changed:
                self._paths -= wanted
                if tree:
                    for path in wanted:
                        self._trees.remove(path)
                self._changed.notify_all()

    def _free(self, wanted: set[str], tree: bool) -> bool:
        if not wanted.isdisjoint(self._paths):
            return False
        if any(_below(path, root) for root in self._trees for path in wanted):
            return False
        return not (tree and any(_below(path, root) for root in wanted for path in self._paths))


def _below(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root.endswith("/") else root + "/")
