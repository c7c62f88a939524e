"""A bucket in memory that keeps S3's rules, for tests and demonstrations.

It passes the same contract suite as the engine does against real servers.
"""

import hashlib
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from yas3fs.errors import (
    BodyCorrupted,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    StoreError,
    TooLarge,
)
from yas3fs.objectstore.addressing import check_key
from yas3fs.objectstore.failures import SHORTER, shorten
from yas3fs.objectstore.headers import stored
from yas3fs.objectstore.protocol import (
    MAX_COPY_SIZE,
    MAX_METADATA_BYTES,
    MAX_PARTS,
    MIN_PART_SIZE,
    Buffer,
    Headers,
    ListedObject,
    ListPage,
    ObjectInfo,
    Part,
    Upload,
    Written,
)
from yas3fs.runtime.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class _Object:
    body: bytes
    etag: str
    modified: float
    headers: Headers


@dataclass(slots=True)
class _Upload:
    key: str
    headers: Headers
    initiated: float
    parts: dict[int, tuple[bytes, str]] = field(default_factory=dict)


class MemoryStore:
    """See :class:`yas3fs.objectstore.protocol.ObjectStore`.

    ``min_part_size`` is S3's 5 MiB unless a test wants small parts. Times come from ``clock`` in
    whole seconds, as S3's do.
    """

    def __init__(self, clock: Clock = SystemClock(), *, min_part_size: int = MIN_PART_SIZE) -> None:
        self._clock = clock
        self._min_part_size = min_part_size
        self._lock = threading.Lock()
        self._objects: dict[str, _Object] = {}
        self._keys: list[str] = []  # sorted: code points order as UTF-8 does
        self._uploads: dict[str, _Upload] = {}
        self._begun = 0

    def head(self, key: str) -> ObjectInfo:
        check_key(key)
        with self._lock:
            return _info(key, self._find("HEAD", key), self._now())

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
        with self._lock:
            found = self._find("GET", key)
        if etag and found.etag != etag:
            raise _precondition("GET", key)
        size = len(into)
        if size:
            if offset >= len(found.body) and not whole:
                raise RangeNotSatisfiable(
                    f"GET {shorten(key)}: byte {offset} of {len(found.body)}",
                    code="InvalidRange",
                    status=416,
                )
            if offset + size > len(found.body):
                raise BodyCorrupted(
                    f"GET {shorten(key)}: the object has {len(found.body)} bytes, "
                    f"{offset + size} were expected",
                    code=SHORTER,
                )
            into[:] = memoryview(found.body)[offset : offset + size]
            if arrived is not None:
                arrived(size)
        return _info(key, found, self._now())

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
        kept = _keep(headers)
        content = bytes(body)
        etag = _md5(content)
        with self._lock:
            self._check("PUT", key, if_match, if_none_match)
            self._store(key, content, etag, kept)
        return Written(etag)

    def create_multipart(self, key: str, headers: Headers) -> str:
        check_key(key)
        kept = _keep(headers)
        with self._lock:
            self._begun += 1
            upload_id = f"upload-{self._begun}"
            self._uploads[upload_id] = _Upload(key, kept, self._now())
        return upload_id

    def upload_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        _check_number(key, number)
        content = bytes(body)
        etag = _md5(content)
        with self._lock:
            self._upload(key, upload_id).parts[number] = (content, etag)
        return Part(number, etag, "", len(content))

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
        _check_number(key, number)
        with self._lock:
            upload = self._upload(key, upload_id)
            found = self._source(source, source_etag)
            if not 0 <= start < end <= len(found.body):
                raise InvalidRequest(
                    f"UploadPartCopy {shorten(key)}: bytes {start}-{end} of {len(found.body)}",
                    code="InvalidArgument",
                    status=400,
                )
            content = found.body[start:end]
            etag = _md5(content)
            upload.parts[number] = (content, etag)
        return Part(number, etag, "", len(content))

    def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        with self._lock:
            upload = self._upload(key, upload_id)
            bodies = self._assemble(key, upload, parts)
            self._check("CompleteMultipartUpload", key, if_match, if_none_match)
            digests = b"".join(bytes.fromhex(part.etag) for part in parts)
            etag = f"{_md5(digests)}-{len(parts)}"
            self._store(key, b"".join(bodies), etag, upload.headers)
            del self._uploads[upload_id]
        return Written(etag)

    def _assemble(self, key: str, upload: _Upload, parts: Sequence[Part]) -> list[bytes]:
        numbers = [part.number for part in parts]
        bodies = []
        for part in parts:
            body, etag = upload.parts.get(part.number, (b"", ""))
            if etag != part.etag or not etag:
                raise _invalid(key, "InvalidPart", f"part {part.number} was not sent like this")
            bodies.append(body)
        if numbers != sorted(set(numbers)):
            raise _invalid(key, "InvalidPartOrder", "the parts are not in ascending order")
        if not parts:
            raise _invalid(key, "MalformedXML", "there are no parts")
        if any(len(body) < self._min_part_size for body in bodies[:-1]):
            raise _invalid(key, "EntityTooSmall", "a part is smaller than allowed")
        return bodies

    def abort_multipart(self, key: str, upload_id: str) -> None:
        with self._lock:
            upload = self._uploads.get(upload_id)
            if upload is not None and upload.key == key:
                del self._uploads[upload_id]

    def list_multipart(self, prefix: str) -> Iterable[Upload]:
        with self._lock:
            found = [
                Upload(upload.key, upload_id, upload.initiated)
                for upload_id, upload in self._uploads.items()
                if upload.key.startswith(prefix)
            ]
        return sorted(found, key=lambda upload: (upload.key, upload.initiated))

    def copy(
        self,
        source: str,
        target: str,
        *,
        headers: Headers | None = None,
        source_etag: str = "",
    ) -> Written:
        check_key(target)
        kept = _keep(headers) if headers is not None else None
        with self._lock:
            found = self._source(source, source_etag)
            if source == target and kept is None:
                raise InvalidRequest(
                    f"CopyObject {shorten(target)}: onto itself without changing anything",
                    code="InvalidRequest",
                    status=400,
                )
            if len(found.body) > MAX_COPY_SIZE:
                raise InvalidRequest(f"CopyObject {shorten(target)}: too large", status=400)
            etag = found.etag if "-" not in found.etag else _md5(found.body)
            self._store(target, found.body, etag, kept or found.headers)
            return Written(etag, self._objects[target].modified)

    def delete(self, key: str, *, if_match: str = "") -> None:
        check_key(key)
        with self._lock:
            if if_match:
                self._check("DELETE", key, if_match, False)
            if self._objects.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        failed: list[tuple[str, Exception]] = []
        for key in keys:
            try:
                self.delete(key)
            except StoreError as error:
                failed.append((key, error))
        return failed

    def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        token: str = "",
        start_after: str = "",
        limit: int = 1000,
    ) -> ListPage:
        with self._lock:
            return self._list(prefix, delimiter, token, start_after, min(limit, 1000))

    def _list(
        self, prefix: str, delimiter: str, token: str, start_after: str, limit: int
    ) -> ListPage:
        keys = self._keys
        index = bisect_left(keys, prefix)
        if token:
            # "k" and the last key, or "p" and the last prefix, all of which is behind us.
            after = bisect_right(keys, token[1:]) if token[0] == "k" else _behind(keys, token[1:])
            index = max(index, after)
        elif start_after:
            index = max(index, bisect_right(keys, start_after))
        objects: list[ListedObject] = []
        prefixes: list[str] = []
        last = ""
        while index < len(keys) and keys[index].startswith(prefix):
            if len(objects) + len(prefixes) >= limit:
                return ListPage(objects, prefixes, last)
            key = keys[index]
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                rolled = key[: cut + len(delimiter)]
                prefixes.append(rolled)
                index, last = _behind(keys, rolled), f"p{rolled}"
            else:
                found = self._objects[key]
                objects.append(ListedObject(key, len(found.body), found.etag, found.modified))
                index, last = index + 1, f"k{key}"
        return ListPage(objects, prefixes)

    def presign(self, key: str, expires: int) -> str:
        check_key(key)
        return f"memory:///{quote(key)}?expires={expires}"

    def close(self) -> None:
        """Nothing to release; the objects stay."""

    def _now(self) -> float:
        return float(int(self._clock.time()))

    def _find(self, operation: str, key: str) -> _Object:
        found = self._objects.get(key)
        if found is None:
            raise NotFound(
                f"{operation} {shorten(key)}: NoSuchKey: there is no such object",
                code="" if operation == "HEAD" else "NoSuchKey",
                status=404,
            )
        return found

    def _source(self, source: str, etag: str) -> _Object:
        check_key(source)
        found = self._find("CopyObject", source)
        if etag and found.etag != etag:
            raise _precondition("CopyObject", source)
        return found

    def _upload(self, key: str, upload_id: str) -> _Upload:
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise NotFound(
                f"{shorten(key)}: NoSuchUpload: there is no such upload",
                code="NoSuchUpload",
                status=404,
            )
        return upload

    def _check(self, operation: str, key: str, if_match: str, if_none_match: bool) -> None:
        found = self._objects.get(key)
        if if_none_match and found is not None:
            raise _precondition(operation, key)
        if if_match and (found is None or found.etag != if_match):
            raise _precondition(operation, key)

    def _store(self, key: str, body: bytes, etag: str, headers: Headers) -> None:
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = _Object(body, etag, self._now(), headers)


