"""Every failure has its errno, written down."""

import errno
import logging
from collections.abc import Iterator

import pytest

from yas3fs import errors
from yas3fs.fuse import errno as table


def tree(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for member in root.__subclasses__():
        if member.__module__ == errors.__name__:
            yield from tree(member)


def test_every_member_of_the_tree_has_a_row() -> None:
    assert set(tree(errors.Yas3fsError)) == set(table.ERRNO)


def documented() -> dict[str, int]:
    """FileErrors whose docstring begins with the name of an errno."""
    found = {}
    for member in tree(errors.FileError):
        word = (member.__doc__ or "").split(".")[0].split(":")[0]
        if word.startswith("E") and word.isupper():
            found[member.__name__] = getattr(errno, word)
    return found


def test_file_errors_become_what_their_documentation_says() -> None:
    expected = documented()
    assert len(expected) == len(list(tree(errors.FileError))) - 1
    assert {name: table.ERRNO[getattr(errors, name)] for name in expected} == expected


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("x"), errno.ENOENT),
        (errors.AccessDenied("x"), errno.EACCES),
        (errors.PreconditionFailed("x"), errno.ESTALE),
        (errors.TimedOut("x"), errno.EIO),
        (errors.QuotaExceeded("x"), errno.EDQUOT),
        (errors.Interrupted("x"), errno.EINTR),
        (OSError(errno.ENOSPC, "disk full"), errno.ENOSPC),
        (OSError(errno.EDQUOT, "quota"), errno.EDQUOT),
        (OSError(errno.ENOENT, "our own file is gone"), errno.EIO),
        (MemoryError(), errno.EIO),
        (ValueError("defect"), errno.EIO),
    ],
)
def test_codes(error: BaseException, code: int) -> None:
    assert table.negative_errno("read", error) == -code


def test_defects_are_logged_with_a_traceback_once_and_then_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    failures = table.FailureLog(lambda: now)
    caplog.set_level(logging.ERROR)
    for now in (0.0, 1.0, 59.0, 61.0, 62.0):  # noqa: B007 - the clock reads it
        failures.record("read", ValueError("defect"))
    failures.record("write", ValueError("another verb"))
    failures.record("read", KeyError("another kind"))
    assert [bool(record.exc_info) for record in caplog.records] == [True, False, True, True]
    assert "3 more times" in caplog.records[1].getMessage()
