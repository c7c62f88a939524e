"""Telling other nodes what this one has changed: every write that the store acknowledged.

It is done here, below all verbs, so that none can be forgotten, and after the store's answer, so
that whoever looks again finds what was announced. A write whose outcome is not known is announced
as well: events are hints, and one too many costs a request.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from yas3fs.errors import StoreError, Transient
from yas3fs.events import Event, Metadata, Mkdir, Rmdir, Unlink, Upload
from yas3fs.objectstore.protocol import Buffer, Headers, ObjectStore, Written
from yas3fs.objectstore.wrapping import StoreWrapper

T = TypeVar("T")

_STORING = ("put", "complete_multipart", "copy")


class AnnouncingStore(StoreWrapper):
    """Calls ``publish`` for each change. ``path_of`` gives a key's path, None for what has none."""

    def __init__(
        self,
        inner: ObjectStore,
        path_of: Callable[[str], str | None],
        publish: Callable[[Event], None],
    ) -> None:
        super().__init__(inner)
        self._path_of = path_of
        self._publish = publish

    def _run(self, operation: str, key: str, call: Callable[[], T]) -> T:
        if operation not in _STORING and operation != "delete":
            return call()
        try:
            result = call()
        except BaseException as error:
            if _outcome_is_unknown(error):
                self._announce(operation, key, None)
            raise
        self._announce(operation, key, result.etag if isinstance(result, Written) else None)
        return result

    def _announce(self, operation: str, key: str, etag: str | None) -> None:
        if operation == "delete":
            self._say(key, Rmdir if key.endswith("/") else Unlink)
        elif self._is_directory(key):
            self._say(key, Mkdir)
        else:
            self._say(key, lambda path: Upload(path, etag))

    def _say(self, key: str, make: Callable[[str], Event]) -> None:
        path = self._path_of(key)
        if path is not None:
            self._publish(make(path))

    def put(
        self,
        key: str,
        body: Buffer,
        headers: Headers,
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        """A directory's object that may replace one only carries its attributes.

        Whoever hears that need not forget what is below it.
        """

        def put() -> Written:
            return self.inner.put(
                key, body, headers, if_match=if_match, if_none_match=if_none_match
            )

        if if_none_match or not self._is_directory(key):
            return self._run("put", key, put)
        return self._tell_metadata(key, put)

    def copy(
        self,
        source: str,
        target: str,
        *,
        headers: Headers | None = None,
        source_etag: str = "",
    ) -> Written:
        def copy() -> Written:
            return self.inner.copy(source, target, headers=headers, source_etag=source_etag)

        if source != target:
            return self._run("copy", target, copy)
        return self._tell_metadata(target, copy)  # the bytes are the same

    def _tell_metadata(self, key: str, call: Callable[[], Written]) -> Written:
        try:
            written = call()
        except BaseException as error:
            if _outcome_is_unknown(error):
                self._say(key, Metadata)
            raise
        self._say(key, Metadata)
        return written

    def _is_directory(self, key: str) -> bool:
        return key.endswith("/") or self._path_of(key) == "/"

    def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        stayed: set[str] = set()
        try:
            failed = self.inner.delete_many(keys)
            stayed = {key for key, error in failed if not _outcome_is_unknown(error)}
            return failed
        finally:  # when it raises, some of its requests may have succeeded before
            for key in keys:
                if key not in stayed:
                    self._announce("delete", key, None)


def _outcome_is_unknown(error: BaseException) -> bool:
    """Whether the store may have done what was asked: it was not heard to refuse."""
    return isinstance(error, Transient) or not isinstance(error, StoreError)
