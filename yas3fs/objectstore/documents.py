"""The XML that S3 speaks: reading answers, writing request bodies.

Documents with a DTD are refused: S3 sends none, and entities are how XML turns hostile.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element, ParseError, XMLParser
from xml.sax.saxutils import escape

from yas3fs.errors import ServerFailed
from yas3fs.objectstore.protocol import ListedObject, ListPage, Part, Upload

MAX_DOCUMENT = 32 * 1024 * 1024
"""Longest answer read, in bytes: 1,000 keys of 1,024 encoded bytes each are 4 MiB."""
SYNTHETIC = "~"
"""First character of a version made up for an object that the store shows without an ETag."""

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
# What XML 1.0 cannot carry, not even escaped.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def parse(body: bytes) -> Element:
    """The root element; white space before it (S3's keep-alive) is skipped. ServerFailed."""
    text = body.lstrip()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text or b"\x00" in text[:64]:
        raise ServerFailed("the server sent XML with a DTD, or in an encoding that is not UTF-8")
    parser = XMLParser()  # noqa: S314 - no DTD gets here, so there are no entities to expand
    try:
        parser.feed(text)
        return parser.close()
    except ParseError as error:
        raise ServerFailed(f"the server's answer is not XML: {error}") from None


def name_of(element: Element) -> str:
    """The tag without its namespace."""
    return element.tag.rpartition("}")[2]


def values(element: Element) -> dict[str, str]:
    """The text of each child, by its tag without namespace."""
    return {name_of(child): child.text or "" for child in element}


def clean_etag(text: str) -> str:
    """An ETag without quotes and without the mark of a weak one."""
    return text.removeprefix("W/").strip('"')


def version_of(etag: str, size: int, modified: float) -> str:
    """The ETag, or a synthetic version that is never sent as a condition."""
    return clean_etag(etag) or f"{SYNTHETIC}{size}-{int(modified)}"


@lru_cache(4096)  # objects that were written together have one time
def parse_time(text: str) -> float:
    """Seconds since the epoch from an ISO 8601 time or an HTTP date; 0 when unreadable."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def parse_listing(body: bytes) -> ListPage:
    """The answer of ListObjectsV2."""
    root = parse(body)
    if name_of(root) != "ListBucketResult":
        raise ServerFailed(f"the server answered a listing with <{name_of(root)[:60]}>")
    space = root.tag[: -len("ListBucketResult")]
    encoded = root.findtext(f"{space}EncodingType") == "url"
    names = tuple(f"{space}{x}" for x in ("Key", "Size", "ETag", "LastModified", "StorageClass"))
    objects = [_listed(x, names, encoded) for x in root.iterfind(f"{space}Contents")]
    prefixes = [
        _decode(x.findtext(f"{space}Prefix", ""), encoded)
        for x in root.iterfind(f"{space}CommonPrefixes")
    ]
    truncated = root.findtext(f"{space}IsTruncated") == "true"
    token = root.findtext(f"{space}NextContinuationToken") or ""
    if truncated and not token:
        raise ServerFailed("the server's listing says there is more but not where")
    return ListPage(objects, prefixes, token if truncated else "")


def _listed(element: Element, names: tuple[str, ...], encoded: bool) -> ListedObject:
    # One dictionary per object: a page has a thousand of them, and this is what a listing costs.
    told = {child.tag: child.text for child in element}
    key, size, etag, modified, storage = (told.get(name) or "" for name in names)
    length = int(size) if size.isdecimal() else 0
    moment = parse_time(modified)
    version = version_of(etag, length, moment)
    return ListedObject(_decode(key, encoded), length, version, moment, storage)


def _decode(text: str, encoded: bool) -> str:
    if not encoded or ("%" not in text and "+" not in text):
        return text
    # A key that is not UTF-8 must not turn into the name of another.
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def parse_uploads(body: bytes) -> tuple[list[Upload], str, str]:
    """Uploads under way, and the two markers that continue the list (empty at its end)."""
    root = parse(body)
    top = values(root)
    encoded = top.get("EncodingType") == "url"
    uploads = []
    for child in root:
        if name_of(child) == "Upload":
            told = values(child)
            key = _decode(told.get("Key", ""), encoded)
            uploads.append(
                Upload(key, told.get("UploadId", ""), parse_time(told.get("Initiated", "")))
            )
    if top.get("IsTruncated") != "true":
        return uploads, "", ""
    return (
        uploads,
        _decode(top.get("NextKeyMarker", ""), encoded),
        top.get("NextUploadIdMarker", ""),
    )


def parse_delete_errors(body: bytes) -> list[tuple[str, str, str]]:
    """Key, code and message of each object that DeleteObjects could not delete."""
    refused = []
    for child in parse(body):
        if name_of(child) == "Error":
            told = values(child)
            refused.append((told.get("Key", ""), told.get("Code", ""), told.get("Message", "")))
    return refused


def speakable(key: str) -> bool:
    """Whether XML 1.0 can carry the key."""
    return _UNSPEAKABLE.search(key) is None


def _escape(text: str) -> str:
    return escape(text, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


def delete_body(keys: Sequence[str]) -> bytes:
    """The request body of DeleteObjects."""
    objects = "".join(f"<Object><Key>{_escape(key)}</Key></Object>" for key in keys)
    return f'<Delete xmlns="{_NAMESPACE}">{objects}<Quiet>true</Quiet></Delete>'.encode()


def complete_body(parts: Sequence[Part], *, checksums: bool) -> bytes:
    """The request body of CompleteMultipartUpload."""
    lines = []
    for part in parts:
        algorithm, _, value = part.checksum.partition(":")
        sum_of_part = ""
        if checksums and value:
            tag = f"Checksum{algorithm.upper()}"
            sum_of_part = f"<{tag}>{_escape(value)}</{tag}>"
        lines.append(
            f"<Part><PartNumber>{part.number}</PartNumber>"
            f"<ETag>&quot;{_escape(part.etag)}&quot;</ETag>{sum_of_part}</Part>"
        )
    inside = "".join(lines)
    return (
        f'<CompleteMultipartUpload xmlns="{_NAMESPACE}">{inside}</CompleteMultipartUpload>'
    ).encode()
