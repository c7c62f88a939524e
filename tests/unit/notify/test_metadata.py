"""The instance metadata service, as a double on the loopback."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from yas3fs.errors import ConfigError
from yas3fs.notify.metadata import public_hostname

NAME = "ec2-203-0-113-25.compute-1.amazonaws.com"


class Imds(HTTPServer):
    """Wants a token for everything, as version 2 does."""

    answer: str | None = NAME
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Imds

    def do_PUT(self) -> None:
        self._say("token-1" if self.headers["X-aws-ec2-metadata-token-ttl-seconds"] else None, 400)

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != "token-1":
            self._say(None, 401)
        else:
            self._say(self.server.answer, 404)

    def _say(self, text: str | None, otherwise: int) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.send_response(200 if text is not None else otherwise)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def imds() -> Iterator[Imds]:
    server = Imds(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def endpoint(server: Imds) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_the_name_is_asked_for_with_a_token(imds: Imds) -> None:
    assert public_hostname(endpoint(imds)) == NAME
    assert imds.asked == ["PUT /latest/api/token", "GET /latest/meta-data/public-hostname"]


@pytest.mark.parametrize("answer", [None, "", "no name!", "a" * 300, "a\nb"])
def test_no_name_is_a_configuration_error(imds: Imds, answer: str | None) -> None:
    imds.answer = answer
    with pytest.raises(ConfigError, match="--ec2-hostname"):
        public_hostname(endpoint(imds))


def test_off_ec2_there_is_nobody_to_ask() -> None:
    with pytest.raises(ConfigError, match="does not tell"):
        public_hostname("http://127.0.0.1:9", timeout=0.5)
