"""What the cases say again and again."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest


@contextlib.contextmanager
def refused(*numbers: int) -> Iterator[None]:
    """What runs inside fails with one of these errnos."""
    with pytest.raises(OSError) as caught:
        yield
    names = [errno.errorcode.get(n, str(n)) for n in (*numbers, caught.value.errno or 0)]
    assert caught.value.errno in numbers, f"{names[-1]} instead of {names[:-1]}: {caught.value}"


def write(driver: Any, path: str, data: bytes, mode: int = 0o644) -> None:
    fd = driver.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    if data:
        assert driver.pwrite(fd, data, 0) == len(data)
    driver.close(fd)


def read(driver: Any, path: str) -> bytes:
    fd = driver.open(path, os.O_RDONLY)
    data: bytes = driver.pread(fd, 1 << 20, 0)
    driver.close(fd)
    return data
