"""Names of which the kernel was told that they do not exist."""

from typing import Any

from yas3fs.fuse.missing import SWEEP_SECONDS, MissingNames
from yas3fs.fuse.nodes import Node, NodeTable


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.now = 0.0
        self.table = NodeTable()
        self.missing = MissingNames(now=lambda: self.now, **settings)

    def directory(self, path: str) -> Node:
        node = self.table.root
        for name in path.split("/")[1:]:
            node = self.table.count(node, name)
        return node

    def note(self, directory: Node, name: str, seconds: float = 300.0) -> bool:
        return self.missing.note(directory, name, seconds, self.missing.resets)


def test_a_note_can_be_taken_back_once() -> None:
    bench = Bench()
    top = bench.directory("/a")
    assert bench.note(top, "x")
    assert bench.note(top, "x")
    assert bench.note(top, "y")
    assert sorted(bench.missing.of(top)) == ["x", "y"]
    assert bench.missing.take(top, "x")
    assert not bench.missing.take(top, "x")
    assert list(bench.missing.of(top)) == ["y"]
    assert not bench.missing.of(bench.table.root)


def test_what_was_taken_back_while_the_question_was_under_way_is_not_noted() -> None:
    bench = Bench()
    asked = bench.missing.resets
    assert bench.missing.take_below(bench.table.root) == []
    assert not bench.missing.note(bench.table.root, "x", 300.0, asked)
    asked = bench.missing.resets
    assert not bench.missing.take(bench.table.root, "deep")
    assert not bench.missing.note(bench.table.root, "x", 300.0, asked)
    assert not bench.missing.of(bench.table.root)


def test_all_below_a_directory_and_nothing_beside_it() -> None:
    bench = Bench()
    a, ab, c = bench.directory("/a"), bench.directory("/a/b"), bench.directory("/c")
    for directory, name in ((bench.table.root, "0"), (a, "1"), (ab, "2"), (ab, "3"), (c, "4")):
        assert bench.note(directory, name)
    assert sorted(bench.missing.take_below(a), key=str) == sorted(
        [(a, "1"), (ab, "2"), (ab, "3")], key=str
    )
    assert bench.missing.take_below(a) == []
    assert bench.missing.take_below(c) == [(c, "4")]
    assert bench.missing.take_below(bench.table.root) == [(bench.table.root, "0")]


def test_a_directory_that_was_moved_takes_its_notes_along() -> None:
    bench = Bench()
    a, ab, c = bench.directory("/a"), bench.directory("/a/b"), bench.directory("/c")
    assert bench.note(ab, "x")
    with bench.table.changing((a.number, "b"), (c.number, "b")) as change:
        change.moved()
    assert bench.missing.take_below(a) == []
    assert bench.missing.take_below(c) == [(ab, "x")]


def test_the_limit_holds_and_old_notes_make_room() -> None:
    bench = Bench(limit=2)
    root = bench.table.root
    assert bench.note(root, "old", 10.0)
    assert bench.note(root, "new", 100.0)
    assert not bench.note(root, "third")
    bench.now = 10.0 + SWEEP_SECONDS
    assert bench.note(root, "third")
    assert sorted(bench.missing.of(root)) == ["new", "third"]
    assert not bench.note(root, "fourth")


def test_directories_that_are_gone_make_room() -> None:
    bench = Bench(limit=1)
    gone = bench.directory("/gone")
    assert bench.note(gone, "x")
    with bench.table.changing((bench.table.root.number, "gone")) as change:
        change.removed()
    assert not bench.note(gone, "y")
    assert bench.note(bench.table.root, "x")
