"""The envelope SNS puts around a message, and what else may lie in a queue. Pure.

The fields are those of "Amazon SNS message and JSON formats"; a topic's message arrives as
``Notification``, the other types only over HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from yas3fs.events import MalformedMessage, load

_MAX_FIELD = 2048
"""Characters of any field but the message itself; a token has a few hundred."""
TYPES = ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message of SNS. ``sent`` is when SNS took it, in seconds since the epoch by its clock."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    sent: float
    fields: Mapping[str, str]
    """All fields that are text, as they came: signatures are made over these."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for the mounts.

    ``topic_arn`` is empty when it did not come through a topic that names itself (raw delivery, or
    S3 writing to the queue). ``age`` is how many seconds ago SNS took it, as far as that is known.
    """

    topic_arn: str
    text: str
    age: float = 0.0


def read_envelope(document: object) -> Envelope:
    """``document`` as an envelope. MalformedMessage."""
    if not isinstance(document, dict):
        raise MalformedMessage("not an envelope of SNS")
    message = _text(document, "Message", None)
    kind = _text(document, "Type")
    if kind not in TYPES:
        raise MalformedMessage("an envelope of no known type")
    fields = {
        name: value
        for name, value in document.items()
        if isinstance(value, str) and (name == "Message" or len(value) <= _MAX_FIELD)
    }
    return Envelope(
        kind,
        _text(document, "MessageId"),
        _text(document, "TopicArn"),
        message,
        _seconds(_text(document, "Timestamp")),
        fields,
    )


def open_body(body: str, now: float) -> Delivery:
    """What a queue's message says: enveloped, raw, or S3's own. ``now`` is SQS's clock.

    MalformedMessage when it is none of these.
    """
    value = load(body)
    if isinstance(value, dict) and "TopicArn" in value:
        envelope = read_envelope(value)
        if envelope.type != "Notification":
            raise MalformedMessage("an envelope that is no notification")
        return Delivery(envelope.topic_arn, envelope.message, max(0.0, now - envelope.sent))
    return Delivery("", body)


def _text(document: dict[Any, Any], name: str, most: int | None = _MAX_FIELD) -> str:
    value = document.get(name)
    if not isinstance(value, str) or (most is not None and not 0 < len(value) <= most):
        raise MalformedMessage(f"an envelope without {name}")
    return value


def _seconds(timestamp: str) -> float:
    try:
        moment = datetime.fromisoformat(timestamp)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise MalformedMessage("an envelope whose Timestamp is no time") from None
