"""Signed exchanges with one bucket, and the repairs that need no second opinion.

A refusal that tells how to do better is acted upon once, inside the same call: another region,
expired credentials, a clock that is wrong. Everything else becomes an exception; trying again is
the business of ``retry.py``.
"""

import hashlib
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import NamedTuple, NoReturn

from yas3fs.errors import ConnectionFailed, InvalidRequest, ServerFailed, StoreError
from yas3fs.objectstore import documents
from yas3fs.objectstore.addressing import DEFAULT_REGION, Address, aws_region, locate
from yas3fs.objectstore.connection import Connection, Response
from yas3fs.objectstore.credentials import CredentialSource, default_region
from yas3fs.objectstore.failures import Answer, shorten, translate
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.pool import Pool
from yas3fs.objectstore.protocol import Buffer
from yas3fs.objectstore.route import route_to, tls_context
from yas3fs.objectstore.sign import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    Credentials,
    Signer,
    encode_query,
)
from yas3fs.runtime.clock import Clock

log = logging.getLogger(__name__)

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_MAX_REFUSAL = 256 * 1024
_ILLEGAL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(slots=True)
class Request:
    """One request, before it is signed. Header names are lower-case."""

    operation: str
    key: str
    method: str
    query: Sequence[tuple[str, str]] = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: Buffer = b""
    on_bucket: bool = False
    """The path is the bucket's; ``key`` is only for messages."""
    repeatable: bool = True
    """Sending it twice does no harm, whatever became of the first time."""
    sign_body: bool = False


class _Open(NamedTuple):
    """An answer whose body was not read yet, and where its connection belongs."""

    pool: Pool
    connection: Connection
    response: Response

    def release(self) -> None:
        """Give the connection back if it can serve again, else close it."""
        if self.response.finished and self.response.keep:
            self.pool.give(self.connection)
        else:
            self.connection.close()


