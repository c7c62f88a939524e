"""A small HTTP/1.1 server for one purpose: taking what SNS posts to ``/sns``.

It faces whoever can reach the port. So heads and bodies are bounded, a request has to be complete
within seconds however it trickles in, connections are bounded in number, and whatever a client does
ends at most its own connection. One thread accepts, one per open connection serves; none of them
uses the processor while nobody calls.
"""

import errno
import logging
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from yas3fs.notify.aws import one_line
from yas3fs.notify.counters import Counters

log = logging.getLogger(__name__)

PATH = "/sns"
MAX_HEAD = 16 * 1024
MAX_BODY = 640 * 1024
"""A message of 256 KiB whose every quote is escaped, and its envelope."""
_PIECE = 64 * 1024
_BACKLOG = 128
_ACCEPT_PAUSE = 0.5
"""Seconds; when accepting fails, mostly for want of descriptors."""

Handle = Callable[[Mapping[str, str], bytes], int]
"""Headers (lower-case names) and body of a post to :data:`PATH`; returns the status to answer."""


class _Refusal(Exception):
    """The request is no good, and the connection ends after this status."""

    def __init__(self, status: HTTPStatus, kind: str) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind


class SnsServer:
    """Listens on ``address`` from :meth:`open` to :meth:`close`.

    ``seconds`` is how long one request (and a TLS handshake) may take; ``idle`` how long a
    connection may rest between two.
    """

    def __init__(
        self,
        address: tuple[str, int],
        handle: Handle,
        counters: Counters,
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = 64,
        seconds: float = 10.0,
        idle: float = 5.0,
    ) -> None:
        self._address = address
        self._handle = handle
        self._counters = counters
        self._tls = tls
        self._max_connections = max_connections
        self._seconds = seconds
        self._idle = idle
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        self._waker: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    @property
    def port(self) -> int:
        """The port that is listened on; 0 while there is none."""
        return int(self._listening.getsockname()[1]) if self._listening is not None else 0

    def open(self) -> None:
        """Listen. OSError when the address cannot be had."""
        self._listening = _listen(*self._address)
        self._waker, wakened = socket.socketpair()
        self._closing.clear()
        self._thread = threading.Thread(
            target=self._accept, args=(self._listening, wakened), name="yas3fs-sns", daemon=True
        )
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether connections are accepted."""
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """Stop listening and end all connections; harmless when it is closed."""
        self._closing.set()
        if self._waker is not None:
            self._waker.close()
        if self._thread is not None:
            self._thread.join(1.0)
        if self._listening is not None:
            self._listening.close()
        self._listening, self._waker, self._thread = None, None, None
        with self._lock:
            connections = list(self._connections)
        for sock in connections:
            _shut(sock)

    def _accept(self, listening: socket.socket, wakened: socket.socket) -> None:
        with wakened, selectors.DefaultSelector() as selector:
            selector.register(listening, selectors.EVENT_READ)
            selector.register(wakened, selectors.EVENT_READ)
            while not self._closing.is_set():
                ready = selector.select()
                if any(key.fileobj is wakened for key, _ in ready):
                    return
                try:
                    sock, _ = listening.accept()
                    self._admit(sock)
                except (OSError, RuntimeError) as error:  # no descriptors, no threads
                    self._counters.warn("failed_accepts", "cannot accept: %s", one_line(error))
                    self._closing.wait(_ACCEPT_PAUSE)

    def _admit(self, sock: socket.socket) -> None:
        with self._lock:
            full = len(self._connections) >= self._max_connections
            if not full:
                self._connections.add(sock)
        if full:
            self._counters.warn("too_many", "more than %d connections", self._max_connections)
            sock.close()
            return
        try:
            threading.Thread(
                target=self._serve, args=(sock,), name="yas3fs-sns-client", daemon=True
            ).start()
        except RuntimeError:
            self._leave(sock)
            raise

    def _leave(self, sock: socket.socket) -> None:
        with self._lock:
            self._connections.discard(sock)
        sock.close()

    def _serve(self, sock: socket.socket) -> None:
        used = sock
        try:
            if self._tls is not None:
                sock.settimeout(self._seconds)
                used = self._tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._connections.discard(sock)
                    self._connections.add(used)
            connection = _Connection(used)
            while self._serve_one(connection) and not self._closing.is_set():
                pass
        except (OSError, ssl.SSLError) as error:
            self._counters.count("broken_connections")
            log.debug("a connection broke: %s", one_line(error))
        except Exception:
            self._counters.count("server_failures")
            log.exception("serving a connection failed")
        finally:
            self._leave(used)

    def _serve_one(self, connection: "_Connection") -> bool:
        """Serve one request; whether the connection goes on."""
        try:
            head = connection.read_head(self._idle, self._seconds)
            if head is None:
                return False
            method, path, headers, lasting = head
            if path.partition("?")[0] != PATH:
                raise _Refusal(HTTPStatus.NOT_FOUND, "unasked")
            if method != "POST":
                raise _Refusal(HTTPStatus.METHOD_NOT_ALLOWED, "unasked")
            body = connection.read_body(headers)
        except _Refusal as refusal:
            self._counters.warn(refusal.kind, "a request was refused: %s", refusal.status.phrase)
            connection.answer(refusal.status, lasting=False)
            return False
        status = HTTPStatus(self._handle(headers, body))
        with self._lock:  # when places become scarce, nobody keeps one for later
            lasting = lasting and 2 * len(self._connections) <= self._max_connections
        connection.answer(status, lasting=lasting)
        return lasting


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; an empty ``host`` is every address of both families, if there are."""
    if host:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
    return socket.create_server(("", port), backlog=_BACKLOG)


