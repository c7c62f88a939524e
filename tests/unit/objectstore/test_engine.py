"""The engine against a server that plays a script."""

import hashlib
import threading
import zlib
from base64 import b64encode
from collections.abc import Callable

import pytest

from tests.doubles.scripted_server import (
    Connection,
    ScriptedServer,
    Seen,
    Step,
    hang_up,
    raw,
    refuse,
    reply,
    reset,
    stay_silent,
)
from yas3fs.errors import (
    AccessDenied,
    BadCredentials,
    BodyCorrupted,
    ConnectionFailed,
    Interrupted,
    InvalidRequest,
    NotFound,
    NotSupported,
    PreconditionFailed,
    RangeNotSatisfiable,
    ServerFailed,
    StoreError,
    Throttled,
    TimedOut,
    WrongRegion,
)
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.protocol import Headers, Part
from yas3fs.objectstore.retry import RetryingStore
from yas3fs.objectstore.s3 import S3Store
from yas3fs.runtime import interrupts

NONE = Headers()
HELLO = reply(200, b"hello", etag='"e1"', last_modified="Wed, 21 Oct 2015 07:28:00 GMT")
PUT_DONE = reply(200, etag='"e1"')


def open_engine(server: ScriptedServer, **more: object) -> S3Store:
    wanted: dict[str, object] = {
        "bucket": "bucket",
        "endpoint": server.endpoint,
        "region": "us-east-1",
        "key_id": "AKID",
        "secret": "secret",
        **more,
    }
    return S3Store(S3Options(**wanted))  # type: ignore[arg-type]


def partial(first: int, last: int, total: int | str, body: bytes, etag: str = "e1") -> Step:
    return reply(206, body, etag=f'"{etag}"', content_range=f"bytes {first}-{last}/{total}")


def fetch(store: S3Store | RetryingStore, size: int, offset: int = 0, **more: object) -> bytes:
    body = bytearray(size)
    store.get("key", memoryview(body), offset=offset, **more)  # type: ignore[arg-type]
    return bytes(body)


# --- connections


def test_a_connection_serves_many_requests() -> None:
    with ScriptedServer(HELLO, HELLO, HELLO) as server:
        store = open_engine(server)
        for _ in range(3):
            store.head("key")
        assert [seen.connection for seen in server.seen] == [1, 1, 1]


def test_connection_close_is_honoured() -> None:
    with ScriptedServer(reply(200, etag='"e"', connection="close", close=True), HELLO) as server:
        store = open_engine(server)
        store.head("key")
        store.head("key")
        assert [seen.connection for seen in server.seen] == [1, 2]


def test_a_refusal_does_not_cost_the_connection() -> None:
    with ScriptedServer(refuse(404, "NoSuchKey"), HELLO) as server:
        store = open_engine(server)
        with pytest.raises(NotFound):
            fetch(store, 5)
        store.head("key")
        assert server.connections == 1


def test_an_idle_connection_that_was_closed_is_not_used() -> None:
    with ScriptedServer(reply(200, etag='"e"', close=True), PUT_DONE) as server:
        store = open_engine(server)
        store.head("key")
        assert server.ended.acquire(timeout=30)
        store.put("key", b"x", NONE, if_none_match=True)
        assert [seen.connection for seen in server.seen] == [1, 2]


@pytest.mark.parametrize("end", [hang_up, reset])
def test_a_stale_connection_is_replaced_at_once(end: Step) -> None:
    with ScriptedServer(HELLO, end, HELLO) as server:
        store = open_engine(server)
        store.head("key")
        assert store.head("key").etag == "e1"
        assert [seen.connection for seen in server.seen] == [1, 1, 2]


def test_a_conditional_write_on_a_stale_connection_is_not_repeated_by_the_engine() -> None:
    with ScriptedServer(HELLO, hang_up, PUT_DONE) as server:
        store = open_engine(server)
        store.head("key")
        with pytest.raises(ConnectionFailed):
            store.put("key", b"x", NONE, if_none_match=True)
        assert len(server.seen) == 2


