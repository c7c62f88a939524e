"""The socket that strangers can reach: bounded in bytes, seconds and connections."""

import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.notify.doubles import WITHIN
from yas3fs.notify.counters import Counters
from yas3fs.notify.server import MAX_BODY, MAX_HEAD, SnsServer

LOG = logging.getLogger("test")


class Site:
    """A server on the loopback and what it was given."""

    def __init__(self, **options: object) -> None:
        self.counters = Counters(LOG)
        self.bodies: list[bytes] = []
        self.status = 200
        wanted = {"seconds": 5.0, "idle": 5.0, **options}
        self.server = SnsServer(("127.0.0.1", 0), self._handle, self.counters, **wanted)  # type: ignore[arg-type]
        self.server.open()

    def _handle(self, headers: Mapping[str, str], body: bytes) -> int:
        self.bodies.append(body)
        if body == b"explode":
            raise RuntimeError("unforeseen")
        return self.status

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.server.port), WITHIN)
        sock.settimeout(WITHIN)
        return sock

    def say(self, data: bytes) -> bytes:
        """Everything the server answers until it closes the connection."""
        with self.connect() as sock:
            try:
                sock.sendall(data)
            except OSError:
                pass  # it has had enough already
            return rest(sock)

    def count(self, kind: str) -> int:
        return self.counters.snapshot().get(kind, 0)

    def threads(self) -> list[threading.Thread]:
        return [one for one in threading.enumerate() if one.name == "yas3fs-sns-client"]


def rest(sock: socket.socket) -> bytes:
    found = b""
    try:
        while piece := sock.recv(65536):
            found += piece
    except ConnectionError:
        pass
    return found


@contextmanager
def site_with(**options: object) -> Iterator[Site]:
    made = Site(**options)
    try:
        yield made
    finally:
        made.server.close()


@pytest.fixture
def site() -> Iterator[Site]:
    with site_with() as made:
        yield made


def post(body: bytes, path: str = "/sns", extra: str = "Connection: close\r\n") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


def ask(connection: http.client.HTTPConnection, body: bytes) -> int:
    connection.request("POST", "/sns", body)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_a_post_is_handed_over_and_answered(site: Site) -> None:
    assert site.say(post(b"hello")).startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
    assert site.bodies == [b"hello"]


def test_a_connection_serves_many_posts(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.server.port, timeout=WITHIN)
    for number in range(5):
        site.status = 200 if number % 2 else 403
        assert ask(connection, b"x" * number * 10_000) == site.status
    assert [len(body) for body in site.bodies] == [0, 10_000, 20_000, 30_000, 40_000]
    connection.close()


def test_posts_may_follow_each_other_without_waiting(site: Site) -> None:
    answers = site.say(post(b"one", extra="") + post(b"two", extra="") + post(b"three"))
    assert answers.count(b"HTTP/1.1 200") == 3
    assert site.bodies == [b"one", b"two", b"three"]


def test_who_asks_before_sending_is_told_to_go_on(site: Site) -> None:
    with site.connect() as sock:
        head, _, body = post(b"later", extra="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert sock.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("request_bytes", "status", "kind"),
    [
        (post(b"", path="/"), 404, "unasked"),
        (post(b"", path="/snsx"), 404, "unasked"),
        (b"GET /sns HTTP/1.1\r\n\r\n", 405, "unasked"),
        (b"POST /sns HTTP/1.1\r\n\r\n", 411, "malformed"),
        (b"POST /sns HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411, "malformed"),
        (b"POST /sns HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 411, "malformed"),
        (b"POST /sns HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "malformed"),
        (
            f"POST /sns HTTP/1.1\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode(),
            413,
            "oversized",
        ),
        (b"POST /sns HTTP/1.1\r\nContent-Length: " + b"9" * 500 + b"\r\n\r\n", 413, "oversized"),
        (b"POST /sns HTTP/1.1\r\nX: " + b"x" * MAX_HEAD + b"\r\n\r\n", 431, "oversized"),
        (b"x" * (2 * MAX_HEAD), 431, "oversized"),
        (b"hello there\r\n\r\n", 400, "malformed"),
        (b"POST /sns HTTP/3.0\r\n\r\n", 400, "malformed"),
        (b"POST /sns HTTP/1.1\r\nno colon\r\n\r\n", 400, "malformed"),
        (b"POST /sns HTTP/1.1\r\nSpace : 1\r\n\r\n", 400, "malformed"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400, "malformed"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_other_requests_are_refused(
    site: Site, request_bytes: bytes, status: int, kind: str
) -> None:
    answer = site.say(request_bytes)
    assert answer.startswith(f"HTTP/1.1 {status}".encode()) or (status == 431 and not answer)
    assert site.count(kind) == 1
    assert site.bodies == []
    assert site.say(post(b"after")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("said", [b"POST /sns HT", post(b"hello")[:-2]])
def test_a_slow_client_is_cut(said: bytes) -> None:
    with site_with(seconds=0.05) as site, site.connect() as sock:
        sock.sendall(said)
        assert rest(sock).startswith(b"HTTP/1.1 408")
        assert site.count("slow") == 1
        assert site.bodies == []


def test_who_says_nothing_is_cut_without_a_word() -> None:
    with site_with(idle=0.05) as site, site.connect() as sock:
        assert rest(sock) == b""


@pytest.mark.parametrize("said", [b"", b"POST /sns HT", post(b"hello")[:-2]])
def test_a_connection_that_breaks_harms_nobody(site: Site, said: bytes) -> None:
    with site.connect() as sock:
        sock.sendall(said)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert site.say(post(b"after")).startswith(b"HTTP/1.1 200")
    assert site.bodies == [b"after"]


def test_a_failure_of_the_judge_ends_one_connection(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    assert site.say(post(b"explode")) == b""
    assert site.say(post(b"after")).startswith(b"HTTP/1.1 200")
    assert "serving a connection failed" in caplog.text


def test_connections_are_bounded_and_become_free_again() -> None:
    with site_with(max_connections=2) as site:
        first, second = site.connect(), site.connect()
        with site.connect() as third:
            assert rest(third) == b""
        assert site.count("too_many") == 1
        first.sendall(post(b"late", extra=""))
        # places are scarce, so the server closes after the answer
        assert b"Connection: close" in rest(first)
        first.close()
        second.close()
        for thread in site.threads():
            thread.join(WITHIN)
        assert site.say(post(b"after")).startswith(b"HTTP/1.1 200")


def test_closing_ends_open_connections(site: Site) -> None:
    with site.connect() as sock:
        sock.sendall(post(b"one", extra=""))
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
        site.server.close()
        assert rest(sock) == b""
    for thread in site.threads():
        thread.join(WITHIN)
        assert not thread.is_alive()
    assert not site.server.is_alive()
    site.server.close()


def test_without_an_address_all_are_listened_on() -> None:
    server = SnsServer(("", 0), lambda *_: 200, Counters(LOG))
    server.open()
    with socket.create_connection(("127.0.0.1", server.port), WITHIN) as sock:
        sock.sendall(post(b""))
        assert rest(sock).startswith(b"HTTP/1.1 200")
    server.close()


def test_tls(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with site_with(tls=context) as site:
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        connection = http.client.HTTPSConnection(
            "127.0.0.1", site.server.port, timeout=WITHIN, context=trusting
        )
        for _ in range(2):
            assert ask(connection, b"secret") == 200
        assert site.say(post(b"plain")) != b"HTTP/1.1 200"
        assert ask(connection, b"still here") == 200
        connection.close()
        assert site.bodies == [b"secret", b"secret", b"still here"]
