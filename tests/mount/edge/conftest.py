"""Mounts of the memory file system, each in a child process."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mount import harness

Mount = Callable[..., harness.MountProcess]


def command(mountpoint: Path, **options: Any) -> list[str]:
    return [
        sys.executable,
        "-m",
        "tests.mount.edge.serve_memory",
        str(mountpoint),
        json.dumps(options),
    ]


@pytest.fixture(scope="session", autouse=True)
def needs_fuse() -> None:
    reason = harness.can_mount()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Make mounts with session options; all are gone at the end of the test."""
    with contextlib.ExitStack() as stack:

        def make(name: str = "mnt", **options: Any) -> Any:
            place = tmp_path / name
            return stack.enter_context(harness.mounted(command(place, **options), place))

        yield make


@pytest.fixture
def mnt(mount: Mount) -> harness.MountProcess:
    """One mount whose kernel caches last an hour."""
    return mount(entry_timeout=3600, attribute_timeout=3600, negative_timeout=3600)
