"""Opening connections: names, addresses, proxies and TLS, each within a deadline."""

import base64
import errno
import os
import select
import socket
import ssl
import time
from dataclasses import dataclass
from urllib.parse import unquote

from yas3fs.errors import ConnectionFailed, TimedOut
from yas3fs.objectstore.connection import Connection, reason
from yas3fs.objectstore.tls import TlsSocket
from yas3fs.runtime import interrupts

_LEAST_HANDSHAKE = 5.0
"""Seconds; a handshake is several round trips and some arithmetic on the other side."""


@dataclass(frozen=True, slots=True)
class Route:
    """How a host is reached: directly, or by way of an HTTP proxy. Timeouts are seconds."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    proxy: tuple[str, int] | None = None
    proxy_authorization: str = ""
    connect_timeout: float = 5.0
    read_timeout: float = 30.0


def connect(route: Route) -> Connection:
    """Open a connection. ConnectionFailed (with the reason), TimedOut or Interrupted."""
    host, port = route.proxy or (route.host, route.port)
    sock = _connect(host, port, route.connect_timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if route.tls is None:
            return Connection(sock, route.read_timeout)
        if route.proxy:
            _tunnel(sock, route)
        return Connection(_handshake(sock, route.tls, route), route.read_timeout)
    except BaseException:
        sock.close()
        raise


def _connect(host: str, port: int, timeout: float) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        told = reason(error) if isinstance(error, OSError) else str(error)
        raise ConnectionFailed(f"cannot resolve the host name {host!r}: {told}") from error
    failure: ConnectionFailed | TimedOut | None = None
    for family, kind, number, _, address in found:
        sock = socket.socket(family, kind, number)
        try:
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code == errno.EINPROGRESS:
                _poll(sock, select.POLLOUT, time.monotonic() + timeout, f"connect to {host}:{port}")
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                return sock
            failure = ConnectionFailed(f"cannot connect to {host}:{port}: {os.strerror(code)}")
        except TimedOut as error:
            failure = error
        except OSError as error:
            failure = ConnectionFailed(f"cannot connect to {host}:{port}: {reason(error)}")
        except BaseException:
            sock.close()
            raise
        sock.close()
    raise failure or ConnectionFailed(f"the host {host!r} has no address")


def _poll(sock: socket.socket, event: int, deadline: float, what: str) -> None:
    poller = select.poll()
    poller.register(sock.fileno(), event)
    while not poller.poll(interrupts.SLICE * 1000):
        interrupts.check()
        if time.monotonic() >= deadline:
            raise TimedOut(f"{what}: no answer in time")


def _handshake(sock: socket.socket, context: ssl.SSLContext, route: Route) -> TlsSocket:
    deadline = time.monotonic() + max(route.connect_timeout, _LEAST_HANDSHAKE)
    what = f"TLS handshake with {route.host}:{route.port}"
    try:
        secure = TlsSocket(sock, context, route.host)
        secure.handshake(lambda event: _poll(sock, event, deadline, what))
    except OSError as error:
        raise ConnectionFailed(f"{what}: {reason(error)}") from error
    return secure


def _tunnel(sock: socket.socket, route: Route) -> None:
    target = f"{route.host}:{route.port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if route.proxy_authorization:
        lines.append(f"Proxy-Authorization: {route.proxy_authorization}")
    connection = Connection(sock, route.connect_timeout)
    connection.send("\r\n".join([*lines, "", ""]).encode("latin-1"), b"")
    head = connection.answer("HEAD")
    if head.status != 200:
        raise ConnectionFailed(f"the proxy refused CONNECT {target} with status {head.status}")


def basic_authorization(user: str, password: str) -> str:
    """The value of Proxy-Authorization for what a URL carries percent-encoded."""
    text = f"{unquote(user)}:{unquote(password)}".encode()
    return f"Basic {base64.b64encode(text).decode('ascii')}"
