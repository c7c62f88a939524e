"""Open files and directories by the number that the kernel hands back with every request."""

import itertools
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class HandleTable(Generic[T]):
    """Numbers are never reused, so that a late request cannot reach a stranger's file.

    Single dictionary operations are atomic, hence ``open`` is read without a lock.
    """

    __slots__ = ("_lock", "_nodes", "_numbers", "_others", "_own", "open")

    def __init__(self) -> None:
        self.open: dict[int, T] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._nodes: dict[int, int] = {}
        self._own: dict[int, list[int]] = {}
        self._others: dict[int, list[int]] = {}

    def add(self, handle: T, node: int = 0, *, other: bool = False) -> int:
        """The handle's number; ``node`` is the inode that it was opened through, if any.

        ``other``: it is of another file, which has taken that inode's name.
        """
        with self._lock:
            number = next(self._numbers)
            self.open[number] = handle
            if node:
                self._nodes[number] = node
                (self._others if other else self._own).setdefault(node, []).append(number)
        return number

    def remove(self, number: int) -> T | None:
        """Forget the handle; None when it is not known."""
        with self._lock:
            node = self._nodes.pop(number, 0)
            for found in (self._own, self._others) if node else ():
                numbers = found.get(node, [])
                if number in numbers:
                    numbers.remove(number)
                    if not numbers:
                        del found[node]
            return self.open.pop(number, None)

    def of_node(self, node: int, *, own: bool = False) -> T | None:
        """The handle opened last of an inode's; of another file only when it has no ``own``."""
        with self._lock:
            numbers = self._own.get(node)
            if numbers is None and not own:
                numbers = self._others.get(node)
            return self.open[numbers[-1]] if numbers else None

    def nodes(self) -> list[int]:
        """The inodes that are open."""
        with self._lock:
            return list({*self._own, *self._others})
