"""Which mount a thread works for, so that log lines can name it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Local(threading.local):
    name = ""


_local = _Local()


def enter(name: str) -> None:
    """The current thread works for the mount ``name`` from now on."""
    _local.name = name


def current() -> str:
    """The mount the current thread works for; empty when it works for all."""
    return _local.name


@contextmanager
def working_for(name: str) -> Iterator[None]:
    """The current thread works for the mount ``name`` inside."""
    before = _local.name
    _local.name = name
    try:
        yield
    finally:
        _local.name = before
