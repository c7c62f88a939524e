"""Reads of object versions through the memory cache: ranged, single-flight, ahead of the reader.

A miss reserves an extent of the cache and fills it with one GET pinned to the version's ETag.
What the waiting program asked for and nothing more is fetched by its own thread; whatever reaches
further is fetched by the pool, and the reader goes on as soon as *its* bytes are there.
"""

import contextlib

from yas3fs.cache.memory import Extent, MemoryCache, Version
from yas3fs.errors import BodyCorrupted, Interrupted, Yas3fsError
from yas3fs.objectstore.protocol import ObjectInfo, ObjectStore
from yas3fs.prefetch.readahead import MIB, RANDOM_UNIT, ReadAhead
from yas3fs.runtime import interrupts
from yas3fs.runtime.memory import Room, Send, copy_bytes
from yas3fs.runtime.pools import Pool

REQUEST_SIZE = 8 * MIB
"""Largest range of one GET: large enough to hide a round trip, small enough to run eight wide."""
_SMALLEST_CACHE = 4096
"""A page. Below it there is no cache: each read is a request of its own."""
SMALL_OBJECT = 1 * MIB
"""Objects up to this size are fetched whole by the first read."""

_STREAM_SHARE = 4
"""A file larger than this part of the cache is not kept when it is read from end to end."""
_KEPT_BEHIND = 2


class _Abandoned(Yas3fsError):
    """The thread that downloaded was interrupted; whoever waited with it asks anew."""


