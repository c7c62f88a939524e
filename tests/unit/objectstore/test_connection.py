"""Answers are understood however the network cuts them; idle connections are bounded."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.scripted_server import ScriptedServer
from yas3fs.errors import BodyCorrupted, ConnectionFailed
from yas3fs.objectstore.connection import Connection
from yas3fs.objectstore.dial import Route
from yas3fs.objectstore.pool import Pool

BODY = bytes(range(256)) * 3
CHUNKED = b"".join(b"%x\r\n%s\r\n" % (len(x), x) for x in (BODY[:1], BODY[1:300], BODY[300:]))
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 768\r\nx-a:2\r\n\r\n" + BODY,
    "chunked": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKED
    + b"0\r\nTrailer: x\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nx-a: 1, 2\r\ncontent-length: 768\r\n\r\n" + BODY,
}
NEXT = b"HTTP/1.1 204 No Content\r\nx-next: yes\r\n\r\n"


class Pieces:
    """A socket that delivers these pieces, one a call, and then ends."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""
        self.sent = bytearray()
        self.closed = False

    def recv_into(self, buffer: memoryview, nbytes: int = 0, /) -> int:
        piece = self._rest or next(self._pieces, b"")
        count = min(len(piece), nbytes or len(buffer))
        buffer[:count] = piece[:count]
        self._rest = piece[count:]
        return count

    def send(self, data: bytes | bytearray | memoryview, /) -> int:
        self.sent += data[:1000]
        return len(data[:1000])

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self.closed = True


def cut(data: bytes, places: list[int]) -> Iterator[bytes]:
    ends = sorted({place % len(data) for place in places} | {0, len(data)})
    return iter([data[a:b] for a, b in itertools.pairwise(ends)])


@settings(deadline=None)  # a busy machine is no failure
@given(
    name=st.sampled_from(sorted(ANSWERS)),
    places=st.lists(st.integers(0, 10_000), max_size=30),
    step=st.integers(1, 900),
)
def test_any_cutting_gives_the_same_answer(name: str, places: list[int], step: int) -> None:
    connection = Connection(Pieces(cut(ANSWERS[name] + NEXT, places)), 1.0)
    response = connection.answer("GET")
    assert (response.status, response.headers["x-a"]) == (200, "1, 2")
    body = bytearray(len(BODY))
    view = memoryview(body)
    done = 0
    while count := response.read_into(view[done : done + step]):
        done += count
    assert body == BODY
    assert response.finished
    assert response.keep
    assert connection.answer("DELETE").headers["x-next"] == "yes"


@settings(deadline=None)  # a busy machine is no failure
@given(name=st.sampled_from(["length", "chunked"]), at=st.integers(0, 10_000))
def test_any_truncation_is_noticed(name: str, at: int) -> None:
    whole = ANSWERS[name]
    connection = Connection(Pieces(iter([whole[: at % len(whole)]])), 1.0)
    with pytest.raises((ConnectionFailed, BodyCorrupted)):
        response = connection.answer("GET")
        response.read_all(10_000)


@pytest.mark.parametrize("size", [0, 10, 65_536, 65_537, 500_000])
def test_partial_sends_add_up(size: int) -> None:
    sock = Pieces(iter([]))
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    Connection(sock, 1.0).send(b"head\r\n\r\n", memoryview(body))
    assert bytes(sock.sent) == b"head\r\n\r\n" + body


def fake(pool: Pool) -> tuple[Connection, Pieces]:
    sock = Pieces(iter([]))
    connection = Connection(sock, 1.0)
    pool.give(connection)
    return connection, sock


def test_idle_connections_are_bounded_and_the_oldest_goes() -> None:
    pool = Pool(Route("127.0.0.1", 1), 2)
    socks = [fake(pool)[1] for _ in range(3)]
    assert [sock.closed for sock in socks] == [True, False, False]


def test_connections_that_come_back_after_the_end_are_closed() -> None:
    pool = Pool(Route("127.0.0.1", 1), 2)
    idle = fake(pool)[1]
    pool.close()
    late = fake(pool)[1]
    assert idle.closed
    assert late.closed


def test_a_connection_that_was_idle_for_long_is_replaced() -> None:
    with ScriptedServer() as server:
        pool = Pool(Route("127.0.0.1", server.port), 2)
        old, sock = fake(pool)
        old.idle_since -= 1000
        fresh = pool.take()
        assert fresh is not old
        assert sock.closed
        assert not fresh.reused
        fresh.close()
