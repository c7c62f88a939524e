"""How far ahead of one reader to fetch: further while it goes straight on, not at all on seeks."""

from collections import deque

from yas3fs.cache.memory import Extent

MIB = 1024 * 1024
FIRST_WINDOW = 1 * MIB
GROWTH = 4
"""Three steps from the first window to the largest: each may cost one round trip."""
SLACK = 4 * MIB
"""The kernel sends its own read-ahead from several threads: what comes this late is no seek."""
RANDOM_UNIT = 128 * 1024
"""What a seek fetches at least: about what the kernel asks for around one fault."""


class ReadAhead:
    """The state of one file handle. Not locked: a lost update only costs a smaller window."""

    __slots__ = ("expected", "limit", "passed", "scheduled", "streak", "window")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.window = 0
        self.expected = 0
        self.scheduled = 0
        self.streak = 0
        self.passed: deque[Extent] = deque()
        """Extents of a long stream that were read to their end and stay a little longer."""

    def observe(self, offset: int, size: int) -> None:
        """Take note of a read of ``size`` bytes at ``offset``."""
        end = offset + size
        if self.expected - SLACK <= offset <= self.expected + max(self.window, SLACK) and (
            offset >= self.expected or self.streak > 1
        ):
            if offset == self.expected:
                self.streak += 1
                if self.streak > 1:
                    grown = self.window * GROWTH if self.window else FIRST_WINDOW
                    self.window = min(grown, self.limit)
            self.expected = max(self.expected, end)
        else:
            self.window = self.streak = 0
            self.expected = end
            self.scheduled = 0

    def unit(self, largest: int) -> int:
        """How many bytes one request ahead fetches."""
        return max(min(largest, self.window // 4), min(largest, MIB))
