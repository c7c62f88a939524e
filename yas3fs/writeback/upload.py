"""Making the staged content of a file one durable object.

Three ways, the cheapest that fits: one PUT; a multipart upload in which what did not change is
copied server-side; and, for a file written from its start to its end, an upload that sends each
part as soon as it is full, so that ``close()`` waits for the tail only.

The bodies of parts live in buffers of the upload pool's threads: its size times the part size is
all the memory that uploads take.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace

from yas3fs.cache.memory import Version
from yas3fs.errors import (
    Conflict,
    NotFound,
    PreconditionFailed,
    StaleHandle,
    StoreError,
    Yas3fsError,
)
from yas3fs.objectstore.protocol import MIN_PART_SIZE, Headers, ObjectStore, Part, Written
from yas3fs.runtime import interrupts
from yas3fs.runtime.pools import Pool
from yas3fs.writeback.journal import Journal
from yas3fs.writeback.plan import MIB, PlannedPart, plan_parts, stream_part_size
from yas3fs.writeback.staging import Staging


@dataclass(frozen=True, slots=True)
class UploadSettings:
    """Sizes in bytes. Below ``threshold`` an object is sent by one PUT.

    ``min_part_size`` is what the store allows. ``detect_conflicts``: an upload replaces nothing but
    the version that the change began with.
    """

    part_size: int = 8 * MIB
    threshold: int = 16 * MIB
    min_part_size: int = MIN_PART_SIZE
    detect_conflicts: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """What an upload may replace: the version ``etag``, or nothing (``new``), or anything."""

    etag: str = ""
    new: bool = False


ANY = Condition()

_NO_UPLOAD = "NoSuchUpload"


@contextmanager
def _met(key: str, condition: Condition) -> Iterator[None]:
    """What the store says of a condition that does not hold, in our terms."""
    try:
        yield
    except (PreconditionFailed, NotFound) as error:
        if condition == ANY or error.code == _NO_UPLOAD:
            raise
        raise _conflict(key, condition) from error


def _conflict(key: str, condition: Condition) -> Conflict:
    what = "is there already" if condition.new else "is not what the change began with any more"
    return Conflict(f"{key!r} {what}: somebody else was faster")


class _Buffers:
    """Part-sized buffers that are used again while uploads run, and given back when they rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[bytearray] = []
        self._out = 0

    def take(self, size: int) -> bytearray:
        with self._lock:
            self._out += 1
            for index, buffer in enumerate(self._free):
                if len(buffer) == size:
                    return self._free.pop(index)
        return bytearray(size)

    def give(self, buffer: bytearray) -> None:
        with self._lock:
            self._out -= 1
            self._free.append(buffer)
            if self._out == 0 or len(self._free) > 8:
                self._free.clear()


class Uploader:
    """Uploads for one mount."""

    def __init__(
        self,
        store: ObjectStore,
        pool: Pool,
        journal: Journal,
        settings: UploadSettings,
    ) -> None:
        self.store = store
        self.pool = pool
        self.journal = journal
        self.settings = settings
        self._buffers = _Buffers()

    def set_part_size(self, size: int) -> None:
        """Bytes of the parts of uploads from now on.

        The threshold moves along where it is the part size, as it is unless it was chosen.
        """
        before = self.settings
        follows = before.threshold == before.part_size
        threshold = size if follows else before.threshold
        self.settings = replace(before, part_size=size, threshold=threshold)

    # -- whole files -----------------------------------------------------------------------

    def upload(
        self,
        key: str,
        staging: Staging,
        headers: Headers,
        base: Version | None,
        condition: Condition = ANY,
    ) -> Written:
        """Make ``staging`` the object ``key``.

        Raises Conflict when the condition does not hold, StaleHandle when the base that the file
        was opened on is gone and bytes of it are still needed, StoreError, OSError.
        """
        size = staging.size
        unchanged = staging.unchanged() if base is not None else []
        try:
            if size < self.settings.threshold:
                staging.fetch_all()
                return self._put(key, staging, size, headers, condition)
            parts = plan_parts(
                size, unchanged, self.settings.part_size, self.settings.min_part_size
            )
            return self._multipart(key, staging, headers, base, parts, condition)
        except (PreconditionFailed, NotFound) as error:
            if base is None:
                raise
            if condition.etag and error.code != _NO_UPLOAD:
                raise _conflict(key, condition) from error
            if not staging.is_whole():
                raise StaleHandle(f"{key!r} was replaced while it was needed") from error
            # Nothing of the base is needed: all of it is sent from here.
            return self.upload(key, staging, headers, None, condition)

    def _put(
        self, key: str, staging: Staging, size: int, headers: Headers, condition: Condition
    ) -> Written:
        body = memoryview(bytearray(size))
        staging.read_into(body, 0)
        with _met(key, condition):
            return self.store.put(
                key, body, headers, if_match=condition.etag, if_none_match=condition.new
            )

    def complete(
        self, key: str, upload_id: str, parts: list[Part], condition: Condition
    ) -> Written:
        """Make parts the object ``key``. Conflict, StoreError."""
        with _met(key, condition):
            return self.store.complete_multipart(
                key, upload_id, parts, if_match=condition.etag, if_none_match=condition.new
            )

    def _multipart(
        self,
        key: str,
        staging: Staging,
        headers: Headers,
        base: Version | None,
        parts: list[PlannedPart],
        condition: Condition,
    ) -> Written:
        def make(number: int, planned: PlannedPart) -> Part:
            if planned.copied and base is not None:
                return self.store.copy_part(
                    key,
                    upload_id,
                    number,
                    base.key,
                    planned.start,
                    planned.end,
                    source_etag=base.etag,
                )
            return self.send_part(
                key, upload_id, number, staging.read_into, planned.start, planned.end
            )

        upload_id, record = self.begin(key, headers)
        futures = [self.pool.submit(make, n, part) for n, part in enumerate(parts, 1)]
        try:
            finished = [interrupts.result(future) for future in futures]
            written = self.complete(key, upload_id, finished, condition)
        except BaseException:
            self.abort(key, upload_id, record, futures)
            raise
        self.journal.end(record)
        return written

    # -- pieces ----------------------------------------------------------------------------

    def begin(self, key: str, headers: Headers) -> tuple[str, str]:
        """Begin a multipart upload: its id, and the journal's record of it."""
        upload_id = self.store.create_multipart(key, headers)
        try:
            record = self.journal.begin("multipart", {"key": key, "upload_id": upload_id})
        except OSError:
            self.abort(key, upload_id, "", [])
            raise
        return upload_id, record

    def send_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        read: Callable[[memoryview, int], int],
        start: int,
        end: int,
    ) -> Part:
        """Read ``[start, end)`` into a buffer and send it."""
        buffer = self._buffers.take(end - start)
        try:
            read(memoryview(buffer), start)
            return self.store.upload_part(key, upload_id, number, buffer)
        finally:
            self._buffers.give(buffer)

    def abort(self, key: str, upload_id: str, record: str, futures: "list[Future[Part]]") -> None:
        """Give up an upload: nothing of it is sent any more, its parts are dropped.

        If the store does not do that now, the record stays and the next mount does it.
        """
        for future in futures:
            future.cancel()
        for future in futures:
            if not future.cancelled():
                future.exception()
        with interrupts.serve(None):
            try:
                self.store.abort_multipart(key, upload_id)
            except StoreError:
                return
        if record:
            self.journal.end(record)


