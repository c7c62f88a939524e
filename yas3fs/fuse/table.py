"""Open files and directories by the number that the kernel hands back with every request."""

import itertools
from typing import Generic, TypeVar

T = TypeVar("T")


class HandleTable(Generic[T]):
    """Numbers are never reused, so that a late request cannot reach a stranger's file.

    Single dictionary operations are atomic, hence no lock.
    """

    __slots__ = ("_numbers", "open")

    def __init__(self) -> None:
        self.open: dict[int, T] = {}
        self._numbers = itertools.count(1)

    def add(self, handle: T) -> int:
        number = next(self._numbers)
        self.open[number] = handle
        return number

    def remove(self, number: int) -> T | None:
        return self.open.pop(number, None)
