"""The core behaves as an ordinary file system does, whatever is done in whatever order.

``MODEL_RUNS`` makes the run longer (a number of seeds), ``MODEL_SEED`` begins at
another one.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model.reference import Model

RUNS = int(os.environ.get("MODEL_RUNS", "12"))
FIRST = int(os.environ.get("MODEL_SEED", "0"))
STEPS = 250


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
@pytest.mark.parametrize("outside", [False, True], ids=["alone", "shared"])
def test_agrees_with_an_ordinary_folder(tmp_path: Path, seed: int, outside: bool) -> None:
    model = Model(seed, tmp_path, outside=outside)
    try:
        for _ in range(STEPS):
            model.step()
        model.finish()
    finally:
        model.close()
        model.core.end()
