"""What a message's text says, whether a node sent it or S3. Pure.

S3 Event Notifications have S3's "event message structure"; keys are URL-encoded in it, a blank as
``+``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

from yas3fs.events import (
    MAX_ID,
    Event,
    MalformedMessage,
    ObjectChanged,
    load,
    read_array,
    read_etag,
)

_MAX_KEY = 1024
"""Bytes of S3's longest key."""
_MAX_RECORDS = 1000


@dataclass(frozen=True, slots=True)
class Message:
    """What one text says. ``sender`` is empty when it comes from S3."""

    sender: str
    events: tuple[Event, ...]


def read_message(text: str) -> Message:
    """A node's message or S3's records, whichever ``text`` is. MalformedMessage.

    S3's test event, and records of kinds that change nothing here, give a message without events.
    """
    value = load(text)
    if isinstance(value, list):
        sender, event = read_array(value)
        return Message(sender, (event,))
    if isinstance(value, dict):
        return Message("", read_records(value))
    raise MalformedMessage("neither a JSON array nor an object")


_CHANGES: Mapping[str, Literal["created", "removed", "altered"]] = {
    "ObjectCreated": "created",
    "ObjectRemoved": "removed",
    "LifecycleExpiration": "removed",
    "ReducedRedundancyLostObject": "removed",
    "LifecycleTransition": "altered",
    "IntelligentTiering": "altered",
    "ObjectRestore": "altered",
    "ObjectTagging": "altered",
    "ObjectAcl": "altered",
}


def read_records(document: Mapping[str, Any]) -> tuple[Event, ...]:
    """The events in a notification of S3; none for its test event. MalformedMessage."""
    if document.get("Event") == "s3:TestEvent":
        return ()
    records = document.get("Records")
    if not isinstance(records, list) or not 0 < len(records) <= _MAX_RECORDS:
        raise MalformedMessage("an object without records of S3")
    found = [_read_record(record) for record in records]
    return tuple(event for event in found if event is not None)


def _read_record(record: object) -> ObjectChanged | None:
    if not isinstance(record, dict) or record.get("eventSource") != "aws:s3":
        raise MalformedMessage("a record that is not of S3")
    name = record.get("eventName")
    inner = record.get("s3")
    bucket = inner.get("bucket") if isinstance(inner, dict) else None
    thing = inner.get("object") if isinstance(inner, dict) else None
    if not isinstance(name, str) or not isinstance(bucket, dict) or not isinstance(thing, dict):
        raise MalformedMessage("a record without event, bucket or object")
    bucket_name, key = bucket.get("name"), thing.get("key")
    if not isinstance(bucket_name, str) or not 0 < len(bucket_name) <= 255:
        raise MalformedMessage("a record without a bucket's name")
    change = _CHANGES.get(name.removeprefix("s3:").partition(":")[0])
    if change is None:
        return None
    size, sequencer = thing.get("size"), thing.get("sequencer")
    if size is not None and (type(size) is not int or not 0 <= size < 2**63):
        raise MalformedMessage("an object of no possible size")
    if sequencer is not None and not (isinstance(sequencer, str) and len(sequencer) <= MAX_ID):
        raise MalformedMessage("a sequencer of no possible form")
    return ObjectChanged(
        bucket_name, _key(key), change, read_etag(thing.get("eTag")), size, sequencer or ""
    )


def _key(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 3 * _MAX_KEY:
        raise MalformedMessage("an object without a key of sensible length")
    try:
        key = unquote_plus(value, errors="strict")
        length = len(key.encode())
    except UnicodeError:
        raise MalformedMessage("a key that is not UTF-8") from None
    if length > _MAX_KEY:
        raise MalformedMessage("the key is too long")
    return key
