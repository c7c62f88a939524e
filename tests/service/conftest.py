"""What the tests of whole processes share."""

import urllib.request
from collections.abc import Iterator

import pytest

from tests.doubles import servers


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 (and SNS and SQS) with the bucket ``good``."""
    with servers.moto() as server:
        request = urllib.request.Request(f"{server.endpoint}/good", method="PUT")
        urllib.request.urlopen(request).close()
        yield server.endpoint
