"""What only strangers who reach the port can do to us, with moto's own signatures."""

import json
import socket
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.notify.conftest import WITHIN, Cluster, Mount, post
from yas3fs.events import Mknod, Reset
from yas3fs.notify.http import HttpTransport
from yas3fs.notify.listener import Listener


class Site:
    """A node that hears by HTTP, and a genuine post to it, caught on its way."""

    def __init__(self, cluster: Cluster) -> None:
        transport = cluster.transport()
        assert isinstance(transport, HttpTransport)
        self.cluster = cluster
        self.transport = transport
        self._caught: list[bytes] = []
        self.topic = cluster.topic()
        self.listener: Listener = cluster.node(transport)
        self.mount: Mount = cluster.mount(self.listener, self.topic)

    def genuine(self, text: str) -> dict[str, Any]:
        """A post as SNS sends it, which this node has not had."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/sns"
            sns = self.cluster.clients.sns("us-east-1")
            arn = sns.subscribe(TopicArn=self.topic, Protocol="http", Endpoint=url)
            catcher = threading.Thread(target=self._catch, args=(listening,))
            catcher.start()
            real, self.transport._topics = self.transport._topics, set()
            self.cluster.say(self.topic, text)  # the node itself takes it for a foreign one
            self.transport._topics = real
            catcher.join(WITHIN)
            sns.unsubscribe(SubscriptionArn=arn["SubscriptionArn"])
        found: dict[str, Any] = json.loads(self._caught.pop())
        return found

    def _catch(self, listening: socket.socket) -> None:
        sock, _ = listening.accept()
        with sock:
            sock.settimeout(WITHIN)
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            lengths = [
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ]
            while len(body) < lengths[0]:
                body += sock.recv(65536)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._caught.append(body)

    def send(self, fields: dict[str, Any]) -> int:
        return post(self.transport.url, json.dumps(fields).encode())

    def count(self, kind: str) -> int:
        return self.transport.metrics().get(kind, 0)


@pytest.fixture
def site(http_cluster: Cluster) -> Site:
    return Site(http_cluster)


def test_a_genuine_post_is_applied_once_however_often_it_is_replayed(site: Site) -> None:
    fields = site.genuine('["x", "mknod", "/a"]')
    assert [site.send(fields) for _ in range(3)] == [200, 200, 200]
    assert site.mount.events == [Mknod("/a")]
    assert site.count("duplicates") == 2


def test_forged_posts_are_refused(site: Site) -> None:
    fields = site.genuine('["x", "mknod", "/a"]')
    for change in (
        {"Message": '["x", "reset"]'},
        {"MessageId": "another"},
        {"SignatureVersion": "1"},
        {"Signature": "AAAA"},
        {"SigningCertURL": "https://evil.example/SimpleNotificationService-0a.pem"},
        {"TopicArn": "arn:aws:sns:us-east-1:123456789012:another"},
        {"Timestamp": "2020-01-01T00:00:00.000Z"},
        {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": site.transport.url},
    ):
        assert site.send({**fields, **change}) == 403
    assert site.mount.events == []
    assert site.count("forged") == 5
    assert site.count("foreign_certificate") == 1
    assert site.count("stale") == 1
    assert site.send(fields) == 200
    site.mount.wait_for_event(Mknod("/a"))


def test_an_oversized_post_is_refused(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.transport._server.port), WITHIN) as sock:  # type: ignore[union-attr]
        sock.sendall(b"POST /sns HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 413")
    assert site.count("oversized") == 1


def test_raw_delivery_is_refused(site: Site) -> None:
    headers = {"x-amz-sns-rawdelivery": "true"}
    assert post(site.transport.url, b'["x", "reset"]', **headers) == 403
    assert site.mount.events == []


def test_nothing_that_is_posted_makes_the_node_deaf(site: Site) -> None:
    fields = site.genuine('["x", "mknod", "/a"]')
    covered = [name for name in fields if name != "UnsubscribeURL"]  # nobody signs that
    values = st.none() | st.integers() | st.text(max_size=50) | st.lists(st.text(), max_size=2)

    @settings(
        max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.binary() | st.dictionaries(st.sampled_from(covered), values, min_size=1))
    def send(change: bytes | dict[str, Any]) -> None:
        body = change if isinstance(change, bytes) else json.dumps({**fields, **change}).encode()
        if isinstance(change, bytes) or any(fields[name] != change[name] for name in change):
            assert post(site.transport.url, body) in (400, 403)

    send()
    assert site.mount.events == []
    site.cluster.say(site.topic, '["x", "reset", "/end"]')
    site.mount.wait_for_event(Reset("/end"))


def test_a_connection_killed_in_the_middle_harms_nothing(site: Site) -> None:
    for said in (b"", b"POST /s", b"POST /sns HTTP/1.1\r\nContent-Length: 50\r\n\r\n{"):
        sock = socket.create_connection(("127.0.0.1", site.transport._server.port), WITHIN)  # type: ignore[union-attr]
        sock.sendall(said)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    site.cluster.say(site.topic, '["x", "mknod", "/after"]')
    site.mount.wait_for_event(Mknod("/after"))
