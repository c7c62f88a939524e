"""Nodes that hear each other through moto's SNS, by each transport."""

import itertools
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.doubles import servers
from yas3fs.events import Event
from yas3fs.notify.aws import AwsAccess, Backoff, Clients
from yas3fs.notify.http import HttpOptions, HttpTransport
from yas3fs.notify.listener import Listener, Subscription
from yas3fs.notify.publisher import Publisher
from yas3fs.notify.queues import QueueOptions
from yas3fs.notify.signatures import Certificates, endpoint_certificates
from yas3fs.notify.sqs import SqsTransport
from yas3fs.notify.transport import Transport

REGION = "us-east-1"
WITHIN = 30.0
"""Seconds a test waits for what must happen before it fails."""
_numbers = itertools.count(1)


@dataclass
class Mount:
    """One mount of a node: what it was told, and its voice."""

    node_id: str
    publisher: Publisher
    changed: threading.Condition = field(default_factory=threading.Condition)
    events: list[Event] = field(default_factory=list)
    gaps: int = 0
    changes: list[bool] = field(default_factory=list)
    subscription: Subscription | None = None

    def hear(self, event: Event) -> None:
        self._note(self.events, event)

    def change(self, alive: bool) -> None:
        self._note(self.changes, alive)

    def gap(self) -> None:
        with self.changed:
            self.gaps += 1
            self.changed.notify_all()

    def _note(self, told: list[Any], what: object) -> None:
        with self.changed:
            told.append(what)
            self.changed.notify_all()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, WITHIN), self.events

    def wait_for_event(self, event: Event) -> None:
        self.wait_for(lambda: event in self.events)

    def wait_until_alive(self) -> None:
        self.wait_for(lambda: bool(self.changes) and self.changes[-1])


class Cluster:
    """Makes topics and nodes, and ends what it made."""

    def __init__(self, server: servers.Server, kind: str) -> None:
        self.server = server
        self.kind = kind
        self.clients = self.new_clients()
        self._endings: list[Callable[[], object]] = []

    def new_clients(self, endpoint: str = "") -> Clients:
        return Clients(
            AwsAccess(
                endpoint=endpoint or self.server.endpoint,
                key_id=servers.KEY_ID,
                secret=servers.SECRET,
            )
        )

    def topic(self) -> str:
        answer = self.clients.sns(REGION).create_topic(Name=f"topic-{next(_numbers)}")
        return str(answer["TopicArn"])

    def transport(self, name: str = "", endpoint: str = "") -> Transport:
        """A transport of the kind under test."""
        clients = self.new_clients(endpoint)
        if self.kind == "sqs":
            options = QueueOptions(REGION, name=name, hint="bucket", visibility=1)
            node = f"node-{next(_numbers)}"
            return SqsTransport(clients, options, node, backoff=Backoff(0.01, 0.1))
        certificates = Certificates(endpoint_certificates(clients), per_minute=1_000_000)
        return HttpTransport(clients, HttpOptions("127.0.0.1", 0, "127.0.0.1"), certificates)

    def node(self, transport: Transport | None = None) -> Listener:
        """A started listener."""
        listener = Listener(transport or self.transport(), jitter=lambda: 0.5)
        listener.start()
        self._endings.append(listener.stop)
        return listener

    def mount(self, listener: Listener, topic: str) -> Mount:
        """A mount that is proved to hear ``topic``."""
        made = Mount(f"id-{next(_numbers)}", self.publisher(topic))
        made.publisher.node_id = made.node_id
        made.subscription = listener.subscribe(
            topic, made.node_id, made.hear, made.gap, made.change, made.publisher.publish
        )
        made.wait_until_alive()
        return made

    def publisher(self, topic: str, node_id: str = "stranger") -> Publisher:
        made = Publisher(lambda: self.clients.sns(REGION), topic, node_id)
        self._endings.insert(0, lambda: made.close(1.0))
        return made

    def say(self, topic: str, text: str) -> None:
        """Publish any text."""
        self.clients.sns(REGION).publish(TopicArn=topic, Message=text)

    def subscriptions(self, topic: str) -> list[dict[str, str]]:
        client = self.clients.sns(REGION)
        found: list[dict[str, str]] = client.list_subscriptions_by_topic(TopicArn=topic)[
            "Subscriptions"
        ]
        return found

    def end(self) -> None:
        for ending in self._endings:
            ending()
        self.clients.close()


@pytest.fixture(params=["sqs", "http"])
def cluster(request: pytest.FixtureRequest, moto_server: servers.Server) -> Iterator[Cluster]:
    made = Cluster(moto_server, request.param)
    yield made
    made.end()


@pytest.fixture
def sqs_cluster(moto_server: servers.Server) -> Iterator[Cluster]:
    made = Cluster(moto_server, "sqs")
    yield made
    made.end()


@pytest.fixture
def http_cluster(moto_server: servers.Server) -> Iterator[Cluster]:
    made = Cluster(moto_server, "http")
    yield made
    made.end()


def post(url: str, body: bytes, **headers: str) -> int:
    """Post to a listener as anybody can; returns the status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with opener.open(request, timeout=WITHIN) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
