"""The whole stack on a real server, with faults injected on the wire."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.doubles import faulty_proxy as fp
from tests.doubles.servers import Server
from yas3fs.errors import AccessDenied, Interrupted, NotFound, PreconditionFailed, ServerFailed
from yas3fs.objectstore.factory import open_store
from yas3fs.objectstore.metrics import MeteredStore
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.protocol import Headers
from yas3fs.objectstore.s3 import S3Store
from yas3fs.runtime import interrupts

ATTR = Headers({"attr": '{"st_mtime": 1.5}'})


class Rig:
    """A store behind a proxy, and the same bucket without it."""

    def __init__(self, proxy: fp.FaultyProxy, faulty: S3Options, direct: S3Options) -> None:
        self.proxy = proxy
        self.store: MeteredStore = open_store(faulty)
        self.direct = S3Store(direct)


@contextmanager
def behind_proxy(server: Server, new_bucket: Callable[..., S3Options]) -> Iterator[Rig]:
    with fp.FaultyProxy(server.host, server.port) as proxy:
        direct = new_bucket(server)
        faulty = replace(direct, endpoint=proxy.endpoint, read_timeout=2.0, retry_budget=20.0)
        made = Rig(proxy, faulty, direct)
        yield made
        made.store.close()
        made.direct.close()


@pytest.fixture
def rig(moto_server: Server, new_bucket: Callable[..., S3Options]) -> Iterator[Rig]:
    with behind_proxy(moto_server, new_bucket) as made:
        yield made


@pytest.fixture
def real_rig(versitygw_server: Server, new_bucket: Callable[..., S3Options]) -> Iterator[Rig]:
    """As ``rig``, on a server that keeps checksums."""
    with behind_proxy(versitygw_server, new_bucket) as made:
        yield made


@pytest.mark.parametrize(
    "action",
    [
        fp.status(500, "InternalError"),
        fp.status(503, "SlowDown"),
        fp.status(502),
        fp.status(400, "RequestTimeout"),
        fp.reset_before,
        fp.lose_answer,
        fp.silence,
    ],
    ids=["500", "503", "502", "timeout", "reset", "lost", "silence"],
)
def test_a_conditional_put_survives(rig: Rig, action: fp.Action) -> None:
    rig.proxy.add(fp.Rule(action, method="PUT"))
    written = rig.store.put("key", b"mine", ATTR, if_none_match=True)
    info = rig.direct.head("key")
    assert info.etag == written.etag
    assert info.headers.metadata == ATTR.metadata


def test_a_creation_that_really_lost_is_refused(rig: Rig) -> None:
    rig.direct.put("key", b"them", Headers({"attr": "theirs"}))
    rig.proxy.add(fp.Rule(fp.reset_before, method="PUT"))
    with pytest.raises(PreconditionFailed):
        rig.store.put("key", b"mine", ATTR, if_none_match=True)
    assert rig.direct.head("key").headers.metadata == {"attr": "theirs"}


def test_a_completion_whose_answer_was_lost(rig: Rig) -> None:
    upload = rig.store.create_multipart("big", ATTR)
    part = rig.store.upload_part("big", upload, 1, b"part")
    # This server forgets uploads with status 500, which S3 calls NoSuchUpload.
    rig.proxy.add(fp.Rule(fp.lose_answer, method="POST", path="uploadId"))
    rig.proxy.add(fp.Rule(fp.status(404, "NoSuchUpload"), method="POST", path="uploadId", times=9))
    written = rig.store.complete_multipart("big", upload, [part], if_none_match=True)
    assert written.etag == rig.direct.head("big").etag


@pytest.mark.parametrize("reset", [False, True])
def test_a_body_that_breaks_is_resumed(rig: Rig, reset: bool) -> None:
    content = bytes(range(256)) * 4000
    etag = rig.direct.put("key", content, ATTR).etag
    rig.proxy.add(fp.Rule(fp.cut_body(500_000, reset=reset), method="GET"))
    body, told = bytearray(len(content)), list[int]()
    rig.store.get("key", memoryview(body), etag=etag, arrived=told.append)
    assert body == content
    assert told == sorted(told)
    assert told[-1] == len(content)


def test_a_version_that_changed_during_the_repetition_is_noticed(rig: Rig) -> None:
    etag = rig.direct.put("key", b"a" * 500_000, ATTR).etag

    def replace(exchange: fp.Exchange) -> bool:
        fp.cut_body(300_000)(exchange)
        rig.direct.put("key", b"b" * 500_000, ATTR)
        return False

    rig.proxy.add(fp.Rule(replace, method="GET"))
    with pytest.raises(PreconditionFailed):
        rig.store.get("key", memoryview(bytearray(500_000)), etag=etag)


@pytest.mark.parametrize("checksum", ["crc64nvme", "crc32c"])
def test_a_corrupt_body_is_fetched_again(
    versitygw_server: Server, new_bucket: Callable[..., S3Options], checksum: str
) -> None:
    def make(server: Server) -> S3Options:
        return new_bucket(server, checksum=checksum)

    with behind_proxy(versitygw_server, make) as rig:
        rig.direct.put("key", b"x" * 1000, ATTR)
        rig.proxy.add(fp.Rule(fp.corrupt_body(500), method="GET"))
        body = bytearray(1000)
        rig.store.get("key", memoryview(body), whole=True)
        assert body == b"x" * 1000
        assert [method for method, _ in rig.proxy.requests] == ["GET", "GET"]


def test_a_body_that_was_corrupted_on_its_way_up_is_refused(real_rig: Rig) -> None:
    def corrupt(exchange: fp.Exchange) -> bool:
        exchange.body = b"y" + exchange.body[1:]
        exchange.client.sendall(exchange.forward())
        return True

    real_rig.proxy.add(fp.Rule(corrupt, method="PUT"))
    real_rig.store.put("key", b"x" * 1000, ATTR)
    body = bytearray(1000)
    real_rig.direct.get("key", memoryview(body))
    assert body == b"x" * 1000
    assert [method for method, _ in real_rig.proxy.requests] == ["PUT", "PUT"]


def test_a_slow_answer_is_waited_for(rig: Rig) -> None:
    rig.direct.put("key", b"x" * 1000, ATTR)
    gate = threading.Event()
    rig.proxy.add(fp.Rule(fp.hold(gate, body_bytes=10), method="GET"))
    body = bytearray(1000)
    timer = threading.Timer(interrupts.SLICE * 2, gate.set)
    timer.start()
    rig.store.get("key", memoryview(body))
    timer.join()
    assert body == b"x" * 1000
    assert len(rig.proxy.requests) == 1


def test_silence_is_interrupted(rig: Rig) -> None:
    rig.proxy.add(fp.Rule(fp.silence))
    with interrupts.serve(lambda: bool(rig.proxy.requests)), pytest.raises(Interrupted):
        rig.store.head("key")
    with pytest.raises(NotFound):
        rig.store.head("key")


def test_what_cannot_be_cured_is_not_repeated(rig: Rig) -> None:
    rig.proxy.add(fp.Rule(fp.status(403, "AccessDenied"), times=9))
    with pytest.raises(AccessDenied):
        rig.store.put("key", b"", ATTR)
    assert len(rig.proxy.requests) == 1


def test_a_store_that_stays_broken_is_given_up(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.proxy.add(fp.Rule(fp.status(500, "InternalError"), times=10_000))
    impatient = open_store(
        S3Options("bucket", rig.proxy.endpoint, "r", key_id="k", secret="s", retry_budget=0.5)
    )
    with pytest.raises(ServerFailed):
        impatient.head("key")
    assert "failed for good" in caplog.text
    assert impatient.snapshot()["head"].errors["ServerFailed"] == 1


def test_rules_count_their_own_matches(rig: Rig) -> None:
    rig.proxy.add(fp.Rule(fp.status(412, "PreconditionFailed"), method="PUT", path="/b$", nth=2))
    rig.store.put("a", b"", ATTR)
    rig.store.put("b", b"", ATTR)
    rig.store.put("a", b"", ATTR)
    with pytest.raises(PreconditionFailed):
        rig.store.put("b", b"", ATTR)
    rig.store.put("b", b"", ATTR)
