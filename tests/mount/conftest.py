"""Buckets, clients and mounts for the tests on real mounts of the real program."""

import contextlib
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import servers
from tests.doubles.faulty_proxy import FaultyProxy
from tests.doubles.plugin import moto_server, versitygw_server  # noqa: F401
from tests.mount.program import Mounts, S3Mount, client_of, new_bucket_name, shell, started


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="yas3fs-mount-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def s3_server(request: pytest.FixtureRequest) -> servers.Server:
    """A fast server where there is one, else moto."""
    fast = servers.find_versitygw() is not None
    server: servers.Server = request.getfixturevalue("versitygw_server" if fast else "moto_server")
    return server


@pytest.fixture(scope="session")
def s3(s3_server: servers.Server) -> Any:
    return client_of(s3_server.endpoint)


@pytest.fixture
def bucket(s3_server: servers.Server) -> str:
    """A bucket of the test's own."""
    return new_bucket_name(s3_server)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of the test's own that every user may enter."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def mounts(s3_server: servers.Server, bucket: str, place: Path) -> Iterator[Mounts]:
    """Makes mounts of the test's bucket; ``endpoint``, ``name`` … as S3Mount takes them."""
    with contextlib.ExitStack() as stack:

        def make(*options: object, endpoint: str = "", **more: Any) -> S3Mount:
            where = endpoint or s3_server.endpoint
            mount = S3Mount(place, more.pop("bucket", bucket), where, options, **more)
            return stack.enter_context(started(mount))

        yield make


@pytest.fixture
def proxy(s3_server: servers.Server) -> Iterator[FaultyProxy]:
    """A proxy in front of the server that misbehaves when it is told to."""
    with FaultyProxy(s3_server.host, s3_server.port) as proxy:
        yield proxy


class _Shared:
    """A mount that many tests share, and that is made anew when one of them ended it."""

    def __init__(self, server: servers.Server, stack: contextlib.ExitStack) -> None:
        self._server = server
        self._stack = stack
        self._numbers = itertools.count(1)
        self._mount: S3Mount | None = None
        self._bucket = new_bucket_name(server)

    def get(self) -> S3Mount:
        if self._mount is None or self._mount.process.poll() is not None:
            folder = self._stack.enter_context(open_folder())
            made = S3Mount(folder, self._bucket, self._server.endpoint)
            self._mount = self._stack.enter_context(started(made))
        return self._mount


@pytest.fixture(scope="session")
def _shared(s3_server: servers.Server) -> Iterator[_Shared]:
    with contextlib.ExitStack() as stack:
        yield _Shared(s3_server, stack)


@pytest.fixture
def shared(_shared: _Shared) -> S3Mount:
    """A mount that other tests use as well."""
    return _shared.get()


@pytest.fixture
def folder(shared: S3Mount, request: pytest.FixtureRequest) -> Path:
    """A fresh folder in the shared mount, made by a child process."""
    name = re.sub(r"[^\w.-]", "_", request.node.name)[:80]
    made = shared.mountpoint / f"{name}-{os.urandom(3).hex()}"
    shell('mkdir "$1"; chmod 755 "$1"', made)
    return made