def test_a_fresh_connection_that_fails_is_a_failure() -> None:
    with ScriptedServer(hang_up, HELLO) as server:
        with pytest.raises(ConnectionFailed) as failure:
            open_engine(server).head("key")
        assert "HEAD 'key'" in str(failure.value)
        assert len(server.seen) == 1


def test_after_a_broken_body_the_connection_is_not_reused() -> None:
    short = raw(b'HTTP/1.1 200 OK\r\netag: "e1"\r\ncontent-length: 5\r\n\r\nhel')
    with ScriptedServer(short, HELLO) as server:
        store = open_engine(server)
        with pytest.raises(BodyCorrupted):
            fetch(store, 5, whole=True)
        assert fetch(store, 5, whole=True) == b"hello"
        assert server.connections == 2


def test_nobody_listens() -> None:
    with ScriptedServer() as server:
        store = open_engine(server)
    with pytest.raises(ConnectionFailed) as failure:
        store.head("key")
    assert f"127.0.0.1:{server.port}" in str(failure.value)


def test_a_host_that_has_no_address() -> None:
    store = S3Store(S3Options("bucket", "http://nowhere.invalid:1", "r", key_id="k", secret="s"))
    with pytest.raises(ConnectionFailed) as failure:
        store.head("key")
    assert "nowhere.invalid" in str(failure.value)


# --- time


def test_silence_is_bounded() -> None:
    with ScriptedServer(stay_silent) as server, pytest.raises(TimedOut):
        open_engine(server, read_timeout=0.3).head("key")


def test_silence_in_the_middle_of_a_body_is_bounded() -> None:
    def half(connection: Connection, seen: Seen) -> bool:
        connection.send(b'HTTP/1.1 200 OK\r\netag: "e1"\r\ncontent-length: 5\r\n\r\nhel')
        return stay_silent(connection, seen)

    told: list[int] = []
    with ScriptedServer(half) as server, pytest.raises(TimedOut):
        fetch(open_engine(server, read_timeout=0.3), 5, whole=True, arrived=told.append)


def test_headers_may_come_in_slices() -> None:
    def slowly(connection: Connection, seen: Seen) -> bool:
        answer = b'HTTP/1.1 200 OK\r\netag: "e1"\r\ncontent-length: 5\r\n\r\nhello'
        for at in range(0, len(answer), 20):
            connection.send(answer[at : at + 20])
            connection.server.stopping.wait(interrupts.SLICE * 1.2 if at == 20 else 0.001)
        return True

    with ScriptedServer(slowly, HELLO) as server:
        store = open_engine(server)
        assert fetch(store, 5, whole=True) == b"hello"
        assert fetch(store, 5, whole=True) == b"hello"
        assert server.connections == 1


def interrupted_while(act: Callable[[S3Store], object], *steps: Step) -> int:
    """Interrupt ``act`` as soon as the server has the request; returns the connections made."""
    with ScriptedServer(*steps) as server:
        store = open_engine(server)
        with pytest.raises(Interrupted), interrupts.serve(lambda: bool(server.connections)):
            act(store)
        server.steps = [HELLO]
        store.head("key")
        return server.connections


def test_an_interrupted_read_gives_up_and_closes() -> None:
    assert interrupted_while(lambda store: store.head("key"), stay_silent) == 2


def test_an_interrupted_body_gives_up_and_closes() -> None:
    def half(connection: Connection, seen: Seen) -> bool:
        connection.send(b'HTTP/1.1 200 OK\r\netag: "e1"\r\ncontent-length: 5\r\n\r\nhel')
        return stay_silent(connection, seen)

    assert interrupted_while(lambda store: fetch(store, 5, whole=True), half) == 2


