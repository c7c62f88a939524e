"""The tests of this room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.functional.profile  # noqa: F401
from tests.unit.fs.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for core in made.cores:
        core.end()
