"""One keep-alive HTTP/1.1 connection that can be interrupted and never waits without end.

The standard library's client parses headers through the mail package and hides its socket behind
a file that refuses to be read after a timeout. This one parses only what S3 sends, receives bodies
straight into the caller's memory, and waits in slices between which it looks whether the waiting
program was interrupted and how long the peer has been silent.
"""

import os
import re
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Protocol

from yas3fs.errors import (
    BodyCorrupted,
    ConnectionFailed,
    ServerFailed,
    TimedOut,
)
from yas3fs.objectstore.protocol import Buffer
from yas3fs.runtime import interrupts

_HEAD_PIECE = 64 * 1024
_MAX_HEAD = 256 * 1024
_BODY_PIECE = 1024 * 1024
"""Most bytes received between two calls of ``arrived``."""
_SMALL_BODY = 64 * 1024
"""Bodies up to here travel in the same segment as the headers."""
_HEADER = re.compile(r"^([^:\r\n]*):([^\r\n]*)", re.MULTILINE)
_NO_BODY = frozenset({204, 304})


class _Receiver(Protocol):
    def recv_into(self, buffer: memoryview, nbytes: int = 0, /) -> int: ...
    def send(self, data: Buffer, /) -> int: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class Connection:
    """A connected socket and what was received from it but not yet used."""

    def __init__(self, sock: _Receiver, read_timeout: float) -> None:
        self._sock = sock
        self._read_timeout = read_timeout
        self._store = bytearray(_HEAD_PIECE)
        self._view = memoryview(self._store)
        self._begin = 0
        self._end = 0
        self.reused = False
        self.answered = False
        """Whether a byte of the present answer has arrived."""
        self._asked = False
        """Whether a request was sent and nothing received since."""
        self.idle_since = 0.0
        self._open = True

    def close(self) -> None:
        """Close the socket; harmless when it is closed."""
        if self._open:
            self._open = False
            self._sock.close()

    def is_stale(self) -> bool:
        """True when the idle peer has closed the connection or said something unasked."""
        poller = select.poll()
        poller.register(self._sock.fileno(), select.POLLIN)
        return bool(poller.poll(0)) or self._begin != self._end

    def send(self, head: bytes, body: Buffer) -> None:
        """Send a request. ConnectionFailed, TimedOut or Interrupted."""
        self.answered = False
        self._asked = True
        size = len(body)
        if size <= _SMALL_BODY:
            self._send_all(memoryview(head + bytes(body) if size else head))
            return
        self._send_all(memoryview(head))
        self._send_all(memoryview(body).cast("B"))

    def _send_all(self, view: memoryview) -> None:
        since = 0.0
        while view:
            try:
                sent = self._sock.send(view[:_BODY_PIECE])
            except BlockingIOError:
                since = self._wait(select.POLLOUT, since)
                interrupts.check()  # a slow network may never let a whole slice pass
            except OSError as error:
                raise ConnectionFailed(f"sending failed: {reason(error)}") from error
            else:
                view = view[sent:]
                since = 0.0

    def receive(self, view: memoryview) -> int:
        """Receive at least one byte into ``view``; 0 at the end of the stream."""
        buffered = self._end - self._begin
        if not buffered:
            return self._receive(view)
        count = min(buffered, len(view))
        view[:count] = self._view[self._begin : self._begin + count]
        self._begin += count
        return count

    def _receive(self, view: memoryview) -> int:
        since = 0.0
        if self._asked:  # the answer takes a while: do not look in vain
            self._asked = False
            since = self._wait(select.POLLIN, since)
        while True:
            try:
                count = self._sock.recv_into(view, min(len(view), _BODY_PIECE))
            except BlockingIOError:
                since = self._wait(select.POLLIN, since)
            except OSError as error:
                raise ConnectionFailed(f"receiving failed: {reason(error)}") from error
            else:
                if count:
                    self.answered = True
                return count

    def _wait(self, event: int, since: float) -> float:
        """Wait one slice at most; ``since`` is when the waiting began (0: now), and returned."""
        poller = select.poll()
        poller.register(self._sock.fileno(), event)
        if poller.poll(interrupts.SLICE * 1000):
            return since
        interrupts.check()
        now = time.monotonic()
        if not since:
            return now - interrupts.SLICE
        if now - since >= self._read_timeout:
            raise TimedOut(f"no byte from the server for {now - since:.0f} s")
        return since

    def read_line(self) -> bytes:
        """One line of a chunked body, without its end."""
        while True:
            found = self._store.find(b"\n", self._begin, self._end)
            if found >= 0:
                line = bytes(self._view[self._begin : found])
                self._begin = found + 1
                return line.rstrip(b"\r")
            self._fill()

    def _fill(self) -> None:
        if self._begin and self._begin == self._end:
            self._begin = self._end = 0
        if self._end == len(self._store):
            if self._begin:
                size = self._end - self._begin
                self._view[:size] = bytes(self._view[self._begin : self._end])
                self._begin, self._end = 0, size
            elif len(self._store) < _MAX_HEAD:
                self._store = self._store + bytearray(len(self._store))
                self._view = memoryview(self._store)
            else:
                raise ServerFailed("the answer's headers are too long")
        count = self._receive(self._view[self._end :])
        if not count:
            raise ConnectionFailed("the server closed the connection before its answer was whole")
        self._end += count

    def answer(self, method: str) -> "Response":
        """Wait for the answer's headers; tolerates interim 1xx answers."""
        while True:
            head = self._read_head()
            response = Response(self, method, head)
            if response.status >= 200:
                return response

    def _read_head(self) -> bytes:
        searched = self._begin
        while True:
            found = self._store.find(b"\r\n\r\n", max(self._begin, searched - 3), self._end)
            if found >= 0:
                head = bytes(self._view[self._begin : found])
                self._begin = found + 4
                return head
            seen = self._end - self._begin
            self._fill()
            searched = self._begin + seen


