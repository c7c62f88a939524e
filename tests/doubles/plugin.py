"""Session fixtures that start each server once, and only when a test asks for it."""

import itertools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

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
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    found = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    subprocess.run(
        [
            *command.split(),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", str(found[0]), "-keyout", str(found[1])),
        ],
        check=True,
        capture_output=True,
    )
    return found


@pytest.fixture(scope="session")
def versitygw_tls_server(certificate: tuple[Path, Path]) -> Iterator[servers.Server]:
    if servers.find_versitygw() is None:
        pytest.skip("versitygw is not installed")
    with servers.versitygw(certificate=certificate[0], key=certificate[1]) as server:
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
