"""A bucket and a topic for each test, and the nodes that share them."""

import contextlib
import importlib.util
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.nodes import Cluster, aws
from tests.doubles import servers
from tests.doubles.plugin import moto_server, versitygw_server  # noqa: F401
from tests.mount.conftest import open_folder
from tests.mount.program import new_bucket_name

_topics = itertools.count(1)


@pytest.fixture(scope="session")
def sns_server(request: pytest.FixtureRequest) -> servers.Server:
    """What speaks SNS and SQS, and S3 too."""
    if importlib.util.find_spec("moto") is None:
        pytest.skip("moto, which plays SNS and SQS, is not installed")
    server: servers.Server = request.getfixturevalue("moto_server")
    return server


@contextlib.contextmanager
def a_cluster(server: servers.Server, notify: str = "") -> Iterator[Cluster]:
    """A fresh bucket, topic and folder; every node is ended."""
    bucket = new_bucket_name(server)
    topic = aws(notify or server.endpoint, "sns").create_topic(Name=f"topic-{next(_topics)}")[
        "TopicArn"
    ]
    with open_folder() as folder, contextlib.ExitStack() as stack:

        def enter(node: Any) -> None:
            stack.callback(node.close)

        yield Cluster(folder, bucket, server.endpoint, notify or server.endpoint, topic, enter)


@pytest.fixture
def cluster(sns_server: servers.Server) -> Iterator[Cluster]:
    with a_cluster(sns_server) as cluster:
        yield cluster
