"""Idle connections, the last used first: few stay warm, and the rest grow old and are closed."""

import threading
import time

from yas3fs.objectstore.connection import Connection
from yas3fs.objectstore.dial import Route, connect

_MAX_IDLE_SECONDS = 15.0
"""S3 closes idle connections after about 20 s; one that is about to be closed is no use."""
_LIKELY_WARM = 0.5
"""Seconds in which hardly a server closes a connection it has just answered on."""


class Pool:
    """Connections of one route. Bounds the idle ones; ``limit.py`` bounds those in use."""

    def __init__(self, route: Route, size: int) -> None:
        self.route = route
        self._size = size
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._closed = False

    def take(self, *, fresh: bool = False, trusting: bool = False) -> Connection:
        """A warm connection, or with ``fresh`` a new one. Raises what :func:`connect` does.

        ``trusting`` spares the look at one that was in use a moment ago: for requests that can be
        sent again when it turns out to be closed.
        """
        while not fresh:
            with self._lock:
                if not self._idle:
                    break
                connection = self._idle.pop()
            idle = time.monotonic() - connection.idle_since
            if (trusting and idle < _LIKELY_WARM) or (
                idle < _MAX_IDLE_SECONDS and not connection.is_stale()
            ):
                connection.reused = True
                return connection
            connection.close()
        return connect(self.route)

    def give(self, connection: Connection) -> None:
        """Take back a connection whose answer was read to its end."""
        connection.idle_since = time.monotonic()
        surplus: Connection | None = connection
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                surplus = self._idle.pop(0) if len(self._idle) > self._size else None
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
