"""Guards around the verbs: each request is answered once, whatever the verb does."""

import errno

import pytest

from yas3fs.errors import NoEntry
from yas3fs.fuse.callbacks import guard
from yas3fs.fuse.nodes import Node
from yas3fs.fuse.table import HandleTable
from yas3fs.fuse.targets import Vanished
from yas3fs.fuse.threads import WorkerThreads


@pytest.mark.parametrize(
    ("outcome", "answers"),
    [
        (NoEntry("x"), [errno.ENOENT]),
        (KeyboardInterrupt(), [errno.EIO]),
        (0, [0]),
        (errno.EPERM, [errno.EPERM]),
        (None, []),
        (Vanished(Node(2, None, "x")), [errno.ESTALE]),
    ],
)
def test_guards(outcome: BaseException | int | None, answers: list[int]) -> None:
    threads = WorkerThreads(lambda request: 0, "")
    seen: list[tuple[int, ...]] = []
    given: list[tuple[int, int]] = []

    def verb(*arguments: int) -> int | None:
        assert threads.request == 77
        seen.append(arguments)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def fail(request: int, code: int) -> int:
        given.append((request, code))
        return 0

    guard("verb", verb, threads, fail, lambda request, node: errno.ESTALE)(77, 1, 2)
    assert seen == [(77, 1, 2)]
    assert given == [(77, code) for code in answers]
    assert threads.request == 0


def test_handle_numbers_are_never_reused() -> None:
    table: HandleTable[str] = HandleTable()
    first = table.add("a")
    assert table.remove(first) == "a"
    assert table.remove(first) is None
    assert table.add("b") != first


def test_an_inode_s_own_handles_come_before_those_of_who_has_its_name() -> None:
    table: HandleTable[str] = HandleTable()
    other = table.add("other", 5, other=True)
    assert (table.of_node(5), table.of_node(5, own=True)) == ("other", None)
    own = [table.add("own", 5), table.add("later", 5)]
    table.add("another", 5, other=True)
    assert table.of_node(5) == "later"
    assert table.nodes() == [5]
    for number in (*own, other):
        table.remove(number)
    assert table.of_node(5) == "another"
    assert table.of_node(6) is None
