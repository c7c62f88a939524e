"""Which parts make the new version of an object: what to send, what to copy server-side.

Pure arithmetic, so that its rules can be tested by themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from yas3fs.objectstore.protocol import MAX_PART_SIZE, MIN_PART_SIZE

MIB = 1024 * 1024
_COPY_UNIT = 512 * MIB
"""Server-side copies run in parallel; pieces of this size finish together with little overhead."""
_PLANNED_PARTS = 9_000
"""Fewer than S3's 10,000, because joining short pieces moves boundaries."""


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """Bytes ``[start, end)`` of the new object; ``copied`` from the same place of the old one."""

    start: int
    end: int
    copied: bool


def stream_part_size(index: int, part_size: int) -> int:
    """Size of the part ``index`` (from 0) of an upload whose length is not known yet.

    It doubles every thousand parts: 10,000 of them, from 8 MiB on, hold 7.8 TiB, which is more than
    a local disk stages.
    """
    return int(min(part_size << (index // 1000), MAX_PART_SIZE))


def plan_parts(
    size: int,
    unchanged: Sequence[tuple[int, int]],
    part_size: int,
    minimum: int = MIN_PART_SIZE,
) -> list[PlannedPart]:
    """Cut ``[0, size)`` into parts S3 accepts.

    ``unchanged`` are ascending ranges whose bytes are those of the old object at the same offsets.
    Every part but the last is at least ``minimum`` bytes; a changed piece that is too short takes
    what it lacks from the unchanged one behind it.
    """
    unit = max(part_size, minimum, -(-size // _PLANNED_PARTS))
    unit = min(unit, MAX_PART_SIZE - minimum)  # a last part may be longer by almost that
    parts: list[PlannedPart] = []
    position = 0
    for start, end in [*unchanged, (size, size)]:
        start, end = max(start, position), min(end, size)
        if end - start < minimum and end < size:
            continue  # too short to be a part of its own
        if position < start < position + minimum and start < size:
            start = position + minimum
            if end - start < minimum and end < size:
                continue
            start = min(start, size)
        if start > position:
            parts += _cut(position, start, unit, minimum, copied=False)
            position = start
        if end > position:
            parts += _cut(position, end, max(_COPY_UNIT, unit), minimum, copied=True)
            position = end
    return parts


def _cut(start: int, end: int, unit: int, minimum: int, *, copied: bool) -> list[PlannedPart]:
    """``[start, end)`` in pieces of ``unit``; the last one takes a remainder that is too short."""
    parts = []
    while end - start >= unit + minimum:
        parts.append(PlannedPart(start, start + unit, copied))
        start += unit
    parts.append(PlannedPart(start, end, copied))
    return parts