def test_a_steady_trickle_is_interrupted() -> None:
    trickled: list[int] = []

    def trickle(connection: Connection, seen: Seen) -> bool:
        connection.send(b'HTTP/1.1 200 OK\r\netag: "e1"\r\ncontent-length: 100000\r\n\r\n')
        while not connection.server.stopping.wait(0.01):
            connection.send(b"x")
            trickled.append(1)
        return False

    with ScriptedServer(trickle) as server:
        store = open_engine(server)
        with pytest.raises(Interrupted), interrupts.serve(lambda: len(trickled) > 3):
            fetch(store, 100_000, whole=True)


def test_an_interrupted_upload_gives_up() -> None:
    taken = threading.Event()

    class Deaf(ScriptedServer):
        def _one(self, connection: Connection) -> bool:
            connection.sock.recv(1000)
            taken.set()
            self.stopping.wait()
            return False

    with Deaf() as server:
        store = open_engine(server)
        with pytest.raises(Interrupted), interrupts.serve(taken.is_set):
            store.put("key", bytes(64 << 20), NONE)


def test_an_upload_that_nobody_reads_is_bounded() -> None:
    class Deaf(ScriptedServer):
        def _one(self, connection: Connection) -> bool:
            self.stopping.wait()
            return False

    with Deaf() as server, pytest.raises(TimedOut):
        open_engine(server, read_timeout=0.3).put("key", bytes(64 << 20), NONE)


# --- answers


def test_interim_answers_are_skipped() -> None:
    answer = (
        b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\netag: "e1"\r\ncontent-length: 0\r\n\r\n'
    )
    with ScriptedServer(raw(answer)) as server:
        assert open_engine(server).put("key", b"x", NONE).etag == "e1"


def test_chunked_bodies() -> None:
    answer = (
        b'HTTP/1.1 206 OK\r\netag: "e1"\r\ncontent-range: bytes 0-10/11\r\n'
        b"transfer-encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\ntrailer: x\r\n\r\n"
    )
    with ScriptedServer(raw(answer, close=False), HELLO) as server:
        store = open_engine(server)
        assert fetch(store, 11) == b"hello world"
        store.head("key")
        assert server.connections == 1


def test_a_chunked_body_that_ends_early() -> None:
    answer = (
        b'HTTP/1.1 206 OK\r\netag: "e1"\r\ncontent-range: bytes 0-10/11\r\n'
        b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )
    with ScriptedServer(raw(answer)) as server, pytest.raises(BodyCorrupted):
        fetch(open_engine(server), 11)


def test_a_body_that_ends_with_the_connection() -> None:
    answer = b'HTTP/1.0 206 OK\r\netag: "e1"\r\ncontent-range: bytes 0-4/5\r\n\r\nhello'
    with ScriptedServer(raw(answer)) as server:
        assert fetch(open_engine(server), 5) == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: minus\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000,
    ],
    ids=["ssh", "status", "length", "chunk", "endless"],
)
def test_what_is_not_http(answer: bytes) -> None:
    with ScriptedServer(raw(answer)) as server, pytest.raises((ServerFailed, ConnectionFailed)):
        fetch(open_engine(server), 5)


def test_a_server_that_ignores_ranges() -> None:
    body = bytes(range(256)) * 20
    with ScriptedServer(reply(200, body, etag='"e1"')) as server:
        assert fetch(open_engine(server), 100, 3000) == body[3000:3100]
    short = reply(200, b"short", etag='"e1"')
    with ScriptedServer(short) as server, pytest.raises(RangeNotSatisfiable):
        fetch(open_engine(server), 1, 5)


@pytest.mark.parametrize("text", ["bytes 1-5/10", "bytes 0-9/10", "nonsense", ""])
def test_a_range_that_was_not_asked_for(text: str) -> None:
    step = reply(206, b"01234", etag='"e1"', content_range=text)
    with ScriptedServer(step) as server, pytest.raises(ServerFailed):
        fetch(open_engine(server), 5)


