"""The stores that must keep the contract."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.doubles.plugin import moto_server, new_bucket, versitygw_server  # noqa: F401
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.objectstore.s3 import S3Store

KINDS = ("memory", "moto", "versitygw")


@dataclass
class Double:
    """A store under test, and what is known not to work in the server behind it."""

    kind: str
    store: ObjectStore

    def lacks(self, kinds: str, why: str) -> None:
        """Skip the test on servers with a known limit; ``kinds`` is separated by blanks."""
        if self.kind in kinds.split():
            pytest.skip(f"{self.kind}: {why}")


@pytest.fixture(params=KINDS)
def double(request: pytest.FixtureRequest) -> Iterator[Double]:
    kind = request.param
    if kind == "memory":
        yield Double(kind, MemoryStore())
        return
    make: Callable[..., object] = request.getfixturevalue("new_bucket")
    store = S3Store(make(request.getfixturevalue(f"{kind}_server")))  # type: ignore[arg-type]
    yield Double(kind, store)
    store.close()


@pytest.fixture
def store(double: Double) -> ObjectStore:
    return double.store
