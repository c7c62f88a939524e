"""Between :class:`Headers` and :class:`ObjectInfo` and what HTTP carries."""

import base64
import functools
import hashlib
import re

from yas3fs.errors import ConfigError, InvalidRequest
from yas3fs.objectstore.documents import SYNTHETIC, parse_time, version_of
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.protocol import Headers, ObjectInfo

SYSTEM = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    "x-amz-website-redirect-location",
)
"""What S3 keeps besides the content type and the user metadata."""

_META = "x-amz-meta-"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)\Z")


def stored(headers: Headers) -> dict[str, str]:
    """The request headers that store ``headers``; InvalidRequest for a name HTTP cannot carry."""
    request = dict(headers.system)
    if headers.content_type:
        request["content-type"] = headers.content_type
    for name, value in headers.metadata.items():
        if not _TOKEN.match(name):
            raise InvalidRequest(f"{name[:80]!r} cannot be the name of user metadata")
        request[_META + name] = value
    return request


def info_of(key: str, size: int, response: dict[str, str]) -> ObjectInfo:
    """What the headers of an answer to HEAD or GET tell of the object."""
    metadata = {
        name.removeprefix(_META): value
        for name, value in response.items()
        if name.startswith(_META)
    }
    system = {name: response[name] for name in SYSTEM if name in response}
    modified = parse_time(response.get("last-modified", ""))
    return ObjectInfo(
        key=key,
        size=size,
        etag=version_of(response.get("etag", ""), size, modified),
        last_modified=modified,
        headers=Headers(metadata, response.get("content-type", ""), system),
        storage_class=response.get("x-amz-storage-class", ""),
        answered=_date(response.get("date", "")),
    )


_date = functools.lru_cache(maxsize=16)(parse_time)
"""All answers of one second have the same date."""


def is_md5(etag: str, response: dict[str, str]) -> bool:
    """Whether the ETag of a version that was just stored is the MD5 of its body.

    S3, "Checking object integrity": not with keys of KMS or of the customer, nor of parts.
    """
    of_customer = "x-amz-server-side-encryption-customer-algorithm" in response
    of_kms = response.get("x-amz-server-side-encryption", "").startswith("aws:")
    return bool(_MD5.match(etag)) and not of_customer and not of_kms


def parse_content_range(text: str) -> tuple[int, int, int] | None:
    """First and last byte and the object's size (-1 when not told), or None."""
    match = _CONTENT_RANGE.match(text.strip())
    if not match:
        return None
    total = -1 if match[3] == "*" else int(match[3])
    return int(match[1]), int(match[2]), total


def condition(name: str, etag: str) -> dict[str, str]:
    """The header ``name`` with ``etag`` in quotes, unless the version is a made-up one."""
    return {name: f'"{etag}"'} if etag and not etag.startswith(SYNTHETIC) else {}


class Fixed:
    """The headers that the options put on requests, made once."""

    def __init__(self, options: S3Options) -> None:
        customer = _customer_key(options)
        payer = {"x-amz-request-payer": "requester"} if options.requester_pays else {}
        self.read = {**payer, **customer}
        """For HEAD, GET, UploadPart."""
        self.plain = payer
        """For what touches no body: lists, deletes, aborts, completes."""
        self.create = {**payer, **customer, **_creation(options)}
        """For PUT, copies and CreateMultipartUpload."""
        copy_source = {
            name.replace("x-amz-server-side", "x-amz-copy-source-server-side"): value
            for name, value in customer.items()
        }
        self.copy = {**self.create, **copy_source}
        self.copy_part = {**self.read, **copy_source}


def _customer_key(options: S3Options) -> dict[str, str]:
    key = options.sse_customer_key
    if not key:
        return {}
    if len(key) != 32:
        raise ConfigError(f"the customer key (SSE-C) must have 32 bytes, not {len(key)}")
    prefix = "x-amz-server-side-encryption-customer"
    digest = hashlib.md5(key, usedforsecurity=False).digest()
    return {
        f"{prefix}-algorithm": "AES256",
        f"{prefix}-key": base64.b64encode(key).decode("ascii"),
        f"{prefix}-key-md5": base64.b64encode(digest).decode("ascii"),
    }


def _creation(options: S3Options) -> dict[str, str]:
    wanted = {
        "x-amz-server-side-encryption": options.sse,
        "x-amz-server-side-encryption-aws-kms-key-id": options.sse_kms_key_id,
        "x-amz-storage-class": options.storage_class,
        "x-amz-acl": options.acl,
    }
    return {name: value for name, value in wanted.items() if value}
