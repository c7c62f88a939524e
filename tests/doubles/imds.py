"""The EC2 instance metadata service, version 2, on the loopback interface."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "token-of-the-instance=="
INSTANCE = {
    "meta-data/instance-id": b"i-0123456789abcdef0",
    "meta-data/placement/region": b"eu-west-1",
}


@dataclass
class Imds:
    """The running service. ``answers`` may be changed while it runs."""

    endpoint: str
    answers: dict[str, bytes]
    asked: list[str] = field(default_factory=list)
    token: str = TOKEN
    refused: int = 0
    """Requests without a token: version 1's."""

    @property
    def environment(self) -> dict[str, str]:
        """What leads an SDK, and yas3fs, to it."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": self.endpoint, "HOME": "/nonexistent"}


@contextmanager
def imds(answers: Mapping[str, bytes]) -> Iterator[Imds]:
    """A service that knows the instance's name and region, and ``answers`` by path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    service = Imds(f"http://127.0.0.1:{server.server_port}", {**INSTANCE, **answers})

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            wants = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
            good = wants and self.path == "/latest/api/token"
            self._say(200 if good else 400, service.token.encode() if good else b"")

        def do_GET(self) -> None:
            if self.headers["X-aws-ec2-metadata-token"] != service.token:
                service.refused += 1
                self._say(401, b"")
                return
            found = service.answers.get(self.path.removeprefix("/latest/"))
            self._say(404 if found is None else 200, found or b"")

        def _say(self, code: int, body: bytes) -> None:
            service.asked.append(f"{self.command} {self.path}")
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