def _info(key: str, found: _Object, now: float) -> ObjectInfo:
    size, etag = len(found.body), found.etag
    return ObjectInfo(key, size, etag, found.modified, found.headers, answered=now)


def _keep(headers: Headers) -> Headers:
    """A copy of ``headers`` as S3 keeps them; refuses what S3 refuses."""
    stored(headers)
    texts = [*headers.metadata.values(), *headers.system.values(), headers.content_type]
    if not all(text.isascii() and text.isprintable() for text in texts):
        raise InvalidRequest("a header has characters that HTTP cannot carry")
    size = sum(len(name) + len(value) for name, value in headers.metadata.items())
    if size > MAX_METADATA_BYTES:
        raise TooLarge(
            f"MetadataTooLarge: {size} bytes of user metadata", code="MetadataTooLarge", status=400
        )
    return replace(
        headers,
        metadata=dict(headers.metadata),
        content_type=headers.content_type or "binary/octet-stream",
        system=dict(headers.system),
    )


def _behind(keys: list[str], prefix: str) -> int:
    """The index of the first key that sorts behind all keys with ``prefix``."""
    text = prefix
    while text:
        if ord(text[-1]) < 0x10FFFF:
            return bisect_left(keys, text[:-1] + chr(ord(text[-1]) + 1))
        text = text[:-1]
    return len(keys)


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def _check_number(key: str, number: int) -> None:
    if not 1 <= number <= MAX_PARTS:
        raise _invalid(key, "InvalidArgument", f"{number} is not the number of a part")


def _invalid(key: str, code: str, text: str) -> InvalidRequest:
    return InvalidRequest(f"{shorten(key)}: {code}: {text}", code=code, status=400)


def _precondition(operation: str, key: str) -> PreconditionFailed:
    return PreconditionFailed(
        f"{operation} {shorten(key)}: PreconditionFailed", code="PreconditionFailed", status=412
    )
