"""Posts judged: what SNS sent is applied once, and nothing else ever is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.notify import signing
from tests.unit.notify.doubles import OTHER_TOPIC, TOPIC, FakeClients, ServiceError
from tests.unit.notify.signing import posted, signed, stamp
from yas3fs.errors import ConfigError
from yas3fs.events import MalformedMessage
from yas3fs.notify.aws import NotifyFailed
from yas3fs.notify.envelope import Delivery
from yas3fs.notify.http import HttpOptions, HttpTransport
from yas3fs.notify.signatures import Certificates
from yas3fs.notify.transport import ApplyFailed
from yas3fs.runtime.clock import ManualClock


class Post:
    """A transport without a port, and what came through it."""

    def __init__(self) -> None:
        self.clock = ManualClock(signing.NOW)
        self.clients = FakeClients()
        self.asked: list[str] = []
        self.pem: bytes | Exception = signing.certificate()
        self.delivered: list[Delivery] = []
        self.gaps: list[str] = []
        self.failure: Exception | None = None
        certificates = Certificates(self._certificate, per_minute=5, clock=self.clock)
        self.transport = HttpTransport(
            self.clients,
            HttpOptions("node.example.org", 8080, bind="127.0.0.1"),
            certificates,
            clock=self.clock,
        )
        self.transport._deliver = self._deliver
        self.transport._gap = self.gaps.append
        self.transport.add_topic(TOPIC)

    def _certificate(self, url: str) -> bytes:
        self.asked.append(url)
        if isinstance(self.pem, Exception):
            raise self.pem
        return self.pem

    def _deliver(self, delivery: Delivery) -> None:
        if self.failure is not None:
            raise self.failure
        self.delivered.append(delivery)

    def send(self, fields: dict[str, Any], **headers: str) -> int:
        return self.transport.receive(headers, posted(fields))

    def count(self, kind: str) -> int:
        return self.transport.metrics().get(kind, 0)


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.mark.parametrize("version", ["1", "2"])
def test_what_sns_signed_is_delivered(post: Post, version: str) -> None:
    post.clock.advance(2.0)
    assert post.send(signed(version, Message="é\n/a", Subject="s")) == 200
    (delivery,) = post.delivered
    assert (delivery.topic_arn, delivery.text) == (TOPIC, "é\n/a")
    assert delivery.age == pytest.approx(2.0)


def test_the_endpoint_is_subscribed(post: Post) -> None:
    wanted = (TOPIC, "http", "http://node.example.org:8080/sns")
    assert list(post.clients.fake_sns.subscriptions.values()) == [wanted]
    post.transport.close()
    assert post.clients.fake_sns.subscriptions == {}


def test_the_certificate_is_fetched_once(post: Post) -> None:
    for number in range(3):
        assert post.send(signed(MessageId=f"m-{number}")) == 200
    assert post.asked == [signing.URL]


FORGED: dict[str, dict[str, Any]] = {
    "message": {"Message": '["other", "reset"]'},
    "id": {"MessageId": "m-2"},
    "time": {"Timestamp": stamp(1.0)},
    "subject": {"Subject": "added"},
    "signature": {"Signature": "AAAA"},
    "no base64": {"Signature": "%%%"},
    "no signature": {"Signature": None},
    "version": {"SignatureVersion": "3"},
    "other version": {"SignatureVersion": "1"},
    "no version": {"SignatureVersion": None},
    "another type": {"Type": "UnsubscribeConfirmation", "Token": "t", "SubscribeURL": "u"},
    "without token": {"Type": "SubscriptionConfirmation"},
}


@pytest.mark.parametrize("change", FORGED.values(), ids=list(FORGED))
def test_a_forged_post_is_refused(post: Post, change: dict[str, Any]) -> None:
    assert post.send({**signed(), **change}) == 403
    assert post.count("forged") == 1
    assert post.delivered == []


def test_fields_cannot_be_shifted_by_line_breaks(post: Post) -> None:
    """A message that contains what looks like fields is not read as a shorter one."""
    inner = "harmless\nMessageId\nm-9"
    good = signed(Message=inner)
    shifted = {**good, "Message": "harmless", "MessageId": "m-9\nMessageId\nm-1"}
    assert post.send(shifted) == 403
    assert post.send(good) == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com.cn/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0123abcd.pem",
        "https://evil.example/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-0a.pem",
        "https://sns.eu-west-1.amazonaws.com:444/SimpleNotificationService-0123abcd.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem?x",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-../../x.pem",
        "https://sns.eu-west-1.amazonaws.com/other.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem\n",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-0123abcd.pem",
        "file:///etc/passwd",
        "",
        None,
    ],
)
def test_certificates_come_from_nowhere_else(post: Post, url: str | None) -> None:
    assert post.send({**signed(), "SigningCertURL": url}) == 403
    assert post.asked == []
    assert post.count("foreign_certificate") == 1


def test_a_chinese_topic_has_its_own_host() -> None:
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:changes"
    url = "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0123abcd.pem"
    post = Post()
    post.transport.add_topic(topic)
    assert post.send({**signed(TopicArn=topic), "SigningCertURL": url}) == 200


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"no certificate",
        b"x" * 70_000,
        signing.certificate(1024),
        signing.certificate(2048, 1),
    ],
    ids=["empty", "garbage", "long", "weak", "expired"],
)
def test_a_bad_certificate_is_refused(post: Post, pem: bytes) -> None:
    post.pem = pem
    post.clock.advance(1.0)
    assert post.send(signed(bits=1024 if pem == signing.certificate(1024) else 2048)) == 403
    assert post.count("bad_certificate") == 1


def test_a_certificate_that_cannot_be_had_now_makes_sns_try_again(post: Post) -> None:
    post.pem = OSError("no route")
    assert post.send(signed()) == 503
    post.pem = signing.certificate()
    assert post.send(signed()) == 200


def test_made_up_certificate_names_cost_few_requests(post: Post) -> None:
    for number in range(20):
        url = signing.URL.replace("0123abcd", f"{number:08}")
        post.send({**signed(MessageId=f"m-{number}"), "SigningCertURL": url})
    assert len(post.asked) == 5


def test_a_foreign_topic_is_refused_without_a_look_at_its_signature(post: Post) -> None:
    assert post.send(signed(TopicArn=OTHER_TOPIC)) == 403
    assert post.count("foreign") == 1
    assert post.asked == []


@pytest.mark.parametrize("age", [3601.0, -3601.0, 1e9])
def test_an_old_post_is_refused(post: Post, age: float) -> None:
    assert post.send(signed(Timestamp=stamp(age))) == 403
    assert post.count("stale") == 1


def test_a_post_is_applied_once(post: Post) -> None:
    assert [post.send(signed()) for _ in range(3)] == [200, 200, 200]
    assert len(post.delivered) == 1
    assert post.count("duplicates") == 2


def test_raw_delivery_is_refused(post: Post) -> None:
    status = post.transport.receive({"x-amz-sns-rawdelivery": "true"}, b'["x", "ping"]')
    assert status == 403
    assert post.count("raw") == 1


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"{}", b'["x", "ping"]', b"[" * 100_000, b"9" * 10_000]
)
def test_no_envelope_is_malformed(post: Post, body: bytes) -> None:
    assert post.transport.receive({}, body) == 400
    assert post.count("malformed") == 1


def test_a_malformed_message_in_a_good_envelope_is_not_sent_again(post: Post) -> None:
    post.failure = MalformedMessage("not a message")
    assert post.send(signed()) == 200
    assert post.count("malformed") == 1


def test_what_a_mount_could_not_apply_comes_again_and_then_is_a_gap(post: Post) -> None:
    post.failure = ApplyFailed("a mount failed")
    assert [post.send(signed()) for _ in range(2)] == [500, 500]
    assert post.gaps == []
    assert post.send(signed()) == 200
    assert post.gaps == [TOPIC]
    post.failure = None
    assert post.send(signed(MessageId="m-2")) == 200
    assert len(post.delivered) == 1


def test_an_unforeseen_failure_is_answered_and_logged(
    post: Post, caplog: pytest.LogCaptureFixture
) -> None:
    post.failure = RuntimeError("broken")
    assert post.send(signed()) == 500
    assert "judging a post failed" in caplog.text


def confirmation(**other: Any) -> dict[str, Any]:
    return signed(
        Type="SubscriptionConfirmation",
        Token="token-1",
        SubscribeURL="https://evil.example/?Action=ConfirmSubscription",
        **other,
    )


def test_a_subscription_is_confirmed_by_the_api_and_not_by_the_url(post: Post) -> None:
    assert post.send(confirmation()) == 200
    wanted = {"TopicArn": TOPIC, "Token": "token-1", "AuthenticateOnUnsubscribe": "true"}
    assert post.clients.fake_sns.named("confirm_subscription") == [wanted]
    assert post.gaps == [TOPIC]  # what was said before the confirmation is lost
    assert post.asked == [signing.URL]


def test_a_replayed_confirmation_costs_nothing(post: Post) -> None:
    assert [post.send(confirmation()) for _ in range(3)] == [200, 200, 200]
    assert len(post.clients.fake_sns.named("confirm_subscription")) == 1
    assert post.gaps == [TOPIC]


def test_other_subscriptions_are_not_confirmed(post: Post) -> None:
    assert post.send(confirmation(TopicArn=OTHER_TOPIC)) == 403
    assert post.send({**confirmation(), "Token": "token-2"}) == 403
    assert post.clients.fake_sns.named("confirm_subscription") == []


def test_a_failed_confirmation_is_tried_again_by_sns(post: Post) -> None:
    post.clients.fake_sns.failures["confirm_subscription"] = [ServiceError("Throttled")]
    assert post.send(confirmation()) == 503
    assert post.send(confirmation()) == 200


def test_being_unsubscribed_by_someone_is_a_gap_and_mended(post: Post) -> None:
    post.clients.fake_sns.subscriptions.clear()
    gone = signed(Type="UnsubscribeConfirmation", Token="t", SubscribeURL="https://x/")
    assert post.send(gone) == 200
    assert post.gaps == [TOPIC]
    assert len(post.clients.fake_sns.subscriptions) == 1


def test_a_topic_that_is_not_there_is_told() -> None:
    post = Post()
    post.clients.fake_sns.failures["subscribe"] = [ServiceError("NotFound")]
    with pytest.raises(NotifyFailed):
        post.transport.add_topic(OTHER_TOPIC)
    assert post.send(signed(TopicArn=OTHER_TOPIC)) == 403


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(st.sampled_from([*signed(), "Token", "Subject"]), JSON) | st.binary(),
)
def test_whatever_is_posted_only_what_is_signed_is_delivered(
    change: dict[str, Any] | bytes,
) -> None:
    post = SHARED
    before = len(post.delivered)
    body = change if isinstance(change, bytes) else posted({**signed(), **change})
    status = post.transport.receive({}, body)
    assert status in (200, 400, 403, 503)
    if len(post.delivered) != before:
        assert status == 200
        assert isinstance(change, dict)
        known = signed()
        assert all(known[name] == json.loads(body)[name] for name in known if name in change)


SHARED = Post()


@pytest.fixture
def open_post() -> Iterator[Post]:
    made = Post()
    made.transport._options = HttpOptions("localhost", 0, bind="127.0.0.1")
    made.transport.open(made._deliver, made.gaps.append)
    yield made
    made.transport.close()


def test_a_dead_server_is_restarted_on_its_port(open_post: Post) -> None:
    transport = open_post.transport
    server = transport._server
    assert server is not None
    port = server.port
    transport.add_topic(TOPIC)
    open_post.gaps.clear()
    assert server._waker is not None
    server._waker.close()  # as if the accepting thread had died
    assert server._thread is not None
    server._thread.join(10.0)
    transport.renew()
    assert transport._server is not server
    assert transport.url == f"http://localhost:{port}/sns"


def test_a_port_that_is_taken_is_told(open_post: Post) -> None:
    assert open_post.transport._server is not None
    port = open_post.transport._server.port
    other = HttpTransport(
        open_post.clients,
        HttpOptions("localhost", port, bind="127.0.0.1"),
        open_post.transport._certificates,
    )
    with pytest.raises(NotifyFailed, match=f"cannot listen on 127.0.0.1:{port}"):
        other.open(open_post._deliver, open_post.gaps.append)


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    wrong = tmp_path / "cert.pem"
    wrong.write_text("no certificate")
    options = HttpOptions("localhost", 0, bind="127.0.0.1", certificate=str(wrong))
    made = HttpTransport(FakeClients(), options, Certificates(lambda _: b""))
    with pytest.raises(ConfigError, match="cannot use the certificate"):
        made.open(lambda _: None, lambda _: None)
