"""Hears by HTTP: SNS posts to this machine, which has to be reachable from it.

Who can reach the port can post anything. A post is believed when it names a topic that is
subscribed to, is not older than :data:`WINDOW`, and SNS's signature is on it; it is applied once.
Subscriptions are confirmed through the API with the token; the URL in the message is never
opened, as it could lead anywhere.

What a mount fails to apply is answered with 500, so that SNS posts it again, and after
:data:`ATTEMPTS` times the mount is told that it missed something.
"""

import logging
import ssl
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from yas3fs.errors import ConfigError, Yas3fsError
from yas3fs.events import MalformedMessage, load
from yas3fs.notify.aws import Clients, NotifyFailed, one_line, parse_topic
from yas3fs.notify.counters import Counters
from yas3fs.notify.envelope import Delivery, Envelope, read_envelope
from yas3fs.notify.server import PATH, SnsServer
from yas3fs.notify.signatures import Certificates, Refused, verify
from yas3fs.notify.subscriptions import Subscriptions, take_leave
from yas3fs.notify.transport import ApplyFailed, Deliver, Gap
from yas3fs.runtime.clock import Clock, SystemClock

log = logging.getLogger(__name__)

WINDOW = 3600.0
"""Seconds; SNS gives up posting a message long before."""
ATTEMPTS = 3
_REMEMBERED = 65_536
"""Messages that are known to have been applied; about 10 MB."""
_FAILING = 1024


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """``hostname`` and ``port`` are what SNS posts to, ``bind`` is the address to listen on.

    Empty ``bind``: all addresses. ``certificate`` and ``key``: PEM files for TLS; SNS wants a
    certificate of a public authority. ``seconds``: see :class:`yas3fs.notify.server.SnsServer`.
    """

    hostname: str
    port: int
    bind: str = ""
    certificate: str = ""
    key: str = ""
    max_connections: int = 64
    seconds: float = 10.0


