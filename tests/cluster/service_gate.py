"""A proxy in front of a server that speaks several of Amazon's services: each can be shut alone."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_HOPS = {"connection", "transfer-encoding", "content-length", "date", "server"}


class ServiceGate:
    """Listens on a free port of the loopback interface; a context manager. Open at first.

    A service that is shut answers 503 to whatever is asked of it, long polls under way included.
    """

    def __init__(self, host: str, port: int) -> None:
        gate = self
        self._upstream = (host, port)
        self._shut: set[str] = set()
        self._changed = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                gate._handle(self)

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # whoever asked has gone

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "ServiceGate":
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def shut(self, service: str) -> None:
        """``sns`` or ``sqs`` answers no more."""
        with self._changed:
            self._shut.add(service)

    def reopen(self) -> None:
        """Let everything through again."""
        with self._changed:
            self._shut.clear()

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        # the scope of the signature names the service
        scope = request.headers.get("Authorization", "")
        service = next((one for one in ("sns", "sqs") if f"/{one}/aws4_request" in scope), "")
        status, headers, answer = 503, [("Content-Type", "text/plain")], b"shut"
        if service not in self._shut:
            upstream = http.client.HTTPConnection(*self._upstream, timeout=60)
            passed = {n: v for n, v in request.headers.items() if n.lower() not in _HOPS}
            upstream.request(request.command, request.path, body, passed)
            got = upstream.getresponse()
            answer = got.read()
            upstream.close()
            if service not in self._shut:  # it may have been shut meanwhile
                status = got.status
                headers = [(n, v) for n, v in got.getheaders() if n.lower() not in _HOPS]
            else:
                answer = b"shut"
        request.send_response(status)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)