def test_an_answer_of_another_version_is_refused() -> None:
    with ScriptedServer(partial(0, 4, 5, b"hello", "e2")) as server:
        store = open_engine(server)
        with pytest.raises(PreconditionFailed):
            fetch(store, 5, etag="e1")
        assert server.seen[0].headers["if-match"] == '"e1"'


def test_an_object_without_etag_has_a_version_that_is_never_sent() -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    plain = reply(206, b"hello", content_range="bytes 0-4/5", last_modified=date)
    other = reply(206, b"hello", content_range="bytes 0-4/6", last_modified=date)
    with ScriptedServer(reply(200, b"hello", last_modified=date), plain, other) as server:
        store = open_engine(server)
        version = store.head("key").etag
        assert version == "~5-1445412480"
        assert fetch(store, 5, etag=version) == b"hello"
        assert "if-match" not in server.seen[1].headers
        with pytest.raises(PreconditionFailed):
            fetch(store, 5, etag=version)


def test_a_put_whose_answer_has_no_etag_is_asked_for() -> None:
    with ScriptedServer(reply(200), HELLO) as server:
        assert open_engine(server).put("key", b"hello", NONE).etag == "e1"
        assert [seen.method for seen in server.seen] == ["PUT", "HEAD"]


def test_a_whole_object_is_verified() -> None:
    good = b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
    bad = b64encode(zlib.crc32(b"jello").to_bytes(4, "big")).decode()
    steps = [reply(200, b"hello", etag='"e"', x_amz_checksum_crc32=x) for x in (good, bad)]
    with ScriptedServer(*steps) as server:
        store = open_engine(server)
        told: list[int] = []
        assert fetch(store, 5, whole=True, arrived=told.append) == b"hello"
        assert told == [5]
        assert server.seen[0].headers["x-amz-checksum-mode"] == "ENABLED"
        assert "range" not in server.seen[0].headers
        with pytest.raises(BodyCorrupted):
            fetch(store, 5, whole=True, arrived=told.append)
        assert told == [5]


@pytest.mark.parametrize("more", [{"x_amz_checksum_type": "COMPOSITE"}, {}])
def test_checksums_of_checksums_are_not_taken_for_the_bodys(more: dict[str, str]) -> None:
    value = "AAAAAA==" if more else "AAAAAA==-2"
    step = reply(200, b"hello", close=False, etag='"e"', x_amz_checksum_crc32c=value, **more)
    with ScriptedServer(step) as server:
        assert fetch(open_engine(server), 5, whole=True) == b"hello"


# --- requests


def test_uploads_carry_a_checksum_and_an_unsigned_payload() -> None:
    with ScriptedServer(PUT_DONE) as server:
        open_engine(server).put("key", b"123456789", NONE)
        headers = server.seen[0].headers
        assert headers["x-amz-checksum-crc64nvme"] == "rosUhgp5mIg="  # the CRC's check value
        assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
        assert server.seen[0].body == b"123456789"


def test_bodies_are_signed_when_asked() -> None:
    with ScriptedServer(PUT_DONE) as server:
        open_engine(server, sign_body=True, checksum="crc32c").put("key", b"123456789", NONE)
        headers = server.seen[0].headers
        assert headers["x-amz-content-sha256"] == hashlib.sha256(b"123456789").hexdigest()
        assert headers["x-amz-checksum-crc32c"] == "4waSgw=="


def test_a_store_without_checksums_gets_none_and_is_remembered() -> None:
    refusals = [refuse(400, "InvalidArgument"), refuse(501, "NotImplemented")]
    with ScriptedServer(*refusals, PUT_DONE, PUT_DONE) as server:
        store = open_engine(server)
        store.put("key", b"x", NONE)
        store.put("key", b"x", NONE)
        sent = [
            [name for name in seen.headers if name.startswith("x-amz-checksum")]
            for seen in server.seen
        ]
        assert sent == [["x-amz-checksum-crc64nvme"], ["x-amz-checksum-crc32c"], [], []]


