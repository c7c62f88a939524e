"""The bucket itself: the object store protocol over S3's REST API.

No call is tried again here, except where the first answer told how to do better (see
``client.py``) or the store turned out not to know a checksum.
"""

import base64
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from yas3fs.errors import (
    BodyCorrupted,
    InvalidRequest,
    NotFound,
    NotSupported,
    PreconditionFailed,
    RangeNotSatisfiable,
    ServerFailed,
    StoreError,
)
from yas3fs.objectstore import checksums, documents
from yas3fs.objectstore.addressing import check_key
from yas3fs.objectstore.client import Client, Request
from yas3fs.objectstore.connection import Response
from yas3fs.objectstore.documents import SYNTHETIC, clean_etag, parse_time
from yas3fs.objectstore.failures import SHORTER, Answer, shorten, translate
from yas3fs.objectstore.headers import (
    Fixed,
    condition,
    info_of,
    is_md5,
    parse_content_range,
    stored,
)
from yas3fs.objectstore.options import CHECKSUMS, S3Options
from yas3fs.objectstore.protocol import (
    Buffer,
    Headers,
    ListPage,
    ObjectInfo,
    Part,
    Upload,
    Written,
)
from yas3fs.objectstore.sign import encode_path
from yas3fs.runtime.clock import Clock, SystemClock

log = logging.getLogger(__name__)

T = TypeVar("T")

_DELETE_BATCH = 1000


