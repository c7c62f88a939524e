"""Events that wait: coalesced to the fewest that say as much, bounded, in order per path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yas3fs.events import (
    Event,
    Heartbeat,
    Metadata,
    Mkdir,
    Mknod,
    Ping,
    Rename,
    Reset,
    Rmdir,
    Setting,
    Unlink,
    Upload,
)
from yas3fs.notify.pending import PendingEvents, covering, paths_of


def left(*events: Event, capacity: int = 1000) -> list[Event]:
    pending = PendingEvents(capacity)
    for event in events:
        pending.add(event)
    return pending.take(10_000)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((Mknod("/a"), Upload("/a", "1")), [Mknod("/a"), Upload("/a", "1")]),
        ((Upload("/a", "1"), Upload("/a", "2")), [Upload("/a", "2")]),
        ((Mknod("/a"), Upload("/a", "1"), Unlink("/a")), [Unlink("/a")]),
        ((Upload("/a", "1"), Unlink("/a")), [Unlink("/a")]),
        ((Unlink("/a"), Mknod("/a"), Upload("/a")), [Mknod("/a"), Upload("/a")]),
        ((Metadata("/a"), Metadata("/a")), [Metadata("/a")]),
        ((Metadata("/a"), Metadata("/a", "xattr")), [Metadata("/a"), Metadata("/a", "xattr")]),
        ((Metadata("/a"), Upload("/a", "1"), Metadata("/a")), [Upload("/a", "1")]),
        ((Mkdir("/d"), Metadata("/d"), Metadata("/d", "xattr")), [Mkdir("/d")]),
        ((Metadata("/d"), Rmdir("/d")), [Rmdir("/d")]),
        ((Rename("/a", "/b"), Upload("/b", "1")), [Rename("/a", "/b"), Upload("/b", "1")]),
        ((Upload("/b", "1"), Rename("/a", "/b")), [Rename("/a", "/b")]),
        ((Rename("/a", "/b"), Mknod("/a")), [Rename("/a", "/b"), Mknod("/a")]),
        ((Rename("/a", "/b"), Metadata("/b")), [Rename("/a", "/b")]),
        ((Mknod("/d/a"), Mknod("/e"), Reset("/d")), [Mknod("/e"), Reset("/d")]),
        ((Reset("/d"), Mknod("/d/a"), Mknod("/d")), [Reset("/d"), Mknod("/d")]),
        ((Reset("/d"), Reset("/d/e"), Rename("/d/x", "/d/y")), [Reset("/d")]),
        ((Reset("/d"), Rename("/d/x", "/y")), [Reset("/d"), Rename("/d/x", "/y")]),
        ((Mknod("/x"), Metadata("/"), Reset("/")), [Reset("/")]),
        ((Ping(), Ping(), Heartbeat(1), Heartbeat(2)), [Ping(), Heartbeat(2)]),
        (
            (Setting("cache_disk", 1), Setting("prefetch", 0), Setting("cache_disk", 2)),
            [Setting("cache_disk", 2), Setting("prefetch", 0)],
        ),
    ],
    ids=str,
)
def test_the_fewest_events_that_say_as_much(
    events: tuple[Event, ...], expected: list[Event]
) -> None:
    assert left(*events) == expected


def test_a_path_that_changes_all_the_time_is_not_put_off() -> None:
    first, *_ = left(Upload("/a", "1"), Mknod("/b"), Upload("/a", "2"))
    assert first == Upload("/a", "2")


def test_what_was_taken_is_joined_no_more() -> None:
    pending = PendingEvents(100)
    pending.add(Reset("/d"))
    pending.add(Upload("/a", "1"))
    assert pending.take(1) == [Reset("/d")]
    pending.add(Mknod("/d/x"))
    assert pending.take(1) == [Upload("/a", "1")]
    pending.add(Metadata("/a"))
    assert pending.take(9) == [Mknod("/d/x"), Metadata("/a")]
    assert not pending
    assert not pending._last


def test_what_is_put_back_comes_first() -> None:
    pending = PendingEvents(100)
    pending.add(Mknod("/a"))
    pending.add(Mknod("/b"))
    taken = pending.take(2)
    pending.add(Unlink("/c"))
    pending.add(Upload("/a", "1"))
    pending.put_back(taken)
    assert pending.take(9) == [Mknod("/a"), Mknod("/b"), Unlink("/c"), Upload("/a", "1")]


def test_too_much_becomes_one_reset_of_the_common_directory() -> None:
    events = [Mknod(f"/a/b/{number}") for number in range(21)]
    pending = PendingEvents(20)
    for event in [*events[:5], Setting("prefetch", 1), *events[5:]]:
        pending.add(event)
    assert pending.overflows == 1
    assert pending.take(99) == [Reset("/a/b"), Setting("prefetch", 1)]


def test_the_reset_grows_with_what_comes() -> None:
    events: list[Event] = [Mknod(f"/a/b/{number}") for number in range(17)]
    events += [Mknod(f"/a/c/{number}") for number in range(17)]
    assert left(*events, capacity=16)[0] == Reset("/a")


@pytest.mark.parametrize(
    ("paths", "directory"),
    [
        (["/a"], "/"),
        (["/a/b"], "/a"),
        (["/a/b", "/a/b/c"], "/a"),
        (["/a/bc", "/a/bd"], "/a"),
        (["/a/b/"], "/a/b"),
        (["/a/b/", "/a/b/x"], "/a/b"),
        (["/a/b/", "/a/b"], "/a"),
        (["/a/b/x", "/a/b-c/x"], "/a"),
        (["/"], "/"),
        (["/x", "/"], "/"),
    ],
)
def test_the_directory_that_covers(paths: list[str], directory: str) -> None:
    assert covering(paths) == directory


PATHS = st.sampled_from(["/", "/a", "/a/x", "/a/y", "/b", "/b/c/d", "/ab"])
EVENTS: st.SearchStrategy[Event] = st.one_of(
    *(st.builds(kind, PATHS) for kind in (Mkdir, Mknod, Unlink, Reset, Upload, Metadata)),
    st.builds(Rename, PATHS, PATHS),
    st.builds(Upload, PATHS, st.sampled_from(["1", "2"])),
    st.just(Upload(None)),
)


def forgets(events: list[Event], path: str) -> bool:
    """Whether one who applies ``events`` looks at ``path`` and at its directory's listing again."""
    for event in events:
        if isinstance(event, Reset):
            if event.path == "/" or path.startswith(event.path + "/"):
                return True
        elif path in paths_of(event) or paths_of(event) == ("/",):
            return True
    return False


@given(st.lists(EVENTS | st.integers(1, 3), max_size=60), st.integers(16, 20))
def test_no_change_is_ever_missed(steps: list[Event | int], capacity: int) -> None:
    """Whatever is sent after a change was told makes the receiver look at its path again."""
    pending = PendingEvents(capacity)
    sent: list[Event] = []
    told: list[tuple[Event, int]] = []
    for step in steps:
        if isinstance(step, int):
            sent += pending.take(step)
        else:
            pending.add(step)
            told.append((step, len(sent)))
            assert len(pending) <= capacity
    sent += pending.take(10_000)
    for event, position in told:
        for path in paths_of(event):
            if isinstance(event, Reset):
                path = path + "x"
            assert forgets(sent[position:], path), event