def test_a_refusal_that_has_nothing_to_do_with_checksums_stays() -> None:
    with ScriptedServer(*[refuse(400, "InvalidArgument", f"no {n}") for n in range(3)]) as server:
        store = open_engine(server)
        with pytest.raises(InvalidRequest, match="no 0"):
            store.put("key", b"x", NONE)
        server.steps = [PUT_DONE, refuse(400, "InvalidArgument")]
        store.put("key", b"x", NONE)
        assert "x-amz-checksum-crc64nvme" in server.seen[3].headers
        with pytest.raises(InvalidRequest):
            store.put("key", b"x", NONE)
        assert len(server.seen) == 5


def test_encryption_class_acl_and_payer_are_sent() -> None:
    options = {
        "sse": "aws:kms",
        "sse_kms_key_id": "key-1",
        "storage_class": "STANDARD_IA",
        "acl": "bucket-owner-full-control",
        "requester_pays": True,
    }
    with ScriptedServer(PUT_DONE, HELLO) as server:
        store = open_engine(server, **options)
        store.put("key", b"x", NONE)
        store.head("key")
        put, head = (seen.headers for seen in server.seen)
        assert put["x-amz-server-side-encryption"] == "aws:kms"
        assert put["x-amz-server-side-encryption-aws-kms-key-id"] == "key-1"
        assert put["x-amz-storage-class"] == "STANDARD_IA"
        assert put["x-amz-acl"] == "bucket-owner-full-control"
        assert put["x-amz-request-payer"] == head["x-amz-request-payer"] == "requester"
        assert "x-amz-server-side-encryption" not in head


