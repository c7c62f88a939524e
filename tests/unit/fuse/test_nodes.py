"""What the kernel knows, and who may use a name."""

import threading
import tracemalloc

import pytest

from yas3fs.errors import Interrupted, NoEntry, StaleHandle
from yas3fs.fuse.nodes import ROOT, Node, NodeTable
from yas3fs.runtime import interrupts


@pytest.fixture
def table() -> NodeTable:
    return NodeTable()


def make(table: NodeTable, path: str) -> Node:
    """Have the kernel look up every name of ``path`` once."""
    node = table.root
    for name in path.split("/")[1:]:
        node = table.count(node, name)
    return node


def path_of(table: NodeTable, node: Node) -> str:
    with table.using(node.number) as use:
        return use.path


def must_wait(table: NodeTable, *names: tuple[int, str], using: bool = False) -> bool:
    """Whether who wants the names has to wait: he is interrupted while he does."""
    with interrupts.serve(lambda: True):
        try:
            with table.using(*names[0]) if using else table.changing(*names):
                return False
        except Interrupted:
            return True


# -- lookups ---------------------------------------------------------------------------------


def test_a_node_lives_until_every_lookup_is_taken_back(table: NodeTable) -> None:
    node = table.count(table.root, "a")
    assert table.count(table.root, "a") is node
    table.forget(node.number, 1)
    assert table.get(node.number) is node
    table.forget(node.number, 1)
    assert len(table) == 1
    with pytest.raises(StaleHandle):
        table.get(node.number)
    assert table.count(table.root, "a").number > node.number


def test_a_directory_lives_as_long_as_what_is_below_it(table: NodeTable) -> None:
    deep = make(table, "/a/b/c")
    above = [table.find("/a")[2], table.find("/a/b")[2]]
    for node in above:
        assert node is not None
        table.forget(node.number, 1)
    assert path_of(table, deep) == "/a/b/c"
    table.forget(deep.number, 1)
    assert len(table) == 1
    assert not table.root.children


def test_forgetting_the_root_or_a_stranger_is_no_harm(table: NodeTable) -> None:
    table.forget(ROOT, 5)
    table.forget(99, 1)
    assert path_of(table, table.root) == "/"


def test_finding(table: NodeTable) -> None:
    node = make(table, "/a/b")
    assert table.find("/") == (None, "", table.root)
    assert table.find("/a/b") == (node.parent, "b", node)
    assert table.find("/a/none") == (node.parent, "none", None)
    assert table.find("/a/none/c/d") == (node.parent, "none/c/d", None)
    assert table.find("/none/b") == (table.root, "none/b", None)
    assert [n.name for n in table.below(table.root)] == ["a", "b"]


def test_a_node_takes_little_memory(table: NodeTable) -> None:
    names = [f"name-{n}" for n in range(20_000)]
    directory = make(table, "/d")
    tracemalloc.start()
    for name in names:
        table.count(directory, name)
    taken = tracemalloc.get_traced_memory()[0] / len(names)
    tracemalloc.stop()
    assert taken < 250


# -- what becomes of names -------------------------------------------------------------------


def test_an_unlinked_node_has_no_path_and_its_name_is_free(table: NodeTable) -> None:
    node = make(table, "/a/b")
    assert node.parent is not None
    with table.changing((node.parent.number, "b")) as change:
        assert change.paths == ["/a/b"]
        change.removed()
    assert path_of(table, node) == ""
    assert make(table, "/a/b").number != node.number
    assert path_of(table, make(table, "/a/b")) == "/a/b"
    table.forget(node.number, 1)
    with pytest.raises(StaleHandle):
        table.get(node.number)


def test_what_is_below_moves_along(table: NodeTable) -> None:
    deep = make(table, "/a/b/c")
    target = make(table, "/x/y")
    with table.changing((ROOT, "a"), (target.number, "z")) as change:
        assert change.paths == ["/a", "/x/y/z"]
        change.moved()
    assert path_of(table, deep) == "/x/y/z/b/c"
    assert table.find("/a") == (table.root, "a", None)


def test_who_is_replaced_loses_his_name(table: NodeTable) -> None:
    old, new = make(table, "/old"), make(table, "/new")
    with table.changing((ROOT, "new"), (ROOT, "old")) as change:
        change.moved()
    assert path_of(table, new) == "/old"
    assert path_of(table, old) == ""
    assert (old.parent, old.name) == (table.root, "old")


