"""Which parts make a new version: always parts that S3 accepts, copies only of what is the same."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from yas3fs.objectstore.protocol import MAX_PART_SIZE, MAX_PARTS, MIN_PART_SIZE
from yas3fs.writeback.plan import MIB, plan_parts, stream_part_size

LARGEST = 53 * 10**12
"""The last sizes below 50 TiB would take more than 10,000 parts of 5 GiB."""
sizes = st.integers(1, 300 * MIB) | st.integers(1, LARGEST)


@st.composite
def files(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]], int]:
    size = draw(sizes)
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=12, unique=True)))
    unchanged = [(a, b) for a, b in itertools.pairwise(cuts) if draw(st.booleans())]
    return size, unchanged, draw(st.sampled_from([1, 5 * MIB, 8 * MIB, 64 * MIB]))


@given(files())
def test_every_plan_is_one_that_s3_accepts(made: tuple[int, list[tuple[int, int]], int]) -> None:
    size, unchanged, part_size = made
    parts = plan_parts(size, unchanged, part_size)
    assert parts[0].start == 0
    assert parts[-1].end == size
    assert all(a.end == b.start for a, b in itertools.pairwise(parts))
    assert len(parts) <= MAX_PARTS
    assert all(MIN_PART_SIZE <= part.end - part.start <= MAX_PART_SIZE for part in parts[:-1])
    assert 0 < parts[-1].end - parts[-1].start <= MAX_PART_SIZE
    for part in parts:
        if part.copied:
            assert covered(part.start, part.end, unchanged)


def covered(start: int, end: int, ranges: list[tuple[int, int]]) -> bool:
    for a, b in ranges:
        if a <= start < b:
            start = b
    return start >= end


def test_appending_a_line_sends_at_most_one_part() -> None:
    old = 5 * 1024 * MIB
    parts = plan_parts(old + 100, [(0, old)], 8 * MIB)
    sent = [part for part in parts if not part.copied]
    assert sum(part.end - part.start for part in sent) <= 8 * MIB + 100
    assert len(sent) == 1


def test_changing_the_middle_sends_the_middle() -> None:
    size = 1024 * MIB
    parts = plan_parts(size, [(0, 500 * MIB), (500 * MIB + 1, size)], 8 * MIB)
    assert sum(part.end - part.start for part in parts if not part.copied) <= 8 * MIB


def test_nothing_is_copied_of_a_new_file() -> None:
    assert not any(part.copied for part in plan_parts(100 * MIB, [], 8 * MIB))


def test_a_stream_s_parts_hold_more_than_any_local_disk() -> None:
    sizes = [stream_part_size(index, 8 * MIB) for index in range(MAX_PARTS)]
    assert sum(sizes) > 7 * 1024**4
    assert all(MIN_PART_SIZE <= size <= MAX_PART_SIZE for size in sizes)