class _Connection:
    """Requests out of a byte stream, each within its deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = bytearray()
        self._deadline = 0.0

    def read_head(
        self, idle: float, seconds: float
    ) -> tuple[str, str, Mapping[str, str], bool] | None:
        """Method, path, headers, and whether the client wants to go on; None at the end."""
        self._deadline = time.monotonic() + idle
        try:
            if not self._received and not self._receive():
                return None
        except _Refusal:
            return None
        self._deadline = time.monotonic() + seconds
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if len(self._received) > MAX_HEAD:
                raise _Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "oversized")
            if not self._receive():
                return None
        if end > MAX_HEAD:
            raise _Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "oversized")
        head = bytes(self._received[:end])
        del self._received[: end + 4]
        return _parse_head(head)

    def read_body(self, headers: Mapping[str, str]) -> bytes:
        """The body, whose length the client must have told."""
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not length.isascii() or not length.isdecimal():
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "malformed")
        if len(length) > 9 or int(length) > MAX_BODY:
            raise _Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "oversized")
        size = int(length)
        if headers.get("expect", "").lower() == "100-continue" and len(self._received) < size:
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self._received) < size:
            if not self._receive():
                raise _Refusal(HTTPStatus.BAD_REQUEST, "malformed")
        body = bytes(self._received[:size])
        del self._received[:size]
        return body

    def answer(self, status: HTTPStatus, *, lasting: bool) -> None:
        """Send an answer without a body."""
        self._sock.settimeout(5.0)
        connection = "keep-alive" if lasting else "close"
        self._sock.sendall(
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\n"
            f"Connection: {connection}\r\n\r\n".encode()
        )

    def _receive(self) -> bool:
        """Receive some bytes; False at the stream's end."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _Refusal(HTTPStatus.REQUEST_TIMEOUT, "slow")
        self._sock.settimeout(left)
        try:
            piece = self._sock.recv(_PIECE)
        except TimeoutError:
            raise _Refusal(HTTPStatus.REQUEST_TIMEOUT, "slow") from None
        self._received += piece
        return bool(piece)


def _parse_head(head: bytes) -> tuple[str, str, Mapping[str, str], bool]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise _Refusal(HTTPStatus.BAD_REQUEST, "malformed")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or name in headers:
            raise _Refusal(HTTPStatus.BAD_REQUEST, "malformed")
        headers[name] = value.strip()
    lasting = words[2] == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return words[0], words[1], headers, lasting


def _shut(sock: socket.socket) -> None:
    """Let whoever waits for ``sock`` go on."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
