"""One open file: where its bytes are, and how what was written becomes an object.

An inode exists while a file is open or has content the store does not have. It is *clean* (its
bytes are those of ``version`` in the store) or *dirty* (``staging`` holds them, over ``version`` as
far as that was not written over). Attributes live in the entry; the inode changes them as it is
written.

Lock order: ``lock`` serialises writers, uploads and what replaces the content; readers take it only
to see which of the two states holds. It comes after path claims and before the namespace's lock,
and is held while an upload runs, so that what is sent is one moment's content.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from yas3fs.cache.memory import MemoryCache, Version
from yas3fs.errors import (
    Conflict,
    Exists,
    FileTooLarge,
    InputOutput,
    Interrupted,
    NotFound,
    PreconditionFailed,
    StaleHandle,
    Yas3fsError,
)
from yas3fs.fs.entries import Entry
from yas3fs.objectstore.protocol import MAX_OBJECT_SIZE, Headers, Written
from yas3fs.prefetch.readahead import ReadAhead
from yas3fs.prefetch.reader import Reader
from yas3fs.runtime import interrupts
from yas3fs.runtime.locks import InterruptibleLock
from yas3fs.runtime.memory import Room, Send
from yas3fs.writeback.staging import Staging
from yas3fs.writeback.upload import Condition, Stream, Uploader

_log = logging.getLogger(__name__)

_NOTHING = Version("", "", 0)
_KEPT_AFTER_UPLOAD = 1024 * 1024
"""Content up to this size stays in the memory cache when it was uploaded: it is at hand."""


class Owner(Protocol):
    """What an inode asks of the file system it belongs to."""

    def headers_for(self, inode: "Inode") -> Headers: ...
    def before_write_to(self, key: str) -> bool: ...
    def key_of(self, path: str) -> str: ...
    def uploaded(self, inode: "Inode", written: Written) -> None: ...
    def stored(self, inode: "Inode") -> None: ...
    def rewrite_headers(self, inode: "Inode") -> None: ...
    def lost(self, inode: "Inode", reason: str) -> None: ...
    def now_ns(self) -> int: ...


class Inode:
    """See the module's docstring."""

    def __init__(
        self,
        owner: Owner,
        path: str,
        entry: Entry,
        version: Version | None,
        *,
        reader: Reader,
        cache: MemoryCache,
        uploader: Uploader,
        folder: str,
    ) -> None:
        self._owner = owner
        self._reader = reader
        self._cache = cache
        self._uploader = uploader
        self._folder = folder
        self.lock = InterruptibleLock()
        self.path = path
        self.entry = entry
        self.version = version
        self.staging: Staging | None = None
        self.stream: Stream | None = None
        self._no_stream = False
        """An upload alongside the writing could not be begun: the next one is whole."""
        self.dirty = False
        self.restamp = False
        """The attributes were changed after the upload had taken them: written when it is done."""
        self.exclusive = False
        """Made with O_EXCL and not uploaded yet: the first upload must not replace an object."""
        self.shadows = False
        """The object under the name is still another file's, which has lost its name."""
        self.unlinked = False
        self.superseded = False
        """The object was replaced elsewhere: what is open keeps this, new opens do not."""
        self.doubted = False
        """Others changed the object (or may have) since the upload began: its outcome is not the
        last word."""
        self.opens = 0
        self.vacated: list[str] = []
        """Keys this file had under earlier names; they go when it is safe under its own."""
        self.failure: Yas3fsError | OSError | None = None

    @property
    def has_unsaved(self) -> bool:
        """Whether the inode holds more than the store does."""
        return (self.dirty or self.restamp) and not self.unlinked

    @property
    def is_stored(self) -> bool:
        """Whether there may be an object under the name: an upload that failed may have worked."""
        return self.version is not None or self.failure is not None or self.shadows

    # -- reading ---------------------------------------------------------------------------

    def read_into(self, target: memoryview, offset: int, ahead: ReadAhead | None) -> int:
        """Copy bytes from ``offset``; NotFound or PreconditionFailed when the version is gone."""
        return self._read(
            lambda staging: staging.read_into(target, offset),
            lambda version: self._reader.read_into(version, target, offset, ahead),
        )

    def send(self, size: int, offset: int, ahead: ReadAhead, room: Room, send: Send) -> int:
        """As :meth:`read_into`; see :meth:`yas3fs.prefetch.reader.Reader.send`."""

        def send_staged(staging: Staging) -> int:
            buffer = room(size)
            count = staging.read_into(buffer.view[:size], offset)
            send(buffer.address, count)
            return count

        return self._read(
            send_staged,
            lambda version: self._reader.send(version, size, offset, ahead, room, send),
        )

    def _read(self, staged: Callable[[Staging], int], stored: Callable[[Version], int]) -> int:
        while True:
            staging = self.staging
            if staging is not None:
                return staged(staging)
            version = self.version or _NOTHING
            try:
                return stored(version)
            except (NotFound, PreconditionFailed):
                # Moved or rewritten by ourselves meanwhile: the same bytes under another name,
                # which is known once whoever does it lets go of the lock.
                with self.lock:
                    if self.staging is None and self.version == version:
                        raise

    # -- writing ---------------------------------------------------------------------------

    def _stage(self, *, empty: bool = False) -> Staging:
        if self.staging is None:
            version = None if empty else self.version
            self.staging = Staging(
                self._folder, version.size if version is not None else 0, self._read_base
            )
        return self.staging

    def _read_base(self, target: memoryview, offset: int) -> int:
        """Read what is below the staging file: the same bytes, under whatever key and ETag."""
        while True:
            version = self.version
            if version is None:
                return 0
            try:
                return self._reader.read_into(version, target, offset)
            except (NotFound, PreconditionFailed):
                if self.version == version:
                    raise

    def begin_empty(self) -> None:
        """The file is new, or was cut to nothing when it was opened."""
        with self.lock:
            if self.staging is None:
                self._stage(empty=True)
            else:
                self.truncate(0)
            self._changed(0)

    def write(self, data: memoryview, offset: int) -> int:
        """Write all of ``data`` at ``offset``; raises FileTooLarge, OSError."""
        with self.lock:
            staging = self._stage()
            if offset + len(data) > MAX_OBJECT_SIZE:
                raise FileTooLarge(self.path)
            count = staging.write(data, offset)
            self._changed(staging.size)
            self._stream_on(staging, offset, offset + count)
            return count

    def _stream_on(self, staging: Staging, start: int, end: int) -> None:
        stream = self.stream
        if stream is None:
            fresh = staging.base_limit == 0 and not self.unlinked and not self._no_stream
            sequential = end == staging.size and staging.present.covers(0, end)
            if not (fresh and sequential and end >= self._uploader.settings.threshold):
                return
            try:
                self._claim_key(self._owner.key_of(self.path))
                stream = self.stream = Stream(
                    self._uploader,
                    self._owner.key_of(self.path),
                    staging,
                    self._owner.headers_for(self),
                    self.entry.mtime_ns,
                )
            except (Yas3fsError, OSError) as error:
                # Nothing is lost: close() sends the file as a whole, and reports.
                _log.info("not uploading %r while it is written: %s", self.path, error)
                self._no_stream = True
                return
        stream.written(start, end)

    def _changed(self, size: int) -> None:
        entry = self.entry
        now = self._owner.now_ns()
        entry.size = size
        entry.mtime_ns = entry.ctime_ns = now
        self.dirty = True

    def truncate(self, size: int) -> None:
        """Cut or grow the file; raises FileTooLarge, OSError."""
        if size > MAX_OBJECT_SIZE:
            raise FileTooLarge(self.path)
        with self.lock:
            staging = self._stage(empty=size == 0)
            staging.truncate(size)
            if self.stream is not None:
                self.stream.truncated(size)
            self._changed(size)

    def attributes_changed(self) -> bool:
        """Attributes in the entry were set by hand; whether they ride along with an upload.

        False: there is none to come, the caller writes them to the store.
        """
        with self.lock:
            if self.unlinked:
                return True
            if self.stream is not None:
                self.restamp = True
            return self.dirty

    def bring_here(self) -> None:
        """Fetch everything: the object is about to go. Raises StoreError, OSError.

        What somebody else has replaced or deleted already cannot be had: its readers get ESTALE.
        """
        with self.lock:
            if self.version is not None and not (self.staging and self.staging.is_whole()):
                try:
                    self._stage().fetch_all()
                except (NotFound, PreconditionFailed) as error:
                    _log.info("%r goes while it is read: %s", self.path, error)

    def lose_name(self) -> None:
        """The file has no name any more: what is open stays readable here and is not stored."""
        with self.lock:
            self.unlinked = True
            if self.staging is not None and self.staging.is_whole():
                self.version = None
            self.drop_stream()

    def prepare_move(self) -> bool:
        """The file gets another path; whether its content can follow without a copy."""
        with self.lock:
            if not self.dirty:
                return False
            if self.staging is None or not self.staging.is_whole():
                self.flush()
                return False
            self.drop_stream()
            return True

    def drop_stream(self) -> None:
        """Stop the upload under way; the staged content is sent as a whole later."""
        if self.stream is not None:
            self.stream.abort()
            self.stream = None

    # -- becoming an object ----------------------------------------------------------------

    def flush(self) -> None:
        """Make the content durable in the store; raises what failed, the content stays."""
        with self.lock:
            if self.unlinked:
                self.drop_stream()
                return
            try:
                if self.dirty:
                    self._upload()
                if self.restamp:
                    self._owner.rewrite_headers(self)
                    self.restamp = False
            except Interrupted:
                raise  # the closing of the last handle tries again
            except (Yas3fsError, OSError) as error:
                self.failure = error
                raise
            self.failure = None
            self._no_stream = False

    def _claim_key(self, key: str) -> None:
        if self._owner.before_write_to(key):
            # What is still there had lost its name before this file was made.
            self.exclusive, self.shadows = False, True

    def _upload(self) -> None:
        key = self._owner.key_of(self.path)
        staging = self._stage()
        self._claim_key(key)
        self.doubted = False
        stream, self.stream = self.stream, None
        if stream is not None and (
            stream.key != key or staging.size < self._uploader.settings.threshold
        ):
            stream.abort()
            stream = None
        condition = self._condition()
        try:
            if stream is not None:
                written = stream.finish(condition)
                self.entry.mtime_ns = _stored_mtime(self, stream)
            else:
                headers = self._owner.headers_for(self)
                written = self._uploader.upload(key, staging, headers, self.version, condition)
                self.restamp = False
        except Conflict as error:
            raise Exists(str(error)) if self.exclusive else error from error
        self.version = Version(key, written.etag, staging.size)
        self._owner.uploaded(self, written)
        self.dirty = self.exclusive = self.shadows = False
        self._keep(staging)
        self._owner.stored(self)

    def _condition(self) -> Condition:
        """Which object the upload may replace."""
        if self.exclusive:
            return Condition(new=True)
        if self.shadows or not self._uploader.settings.detect_conflicts:
            return Condition()
        version = self.version
        return Condition(new=True) if version is None else Condition(version.etag)

    def _keep(self, staging: Staging) -> None:
        """What was uploaded is the base of what comes next; small content is kept at hand."""
        version = self.version
        assert version is not None
        if staging.size <= _KEPT_AFTER_UPLOAD:
            body = memoryview(bytearray(staging.size))
            staging.read_into(body, 0)
            self._cache.store(version, body)
            self.staging = None
        else:
            staging.rebase()
            if not staging.is_whole():
                self.staging = None

    def release(self) -> None:
        """The last handle is closed: upload what is left, or rescue it; never raises."""
        with interrupts.serve(None), self.lock:
            try:
                if self.has_unsaved and self.failure is None:
                    self.flush()
                if self.has_unsaved:
                    raise self.failure or InputOutput("not uploaded")
            except Exception as error:  # noqa: BLE001 - whatever it is, the content must not go
                if not isinstance(error, Yas3fsError | OSError):
                    _log.exception("%r could not be uploaded", self.path)
                if self.dirty:
                    self._owner.lost(self, str(error))
                else:
                    _log.error("attributes of %r were not stored: %s", self.path, error)
                self.dirty = self.restamp = False
            finally:
                self.drop_stream()
                self.staging = None

    def stale(self) -> StaleHandle:
        """The error of a reader whose version is gone."""
        return StaleHandle(f"{self.path!r} was replaced while it was open")


def _stored_mtime(inode: Inode, stream: Stream) -> int:
    """The modification time that the finished upload carries.

    S3 takes metadata when an upload begins. Unless the attributes are written again anyway, what
    is shown here is what everybody else is shown.
    """
    return inode.entry.mtime_ns if inode.restamp else stream.mtime_ns