class Client:
    """Exchanges requests for answers; safe for many threads."""

    def __init__(self, options: S3Options, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._signer = Signer()
        self._source = CredentialSource(options, clock)
        self._lock = threading.Lock()
        self._pools: dict[tuple[str, str, int], Pool] = {}
        self._skew = 0.0
        region = options.region or aws_region(options.endpoint)
        if not region and not options.anonymous:
            region = default_region(options)
        self._address = locate(options, region or DEFAULT_REGION)
        self._tls = tls_context(options) if self._address.scheme == "https" else None

    @property
    def address(self) -> Address:
        """Where the bucket is, as far as is known by now."""
        return self._address

    def key_id(self) -> str:
        """The key id in use, or the empty string."""
        try:
            credentials = self._source.current()
        except StoreError:
            return ""
        return credentials.key_id if credentials else ""

    @contextmanager
    def exchange(self, request: Request) -> Iterator[Response]:
        """Send ``request``; the block reads the answer. Refusals raise StoreError."""
        opened = self._answer(request)
        try:
            yield opened.response
        except StoreError as error:
            opened.connection.close()
            _explain(error, request)
        except BaseException:
            opened.connection.close()
            raise
        opened.release()

    def presign(self, key: str, expires: int) -> str:
        """A URL that reads ``key`` for ``expires`` seconds."""
        address = self._address
        url = f"{address.scheme}://{address.netloc}{address.path_of(key)}"
        credentials = self._source.current()
        if credentials is None:
            return url
        pairs = [("x-amz-request-payer", "requester")] if self._options.requester_pays else []
        query = self._signer.presign(
            credentials,
            address.region,
            address.netloc,
            address.path_of(key),
            pairs,
            expires,
            self._clock.time() + self._skew,
        )
        return f"{url}?{query}"

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            pools = list(self._pools.values())
        for pool in pools:
            pool.close()

    def _answer(self, request: Request) -> _Open:
        tried: set[str] = set()
        while True:
            address, credentials = self._address, self._source.current()
            opened = self._attempt(request, address, credentials)
            response = opened.response
            if response.status < 300:
                return opened
            answer = self._refusal(opened)
            if request.method == "HEAD" and answer.status == 400:
                answer = self._diagnose(request, answer)
            if not self._repair(answer, response, address, credentials, tried):
                raise translate(answer, request.operation, request.key)

    def _attempt(
        self, request: Request, address: Address, credentials: Credentials | None
    ) -> _Open:
        head = self._head(request, address, credentials)
        pool = self._pool(address)
        fresh = False
        while True:
            try:
                connection = pool.take(fresh=fresh, trusting=request.repeatable)
            except StoreError as error:
                _explain(error, request)
            try:
                return _Open(pool, connection, _send(connection, request, head))
            except StoreError as error:
                connection.close()
                stale = isinstance(error, ConnectionFailed) and connection.reused
                if stale and not connection.answered and request.repeatable and not fresh:
                    fresh = True
                    continue
                _explain(error, request)
            except BaseException:
                connection.close()
                raise

    def _head(self, request: Request, address: Address, credentials: Credentials | None) -> bytes:
        headers = {"host": address.netloc, **request.headers}
        if len(request.body) or request.method in {"PUT", "POST"}:
            headers["content-length"] = str(len(request.body))
        query = encode_query(request.query)
        path = address.path_of("" if request.on_bucket else request.key)
        if credentials is not None:
            payload = _payload_hash(request)
            now = self._clock.time() + self._skew
            self._signer.sign(
                credentials, address.region, request.method, path, query, headers, payload, now
            )
        headers["accept-encoding"] = "identity"
        headers["user-agent"] = "yas3fs"
        target = f"{path}?{query}" if query else path
        route = self._pool(address).route
        if route.proxy and route.tls is None:
            target = f"http://{address.netloc}{target}"
            if route.proxy_authorization:
                headers["proxy-authorization"] = route.proxy_authorization
        if not _is_legal("".join(headers.values())):
            name = next(name for name, value in headers.items() if not _is_legal(value))
            raise InvalidRequest(
                f"{request.operation} {shorten(request.key)}: the header {name!r} has "
                f"characters that HTTP cannot carry"
            )
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{request.method} {target} HTTP/1.1\r\n{lines}\r\n".encode("ascii")

    def _pool(self, address: Address) -> Pool:
        index = (address.scheme, address.host, address.port)
        pool = self._pools.get(index)
        if pool is None:
            route = route_to(address, self._options, self._tls)
            with self._lock:
                pool = self._pools.setdefault(index, Pool(route, self._options.max_connections))
        return pool

    def _refusal(self, opened: _Open) -> Answer:
        response = opened.response
        try:
            body = response.read_all(_MAX_REFUSAL)
        except StoreError:
            body = b""
        except BaseException:
            opened.connection.close()
            raise
        opened.release()
        headers = response.headers
        code, message, region = read_refusal(body)
        wait = headers.get("retry-after", "")
        return Answer(
            status=response.status,
            code=code,
            message=message,
            request_id=headers.get("x-amz-request-id", ""),
            region=headers.get("x-amz-bucket-region", "") or region,
            retry_after=float(wait) if wait.isdecimal() else 0.0,
        )

    def _diagnose(self, request: Request, answer: Answer) -> Answer:
        """The answer to HEAD has no body: ask for one byte to learn what the store objects to."""
        headers = {**request.headers, "range": "bytes=0-0"}
        spoken = replace(request, method="GET", headers=headers)
        opened = self._attempt(spoken, self._address, self._source.current())
        if opened.response.status < 300:
            opened.connection.close()
            return answer
        told = self._refusal(opened)
        return told if told.status == answer.status else answer

    def _repair(
        self,
        answer: Answer,
        response: Response,
        address: Address,
        credentials: Credentials | None,
        tried: set[str],
    ) -> bool:
        """Whether something was put right, so that the same request may succeed now."""
        region = answer.region
        if answer.status in {301, 307, 400, 403} and region and region != address.region:
            if "region" in tried:
                return False
            tried.add("region")
            self._move(region, address)
            return True
        if answer.code in _EXPIRED and "token" not in tried:
            tried.add("token")
            return self._source.renew(credentials)
        if answer.code == "RequestTimeTooSkewed" and "clock" not in tried:
            tried.add("clock")
            return self._set_skew(response.headers.get("date", ""))
        return False

    def _move(self, region: str, address: Address) -> None:
        if self._options.region:
            log.warning("the bucket is in region %s, not %s", region, self._options.region)
        else:
            log.info("the bucket is in region %s", region)
        with self._lock:
            if self._address is address:
                self._address = locate(self._options, region)

    def _set_skew(self, date: str) -> bool:
        try:
            told = parsedate_to_datetime(date).timestamp()
        except ValueError:
            return False
        self._skew = told - self._clock.time()
        log.warning("this machine's clock is wrong by %.0f s: signing with S3's", -self._skew)
        return True


def read_refusal(body: bytes) -> tuple[str, str, str]:
    """Code, message and region of an error document; what is not XML is a message."""
    if not body.strip():
        return "", "", ""
    try:
        root = documents.parse(body)
    except ServerFailed:
        root = None
    told: dict[str, str] = {}
    if root is not None:
        told = documents.values(root)
        if "Code" not in told and len(root) and documents.name_of(root[0]) == "Error":
            told = documents.values(root[0])
    if not told.get("Code"):  # the page of a proxy, most likely
        text = body[:2000].decode("utf-8", "replace")
        return "", re.sub(r"<[^>]*>", " ", text), ""
    return told["Code"], told.get("Message", ""), told.get("Region", "")


def _send(connection: Connection, request: Request, head: bytes) -> Response:
    try:
        connection.send(head, request.body)
    except ConnectionFailed:
        # A server that refuses early closes before it has read the body: its answer says why.
        try:
            response = connection.answer(request.method)
        except StoreError:
            response = None
        if response is None or response.status < 300:
            raise
        response.keep = False
        return response
    return connection.answer(request.method)


def _is_legal(value: str) -> bool:
    return value.isascii() and not _ILLEGAL.search(value)


def _payload_hash(request: Request) -> str:
    if not len(request.body):
        return EMPTY_SHA256
    return hashlib.sha256(request.body).hexdigest() if request.sign_body else UNSIGNED_PAYLOAD


def _explain(error: StoreError, request: Request) -> NoReturn:
    """Raise ``error`` with the operation and the key in front of its message."""
    error.args = (f"{request.operation} {shorten(request.key)}: {error}",)
    raise error
