"""An SNS of the tests: signs as the real one does, with a key of its own."""

import base64
import functools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from tests.unit.notify.doubles import TOPIC

URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123abcd.pem"
NOW = 1_700_000_000.0


@functools.cache
def key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def certificate(bits: int = 2048, days: int = 365) -> bytes:
    """Valid from ``NOW`` for ``days``."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    begin = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key(bits).public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .sign(key(bits), hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def signed(version: str = "2", bits: int = 2048, **other: Any) -> dict[str, Any]:
    """A notification, or what ``other`` makes of it, with a good signature."""
    fields: dict[str, Any] = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Message": '["other", "mknod", "/a"]',
        "Timestamp": stamp(0.0),
        **other,
    }
    names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token"]
    names += ["TopicArn", "Type"]
    text = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
    algorithm: hashes.HashAlgorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = key(bits).sign(text.encode("utf-8", "replace"), padding.PKCS1v15(), algorithm)
    return {
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": URL,
        **fields,
    }


def stamp(age: float) -> str:
    """The timestamp of a message that SNS took ``age`` seconds before ``NOW``."""
    moment = datetime.fromtimestamp(NOW - age, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def posted(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()