class Reader:
    """Serves ranges of object versions for one mount.

    ``buffer_size`` (bytes) bounds one request; 0 means that a read waits until the whole object
    is here, as far as the cache can hold it.
    """

    def __init__(
        self,
        store: ObjectStore,
        cache: MemoryCache,
        pool: Pool,
        *,
        prefetch_pool: Pool | None = None,
        buffer_size: int = REQUEST_SIZE,
        read_ahead: int = 64 * MIB,
    ) -> None:
        self._store = store
        self._cache = cache
        self._pool = pool
        self._prefetch_pool = prefetch_pool or pool
        self.set_buffer_size(buffer_size)
        self.set_read_ahead(read_ahead)

    def set_buffer_size(self, size: int) -> None:
        """Bytes of one request at most, from now on; 0: as for a new reader."""
        self._whole = size == 0
        self._buffer_size = size or REQUEST_SIZE

    def set_read_ahead(self, size: int) -> None:
        """Bytes to fetch ahead of readers whose files are opened from now on; 0: none."""
        self._read_ahead = size

    @property
    def buffer_size(self) -> int:
        """As it was set."""
        return 0 if self._whole else self._buffer_size

    @property
    def read_ahead(self) -> int:
        """As it was set."""
        return self._read_ahead

    @property
    def load(self) -> tuple[int, int]:
        """How many downloads, and how many whole files ahead of readers, wait or are under way."""
        ahead = 0 if self._prefetch_pool is self._pool else self._prefetch_pool.load
        return self._pool.load, ahead

    @property
    def request_size(self) -> int:
        """Bytes of one request at most, as the cache allows."""
        return max(_SMALLEST_CACHE, min(REQUEST_SIZE, self._buffer_size, self._cache.capacity // 8))

    def new_read_ahead(self) -> ReadAhead:
        """The state for a new handle."""
        return ReadAhead(min(self._read_ahead, self._cache.capacity // 4))

    def read_into(
        self, version: Version, target: memoryview, offset: int, ahead: ReadAhead | None = None
    ) -> int:
        """Copy bytes of ``version`` from ``offset`` into ``target``; returns how many.

        Short only at the end of the object. Raises PreconditionFailed or NotFound when the
        version is gone, other members of StoreError when the download failed, Interrupted.
        """
        end = min(offset + len(target), version.size)
        if offset >= end:
            return 0
        if self._cache.capacity < _SMALLEST_CACHE:
            piece = target[: end - offset]
            self._store.get(version.key, piece, offset=offset, etag=version.etag)
            return end - offset
        self._begin(version, offset, end, ahead)
        return self._copy(version, target, offset, end, ahead)

    def send(
        self, version: Version, size: int, offset: int, ahead: ReadAhead, room: Room, send: Send
    ) -> int:
        """As :meth:`read_into`, but nothing is copied where all bytes lie in one extent.

        ``send`` is called once, with what is there; it must not raise.
        """
        end = min(offset + size, version.size)
        if offset < end and self._cache.capacity >= _SMALLEST_CACHE:
            self._begin(version, offset, end, ahead)
            extent = None
            while extent is None:
                extent = self._ready(version, offset, offset, end, ahead)
            if end <= extent.end:
                try:
                    send(extent.address + offset - extent.start, end - offset)
                finally:
                    self._done(extent, end, ahead)
                return end - offset
            self._cache.unpin(extent)  # it is read with the others
            buffer = room(end - offset)
            count = self._copy(version, buffer.view, offset, end, ahead)
        else:
            length = max(0, end - offset)
            buffer = room(length)
            count = self.read_into(version, buffer.view[:length], offset)
        send(buffer.address, count)
        return count

    def _begin(self, version: Version, offset: int, end: int, ahead: ReadAhead | None) -> None:
        """A program reads there."""
        if ahead is not None:
            ahead.observe(offset, end - offset)
        if self._whole:
            self._fetch_whole(version)

    def _copy(
        self, version: Version, target: memoryview, offset: int, end: int, ahead: ReadAhead | None
    ) -> int:
        position = offset
        while position < end:
            extent = self._ready(version, position, offset, end, ahead)
            if extent is None:
                continue
            upto = min(end, extent.end)
            try:
                start = position - extent.start
                copy_bytes(
                    target, position - offset, extent.view, start, upto - position, extent.address
                )
            finally:
                self._done(extent, upto, ahead)
            position = upto
        return end - offset

    def _ready(
        self, version: Version, position: int, offset: int, end: int, ahead: ReadAhead | None
    ) -> Extent | None:
        """A pinned extent with the bytes from ``position`` on, as far as it goes; None: again."""
        extent = self._cache.pin(version, position)
        if extent is None:
            extent = self._demand(version, position, end, ahead)
            if extent is None:
                return None
        try:
            if ahead is not None and ahead.window:
                self._run_ahead(version, ahead, offset)
            self._cache.wait_filled(extent, min(end, extent.end) - extent.start)
        except _Abandoned:
            self._cache.unpin(extent)
            interrupts.check()
            return None
        except BaseException:
            self._cache.unpin(extent)
            raise
        return extent

    def _done(self, extent: Extent, upto: int, ahead: ReadAhead | None) -> None:
        """The extent was read up to there."""
        self._cache.unpin(extent)
        if upto >= extent.end and ahead is not None and ahead.window:
            self._passed(extent, ahead)

    def _passed(self, extent: Extent, ahead: ReadAhead) -> None:
        """A long stream leaves the cache behind itself: it would only push out everything else.

        Its pages are in the kernel's cache, and the freed buffers serve what comes next without
        touching fresh memory. The last few stay, for requests that the kernel sends out of order.
        """
        if extent.version.size <= self._cache.capacity // _STREAM_SHARE:
            return
        ahead.passed.append(extent)
        if len(ahead.passed) > _KEPT_BEHIND:
            self._cache.retire(ahead.passed.popleft())

    def covered(self, version: Version) -> bool:
        """Whether the whole version is in the cache."""
        return self._cache.covers(version, 0, version.size)

    def fetch_small(self, version: Version) -> ObjectInfo | None:
        """Fetch a whole small object into the cache, for its attributes as much as its bytes.

        None when it is there or on its way, or there is no room that is free. Raises StoreError,
        Interrupted.
        """
        if not 0 < version.size <= min(SMALL_OBJECT, self.request_size):
            return None
        extent = self._cache.reserve(version, 0, version.size, wait=False)
        if extent is None:
            return None
        if extent.length != version.size:  # a part of it was there
            self._cache.fail(extent, _Abandoned("not needed"))
            return None
        return self._download(extent)

    def fetch(self, version: Version) -> bool:
        """Fetch the whole object into what room is free; whether all of it is here then.

        Nothing leaves the cache for it. Raises StoreError, Interrupted.
        """
        position = 0
        while position < version.size:
            end = min(position + self.request_size, version.size)
            if self._cache.covers(version, position, end):
                position = end
                continue
            extent = self._cache.reserve(version, position, end, wait=False, evict=False)
            if extent is not None:
                position = extent.end
                self._download(extent)
                continue
            extent = self._cache.pin(version, position)  # on its way for somebody else
            if extent is None:
                return False
            try:
                self._cache.wait_filled(extent, extent.length)
                position = extent.end
            except _Abandoned:
                interrupts.check()
            finally:
                self._cache.unpin(extent)
        return True

    def prefetch(self, version: Version) -> bool:
        """Begin to fetch the whole object, without waiting; False when the cache is full.

        Nothing that is in the cache has to leave for what nobody has asked for yet.
        """
        if not self._cache.has_room(version.size):
            return False
        if not self._cache.holds(version):
            self._prefetch_pool.submit(self._prefetch_all, version)
        return True

    def _prefetch_all(self, version: Version) -> None:
        position = 0
        while position < version.size and self._cache.has_room(self.request_size):
            end = min(position + self.request_size, version.size)
            extent = self._cache.reserve(version, position, end, wait=False)
            if extent is None:
                return
            position = extent.end
            self._fill(extent)

    # -- misses ----------------------------------------------------------------------------

    def _demand(
        self, version: Version, position: int, end: int, ahead: ReadAhead | None
    ) -> Extent | None:
        """A pinned extent that will hold ``position``; None: look again, somebody was faster."""
        cache, size = self._cache, version.size
        extent = None
        if size <= min(SMALL_OBJECT, self.request_size):
            extent = cache.reserve(version, 0, size, wait=True)
        if extent is not None and extent.end <= position:  # only the gap before it was free
            cache.share(extent)
            self._fill(extent)
            cache.unpin(extent)
            return None
        if extent is None:
            window = ahead.window if ahead is not None else 0
            unit = ahead.unit(self.request_size) if ahead is not None and window else RANDOM_UNIT
            stop = min(max(end, position + unit), size)
            extent = cache.reserve(
                version, position, min(stop, position + self.request_size), wait=True
            )
        if extent is None:
            return None
        cache.share(extent)  # one pin is the filler's, one this reader's
        if extent.end <= end + RANDOM_UNIT or extent.length == size:
            self._fill(extent)
        else:
            self._submit(extent)
        return extent

    def _download(self, extent: Extent) -> ObjectInfo:
        """Fill the extent with one GET; whoever waits for it raises what failed, and so do we."""
        cache = self._cache

        def arrived(count: int) -> None:
            cache.advance(extent, count)

        try:
            info = self._store.get(
                extent.version.key,
                extent.view,
                offset=extent.start,
                etag=extent.version.etag,
                arrived=arrived,
                whole=extent.length == extent.version.size,
            )
        except Interrupted:
            cache.fail(extent, _Abandoned("the download was interrupted"))
            raise
        except Yas3fsError as error:
            cache.fail(extent, error)
            raise
        except BaseException as error:
            cache.fail(extent, BodyCorrupted(f"download failed: {error!r}"))
            raise
        cache.finish(extent)
        return info

    def _fill(self, extent: Extent) -> None:
        """As :meth:`_download`, for whoever learns of a failure from the extent."""
        with contextlib.suppress(Yas3fsError):
            self._download(extent)

    def _submit(self, extent: Extent) -> None:
        try:
            self._pool.submit(self._fill, extent)
        except RuntimeError as error:  # the pool is shut down
            self._cache.fail(extent, BodyCorrupted(f"not downloading any more: {error}"))

    # -- running ahead ---------------------------------------------------------------------

    def _run_ahead(self, version: Version, ahead: ReadAhead, offset: int) -> None:
        unit = ahead.unit(self.request_size)
        horizon = min(version.size, ahead.expected + ahead.window)
        start = max(ahead.scheduled, offset)
        if start >= version.size or (horizon < version.size and horizon - start < unit):
            return
        ahead.scheduled = self._schedule(version, start, horizon, unit)

    def _schedule(self, version: Version, start: int, horizon: int, unit: int) -> int:
        """Request the gaps of ``[start, horizon)``; returns how far it came."""
        while start < horizon:
            extent = self._cache.pin(version, start)
            if extent is not None:
                start = extent.end
                self._cache.unpin(extent)
                continue
            extent = self._cache.reserve(version, start, min(start + unit, horizon), wait=False)
            if extent is None:
                break
            start = extent.end
            self._submit(extent)
        return start

    def _fetch_whole(self, version: Version) -> None:
        if version.size > self._cache.capacity // 2:
            return
        self._schedule(version, 0, version.size, self.request_size)
        position = 0
        while position < version.size:
            extent = self._cache.pin(version, position)
            if extent is None:
                extent = self._cache.reserve(
                    version, position, position + self.request_size, wait=True
                )
                if extent is None:
                    continue
                self._cache.share(extent)
                self._fill(extent)
            try:
                self._cache.wait_filled(extent, extent.length)
                position = extent.end
            except _Abandoned:
                interrupts.check()
            finally:
                self._cache.unpin(extent)
