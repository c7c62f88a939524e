"""Answers requests on the process's Unix socket, and serves metrics over HTTP where that is wanted.

A request is one line of JSON, ``{"verb": "status", …}``; answers are lines of JSON: any number of
``{"answer": {…}}``, then ``{"end": true}`` or ``{"error": "…"}``. Only the user that runs the
process, and root, can open the socket.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import ThreadingHTTPServer
from typing import Any

from yas3fs.control.sockets import SUFFIX, is_served
from yas3fs.errors import ConfigError, Yas3fsError

log = logging.getLogger(__name__)

Answer = Mapping[str, Any]
Verb = Callable[[Mapping[str, Any]], Iterator[Answer]]

_LONGEST = 64 * 1024
"""Bytes of a request: a path has 4 KiB at most."""


class Endpoint:
    """``runtime_path`` is the folder of the socket, ``address`` ``HOST:PORT`` or empty."""

    def __init__(self, runtime_path: str, address: str, verbs: Mapping[str, Verb]) -> None:
        self._folder = runtime_path
        self._address = address
        self._verbs = verbs
        self._servers: list[socketserver.TCPServer] = []
        self._closed = False
        self.path = os.path.join(runtime_path, f"{os.getpid()}{SUFFIX}")

    def open(self) -> None:
        """Begin to answer. ConfigError when the HTTP address cannot be had.

        Without the socket the mounts work as well: that it cannot be made is only logged.
        """
        try:
            self._serve(self._listen())
        except OSError as error:
            log.warning("no control socket: %s: %s", self.path, error.strerror or error)
        if self._address:
            try:
                self._serve(self._http())
            except OSError as error:
                raise ConfigError(f"--metrics: {self._address}: {error.strerror}") from None

    def _listen(self) -> socketserver.TCPServer:
        os.makedirs(self._folder, mode=0o755 if os.geteuid() == 0 else 0o700, exist_ok=True)
        if os.stat(self._folder).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "the folder is another user's")
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            if name.endswith(SUFFIX) and not is_served(path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        before = os.umask(0o177)
        try:
            return _SocketServer(self.path, self._verbs)
        finally:
            os.umask(before)

    def _http(self) -> socketserver.TCPServer:
        from yas3fs.control.web import make_handler

        host, _, port = self._address.rpartition(":")
        return _HttpServer((host.strip("[]"), int(port)), make_handler(self._ask_status))

    def _ask_status(self) -> Answer:
        return list(self._verbs["status"]({}))[-1]

    def _serve(self, server: socketserver.TCPServer) -> None:
        self._servers.append(server)
        threading.Thread(target=self._run, args=(server,), name="control", daemon=True).start()

    def _run(self, server: socketserver.TCPServer) -> None:
        """Wait for requests without waking up in between, as ``serve_forever`` would."""
        while not self._closed:
            server.handle_request()

    def close(self) -> None:
        """Answer no more."""
        self._closed = True
        for server in self._servers:
            with contextlib.suppress(OSError):
                server.socket.shutdown(socket.SHUT_RDWR)  # ends the waiting
            server.server_close()
        self._servers.clear()
        with contextlib.suppress(OSError):
            os.unlink(self.path)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)


class _SocketServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, verbs: Mapping[str, Verb]) -> None:
        self.verbs = verbs
        super().__init__(path, _Conversation)


class _Conversation(socketserver.StreamRequestHandler):
    server: _SocketServer

    def handle(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._answer()

    def _answer(self) -> None:
        try:
            words = json.loads(self.rfile.readline(_LONGEST))
            verb = self.server.verbs.get(words["verb"])
        except (ValueError, TypeError, KeyError):
            self._say({"error": "this is no request"})
            return
        if verb is None:
            self._say({"error": f"there is no verb {words['verb']!r}"})
            return
        try:
            for answer in verb(words):
                self._say({"answer": answer})
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Yas3fsError as error:
            self._say({"error": str(error)})
        except Exception as error:
            log.exception("the request %r failed", words["verb"])
            self._say({"error": f"failed in an unforeseen way: {error!r}"})
        else:
            self._say({"end": True})

    def _say(self, line: Mapping[str, Any]) -> None:
        self.wfile.write(json.dumps(line, ensure_ascii=True).encode("ascii") + b"\n")