def test_names_are_exchanged(table: NodeTable) -> None:
    a, b = make(table, "/d/a"), make(table, "/b")
    assert a.parent is not None
    with table.changing((a.parent.number, "a"), (ROOT, "b")) as change:
        change.moved(exchanged=True)
    assert [path_of(table, node) for node in (a, b)] == ["/b", "/d/a"]


def test_nothing_is_made_in_a_directory_that_is_gone(table: NodeTable) -> None:
    below = make(table, "/d/f")
    directory = below.parent
    assert directory is not None
    with table.changing((ROOT, "d")) as change:
        change.removed()
    assert path_of(table, below) == ""
    with pytest.raises(NoEntry):
        table.count(directory, "new")
    with pytest.raises(NoEntry), table.using(directory.number, "new"):
        pass
    for node in (below, directory, directory):
        table.forget(node.number, 1)
    assert len(table) == 1


def test_a_change_that_fails_changes_nothing(table: NodeTable) -> None:
    node = make(table, "/a")
    with pytest.raises(OSError, match="as told"), table.changing((ROOT, "a"), (ROOT, "b")):
        raise OSError("as told")
    assert path_of(table, node) == "/a"
    assert not must_wait(table, (ROOT, "a"))


# -- who waits for whom ----------------------------------------------------------------------


def test_users_share_a_name_and_changes_do_not(table: NodeTable) -> None:
    node = make(table, "/d/f")
    assert node.parent is not None
    place = (node.parent.number, "f")
    with table.using(node.number), table.using(*place):
        assert must_wait(table, place)
        assert not must_wait(table, (node.parent.number, "g"))
    with table.changing(place):
        assert must_wait(table, place)
        assert must_wait(table, place, using=True)
        assert not must_wait(table, (node.parent.number, "g"), using=True)
    assert not must_wait(table, place)


def test_a_directory_is_not_moved_while_something_below_is_used(table: NodeTable) -> None:
    make(table, "/a/b/c")
    inner = table.find("/a/b")[2]
    assert inner is not None
    with table.using(inner.number, "unknown"):
        assert must_wait(table, (ROOT, "a"), (ROOT, "x"))
    with table.changing((inner.number, "c")):
        assert must_wait(table, (ROOT, "a"), (ROOT, "x"))
    with table.changing((ROOT, "a"), (ROOT, "x")):
        assert must_wait(table, (inner.number, "c"), using=True)
        assert must_wait(table, (inner.number, "c"))
        assert must_wait(table, (inner.number, "c"), (ROOT, "y"))
    assert not must_wait(table, (ROOT, "a"), (ROOT, "x"))


def test_a_change_that_waits_goes_before_who_comes_later(table: NodeTable) -> None:
    """Else a busy name could never be changed; and giving up lets everybody go on."""
    make(table, "/f")
    waiting, done = threading.Event(), threading.Event()
    answers: list[bool] = []

    def change() -> None:
        def interrupted() -> bool:
            waiting.set()
            return done.is_set()

        with interrupts.serve(interrupted):
            try:
                with table.changing((ROOT, "f")):
                    pass
            except Interrupted:
                answers.append(True)

    with table.using(ROOT, "f"):
        thread = threading.Thread(target=change)
        thread.start()
        assert waiting.wait(10)
        assert must_wait(table, (ROOT, "f"), using=True)
        done.set()
        thread.join(10)
        assert answers == [True]
        assert not must_wait(table, (ROOT, "f"), using=True)


def test_many_at_once_come_to_an_end_and_never_see_a_moving_path(table: NodeTable) -> None:
    """Renames to and fro, beside users who look whether their path stays what it is."""
    leaf = make(table, "/a/f")
    directory = leaf.parent
    assert directory is not None
    wrong: list[str] = []

    def move() -> None:
        for _ in range(300):
            with table.changing((ROOT, "a"), (ROOT, "b")) as change:
                if table.find("/a")[2] is directory:
                    change.moved()
            with table.changing((ROOT, "b"), (ROOT, "a")) as change:
                if table.find("/b")[2] is directory:
                    change.moved()

    def look() -> None:
        for _ in range(1000):
            with table.using(leaf.number) as use:
                for _ in range(3):
                    if table.find(use.path)[2] is not leaf:
                        wrong.append(use.path)

    threads = [threading.Thread(target=work) for work in (move, move, look, look, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
