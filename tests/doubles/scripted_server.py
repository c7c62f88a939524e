"""A local HTTP server that plays a script: one step per request, whatever the request is."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

Step = Callable[["Connection", "Seen"], bool]
"""Answers one request; returns whether the connection is to be kept."""


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Connection:
    """The server's side of one connection."""

    sock: socket.socket
    server: "ScriptedServer"
    number: int
    buffer: bytearray = field(default_factory=bytearray)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Close with a reset instead of an end."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def reply(status: int = 200, body: bytes = b"", *, close: bool = False, **headers: str) -> Step:
    """A plain answer; underscores in header names become dashes."""

    def step(connection: Connection, seen: Seen) -> bool:
        lines = {"content_length": str(len(body)), **headers}
        head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        content = b"" if seen.method == "HEAD" else body
        connection.send(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + content)
        return not close

    return step


def refuse(status: int, code: str, message: str = "scripted", **headers: str) -> Step:
    """An answer with S3's error document; ``region`` puts one into the document."""
    inside = "".join(
        f"<{name}>{headers.pop(name)}</{name}>" for name in ("Region",) if name in headers
    )
    text = f"<Error><Code>{code}</Code><Message>{message}</Message>{inside}</Error>"
    return reply(status, text.encode(), close=False, **headers)


def raw(data: bytes, *, close: bool = True) -> Step:
    """These bytes, exactly."""

    def step(connection: Connection, seen: Seen) -> bool:
        connection.send(data)
        return not close

    return step


def hang_up(connection: Connection, seen: Seen) -> bool:
    """Close without a word."""
    return False


def reset(connection: Connection, seen: Seen) -> bool:
    """Reset without a word."""
    connection.reset()
    return False


def stay_silent(connection: Connection, seen: Seen) -> bool:
    """Say nothing until the server stops."""
    connection.server.stopping.wait()
    return False


class ScriptedServer:
    """Plays ``steps`` in order, over all connections; a context manager.

    ``seen`` holds the requests. A request beyond the script is answered with status 599.
    """

    def __init__(self, *steps: Step, tls: ssl.SSLContext | None = None) -> None:
        self.steps = list(steps)
        self.seen: list[Seen] = []
        self.stopping = threading.Event()
        self.connections = 0
        self.ended = threading.Semaphore(0)
        """Released once for every connection that the server has closed."""
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.endpoint = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> "ScriptedServer":
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        for thread in self._threads:
            thread.join(10)

    def drop_connections(self) -> None:
        """End every connection from the server's side."""
        with self._lock:
            sockets = list(self._open)
        for sock in sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, EOFError):
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with self._lock:
                self._open.add(sock)
            connection = Connection(sock, self, number)
            while self._one(connection):
                pass
        with self._lock:
            self._open.discard(sock)
        sock.close()
        self.ended.release()

    def _one(self, connection: Connection) -> bool:
        seen = _read_request(connection)
        with self._lock:
            self.seen.append(seen)
            step = self.steps.pop(0) if self.steps else reply(599)
        return step(connection, seen)


def _read_request(connection: Connection) -> Seen:
    buffer = connection.buffer
    while b"\r\n\r\n" not in buffer:
        _receive(connection)
    end = buffer.index(b"\r\n\r\n")
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    while len(buffer) < end + 4 + length:
        _receive(connection)
    body = bytes(buffer[end + 4 : end + 4 + length])
    del buffer[: end + 4 + length]
    method, target, _ = first.split(" ")
    return Seen(method, target, headers, body, connection.number)


def _receive(connection: Connection) -> None:
    piece = connection.sock.recv(1 << 20)
    if not piece:
        raise EOFError
    connection.buffer += piece
