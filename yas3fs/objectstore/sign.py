"""AWS Signature Version 4: header signing and presigned URLs.

S3's variant: the path is percent-encoded once and never normalised, so ``a//b`` and ``..`` stay
what they are.
"""

import functools
import hashlib
import hmac
import threading
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
MAX_EXPIRES = 7 * 24 * 3600
"""Longest life of a presigned URL, in seconds."""

# Proxies may change these on their way, and the store does not ask for them.
_UNSIGNED_HEADERS = frozenset({"user-agent", "accept-encoding", "connection", "expect"})


class Credentials(NamedTuple):
    """One frozen set of credentials; ``token`` is empty for long-lived ones."""

    key_id: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        return f"Credentials(key_id={self.key_id!r})"


def encode(text: str) -> str:
    """Percent-encode everything but the unreserved characters."""
    return quote(text, safe="-._~")


def encode_path(key: str) -> str:
    """Percent-encode a key, keeping its slashes."""
    return quote(key, safe="/-._~")


def encode_query(pairs: Iterable[tuple[str, str]]) -> str:
    """The canonical query string, which is also what goes on the wire."""
    return "&".join(sorted(f"{encode(name)}={encode(value)}" for name, value in pairs))


@functools.lru_cache(maxsize=8)
def _stamp(now: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


class Signer:
    """Signs for one service; remembers the derived keys of the day. Safe for many threads."""

    def __init__(self, service: str = "s3") -> None:
        self._service = service
        self._lock = threading.Lock()
        self._keys: dict[tuple[str, str, str], hmac.HMAC] = {}

    def sign(
        self,
        credentials: Credentials,
        region: str,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        payload: str,
        now: float,
    ) -> None:
        """Add ``x-amz-date``, ``x-amz-content-sha256`` and ``authorization`` to ``headers``.

        ``headers`` has lower-case names and includes ``host``; ``path`` and ``query`` are
        encoded; ``payload`` is the body's SHA-256 in hex or :data:`UNSIGNED_PAYLOAD`.
        """
        stamp = _stamp(int(now))
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        names, canonical = _canonical_headers(headers)
        request = f"{method}\n{path}\n{query}\n{canonical}\n{names}\n{payload}"
        scope = f"{stamp[:8]}/{region}/{self._service}/aws4_request"
        signature = self._signature(credentials, region, stamp, scope, request)
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )

    def presign(
        self,
        credentials: Credentials,
        region: str,
        host: str,
        path: str,
        pairs: Iterable[tuple[str, str]],
        expires: int,
        now: float,
    ) -> str:
        """The query string of a GET that works for ``expires`` seconds (at most a week)."""
        stamp = _stamp(int(now))
        scope = f"{stamp[:8]}/{region}/{self._service}/aws4_request"
        query = [
            *pairs,
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", f"{credentials.key_id}/{scope}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(max(1, min(expires, MAX_EXPIRES)))),
            ("X-Amz-SignedHeaders", "host"),
        ]
        if credentials.token:
            query.append(("X-Amz-Security-Token", credentials.token))
        text = encode_query(query)
        request = f"GET\n{path}\n{text}\nhost:{host}\n\nhost\n{UNSIGNED_PAYLOAD}"
        signature = self._signature(credentials, region, stamp, scope, request)
        return f"{text}&X-Amz-Signature={signature}"

    def _signature(
        self, credentials: Credentials, region: str, stamp: str, scope: str, request: str
    ) -> str:
        digest = hashlib.sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
        # A copy, because hmac.digest() gives the interpreter's lock away for every signature.
        keyed = self._keyed(credentials.secret, stamp[:8], region).copy()
        keyed.update(text.encode())
        return keyed.hexdigest()

    def _keyed(self, secret: str, day: str, region: str) -> hmac.HMAC:
        index = (secret, day, region)
        keyed = self._keys.get(index)
        if keyed is None:
            key = f"AWS4{secret}".encode()
            for word in (day, region, self._service, "aws4_request"):
                key = hmac.digest(key, word.encode(), "sha256")
            keyed = hmac.new(key, digestmod="sha256")
            with self._lock:
                if len(self._keys) >= 8:  # yesterday's, and those of rotated credentials
                    self._keys.clear()
                self._keys[index] = keyed
        return keyed


def _canonical_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    names = sorted(name for name in headers if name not in _UNSIGNED_HEADERS)
    lines = "".join(f"{name}:{' '.join(headers[name].split())}\n" for name in names)
    return ";".join(names), lines
