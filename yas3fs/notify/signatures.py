"""Whether SNS sent a message: signatures of version 1 (SHA-1) and 2 (SHA-256).

As "Verifying the signatures of Amazon SNS messages" has it: the certificate is fetched by HTTPS
from SNS's own host in the topic's region and from nowhere else, whatever the message says, and
trusted because of where it came from. The signature covers the fields of :data:`_SIGNED`, name and
value in a line each. A line break in a field could make two messages look alike, so only the
message itself may have one.
"""

import base64
import binascii
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import Certificate, load_pem_x509_certificate

from yas3fs.errors import Yas3fsError
from yas3fs.notify.aws import Clients, Topic, one_line
from yas3fs.notify.envelope import Envelope
from yas3fs.runtime.clock import Clock, SystemClock

CertificateSource = Callable[[str], bytes]
"""Fetches the PEM at a URL that was found to be proper; raises OSError."""

_PROPER = re.compile(
    r"https://sns\.(?P<region>[a-z0-9-]{1,40})\.amazonaws\.com(?P<china>\.cn)?"
    r"/SimpleNotificationService-[A-Za-z0-9]{1,128}\.pem"
)
_MAX_PEM = 64 * 1024
_LEAST_BITS = 2048
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
    "UnsubscribeConfirmation": (
        *("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "1": hashes.SHA1(),  # noqa: S303 - what SNS signs with unless the topic says otherwise
    "2": hashes.SHA256(),
}


class Refused(Yas3fsError):
    """A message must not be believed; ``kind`` is for counting."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever sends us elsewhere is not obeyed."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def aws_certificates(
    ca_bundle: str = "", proxy: str = "", timeout: float = 5.0
) -> CertificateSource:
    """Fetches by HTTPS from where the URL says; the host's own certificate is verified."""
    context = ssl.create_default_context(cafile=ca_bundle or None)
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=context),
        _NoRedirect(),
    ]
    if proxy:
        handlers.append(urllib.request.ProxyHandler({"https": proxy}))
    opener = urllib.request.build_opener(*handlers)

    def fetch(url: str) -> bytes:
        with opener.open(url, timeout=timeout) as answer:
            return bytes(answer.read(_MAX_PEM + 1))

    return fetch


def endpoint_certificates(clients: Clients, timeout: float = 5.0) -> CertificateSource:
    """Asks the administrator's own endpoint, with credentials as all its requests are.

    For an SNS that is not Amazon's; its messages name Amazon's hosts all the same.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())

    def fetch(url: str) -> bytes:
        match = _PROPER.fullmatch(url)
        if match is None:
            raise OSError(f"not a certificate's URL: {url}")
        there = clients.access.endpoint.rstrip("/") + urlsplit(url).path
        headers = clients.signed_headers("sns", match["region"], there)
        asked = urllib.request.Request(there, headers=headers)  # noqa: S310 - the endpoint
        with opener.open(asked, timeout=timeout) as answer:
            return bytes(answer.read(_MAX_PEM + 1))

    return fetch


class Certificates:
    """The keys behind certificate URLs, cached. Thread-safe.

    At most ``capacity`` are kept, and at most ``per_minute`` fetched: a forger who makes up names
    costs a few requests a minute, not one each.
    """

    def __init__(
        self,
        source: CertificateSource,
        *,
        capacity: int = 32,
        per_minute: int = 60,
        clock: Clock = SystemClock(),
    ) -> None:
        self._source = source
        self._capacity = capacity
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Certificate] = OrderedDict()
        self._fetched: list[float] = []

    def key(self, url: str, topic: Topic) -> RSAPublicKey:
        """The key SNS signs messages of ``topic`` with, if ``url`` is proper. Refused, OSError."""
        match = _PROPER.fullmatch(url)
        china = topic.partition == "aws-cn"
        if match is None or match["region"] != topic.region or bool(match["china"]) != china:
            raise Refused("foreign_certificate", "the certificate's URL is not SNS's own")
        certificate = self._certificate(url)
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise Refused("bad_certificate", "the certificate is not valid now")
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_BITS:
            raise Refused("bad_certificate", "the certificate's key is not what SNS has")
        return key

    def _certificate(self, url: str) -> Certificate:
        with self._lock:
            found = self._known.get(url)
            if found is not None:
                self._known.move_to_end(url)
                return found
            now = self._clock.monotonic()
            self._fetched = [at for at in self._fetched if now - at < 60.0]
            if len(self._fetched) >= self._per_minute:
                raise OSError("too many certificates were asked for within a minute")
            self._fetched.append(now)
            found = self._fetch(url)
            self._known[url] = found
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
            return found

    def _fetch(self, url: str) -> Certificate:
        try:
            pem = self._source(url)
        except urllib.error.HTTPError as error:
            if 400 <= error.code < 500:
                raise Refused("bad_certificate", f"SNS has no such certificate: {url}") from error
            raise
        if len(pem) > _MAX_PEM:
            raise Refused("bad_certificate", "the certificate is too long")
        try:
            return load_pem_x509_certificate(pem)
        except ValueError as error:
            raise Refused("bad_certificate", f"not a certificate: {one_line(error)}") from error


def verify(envelope: Envelope, topic: Topic, certificates: Certificates) -> None:
    """Return if SNS signed ``envelope``. Refused if not; OSError if that cannot be known now."""
    fields = envelope.fields
    algorithm = _HASHES.get(fields.get("SignatureVersion", ""))
    if algorithm is None:
        raise Refused("forged", "no signature of version 1 or 2")
    try:
        signature = base64.b64decode(fields.get("Signature", ""), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("forged", "the signature is not base64") from None
    key = certificates.key(fields.get("SigningCertURL", ""), topic)
    try:
        key.verify(signature, signed_text(envelope), PKCS1v15(), algorithm)
    except InvalidSignature:
        raise Refused("forged", "the signature is wrong") from None


def signed_text(envelope: Envelope) -> bytes:
    """What the signature covers. Refused when a field could be mistaken for another."""
    lines: list[str] = []
    for name in _SIGNED[envelope.type]:
        value = envelope.fields.get(name)
        if value is None:
            if name == "Subject":
                continue
            raise Refused("forged", f"there is no {name}")
        if name != "Message" and "\n" in value:
            raise Refused("forged", f"{name} has a line break")
        lines += [name, value]
    try:
        return ("\n".join(lines) + "\n").encode()
    except UnicodeEncodeError:
        raise Refused("forged", "not UTF-8") from None