class Response:
    """An answer whose headers are known and whose body may be read once, in order."""

    __slots__ = ("_chunked", "_connection", "_left", "_to_end", "headers", "keep", "status")

    def __init__(self, connection: Connection, method: str, head: bytes) -> None:
        self._connection = connection
        self.status, version, self.headers = _parse_head(head)
        self._chunked = False
        self._to_end = False
        self._left = 0
        tokens = self.headers.get("connection", "").lower()
        self.keep = "close" not in tokens and (version or "keep-alive" in tokens)
        if method == "HEAD" or self.status in _NO_BODY or self.status < 200:
            return
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            self._chunked = True
            self._next_chunk(first=True)
            return
        length = self.headers.get("content-length", "")
        if length:
            if not length.isdecimal():
                raise ServerFailed(f"the server sent the Content-Length {length[:40]!r}")
            self._left = int(length)
        else:
            self._to_end, self.keep = True, False

    @property
    def length(self) -> int | None:
        """Bytes the body has left, or None when the server did not say."""
        return None if self._chunked or self._to_end else self._left

    @property
    def finished(self) -> bool:
        """True when the whole body was read."""
        return not self._left and not self._to_end and not self._chunked

    def _next_chunk(self, *, first: bool = False) -> None:
        if not first:
            self._connection.read_line()
        text = self._connection.read_line().partition(b";")[0].strip()
        try:
            self._left = int(text, 16)
        except ValueError:
            raise ServerFailed(f"the server sent the chunk length {text[:40]!r}") from None
        if self._left == 0:
            while self._connection.read_line():
                pass
            self._chunked = False

    def receive(self, view: memoryview) -> int:
        """Some bytes of the body; 0 at its end. BodyCorrupted when it ends too early."""
        if self._to_end:
            count = self._connection.receive(view)
            if not count:
                self._to_end = False
            return count
        if not self._left:
            return 0
        count = self._connection.receive(view[: self._left])
        if not count:
            raise BodyCorrupted("the server closed the connection in the middle of the body")
        self._left -= count
        if self._chunked and not self._left:
            self._next_chunk()
        return count

    def read_into(self, view: memoryview, arrived: Callable[[int], None] | None = None) -> int:
        """Fill ``view``; returns the bytes received, less than its length at the body's end."""
        done, told, size = 0, 0, len(view)
        while done < size:
            count = self.receive(view[done:])
            if not count:
                break
            done += count
            if done < size:
                interrupts.check()  # a steady trickle never lets a whole slice pass
            if arrived is not None and (done - told >= 128 * 1024 or done == size):
                told = done
                arrived(done)
        return done

    def read_all(self, limit: int) -> bytes:
        """The whole rest of the body; ServerFailed when it is longer than ``limit`` bytes."""
        size = self.length
        if size is not None and size <= limit:
            exact = bytearray(size)
            self.read_into(memoryview(exact))
            return bytes(exact)
        parts: list[bytes] = []
        room = bytearray(64 * 1024)
        total = 0
        while count := self.receive(memoryview(room)):
            parts.append(bytes(room[:count]))
            total += count
            if total > limit:
                raise ServerFailed(f"the answer is longer than {limit} bytes")
        return b"".join(parts)

    def skip(self, count: int) -> None:
        """Read and forget ``count`` bytes."""
        room = memoryview(bytearray(min(count, _BODY_PIECE)))
        while count > 0:
            got = self.receive(room[: min(count, len(room))])
            if not got:
                raise BodyCorrupted("the body is shorter than the offset asked for")
            count -= got


def _parse_head(head: bytes) -> tuple[int, bool, dict[str, str]]:
    """Status, whether it is HTTP/1.1, and the headers with lower-case names."""
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = head.decode("latin-1")
    first, _, rest = text.partition("\r\n")
    version, _, status = first.partition(" ")
    if not version.startswith("HTTP/1.") or not status[:3].isdecimal():
        raise ServerFailed(f"the answer is not HTTP/1.1: {first[:60]!r}")
    lines = _HEADER.findall(rest)
    headers = {name.lower(): value.strip() for name, value in lines}
    if len(headers) < len(lines):  # some came more than once
        headers = {}
        for name, value in lines:
            before = headers.get(name.lower(), "")
            headers[name.lower()] = f"{before}, {value.strip()}".removeprefix(", ")
    return int(status[:3]), version != "HTTP/1.0", headers


def reason(error: OSError) -> str:
    """What the system says of ``error``, in one line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    return os.strerror(error.errno) if error.errno else str(error)