def test_a_customer_key_is_sent_with_every_body_and_for_the_source_of_copies() -> None:
    done = reply(200, b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
    with ScriptedServer(HELLO, done) as server:
        store = open_engine(server, sse_customer_key=b"k" * 32)
        store.head("key")
        store.copy("key", "other")
        assert server.seen[0].headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
        copy = server.seen[1].headers
        assert (
            copy["x-amz-copy-source-server-side-encryption-customer-key"]
            == copy["x-amz-server-side-encryption-customer-key"]
            == b64encode(b"k" * 32).decode()
        )


def test_anonymous_requests_are_not_signed() -> None:
    with ScriptedServer(HELLO) as server:
        store = open_engine(server, anonymous=True, key_id="", secret="")
        store.head("key")
        assert "authorization" not in server.seen[0].headers
        assert store.presign("a b", 10) == f"{server.endpoint}/bucket/a%20b"


def test_deletes_carry_an_md5() -> None:
    with ScriptedServer(reply(200, b"<DeleteResult/>")) as server:
        open_engine(server).delete_many(["a<&>\r\n\u00e9"])
        (seen,) = server.seen
        assert seen.target == "/bucket/?delete="
        assert seen.headers["content-md5"] == b64encode(hashlib.md5(seen.body).digest()).decode()
        assert "<Key>a&lt;&amp;&gt;&#13;&#10;\u00e9</Key>".encode() in seen.body


def test_keys_that_xml_cannot_carry_are_deleted_one_by_one() -> None:
    with ScriptedServer(reply(204), reply(200, b"<DeleteResult/>")) as server:
        assert open_engine(server).delete_many(["a\x01", "b"]) == []
        assert [seen.method for seen in server.seen] == ["DELETE", "POST"]
        assert server.seen[0].target == "/bucket/a%01"


def test_objects_that_could_not_be_deleted_are_told() -> None:
    answer = (
        b"<DeleteResult><Error><Key>a</Key><Code>AccessDenied</Code></Error>"
        b"<Error><Key>b</Key><Code>InternalError</Code></Error>"
        b"<Error><Key>c</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
    )
    with ScriptedServer(reply(200, answer)) as server:
        failed = dict(open_engine(server).delete_many(["a", "b", "c", "d"]))
        assert {key: type(error) for key, error in failed.items()} == {
            "a": AccessDenied,
            "b": ServerFailed,
        }


# --- refusals and repairs


def test_a_code_inside_status_200_is_a_failure() -> None:
    broken = reply(200, b"\n \n<?xml version='1.0'?>\n<Error><Code>InternalError</Code></Error>")
    acts: list[Callable[[S3Store], object]] = [
        lambda store: store.copy("a", "b"),
        lambda store: store.copy_part("a", "u", 1, "b", 0, 5),
        lambda store: store.complete_multipart("a", "u", [Part(1, "e")]),
    ]
    for act in acts:
        with ScriptedServer(broken) as server, pytest.raises(ServerFailed):
            act(open_engine(server))


def test_white_space_before_a_late_answer() -> None:
    done = reply(
        200,
        b" \n" * 50 + b"<CompleteMultipartUploadResult><ETag>&quot;e-1&quot;</ETag>"
        b"</CompleteMultipartUploadResult>",
    )
    with ScriptedServer(done) as server:
        assert open_engine(server).complete_multipart("a", "u", [Part(1, "e")]).etag == "e-1"


def test_checksums_of_parts_are_sent_when_the_store_told_them() -> None:
    begun = reply(
        200,
        b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    )
    part = reply(200, etag='"e1"', x_amz_checksum_crc64nvme="abc=")
    done = reply(200, b"<R><ETag>x</ETag></R>")
    with ScriptedServer(begun, part, done) as server:
        store = open_engine(server)
        upload = store.create_multipart("key", NONE)
        store.complete_multipart("key", upload, [store.upload_part("key", upload, 1, b"x")])
        assert server.seen[0].headers["x-amz-checksum-algorithm"] == "CRC64NVME"
        assert b"<ChecksumCRC64NVME>abc=</ChecksumCRC64NVME>" in server.seen[2].body


def test_an_early_refusal_of_a_large_body_is_understood() -> None:
    class Early(ScriptedServer):
        def _one(self, connection: Connection) -> bool:
            connection.sock.recv(1000)
            text = b"<Error><Code>QuotaExceeded</Code></Error>"
            connection.send(
                b"HTTP/1.1 403 No\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s"
                % (len(text), text)
            )
            while connection.sock.recv(1 << 20):
                pass
            return False

    with Early() as server, pytest.raises(StoreError) as failure:
        open_engine(server).put("key", bytes(8 << 20), NONE)
    assert failure.value.code == "QuotaExceeded"


@pytest.mark.parametrize(
    "refusal",
    [
        refuse(301, "PermanentRedirect", x_amz_bucket_region="eu-west-1"),
        refuse(400, "AuthorizationHeaderMalformed", Region="eu-west-1"),
    ],
)
def test_the_region_is_discovered_and_remembered(refusal: Step) -> None:
    with ScriptedServer(refusal, partial(0, 4, 5, b"hello"), HELLO) as server:
        store = open_engine(server)
        assert fetch(store, 5) == b"hello"
        store.head("key")
        scopes = [seen.headers["authorization"].split("/")[2] for seen in server.seen]
        assert scopes == ["us-east-1", "eu-west-1", "eu-west-1"]
        assert store.region == "eu-west-1"


def test_head_learns_the_region_from_a_header() -> None:
    with ScriptedServer(reply(301, x_amz_bucket_region="eu-west-1"), HELLO) as server:
        assert open_engine(server).head("key").etag == "e1"


def test_a_region_that_is_not_told_is_a_failure() -> None:
    with ScriptedServer(refuse(301, "PermanentRedirect")) as server, pytest.raises(WrongRegion):
        fetch(open_engine(server), 5)


def test_regions_that_send_each_other_end_somewhere() -> None:
    steps = [refuse(301, "PermanentRedirect", x_amz_bucket_region=region) for region in "abababab"]
    with ScriptedServer(*steps) as server:
        with pytest.raises(WrongRegion) as failure:
            fetch(open_engine(server), 5)
        assert failure.value.region == "b"
        assert len(server.seen) == 2


def test_head_asks_again_with_a_body_to_learn_the_code() -> None:
    with ScriptedServer(reply(400), refuse(400, "ExpiredToken")) as server:
        with pytest.raises(BadCredentials) as failure:
            open_engine(server).head("key")
        assert failure.value.code == "ExpiredToken"
        assert [seen.method for seen in server.seen] == ["HEAD", "GET"]


def test_a_wrong_clock_is_corrected_once() -> None:
    skewed = refuse(403, "RequestTimeTooSkewed", date="Wed, 21 Oct 2015 07:28:00 GMT")
    with ScriptedServer(skewed, partial(0, 4, 5, b"hello"), skewed, skewed) as server:
        store = open_engine(server)
        assert fetch(store, 5) == b"hello"
        assert server.seen[1].headers["x-amz-date"].startswith("20151021T0728")
        with pytest.raises(BadCredentials):
            fetch(store, 5)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "NoSuchKey", NotFound),
        (416, "InvalidRange", RangeNotSatisfiable),
        (501, "NotImplemented", NotSupported),
        (503, "SlowDown", Throttled),
        (500, "InternalError", ServerFailed),
    ],
)
def test_refusals(status: int, code: str, kind: type[StoreError]) -> None:
    step = refuse(status, code, "why\nnot", x_amz_request_id="ID7", retry_after="7")
    with ScriptedServer(step) as server, pytest.raises(kind) as failure:
        fetch(open_engine(server), 5)
    error = failure.value
    assert (error.code, error.status, error.request_id) == (code, status, "ID7")
    assert str(error) == f"GET 'key': {code}: why not"
    if isinstance(error, Throttled):
        assert error.retry_after == 7.0


