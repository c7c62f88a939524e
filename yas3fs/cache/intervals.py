"""Sets of half-open byte ranges."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator


class IntervalSet:
    """Disjoint, non-touching ranges ``[start, end)`` in ascending order."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, end: int) -> None:
        """Put ``[start, end)`` in, joining what it touches."""
        if start >= end:
            return
        ends = self._ends
        if ends and ends[-1] == start:
            ends[-1] = end  # appending, by far the most frequent case
            return
        low = bisect_left(ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, ends[high - 1])
        self._starts[low:high] = [start]
        ends[low:high] = [end]

    def remove(self, start: int, end: int) -> None:
        """Take ``[start, end)`` out."""
        if start >= end:
            return
        low = bisect_right(self._ends, start)
        high = bisect_left(self._starts, end)
        if low >= high:
            return
        starts: list[int] = []
        ends: list[int] = []
        if self._starts[low] < start:
            starts.append(self._starts[low])
            ends.append(start)
        if self._ends[high - 1] > end:
            starts.append(end)
            ends.append(self._ends[high - 1])
        self._starts[low:high] = starts
        self._ends[low:high] = ends

    def covers(self, start: int, end: int) -> bool:
        """Whether every byte of ``[start, end)`` is in the set."""
        if start >= end:
            return True
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and self._ends[index] >= end

    def pieces(self, start: int, end: int) -> list[tuple[int, int, bool]]:
        """``[start, end)`` cut where membership changes: ``(start, end, is member)``."""
        result: list[tuple[int, int, bool]] = []
        index = bisect_right(self._ends, start)
        position = start
        while position < end:
            if index >= len(self._starts) or self._starts[index] >= end:
                result.append((position, end, False))
                break
            if self._starts[index] > position:
                result.append((position, self._starts[index], False))
                position = self._starts[index]
            stop = min(self._ends[index], end)
            result.append((position, stop, True))
            position = stop
            index += 1
        return result

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of ``[start, end)`` that are not in the set."""
        return [(a, b) for a, b, member in self.pieces(start, end) if not member]

    def total(self) -> int:
        """How many bytes are in the set."""
        return sum(self._ends) - sum(self._starts)

    def clear(self) -> None:
        """Take everything out."""
        self._starts.clear()
        self._ends.clear()
