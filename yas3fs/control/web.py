"""``/metrics`` for Prometheus and ``/healthz`` for load balancers and probes."""

import json
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from yas3fs.control.metrics import exposition

_JSON = "application/json; charset=utf-8"


def health(status: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    """The HTTP status and body that ``/healthz`` gives: 200 only when every mount is there."""
    mounts = {mount["name"]: mount["state"] for mount in status["mounts"]}
    good = all(state == "mounted" for state in mounts.values())
    return (200 if good else 503), {"healthy": good, "mounts": mounts}


def make_handler(ask_status: Callable[[], Mapping[str, Any]]) -> type[BaseHTTPRequestHandler]:
    """A request handler that asks for the status anew each time."""

    class Handler(BaseHTTPRequestHandler):
        server_version = "yas3fs"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                body, kind = exposition(ask_status())
                self._say(200, body, kind)
            elif path == "/healthz":
                code, answer = health(ask_status())
                self._say(code, json.dumps(answer).encode("ascii") + b"\n", _JSON)
            else:
                self._say(404, b"give /metrics or /healthz\n", "text/plain; charset=utf-8")

        do_HEAD = do_GET

        def _say(self, code: int, body: bytes, kind: str) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds: they are not worth a line each."""

    return Handler
