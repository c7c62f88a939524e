"""The composed store, and what an administrator is told before a mount."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.doubles import servers
from tests.doubles.scripted_server import Connection, ScriptedServer, Seen, raw, refuse, reply
from yas3fs.errors import (
    AccessDenied,
    BadCredentials,
    ConfigError,
    ConnectionFailed,
    NoSuchBucket,
    StoreError,
    WrongRegion,
)
from yas3fs.objectstore import factory
from yas3fs.objectstore.factory import check_access, open_store
from yas3fs.objectstore.limit import LimitedStore
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.protocol import Headers
from yas3fs.objectstore.retry import RetryingStore
from yas3fs.objectstore.s3 import S3Store

EMPTY = reply(200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")


def options(endpoint: str, **more: object) -> S3Options:
    wanted: dict[str, object] = {
        "bucket": "bucket",
        "endpoint": endpoint,
        "region": "us-east-1",
        "key_id": "AKID",
        "secret": "secret-secret",
        **more,
    }
    return S3Options(**wanted)  # type: ignore[arg-type]


def complaint(wanted: S3Options, kind: type[StoreError]) -> str:
    with pytest.raises(kind) as failure:
        check_access(open_store(wanted))
    text = str(failure.value)
    assert len(text.splitlines()) == 1
    assert "secret-secret" not in text
    return text


def test_the_order_of_the_wrappers() -> None:
    metered = open_store(options("http://127.0.0.1:1"))
    retrying = metered.inner
    assert isinstance(retrying, RetryingStore)
    limited = retrying.inner
    assert isinstance(limited, LimitedStore)
    assert isinstance(limited.inner, S3Store)


@pytest.mark.parametrize(
    "more",
    [
        {"checksum": "md5"},
        {"max_connections": 0},
        {"sse_customer_key": b"short"},
        {"bucket": "x--x-s3"},
        {"ca_bundle": "/no/such/bundle.pem", "endpoint": "https://127.0.0.1"},
    ],
    ids=lambda more: next(iter(more)),
)
def test_options_that_cannot_work(more: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        open_store(options(**{"endpoint": "http://127.0.0.1:1", **more}))  # type: ignore[arg-type]


def test_a_usable_bucket_is_proved_by_one_request() -> None:
    with ScriptedServer(EMPTY) as server:
        check_access(open_store(options(server.endpoint)), "some/prefix/")
        assert "prefix=some%2Fprefix%2F" in server.seen[0].target


def test_other_stores_are_only_listed() -> None:
    check_access(MemoryStore())


# --- on a server that checks credentials


@pytest.fixture
def real(versitygw_server: servers.Server, new_bucket: Callable[..., S3Options]) -> S3Options:
    return new_bucket(versitygw_server)


def test_all_is_well(real: S3Options) -> None:
    check_access(open_store(real))


def test_a_wrong_bucket(real: S3Options) -> None:
    text = complaint(replace(real, bucket="no-such-bucket"), NoSuchBucket)
    assert text.startswith("wrong bucket: there is no bucket 'no-such-bucket'")
    assert "NoSuchBucket" in text


def test_a_wrong_key_id(real: S3Options) -> None:
    text = complaint(replace(real, key_id="AKIDWRONG"), BadCredentials)
    assert text.startswith("wrong key id: ")
    assert "AKIDWRONG" in text


def test_a_wrong_secret(real: S3Options) -> None:
    text = complaint(replace(real, secret="secret-secret"), BadCredentials)
    assert text.startswith("wrong secret: ")


def test_a_wrong_region_is_put_right(real: S3Options) -> None:
    store = open_store(replace(real, region="mars-north-1"))
    check_access(store)
    store.put("key", b"x", Headers())
    assert store.head("key").size == 1


# --- on servers that play a script


def test_a_region_that_cannot_be_put_right() -> None:
    with ScriptedServer(*[refuse(301, "PermanentRedirect")] * 2) as server:
        assert complaint(options(server.endpoint), WrongRegion).startswith("wrong region: ")


def test_missing_permission() -> None:
    with ScriptedServer(refuse(403, "AccessDenied", "no list for you")) as server:
        text = complaint(options(server.endpoint), AccessDenied)
        assert text.startswith("no permission: the key id AKID may not list bucket 'bucket'")
        assert "no list for you" in text


def test_no_credentials() -> None:
    text = complaint(options("http://127.0.0.1:1", key_id="", secret=""), BadCredentials)
    assert text.startswith("no credentials for bucket 'bucket'")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factory, "_PROOF_BUDGET", 0.0)


@pytest.mark.usefixtures("impatient")
def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    text = complaint(options(f"http://127.0.0.1:{port}"), ConnectionFailed)
    assert text.startswith("wrong endpoint, or network down")
    assert "refused" in text


@pytest.mark.usefixtures("impatient")
def test_a_host_that_does_not_exist() -> None:
    text = complaint(options("http://nowhere.invalid"), ConnectionFailed)
    assert text.startswith("wrong endpoint, or network down")
    assert "nowhere.invalid" in text


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "step",
    [
        reply(200, b"<html><body>Welcome to nginx</body></html>"),
        reply(200, b"just text"),
        reply(404, b"<html>not found</html>"),
        raw(b"220 mail.example.com ESMTP\r\n\r\n"),
    ],
    ids=["page", "text", "404", "smtp"],
)
def test_something_that_is_not_s3(step: Callable[[Connection, Seen], bool]) -> None:
    with ScriptedServer(step) as server:
        text = complaint(options(server.endpoint), StoreError)
        assert "does not answer as S3 should" in text or text.startswith("wrong endpoint or bucket")


# --- TLS


@pytest.fixture
def tls_server(certificate: tuple[Path, Path]) -> Iterator[ScriptedServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with ScriptedServer(EMPTY, EMPTY, tls=context) as server:
        yield server


def test_tls_with_a_bundle(tls_server: ScriptedServer, certificate: tuple[Path, Path]) -> None:
    store = open_store(options(tls_server.endpoint, ca_bundle=str(certificate[0])))
    check_access(store)
    check_access(store)
    assert tls_server.connections == 1


def test_tls_without_verification(tls_server: ScriptedServer) -> None:
    check_access(open_store(options(tls_server.endpoint, verify=False)))


@pytest.mark.usefixtures("impatient")
def test_tls_that_is_not_trusted(tls_server: ScriptedServer) -> None:
    text = complaint(options(tls_server.endpoint), ConnectionFailed)
    assert "certificate is not trusted" in text


@pytest.mark.usefixtures("impatient")
def test_tls_to_a_server_that_speaks_plain_http() -> None:
    class Plain(ScriptedServer):
        def _one(self, connection: Connection) -> bool:
            connection.sock.recv(1000)
            connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False

    with Plain() as server:
        text = complaint(options(server.endpoint.replace("http:", "https:")), ConnectionFailed)
        assert "TLS" in text


def test_large_bodies_over_tls(
    versitygw_tls_server: servers.Server,
    new_bucket: Callable[..., S3Options],
    certificate: tuple[Path, Path],
) -> None:
    store = open_store(new_bucket(versitygw_tls_server, ca_bundle=str(certificate[0])))
    content = os.urandom(9_000_001)
    etag = store.put("key", content, Headers()).etag
    body, told = bytearray(len(content)), list[int]()
    for offset in (0, 1, 16_384, 4_000_000):
        view = memoryview(body)[offset:]
        store.get("key", view, offset=offset, etag=etag, arrived=told.append)
        assert view == content[offset:]
        assert told[-1] == len(view)
    store.get("key", memoryview(body), whole=True)
    assert body == content


# --- proxies


def test_a_plain_proxy() -> None:
    with ScriptedServer(EMPTY) as proxy:
        wanted = options(
            "http://s3.example.invalid:9000", proxy=f"http://u:p%40@127.0.0.1:{proxy.port}"
        )
        check_access(open_store(wanted))
        (seen,) = proxy.seen
        assert seen.target.startswith("http://bucket.s3.example.invalid:9000/?")
        assert seen.headers["host"] == "bucket.s3.example.invalid:9000"
        assert seen.headers["proxy-authorization"] == "Basic dTpwQA=="


def test_a_tunnel_through_a_proxy(certificate: tuple[Path, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def tunnel(connection: Connection, seen: Seen) -> bool:
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        connection.sock = context.wrap_socket(connection.sock, server_side=True)
        return True

    with ScriptedServer(tunnel, EMPTY) as proxy:
        wanted = options(
            "https://s3.example.invalid", proxy=f"http://127.0.0.1:{proxy.port}", verify=False
        )
        check_access(open_store(wanted))
        first, second = proxy.seen
        assert (first.method, first.target) == ("CONNECT", "bucket.s3.example.invalid:443")
        assert second.target.startswith("/?")
        assert "proxy-authorization" not in second.headers


@pytest.mark.usefixtures("impatient")
def test_a_proxy_that_refuses() -> None:
    with ScriptedServer(reply(407)) as proxy:
        wanted = options("https://s3.example.invalid", proxy=f"http://127.0.0.1:{proxy.port}")
        assert "407" in complaint(wanted, ConnectionFailed)


def test_the_environments_proxy_is_not_for_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with ScriptedServer(EMPTY) as server:
        check_access(open_store(options(server.endpoint)))


def test_the_environments_proxy_and_its_exceptions(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(EMPTY) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        check_access(open_store(options("http://s3.example.invalid")))
        assert len(proxy.seen) == 1
        monkeypatch.setattr(factory, "_PROOF_BUDGET", 0.0)
        monkeypatch.setenv("no_proxy", "example.invalid")
        complaint(options("http://s3.example.invalid"), ConnectionFailed)
        assert len(proxy.seen) == 1


@pytest.mark.parametrize("proxy", ["socks5://h:1", "http://", "http://h:port"])
def test_what_is_no_proxy(proxy: str) -> None:
    with pytest.raises(ConfigError):
        check_access(open_store(options("http://127.0.0.1:1", proxy=proxy)))