class HttpTransport:
    """See :class:`yas3fs.notify.transport.Transport`."""

    def __init__(
        self,
        clients: Clients,
        options: HttpOptions,
        certificates: Certificates,
        *,
        clock: Clock = SystemClock(),
    ) -> None:
        self._options = options
        self._certificates = certificates
        self._clock = clock
        self._counters = Counters(log)
        self._scheme = "https" if options.certificate else "http"
        self._subscriptions = Subscriptions(clients.sns, self._scheme)
        self._lock = threading.RLock()
        """Held while topics come and go; never while messages are applied."""
        self._topics: set[str] = set()
        self._server: SnsServer | None = None
        self._applying = threading.Lock()
        self._remembering = threading.Lock()
        self._applied: OrderedDict[str, None] = OrderedDict()
        self._failing: OrderedDict[str, int] = OrderedDict()
        self._deliver: Deliver = _ignore
        self._gap: Gap = _ignore

    def open(self, deliver: Deliver, gap: Gap) -> None:
        self._deliver, self._gap = deliver, gap
        with self._lock:
            self._server = self._serve(self._options.port)

    def add_topic(self, topic_arn: str) -> None:
        with self._lock:
            known = topic_arn in self._topics
            self._topics.add(topic_arn)  # before it is subscribed: the confirmation comes at once
            try:
                self._subscriptions.subscribe(topic_arn, self.url)
            except BaseException:
                if not known:
                    self._topics.discard(topic_arn)
                raise

    def drop_topic(self, topic_arn: str) -> None:
        with self._lock:
            self._topics.discard(topic_arn)
            self._subscriptions.unsubscribe(topic_arn)

    def renew(self) -> None:
        with self._lock:
            if self._server is not None and not self._server.is_alive():
                self._counters.warn("server_restarts", "the listener of %s is restarted", self.url)
                port = self._server.port or self._options.port
                self._server.close()
                self._server = self._serve(port)
            url = self.url
            lost = [one for one in self._topics if self._subscriptions.subscribe(one, url)]
        for topic_arn in lost:
            self._gap(topic_arn)

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()
        take_leave(self._unsubscribe)

    def _unsubscribe(self) -> None:
        with self._lock:
            self._topics.clear()
            for topic_arn in self._subscriptions.topics():
                self._subscriptions.unsubscribe(topic_arn)

    @property
    def endpoint(self) -> str:
        return self.url

    def metrics(self) -> dict[str, int]:
        return self._counters.snapshot()

    @property
    def url(self) -> str:
        """Where SNS posts to."""
        server = self._server
        port = server.port if server is not None else self._options.port
        host = self._options.hostname
        return f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{port}{PATH}"

    def _serve(self, port: int) -> SnsServer:
        options = self._options
        tls = None
        if options.certificate:
            try:
                tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                tls.load_cert_chain(options.certificate, options.key or None)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(
                    f"cannot use the certificate {options.certificate!r}: {one_line(error)}"
                ) from error
        server = SnsServer(
            (options.bind, port),
            self.receive,
            self._counters,
            tls=tls,
            max_connections=options.max_connections,
            seconds=options.seconds,
        )
        try:
            server.open()
        except OSError as error:
            where = f"{options.bind or '*'}:{port}"
            raise NotifyFailed(f"cannot listen on {where}: {error.strerror or error}") from error
        return server

    # -- posts ---------------------------------------------------------------------------

    def receive(self, headers: Mapping[str, str], body: bytes) -> int:
        """Judge and apply one post; returns the HTTP status. Raises nothing."""
        try:
            return self._judge(headers, body)
        except MalformedMessage as error:
            self._counters.warn("malformed", "a malformed post was dropped: %s", error)
            return HTTPStatus.BAD_REQUEST
        except Refused as error:
            self._counters.warn(error.kind, "a post was refused (%s): %s", error.kind, error)
            return HTTPStatus.FORBIDDEN
        except (OSError, Yas3fsError) as error:
            self._counters.warn("failed_posts", "a post could not be judged: %s", one_line(error))
            return HTTPStatus.SERVICE_UNAVAILABLE
        except Exception:
            self._counters.count("failed_posts")
            log.exception("judging a post failed")
            return HTTPStatus.INTERNAL_SERVER_ERROR

    def _judge(self, headers: Mapping[str, str], body: bytes) -> int:
        if headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
            raise Refused("raw", "raw delivery has no signature: turn it off")
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise MalformedMessage("not UTF-8") from None
        envelope = read_envelope(load(text))
        if envelope.topic_arn not in self._topics:
            raise Refused("foreign", "not of a topic that is subscribed to")
        age = self._clock.time() - envelope.sent
        if abs(age) > WINDOW:
            raise Refused("stale", f"SNS took it {age:.0f} seconds ago")
        if envelope.message_id in self._applied:
            return self._duplicate()
        verify(envelope, parse_topic(envelope.topic_arn), self._certificates)
        if envelope.type == "SubscriptionConfirmation":
            self._subscriptions.confirm(envelope.topic_arn, envelope.fields["Token"])
            self._counters.count("confirmed")
            self._remember(envelope.message_id)
            self._gap(envelope.topic_arn)  # only from here on is everything heard
            return HTTPStatus.OK
        if envelope.type == "UnsubscribeConfirmation":
            self._resubscribe(envelope.topic_arn)
            self._remember(envelope.message_id)
            return HTTPStatus.OK
        return self._apply(envelope, max(0.0, age))

    def _apply(self, envelope: Envelope, age: float) -> int:
        with self._applying:
            if envelope.message_id in self._applied:
                return self._duplicate()
            try:
                self._deliver(Delivery(envelope.topic_arn, envelope.message, age))
            except MalformedMessage as error:
                self._counters.warn("malformed", "a malformed message was dropped: %s", error)
            except ApplyFailed:
                self._counters.count("not_applied")
                if self._fails_again(envelope.message_id):
                    return HTTPStatus.INTERNAL_SERVER_ERROR
                self._counters.count("abandoned")
                self._gap(envelope.topic_arn)
            self._remember(envelope.message_id)
        self._counters.count("received")
        return HTTPStatus.OK

    def _remember(self, message_id: str) -> None:
        with self._remembering:
            self._applied[message_id] = None
            if len(self._applied) > _REMEMBERED:
                self._applied.popitem(last=False)

    def _fails_again(self, message_id: str) -> bool:
        """Count a failure; whether SNS may try once more."""
        count = self._failing.pop(message_id, 0) + 1
        if count >= ATTEMPTS:
            return False
        self._failing[message_id] = count
        if len(self._failing) > _FAILING:
            self._failing.popitem(last=False)
        return True

    def _duplicate(self) -> int:
        self._counters.count("duplicates")
        return HTTPStatus.OK

    def _resubscribe(self, topic_arn: str) -> None:
        """Someone unsubscribed us; what was published since is lost."""
        self._counters.warn("unsubscribed", "%s: unsubscribed by someone else", topic_arn)
        with self._lock:
            wanted = topic_arn in self._topics
            if wanted:
                self._subscriptions.subscribe(topic_arn, self.url)
        if wanted:
            self._gap(topic_arn)


def _ignore(_: object) -> None:
    """Before a transport is opened nobody listens."""