class S3Store:
    """See :class:`yas3fs.objectstore.protocol.ObjectStore`."""

    def __init__(self, options: S3Options, clock: Clock = SystemClock()) -> None:
        self._client = Client(options, clock)
        self._options = options
        self._fixed = Fixed(options)
        self._checksum = options.checksum
        self._checksum_proved = options.checksum == "none"

    @property
    def bucket(self) -> str:
        """The bucket as it was given."""
        return self._options.bucket

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self._client.address.region

    @property
    def url(self) -> str:
        """The URL of the endpoint."""
        address = self._client.address
        return f"{address.scheme}://{address.netloc}"

    @property
    def key_id(self) -> str:
        """The key id that requests are signed with; empty when there is none."""
        return self._client.key_id()

    def head(self, key: str) -> ObjectInfo:
        check_key(key)
        return self._head(key, "")

    def _head(self, key: str, etag: str) -> ObjectInfo:
        headers = {**self._fixed.read, **condition("if-match", etag)}
        with self._client.exchange(Request("HEAD", key, "HEAD", headers=headers)) as response:
            length = response.headers.get("content-length", "")
            info = info_of(key, int(length) if length.isdecimal() else 0, response.headers)
        _same_version(key, info, etag)
        return info

    def get(
        self,
        key: str,
        into: memoryview,
        *,
        offset: int = 0,
        etag: str = "",
        whole: bool = False,
        arrived: Callable[[int], None] | None = None,
    ) -> ObjectInfo:
        check_key(key)
        size = len(into)
        if size == 0:
            return self._head(key, etag)
        headers = {**self._fixed.read, **condition("if-match", etag)}
        if whole and offset == 0:
            headers["x-amz-checksum-mode"] = "ENABLED"
        else:
            headers["range"] = f"bytes={offset}-{offset + size - 1}"
        with self._client.exchange(Request("GET", key, "GET", headers=headers)) as response:
            total = _accept_range(response, offset, size)
            info = info_of(key, total, response.headers)
            _same_version(key, info, etag)
            if total < offset + size:
                raise BodyCorrupted(
                    f"the object has {total} bytes, {offset + size} were expected",
                    code=SHORTER,
                    status=response.status,
                )
            algorithm, expected = "", ""
            if "x-amz-checksum-mode" in headers and total == size:
                algorithm, expected = checksums.find(response.headers)
            # Bytes may only be announced once they are known to be good.
            got = response.read_into(into, None if algorithm else arrived)
            if got < size:
                raise BodyCorrupted(f"the body ended after {got} of {size} bytes")
            if algorithm:
                _verify(algorithm, expected, into)
                if arrived is not None:
                    arrived(size)
        return info

    def put(
        self,
        key: str,
        body: Buffer,
        headers: Headers,
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        check_key(key)
        conditions = _write_conditions(if_match, if_none_match)
        request = {**self._fixed.create, **stored(headers), **conditions}

        def send(algorithm: str) -> Written:
            answer = self._send(
                Request(
                    "PUT",
                    key,
                    "PUT",
                    headers={**request, **_checksum_header(algorithm, body)},
                    body=body,
                    repeatable=not conditions,
                    sign_body=self._options.sign_body,
                )
            )
            return Written(clean_etag(answer.get("etag", "")))

        return self._known(key, self._with_checksum(send))

    def create_multipart(self, key: str, headers: Headers) -> str:
        check_key(key)
        request = {**self._fixed.create, **stored(headers)}

        def send(algorithm: str) -> str:
            extra = {"x-amz-checksum-algorithm": algorithm.upper()} if algorithm else {}
            told = self._document(
                Request(
                    "CreateMultipartUpload",
                    key,
                    "POST",
                    [("uploads", "")],
                    {**request, **extra},
                )
            )
            if not told.get("UploadId"):
                raise ServerFailed(f"CreateMultipartUpload {shorten(key)}: no upload id came back")
            return told["UploadId"]

        return self._with_checksum(send, proves=False)

    def upload_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        check_key(key)
        query = [("partNumber", str(number)), ("uploadId", upload_id)]

        def send(algorithm: str) -> Part:
            headers = {**self._fixed.read, **_checksum_header(algorithm, body)}
            answer = self._send(
                Request(
                    "UploadPart",
                    key,
                    "PUT",
                    query,
                    headers,
                    body,
                    sign_body=self._options.sign_body,
                )
            )
            told = answer.get(f"x-amz-checksum-{algorithm}", "") if algorithm else ""
            checksum = f"{algorithm}:{told}" if told else ""
            return Part(number, clean_etag(answer.get("etag", "")), checksum, len(body))

        return self._with_checksum(send)

    def copy_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        source: str,
        start: int,
        end: int,
        *,
        source_etag: str = "",
    ) -> Part:
        check_key(key)
        headers = {
            **self._fixed.copy_part,
            **self._copy_source(source, source_etag),
            "x-amz-copy-source-range": f"bytes={start}-{end - 1}",
        }
        query = [("partNumber", str(number)), ("uploadId", upload_id)]
        told = self._document(Request("UploadPartCopy", key, "PUT", query, headers))
        checksum = ""
        for algorithm in checksums.ALGORITHMS:
            value = told.get(f"Checksum{algorithm.upper()}", "")
            if value:
                checksum = f"{algorithm}:{value}"
        return Part(number, clean_etag(told.get("ETag", "")), checksum, end - start)

    def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        check_key(key)
        headers = {**self._fixed.plain, **_write_conditions(if_match, if_none_match)}
        headers["content-type"] = "application/xml"
        told = self._document(
            Request(
                "CompleteMultipartUpload",
                key,
                "POST",
                [("uploadId", upload_id)],
                headers,
                documents.complete_body(parts, checksums=all(p.checksum for p in parts)),
                repeatable=False,
                sign_body=True,
            )
        )
        return self._known(key, Written(clean_etag(told.get("ETag", ""))))

    def abort_multipart(self, key: str, upload_id: str) -> None:
        check_key(key)
        query = [("uploadId", upload_id)]
        request = Request("AbortMultipartUpload", key, "DELETE", query, dict(self._fixed.plain))
        try:
            self._send(request)
        except NotFound:
            log.debug("the upload %s of %s is already gone", upload_id, shorten(key))

    def list_multipart(self, prefix: str) -> Iterable[Upload]:
        key_marker = id_marker = ""
        while True:
            query = [("uploads", ""), ("prefix", prefix), ("encoding-type", "url")]
            if key_marker:
                query += [("key-marker", key_marker), ("upload-id-marker", id_marker)]
            body = self._read(self._bucket_request("ListMultipartUploads", prefix, query))
            uploads, key_marker, id_marker = documents.parse_uploads(body)
            yield from (upload for upload in uploads if upload.key.startswith(prefix))
            if not key_marker:
                return

    def copy(
        self,
        source: str,
        target: str,
        *,
        headers: Headers | None = None,
        source_etag: str = "",
    ) -> Written:
        check_key(target)
        request = {**self._fixed.copy, **self._copy_source(source, source_etag)}
        if headers is not None:
            request.update(stored(headers))
            request["x-amz-metadata-directive"] = "REPLACE"
        told, answer = self._answered(Request("CopyObject", target, "PUT", headers=request))
        etag = clean_etag(told.get("ETag", ""))
        written = Written(
            etag, parse_time(told.get("LastModified", "")), etag_is_md5=is_md5(etag, answer)
        )
        return self._known(target, written)

    def delete(self, key: str, *, if_match: str = "") -> None:
        check_key(key)
        conditions = condition("if-match", if_match)
        headers = {**self._fixed.plain, **conditions}
        request = Request("DELETE", key, "DELETE", headers=headers, repeatable=not conditions)
        try:
            self._send(request)
        except NotFound:
            if if_match:
                raise PreconditionFailed(
                    f"DELETE {shorten(key)}: there is no such object", status=404
                ) from None

    def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        failed: list[tuple[str, Exception]] = []
        batched: list[str] = []
        for key in keys:
            try:
                check_key(key)
                if documents.speakable(key):
                    batched.append(key)
                else:
                    self.delete(key)
            except StoreError as error:
                failed.append((key, error))
        for start in range(0, len(batched), _DELETE_BATCH):
            failed += self._delete_batch(batched[start : start + _DELETE_BATCH])
        return failed

    def _delete_batch(self, keys: Sequence[str]) -> list[tuple[str, Exception]]:
        body = documents.delete_body(keys)
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        request = self._bucket_request("DeleteObjects", keys[0], [("delete", "")])
        request.method = "POST"
        request.body, request.sign_body = body, True
        request.headers["content-md5"] = base64.b64encode(digest).decode("ascii")
        request.headers["content-type"] = "application/xml"
        refused = documents.parse_delete_errors(self._read(request))
        return [
            (key, translate(Answer(200, code, message), "DELETE", key))
            for key, code, message in refused
            if code not in {"NoSuchKey", "NotFound"}
        ]

    def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        token: str = "",
        start_after: str = "",
        limit: int = 1000,
    ) -> ListPage:
        query = [
            ("list-type", "2"),
            ("encoding-type", "url"),
            ("prefix", prefix),
            ("max-keys", str(limit)),
        ]
        if delimiter:
            query.append(("delimiter", delimiter))
        if token:
            query.append(("continuation-token", token))
        elif start_after:
            query.append(("start-after", start_after))
        return documents.parse_listing(self._read(self._bucket_request("LIST", prefix, query)))

    def presign(self, key: str, expires: int) -> str:
        check_key(key)
        return self._client.presign(key, expires)

    def close(self) -> None:
        self._client.close()

    def _bucket_request(
        self, operation: str, key: str, query: Sequence[tuple[str, str]]
    ) -> Request:
        headers = dict(self._fixed.plain)
        return Request(operation, key, "GET", query, headers, on_bucket=True)

    def _send(self, request: Request) -> dict[str, str]:
        """The answer's headers; its body is not wanted."""
        with self._client.exchange(request) as response:
            response.read_all(documents.MAX_DOCUMENT)
            return response.headers

    def _read(self, request: Request) -> bytes:
        with self._client.exchange(request) as response:
            return response.read_all(documents.MAX_DOCUMENT)

    def _document(self, request: Request) -> dict[str, str]:
        """The answer's elements. S3 may begin with status 200 and then report an error."""
        return self._answered(request)[0]

    def _answered(self, request: Request) -> tuple[dict[str, str], dict[str, str]]:
        """The answer's elements, and its headers."""
        with self._client.exchange(request) as response:
            root = documents.parse(response.read_all(documents.MAX_DOCUMENT))
            headers = response.headers
        told = documents.values(root)
        if documents.name_of(root) == "Error":
            answer = Answer(200, told.get("Code", ""), told.get("Message", ""))
            raise translate(answer, request.operation, request.key)
        return told, headers

    def _with_checksum(self, send: Callable[[str], T], *, proves: bool = True) -> T:
        """``send`` with the checksum in use, or with less when the store does not know it."""
        if self._checksum_proved:
            return send("" if self._checksum == "none" else self._checksum)
        refusal: StoreError | None = None
        for algorithm in CHECKSUMS[CHECKSUMS.index(self._checksum) :]:
            try:
                result = send("" if algorithm == "none" else algorithm)
            except (InvalidRequest, NotSupported) as error:
                refusal = refusal or error
                continue
            if refusal is not None:
                log.warning("the store refuses checksums, now using %s: %s", algorithm, refusal)
            self._checksum = algorithm
            self._checksum_proved = self._checksum_proved or proves
            return result
        assert refusal is not None
        raise refusal

    def _copy_source(self, source: str, etag: str) -> dict[str, str]:
        check_key(source)
        root = self._client.address.copy_root
        return {
            "x-amz-copy-source": f"{encode_path(root)}/{encode_path(source)}",
            **condition("x-amz-copy-source-if-match", etag),
        }

    def _known(self, key: str, written: Written) -> Written:
        """``written``, asking for the version when the store did not tell it."""
        if written.etag:
            return written
        info = self._head(key, "")
        return Written(info.etag, info.last_modified)


