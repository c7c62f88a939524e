"""Texts that name a place: the URL of a mount, an endpoint, a proxy."""

import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from yas3fs.errors import ConfigError

URL_FORM = "s3://BUCKET/PATH"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
"""Also what was legal before 2018 (capitals, underscores, 255 characters), as elsewhere."""
MAX_PREFIX_BYTES = 1024 - 2
"""A key has 1,024 bytes at most, and behind the prefix come a slash and a name."""


class Place(NamedTuple):
    """A bucket and the prefix in it, without outer slashes."""

    bucket: str
    prefix: str


def parse_url(text: str, origin: str) -> Place:
    """The bucket and prefix that ``s3://BUCKET/PATH`` names; case is kept.

    Characters such as ``?`` and ``#`` belong to the path: a key may have any.
    """
    rest = re.fullmatch(r"s3://(.*)", text, re.IGNORECASE | re.DOTALL)
    if rest is None:
        raise ConfigError(f"{origin}: {text!r} is not valid: give {URL_FORM}")
    bucket, _, path = rest[1].partition("/")
    if bucket.startswith("arn:"):
        raise ConfigError(
            f"{origin}: {text!r} is not valid: give the alias of the access point in place of its "
            "ARN (it ends with -s3alias)"
        )
    if not _BUCKET.fullmatch(bucket):
        what = f"{bucket!r} cannot be the name of a bucket" if bucket else "no bucket is named"
        raise ConfigError(f"{origin}: {text!r} is not valid: {what}; give {URL_FORM}")
    prefix = path.strip("/")
    if len(prefix.encode("utf-8", "surrogateescape")) > MAX_PREFIX_BYTES:
        raise ConfigError(f"{origin}: the path is longer than {MAX_PREFIX_BYTES} bytes")
    return Place(bucket, prefix)


def parse_endpoint(text: str, origin: str) -> str:
    """``scheme://host[:port]`` of an endpoint; https:// is put in front when it has no scheme."""
    url = text if "://" in text else f"https://{text}"
    parts = _split(url)
    if parts is None or parts.username is not None or parts.path.strip("/") or parts.query:
        raise ConfigError(f"{origin}: {text!r} is not valid: give http(s)://HOST[:PORT]")
    return f"{parts.scheme}://{parts.netloc}"


def parse_proxy(text: str, origin: str) -> str:
    """The URL of a proxy. It may hold a password, so that a refusal does not repeat it."""
    url = text if "://" in text else f"http://{text}"
    parts = _split(url)
    if parts is None or parts.path.strip("/") or parts.query:
        raise ConfigError(f"{origin}: the value is not valid: give http(s)://[USER:PW@]HOST[:PORT]")
    return f"{parts.scheme}://{parts.netloc}"


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
        return None
    if re.search(r"[\s\\]", url):
        return None
    return parts


def parse_address(text: str, origin: str) -> str:
    """``HOST:PORT`` to listen at; a port alone stands for the loopback interface."""
    host, _, port = text.rpartition(":")
    host = host or ("127.0.0.1" if ":" not in text else "")
    if not re.fullmatch(r"\[[0-9A-Fa-f:]+\]|[^\s:/\[\]]+", host) or not (
        re.fullmatch(r"\d{1,5}", port) and 1 <= int(port) <= 65535
    ):
        raise ConfigError(f"{origin}: {text!r} is not valid: give HOST:PORT or PORT")
    return f"{host}:{port}"
