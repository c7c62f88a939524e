"""Guards around the verbs: nothing but a number leaves a callback."""

import errno

import pytest

from yas3fs.errors import NoEntry
from yas3fs.fuse.callbacks import _GUARDS, _guard
from yas3fs.fuse.table import HandleTable
from yas3fs.fuse.threads import WorkerThreads


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(
    ("error", "code"),
    [(NoEntry("x"), -errno.ENOENT), (KeyboardInterrupt(), -errno.EIO), (None, 7)],
)
def test_guards(count: int, error: BaseException | None, code: int) -> None:
    seen: list[tuple[int, ...]] = []

    def verb(*arguments: int) -> int:
        seen.append(arguments)
        if error is not None:
            raise error
        return 7

    guarded = _GUARDS.get(count, _guard)("verb", verb, WorkerThreads(lambda: 0, ""))
    assert guarded(*range(count)) == code
    assert seen == [tuple(range(count))]


def test_handle_numbers_are_never_reused() -> None:
    table: HandleTable[str] = HandleTable()
    first = table.add("a")
    assert table.remove(first) == "a"
    assert table.remove(first) is None
    assert table.add("b") != first
