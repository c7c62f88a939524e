"""What the wrappers have in common: every call of the protocol goes through one method."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from yas3fs.objectstore.protocol import (
    Buffer,
    Headers,
    ListPage,
    ObjectInfo,
    ObjectStore,
    Part,
    Upload,
    Written,
)

T = TypeVar("T")


class StoreWrapper:
    """An object store around another; a subclass says in :meth:`_run` what surrounds a call.

    ``operation`` is the name of the protocol's method, ``key`` what it is about.
    """

    def __init__(self, inner: ObjectStore) -> None:
        self.inner = inner

    def _run(self, operation: str, key: str, call: Callable[[], T]) -> T:
        raise NotImplementedError

    def head(self, key: str) -> ObjectInfo:
        return self._run("head", key, lambda: self.inner.head(key))

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
        return self._run(
            "get",
            key,
            lambda: self.inner.get(
                key, into, offset=offset, etag=etag, whole=whole, arrived=arrived
            ),
        )

    def put(
        self,
        key: str,
        body: Buffer,
        headers: Headers,
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        return self._run(
            "put",
            key,
            lambda: self.inner.put(
                key, body, headers, if_match=if_match, if_none_match=if_none_match
            ),
        )

    def create_multipart(self, key: str, headers: Headers) -> str:
        return self._run("create_multipart", key, lambda: self.inner.create_multipart(key, headers))

    def upload_part(self, key: str, upload_id: str, number: int, body: Buffer) -> Part:
        return self._run(
            "upload_part", key, lambda: self.inner.upload_part(key, upload_id, number, body)
        )

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
        return self._run(
            "copy_part",
            key,
            lambda: self.inner.copy_part(
                key, upload_id, number, source, start, end, source_etag=source_etag
            ),
        )

    def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        return self._run(
            "complete_multipart",
            key,
            lambda: self.inner.complete_multipart(
                key, upload_id, parts, if_match=if_match, if_none_match=if_none_match
            ),
        )

    def abort_multipart(self, key: str, upload_id: str) -> None:
        self._run("abort_multipart", key, lambda: self.inner.abort_multipart(key, upload_id))

    def list_multipart(self, prefix: str) -> Iterable[Upload]:
        # A list, so that its requests are made in here and not in the caller's loop.
        return self._run("list_multipart", prefix, lambda: list(self.inner.list_multipart(prefix)))

    def copy(
        self,
        source: str,
        target: str,
        *,
        headers: Headers | None = None,
        source_etag: str = "",
    ) -> Written:
        return self._run(
            "copy",
            target,
            lambda: self.inner.copy(source, target, headers=headers, source_etag=source_etag),
        )

    def delete(self, key: str, *, if_match: str = "") -> None:
        self._run("delete", key, lambda: self.inner.delete(key, if_match=if_match))

    def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        first = keys[0] if keys else ""
        return self._run("delete_many", first, lambda: self.inner.delete_many(keys))

    def list_page(
        self,
        prefix: str,
        *,
        delimiter: str = "",
        token: str = "",
        start_after: str = "",
        limit: int = 1000,
    ) -> ListPage:
        return self._run(
            "list_page",
            prefix,
            lambda: self.inner.list_page(
                prefix, delimiter=delimiter, token=token, start_after=start_after, limit=limit
            ),
        )

    def presign(self, key: str, expires: int) -> str:
        return self.inner.presign(key, expires)

    def close(self) -> None:
        self.inner.close()