@dataclass(slots=True)
class _StreamPart:
    start: int
    end: int
    generation: int = 0
    sent: int = -1
    part: Part | None = None
    future: "Future[None] | None" = None


class Stream:
    """The upload of a file that is still being written, from its start onwards.

    Its owner (one inode) calls it with the inode's lock held. A part that is written again after
    it was sent is sent again: S3 replaces a part that comes twice under its number.
    """

    def __init__(
        self, uploader: Uploader, key: str, staging: Staging, headers: Headers, mtime_ns: int
    ) -> None:
        self._uploader = uploader
        self._staging = staging
        self._parts: list[_StreamPart] = []
        self.key = key
        self.mtime_ns = mtime_ns
        """The modification time in the headers that the upload began with."""
        self._upload_id, self._record = uploader.begin(key, headers)

    def _boundary(self) -> int:
        return self._parts[-1].end if self._parts else 0

    def written(self, start: int, end: int) -> None:
        """Take note that ``[start, end)`` was written; full parts leave at once."""
        if self._parts and start < self._parts[-1].end:
            for part in self._parts:
                if part.start < end and start < part.end:
                    part.generation += 1
        while True:
            begin = self._boundary()
            size = stream_part_size(len(self._parts), self._uploader.settings.part_size)
            if self._staging.size < begin + size:
                return
            part = _StreamPart(begin, begin + size)
            self._parts.append(part)
            self._send(len(self._parts), part)

    def truncated(self, size: int) -> None:
        """Take note that the file was cut to ``size`` bytes or grown to it."""
        while self._parts and self._parts[-1].end > size:
            dropped = self._parts.pop()
            if dropped.future is not None and not dropped.future.cancel():
                dropped.future.exception()

    def _send(self, number: int, part: _StreamPart) -> None:
        part.future = self._uploader.pool.submit(self._work, number, part)

    def _work(self, number: int, part: _StreamPart) -> None:
        generation = part.generation
        part.part = self._uploader.send_part(
            self.key, self._upload_id, number, self._staging.read_into, part.start, part.end
        )
        part.sent = generation

    def finish(self, condition: Condition = ANY) -> Written:
        """Send what is missing and make the object.

        Raises Conflict and StoreError, then nothing is begun.
        """
        try:
            self._settle()
            for number, part in enumerate(self._parts, 1):
                if part.sent != part.generation or part.part is None:
                    self._send(number, part)
            if self._staging.size > self._boundary():
                tail = _StreamPart(self._boundary(), self._staging.size)
                self._parts.append(tail)
                self._send(len(self._parts), tail)
            for part in self._parts:
                if part.future is not None:
                    interrupts.result(part.future)
            done = [part.part for part in self._parts if part.part is not None]
            written = self._uploader.complete(self.key, self._upload_id, done, condition)
        except BaseException:
            self.abort()
            raise
        self._uploader.journal.end(self._record)
        return written

    def _settle(self) -> None:
        """Wait for what is under way; a part that failed is sent once more by :meth:`finish`."""
        for part in self._parts:
            if part.future is not None:
                try:
                    interrupts.result(part.future)
                except (StoreError, OSError):
                    part.sent = -1
                part.future = None

    def abort(self) -> None:
        """Drop the upload; the staged content is untouched."""
        for part in self._parts:
            if part.future is not None and not part.future.cancel():
                try:
                    part.future.result()
                except (Yas3fsError, OSError):
                    pass
        self._uploader.abort(self.key, self._upload_id, self._record, [])
        self._parts.clear()