def test_a_page_of_a_proxy_is_one_readable_line() -> None:
    page = reply(502, b"<html><h1>Bad\nGateway</h1>\n<p>nginx</p></html>")
    with ScriptedServer(page) as server, pytest.raises(ServerFailed) as failure:
        fetch(open_engine(server), 5)
    assert str(failure.value) == "GET 'key': HTTP status 502: Bad Gateway nginx"


def test_delete_of_what_is_gone() -> None:
    gone = refuse(404, "NoSuchKey")
    with ScriptedServer(gone, gone) as server:
        store = open_engine(server)
        store.delete("key")
        with pytest.raises(PreconditionFailed):
            store.delete("key", if_match="e")


# --- with retries around it


def test_a_body_that_broke_is_resumed_where_it_broke() -> None:
    def broken(connection: Connection, seen: Seen) -> bool:
        head = b'HTTP/1.1 206 OK\r\netag: "e1"\r\ncontent-range: bytes 10-300009/400000\r\n'
        connection.send(head + b"content-length: 300000\r\n\r\n" + b"a" * 200_000)
        return False

    told: list[int] = []
    with ScriptedServer(broken) as server:
        store = RetryingStore(open_engine(server), draw=lambda: 0.0)

        def rest(connection: Connection, seen: Seen) -> bool:
            first, last = map(int, seen.headers["range"].removeprefix("bytes=").split("-"))
            return partial(first, last, 400_000, b"b" * (last - first + 1))(connection, seen)

        server.steps.append(rest)
        body = fetch(store, 300_000, 10, etag="e1", arrived=told.append)
        kept = body.count(b"a")
        assert body == b"a" * kept + b"b" * (300_000 - kept)
        assert kept >= 128 * 1024
        assert server.seen[1].headers["range"] == f"bytes={10 + kept}-300009"
        assert told == sorted(told)
        assert told[-1] == 300_000


def test_throttling_is_sat_out() -> None:
    slow = refuse(503, "SlowDown")
    with ScriptedServer(slow, slow, HELLO) as server:
        store = RetryingStore(open_engine(server), draw=lambda: 0.0)
        assert fetch(store, 5, whole=True) == b"hello"
