"""TLS over a non-blocking socket, in large strokes.

Python's own TLS socket asks the kernel for every record of 16 KiB, twice, and raises an exception
whenever the kernel has none. Here up to 512 KiB are taken from the kernel at once and decrypted
straight into the caller's memory, by one connection at a time: decrypting a record takes a few
microseconds, for which the interpreter's lock changes hands, so that several at it at once spend
more on waking each other up.
"""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable

from yas3fs.objectstore.protocol import Buffer

_SMALLEST_ROOM = 32 * 1024
_LARGEST_ROOM = 512 * 1024
"""Taken from the kernel at once; a connection whose answers are small keeps the smallest."""
_STROKE = 256 * 1024
"""Encrypted at once."""
_turn = threading.Lock()
"""Held while a connection decrypts what it has, never while anybody waits for the network."""


class TlsSocket:
    """Behaves as a non-blocking socket does: BlockingIOError means "wait until it is ready".

    After a BlockingIOError of :meth:`send`, call it again with the same data.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._room = memoryview(bytearray(_SMALLEST_ROOM))
        self._accepted = 0
        self._unsent = memoryview(b"")

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket without ceremony."""
        self._sock.close()

    def handshake(self, wait: Callable[[int], None]) -> None:
        """Agree on keys. ``wait(event)`` waits for the socket; raises OSError and what it does."""
        while True:
            done = False
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
                done = True
            while True:
                try:
                    self._push()
                    break
                except BlockingIOError:
                    wait(select.POLLOUT)
            if done:
                return
            try:
                self._fetch()
            except BlockingIOError:
                wait(select.POLLIN)

    def send(self, data: Buffer, /) -> int:
        """Encrypt and send some of ``data``; returns how much."""
        if not self._unsent:
            self._accepted = self._tls.write(memoryview(data)[:_STROKE])
        self._push()
        return self._accepted

    def recv_into(self, buffer: memoryview, nbytes: int = 0, /) -> int:
        """Decrypt what there is into ``buffer``; 0 at the end of the stream."""
        size = min(nbytes or len(buffer), len(buffer))
        while size:
            with _turn:
                done, ended = self._decrypt(buffer[:size])
            if done or ended:
                return done
            self._fetch()
        return 0

    def _decrypt(self, buffer: memoryview) -> tuple[int, bool]:
        """How much of what was taken is in ``buffer`` now, and whether the stream has ended."""
        done, size, read = 0, len(buffer), self._tls.read
        while done < size:
            try:
                count = int(read(size - done, buffer[done:]))
            except ssl.SSLWantReadError:
                return done, False
            except ssl.SSLEOFError:
                return done, True
            if not count:
                return done, True
            done += count
        return done, False

    def _fetch(self) -> None:
        count = self._sock.recv_into(self._room)
        if not count:
            self._incoming.write_eof()
            return
        self._incoming.write(self._room[:count])
        if count == len(self._room) < _LARGEST_ROOM:
            self._room = memoryview(bytearray(2 * count))

    def _push(self) -> None:
        while True:
            if not self._unsent:
                if not self._outgoing.pending:
                    return
                self._unsent = memoryview(self._outgoing.read())
            sent = self._sock.send(self._unsent)
            self._unsent = self._unsent[sent:]
