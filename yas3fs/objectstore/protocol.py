"""What the rest of yas3fs knows of a bucket.

A store is a flat mapping of keys (1 to 1,024 bytes of UTF-8, any character) to immutable versions
of a body with metadata. Every method blocks, is safe to call from many threads, and raises a
member of :class:`yas3fs.errors.StoreError`; sizes and offsets are bytes, times are seconds since
the epoch in UTC, ETags are opaque and carried without their quotes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Buffer = bytes | bytearray | memoryview

MIN_PART_SIZE = 5 * 1024 * 1024
"""Smallest part of a multipart upload but for the last (S3, "Multipart upload limits")."""
MAX_PARTS = 10_000
MAX_PART_SIZE = 5 * 1024**3
MAX_COPY_SIZE = 5 * 1024**3
"""Largest object one CopyObject request may copy."""
MAX_OBJECT_SIZE = 50 * 1024**4
"""Largest object (50 TiB since December 2025; 5 TiB before)."""
MAX_KEY_BYTES = 1024
MAX_METADATA_BYTES = 2048
"""Names and values of the user metadata together."""


@dataclass(frozen=True, slots=True)
class Headers:
    """What is stored with a body, besides its bytes.

    ``metadata`` is the user metadata: lower-case names without ``x-amz-meta-``. ``system`` holds
    the other headers S3 keeps (lower-case: ``cache-control``, ``content-disposition``,
    ``content-encoding``, ``content-language``, ``expires``, ``x-amz-website-redirect-location``).
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    system: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One version of one object, as HEAD or GET told it. ``size`` is the whole object's.

    ``answered`` is when it was told, by the clock that ``last_modified`` is of; 0 if not known.
    """

    key: str
    size: int
    etag: str
    last_modified: float
    headers: Headers
    storage_class: str = ""
    answered: float = 0.0


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One object as a listing tells it (a listing carries no metadata)."""

    key: str
    size: int
    etag: str
    last_modified: float
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a listing. ``token`` continues it; empty when this page is the last."""

    objects: Sequence[ListedObject]
    prefixes: Sequence[str]
    token: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What the store says of a version it has just made durable.

    ``etag_is_md5`` where the ETag is known to be the MD5 of the body, as S3's is that of an object
    stored in one piece without keys of KMS or of the customer.
    """

    etag: str
    last_modified: float = 0.0
    etag_is_md5: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One finished part of a multipart upload. ``size`` is 0 when it is not known any more."""

    number: int
    etag: str
    checksum: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    initiated: float


class ObjectStore(Protocol):
    """The bucket."""

    def head(self, key: str) -> ObjectInfo:
        """Attributes of the object; NotFound when there is none."""

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
        """Fill ``into`` with ``len(into)`` bytes of the object from ``offset``.

        ``etag`` pins the version (If-Match): PreconditionFailed when the object has another one by
        now. ``arrived(n)`` is called from the same thread as bytes come in: the first ``n`` bytes
        of ``into`` are valid from then on, and stay so; after a failure in the middle the store
        resumes behind them when ``etag`` is given. ``whole`` says that ``into`` is as long as the
        object is believed to be: then its checksum is verified, if it has one. Returns only when
        ``into`` is full. ``len(into) == 0`` fetches an empty object's headers. BodyCorrupted when
        the object is shorter than asked, RangeNotSatisfiable when it ends before ``offset``.
        """

    def put(
        self,
        key: str,
        body: Buffer,
        headers: Headers,
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        """Store a whole object. With a condition that does not hold: PreconditionFailed."""

    def create_multipart(self, key: str, headers: Headers) -> str:
        """Begin a multipart upload and return its id."""

    def upload_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        """Send part ``number`` (from 1), replacing what was sent under it before."""

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
        """Make a part of bytes ``start`` to ``end`` (exclusive) of ``source``, server-side."""

    def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        """Make the parts (ascending numbers) one object."""

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Forget the upload and its parts; no error when it is already gone."""

    def list_multipart(self, prefix: str) -> Iterable[Upload]:
        """Uploads under way below ``prefix``."""

    def copy(
        self,
        source: str,
        target: str,
        *,
        headers: Headers | None = None,
        source_etag: str = "",
    ) -> Written:
        """Copy server-side; ``headers`` None keeps the source's, else replaces them all.

        Objects above :data:`MAX_COPY_SIZE` are the caller's business (multipart with
        :meth:`copy_part`); the store raises TooLarge or InvalidRequest for them.
        """

    def delete(self, key: str, *, if_match: str = "") -> None:
        """Delete the object; no error when there is none."""

    def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """Delete any number of objects; returns the keys that stayed, each with its error."""

    def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        token: str = "",
        start_after: str = "",
        limit: int = 1000,
    ) -> ListPage:
        """One page of the keys that begin with ``prefix``, in UTF-8 order.

        With ``delimiter``, keys that have it behind the prefix are rolled up in ``prefixes``.
        """

    def presign(self, key: str, expires: int) -> str:
        """A URL that reads the object for ``expires`` seconds without credentials."""

    def close(self) -> None:
        """Release connections; the store is not used afterwards."""
