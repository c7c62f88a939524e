"""Session fixtures that start each server once, and only when a test asks for it."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.doubles import servers
from yas3fs.objectstore.options import S3Options

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def moto_server() -> Iterator[servers.Server]:
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def versitygw_server() -> Iterator[servers.Server]:
    if servers.find_versitygw() is None:
        pytest.skip("versitygw is not installed")
    with servers.versitygw() as server:
        yield server


@pytest.fixture(scope="session")
def new_bucket() -> Callable[..., S3Options]:
    """Makes a fresh bucket on a server and returns the options that open it."""

    def make(server: servers.Server, **more: object) -> S3Options:
        name = f"bucket-{next(_numbers)}"
        servers.create_bucket(server, name)
        wanted: dict[str, object] = {
            "bucket": name,
            "endpoint": server.endpoint,
            "region": "us-east-1",
            "key_id": servers.KEY_ID,
            "secret": servers.SECRET,
            **more,
        }
        return S3Options(**wanted)  # type: ignore[arg-type]

    return make
