"""A proxy in front of a real S3 server that misbehaves by count.

It speaks just enough HTTP/1.1 to tell requests apart, and is driven from the test's own process::

    with FaultyProxy(server.host, server.port) as proxy:
        proxy.add(Rule(status(503, "SlowDown"), method="PUT", nth=2))
"""

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_PIECE = 64 * 1024


@dataclass
class Exchange:
    """One request on its way through the proxy."""

    proxy: "FaultyProxy"
    client: socket.socket
    method: str
    path: str
    head: bytes
    body: bytes

    def forward(self) -> bytes:
        """Send the request on and return the whole answer."""
        return self.proxy.ask(self.head + self.body)

    def reset(self) -> None:
        """Close the client's connection with a reset instead of an end."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()


Action = Callable[[Exchange], bool]
"""Handles an exchange; returns whether the client's connection is still good."""


@dataclass
class Rule:
    """``action`` for the ``nth`` request (from 1) that matches, and ``times - 1`` after it."""

    action: Action
    method: str = ""
    path: str = ""
    nth: int = 1
    times: int = 1
    seen: int = field(default=0, init=False)

    def matches(self, method: str, path: str) -> bool:
        if not re.search(self.method, method) or not re.search(self.path, path):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


def status(code: int, error: str = "", message: str = "injected", headers: str = "") -> Action:
    """Answer with an error document, without asking the server."""

    def action(exchange: Exchange) -> bool:
        text = ""
        if error and exchange.method != "HEAD":
            text = f"<Error><Code>{error}</Code><Message>{message}</Message></Error>"
        answer = (
            f"HTTP/1.1 {code} Injected\r\nContent-Type: application/xml\r\n{headers}"
            f"Content-Length: {len(text)}\r\n\r\n{text}"
        )
        exchange.client.sendall(answer.encode())
        return True

    return action


def reset_before(exchange: Exchange) -> bool:
    """Reset the connection; the server never sees the request."""
    exchange.reset()
    return False


def lose_answer(exchange: Exchange) -> bool:
    """Let the request take effect, then reset the connection: its answer is lost."""
    exchange.forward()
    exchange.reset()
    return False


def cut_body(after: int, *, reset: bool = False) -> Action:
    """Pass on the answer's headers and ``after`` bytes of its body, then end (or reset)."""

    def action(exchange: Exchange) -> bool:
        answer = exchange.forward()
        end = answer.index(b"\r\n\r\n") + 4
        exchange.client.sendall(answer[: end + after])
        if reset:
            exchange.reset()
        return False

    return action


def corrupt_body(at: int = 0) -> Action:
    """Flip the bits of one byte of the answer's body."""

    def action(exchange: Exchange) -> bool:
        answer = bytearray(exchange.forward())
        answer[answer.index(b"\r\n\r\n") + 4 + at] ^= 0xFF
        exchange.client.sendall(answer)
        return True

    return action


def hold(gate: threading.Event, *, body_bytes: int | None = None) -> Action:
    """Answer only when ``gate`` is set; ``body_bytes`` of the body, and the headers, at once."""

    def action(exchange: Exchange) -> bool:
        answer = exchange.forward()
        start = 0
        if body_bytes is not None:
            start = answer.index(b"\r\n\r\n") + 4 + body_bytes
            exchange.client.sendall(answer[:start])
        exchange.proxy.wait(gate)
        exchange.client.sendall(answer[start:])
        return True

    return action


def silence(exchange: Exchange) -> bool:
    """Never answer."""
    exchange.proxy.wait(threading.Event())
    return False


class FaultyProxy:
    """Listens on a free port of the loopback interface; a context manager."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._lock = threading.Lock()
        self._rules: list[Rule] = []
        self._stop = threading.Event()
        self._clients: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.requests: list[tuple[str, str]] = []
        """Method and path of every request so far."""
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "FaultyProxy":
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def add(self, rule: Rule) -> Rule:
        """Add a rule; the first that matches is carried out."""
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget all rules."""
        with self._lock:
            self._rules.clear()

    def wait(self, gate: threading.Event) -> None:
        """Wait until ``gate`` is set or the proxy stops."""
        while not gate.wait(0.05) and not self._stop.is_set():
            pass

    def ask(self, request: bytes) -> bytes:
        """The server's whole answer to ``request``."""
        with socket.create_connection(self._upstream, 10) as upstream:
            upstream.sendall(request)
            method = request[: request.index(b" ")]
            return _read_answer(upstream, method == b"HEAD")

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._clients.add(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, EOFError):
            while self._one(client):
                pass
        with self._lock:
            self._clients.discard(client)

    def _one(self, client: socket.socket) -> bool:
        head, rest = _read_head(client)
        body = _read_exactly(client, rest, _length_of(head))
        method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        with self._lock:
            self.requests.append((method, path))
            matching = [rule for rule in self._rules if rule.matches(method, path)]
        exchange = Exchange(self, client, method, path, head, body)
        if matching:
            return matching[0].action(exchange)
        client.sendall(exchange.forward())
        return True


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(_PIECE)
        if not piece:
            raise EOFError
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _length_of(head: bytes) -> int:
    match = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(match[1]) if match else 0


def _read_exactly(sock: socket.socket, begun: bytes, length: int) -> bytes:
    data = bytearray(begun)
    while len(data) < length:
        piece = sock.recv(_PIECE)
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def _read_answer(sock: socket.socket, headers_only: bool) -> bytes:
    head, rest = _read_head(sock)
    if headers_only or head[9:12] in {b"204", b"304"}:
        return head
    if b"transfer-encoding: chunked" not in head.lower():
        return head + _read_exactly(sock, rest, _length_of(head))
    data = bytearray(rest)
    while not data.endswith(b"0\r\n\r\n"):
        piece = sock.recv(_PIECE)
        if not piece:
            raise EOFError
        data += piece
    return head + bytes(data)
