"""A set of byte ranges behaves as a set of bytes does."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from yas3fs.cache.intervals import IntervalSet

SIZE = 40
ranges = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE))
steps = st.lists(st.tuples(st.sampled_from(["add", "remove"]), ranges), max_size=30)


def build(made: list[tuple[str, tuple[int, int]]]) -> tuple[IntervalSet, set[int]]:
    intervals, model = IntervalSet(), set[int]()
    for what, (start, end) in made:
        getattr(intervals, what)(start, end)
        piece = set(range(start, end))
        model = model | piece if what == "add" else model - piece
    return intervals, model


@given(steps)
def test_agrees_with_a_set_of_bytes(made: list[tuple[str, tuple[int, int]]]) -> None:
    intervals, model = build(made)
    assert {byte for start, end in intervals for byte in range(start, end)} == model
    assert intervals.total() == len(model)
    assert bool(intervals) == bool(model)
    found = list(intervals)
    assert len(intervals) == len(found)
    assert all(start < end for start, end in found)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))  # joined and ascending


@given(steps, ranges)
def test_questions(made: list[tuple[str, tuple[int, int]]], asked: tuple[int, int]) -> None:
    intervals, model = build(made)
    wanted = set(range(*asked))
    assert intervals.covers(*asked) == (wanted <= model)
    pieces = intervals.pieces(*asked)
    told = [(byte, member) for start, end, member in pieces for byte in range(start, end)]
    assert told == [(byte, byte in model) for byte in range(*asked)]
    assert all(a[2] != b[2] for a, b in itertools.pairwise(pieces))
    gaps = {byte for start, end in intervals.gaps(*asked) for byte in range(start, end)}
    assert gaps == wanted - model


def test_clear() -> None:
    intervals = IntervalSet()
    intervals.add(1, 5)
    intervals.clear()
    assert not intervals