def _accept_range(response: Response, offset: int, size: int) -> int:
    """Bring the body to ``offset`` and return the object's size."""
    told = response.headers.get("content-range", "")
    if response.status == 206:
        found = parse_content_range(told)
        if found is None:
            raise ServerFailed(f"the answer has the Content-Range {told[:60]!r}")
        first, last, total = found
        if first != offset or last >= offset + size:
            raise ServerFailed(f"asked for bytes {offset}-{offset + size - 1}, got {told[:60]!r}")
        return total if total >= 0 else last + 1
    # The server ignores ranges.
    length = response.length
    if length is None:
        raise ServerFailed("the server does not tell the object's size")
    if offset and offset >= length:
        raise RangeNotSatisfiable(f"byte {offset} of {length}", code="InvalidRange", status=200)
    response.skip(offset)
    return length


def _same_version(key: str, info: ObjectInfo, etag: str) -> None:
    if etag and info.etag != etag:
        made_up = " (it has no ETag)" if etag.startswith(SYNTHETIC) else ""
        raise PreconditionFailed(
            f"{shorten(key)}: the object's version is {info.etag}, not {etag}{made_up}", status=200
        )


def _verify(algorithm: str, expected: str, body: memoryview) -> None:
    found = checksums.compute(algorithm, body)
    if found != expected:
        raise BodyCorrupted(f"the body's {algorithm} is {found}, the store says {expected}")


def _write_conditions(if_match: str, if_none_match: bool) -> dict[str, str]:
    return {
        **condition("if-match", if_match),
        **({"if-none-match": "*"} if if_none_match else {}),
    }


def _checksum_header(algorithm: str, body: Buffer) -> dict[str, str]:
    if not algorithm:
        return {}
    return {f"x-amz-checksum-{algorithm}": checksums.compute(algorithm, body)}
