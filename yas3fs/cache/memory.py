"""Object data in memory: extents of exact size, a bound that holds to the byte.

A *content* (one version of one object) owns sorted, disjoint *extents*. An extent is one piece of
anonymous memory that one ranged GET fills from its start; ``filled`` is how far it has come, so
readers are served while the rest arrives, and a second reader of the same range waits for the
same request (single-flight comes from the extent being there). The memory is reserved before the
request is made: what is in flight counts. Least recently used extents leave first; one that is
being filled or copied from is *pinned* and stays.

Lock order: ``MemoryCache._lock`` is a leaf; nothing is called with it held.
"""

import ctypes
import mmap
import threading
from bisect import bisect_right, insort
from collections import OrderedDict
from dataclasses import dataclass

from yas3fs.runtime import interrupts

_MAPPED_FROM = 64 * 1024
"""Smaller pieces come from malloc: a mapping costs two system calls and whole pages."""
_SPARE_BYTES = 32 * 1024 * 1024
"""Freed large buffers kept for the next request, which spares the page faults of fresh memory."""


@dataclass(frozen=True, slots=True)
class Version:
    """Which bytes: one version of one object. ``size`` in bytes."""

    key: str
    etag: str
    size: int


class Extent:
    """A piece of one content; see the module's docstring."""

    __slots__ = (
        "_anchor",
        "address",
        "condition",
        "error",
        "filled",
        "length",
        "memory",
        "pins",
        "start",
        "version",
        "view",
    )

    def __init__(self, version: Version, start: int, memory: mmap.mmap | bytearray) -> None:
        self.version = version
        self.start = start
        self.memory = memory
        self.length = len(memory)
        self.view = memoryview(memory)
        self._anchor = ctypes.c_char.from_buffer(memory)
        self.address = ctypes.addressof(self._anchor)
        self.filled = 0
        self.pins = 0
        self.error: BaseException | None = None
        self.condition: threading.Condition | None = None

    def let_go(self) -> None:
        """The memory is somebody else's from here on."""
        self.memory = bytearray()
        self.view = memoryview(self.memory)
        self._anchor = ctypes.c_char()
        self.address = 0

    @property
    def end(self) -> int:
        """Offset in the object behind the extent's last byte."""
        return self.start + self.length

    def __lt__(self, other: "Extent") -> bool:
        return self.start < other.start


class _Content:
    __slots__ = ("extents", "starts")

    def __init__(self) -> None:
        self.extents: list[Extent] = []
        self.starts: list[int] = []

    def at(self, offset: int) -> Extent | None:
        index = bisect_right(self.starts, offset) - 1
        if index >= 0 and offset < self.extents[index].end:
            return self.extents[index]
        return None

    def gap_end(self, offset: int, size: int) -> int:
        index = bisect_right(self.starts, offset)
        return self.starts[index] if index < len(self.starts) else size

    def insert(self, extent: Extent) -> None:
        insort(self.extents, extent)
        insort(self.starts, extent.start)

    def remove(self, extent: Extent) -> None:
        index = bisect_right(self.starts, extent.start) - 1
        del self.extents[index], self.starts[index]


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """``used`` and ``capacity`` in bytes; the rest are counts since the mount."""

    capacity: int
    used: int
    extents: int
    contents: int
    hits: int
    misses: int
    evictions: int


class MemoryCache:
    """All extents of one mount, at most ``capacity`` bytes of them."""

    def __init__(self, capacity: int, max_contents: int = 1_000_000) -> None:
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._capacity = capacity
        self._max_contents = max_contents
        self._used = 0
        self._contents: dict[tuple[str, str], _Content] = {}
        self._order: OrderedDict[int, Extent] = OrderedDict()
        self._spare: list[mmap.mmap] = []
        self._spare_bytes = 0
        self._hits = self._misses = self._evictions = 0

    # -- looking up ------------------------------------------------------------------------

    def pin(self, version: Version, offset: int) -> Extent | None:
        """The extent that holds (or will hold) ``offset``, pinned; None on a miss."""
        with self._lock:
            content = self._contents.get((version.key, version.etag))
            extent = content.at(offset) if content is not None else None
            if extent is None:
                self._misses += 1
                return None
            self._hits += 1
            extent.pins += 1
            self._order.move_to_end(id(extent))
            return extent

    def share(self, extent: Extent) -> None:
        """Pin an extent once more that the caller has pinned already."""
        with self._lock:
            extent.pins += 1

    def unpin(self, extent: Extent) -> None:
        """Give back what :meth:`pin` or :meth:`reserve` returned."""
        with self._lock:
            extent.pins -= 1
            if extent.pins == 0:
                self._room.notify_all()

    def covers(self, version: Version, start: int, end: int) -> bool:
        """Whether every byte of the range is here and filled."""
        with self._lock:
            content = self._contents.get((version.key, version.etag))
            while start < end:
                extent = content.at(start) if content is not None else None
                if extent is None or extent.start + extent.filled <= start:
                    return False
                start = extent.start + extent.filled
            return True

    def holds(self, version: Version) -> bool:
        """Whether anything of the version is here or on its way."""
        with self._lock:
            return (version.key, version.etag) in self._contents

    def has_room(self, length: int) -> bool:
        """Whether ``length`` more bytes fit without anything leaving."""
        return self._used + self._spare_bytes + length <= self._capacity

    def wait_filled(self, extent: Extent, upto: int) -> None:
        """Wait until ``filled`` reaches ``upto`` bytes; raises what the download raised."""
        if extent.filled >= upto:
            return
        with self._lock:
            condition = extent.condition
            if condition is not None:
                interrupts.wait_for(
                    condition, lambda: extent.filled >= upto or extent.error is not None
                )
            if extent.filled >= upto:
                return
        raise extent.error if extent.error is not None else AssertionError("unfilled extent")

    # -- filling ---------------------------------------------------------------------------

    def reserve(
        self, version: Version, start: int, end: int, *, wait: bool, evict: bool = True
    ) -> Extent | None:
        """A new pinned extent for the gap at ``start``, at most up to ``end`` or what ever fits.

        None when the range is already there or on its way, or, without ``wait``, when there is no
        room that is not pinned, or that nothing must leave for if not ``evict``. With ``wait`` it
        blocks for room; raises Interrupted.
        """
        with self._lock:
            while True:
                content = self._contents.get((version.key, version.etag))
                if content is not None:
                    if content.at(start) is not None:
                        return None
                    end = min(end, content.gap_end(start, version.size))
                end = min(end, start + max(1, self._capacity))
                if self._make_room(end - start, evict=evict):
                    break
                if not wait:
                    return None
                self._room.wait(interrupts.SLICE)
                interrupts.check()
            return self._insert(version, start, end - start)

    def _insert(self, version: Version, start: int, length: int) -> Extent:
        extent = Extent(version, start, self._memory(length))
        extent.condition = threading.Condition(self._lock)
        extent.pins = 1
        self._used += length
        identity = (version.key, version.etag)
        content = self._contents.get(identity)
        if content is None:
            content = self._contents[identity] = _Content()
        content.insert(extent)
        self._order[id(extent)] = extent
        return extent

    def advance(self, extent: Extent, filled: int) -> None:
        """The first ``filled`` bytes of the extent are valid now."""
        with self._lock:
            extent.filled = filled
            if extent.condition is not None:
                extent.condition.notify_all()

    def finish(self, extent: Extent) -> None:
        """The extent is whole; its filler lets go of it."""
        with self._lock:
            extent.filled = extent.length
            self._settle(extent)

    def fail(self, extent: Extent, error: BaseException) -> None:
        """The download failed: the extent leaves the cache, its waiters raise ``error``."""
        with self._lock:
            extent.error = error
            self._settle(extent)
            if id(extent) in self._order:
                self._drop(extent)

    def _settle(self, extent: Extent) -> None:
        if extent.condition is not None:
            extent.condition.notify_all()
            extent.condition = None
        extent.pins -= 1
        self._room.notify_all()

    def store(self, version: Version, data: bytes | memoryview) -> None:
        """Keep a whole small object that is at hand anyway; skipped when there is no room."""
        if not len(data):
            return
        extent = self.reserve(version, 0, len(data), wait=False)
        if extent is None:
            return
        extent.view[: extent.length] = data[: extent.length]
        self.finish(extent)

    # -- leaving ---------------------------------------------------------------------------

    def rename(self, old: Version, new: Version) -> None:
        """The same bytes are now known as ``new`` (a metadata copy or a rename)."""
        with self._lock:
            content = self._contents.pop((old.key, old.etag), None)
            if content is None:
                return
            if (new.key, new.etag) in self._contents or any(
                extent.condition is not None for extent in content.extents
            ):
                self._contents[old.key, old.etag] = content
                return
            for extent in content.extents:
                extent.version = new
            self._contents[new.key, new.etag] = content

    def forget(self, version: Version) -> None:
        """Drop what is here of one version; what is pinned leaves when it is let go."""
        with self._lock:
            content = self._contents.get((version.key, version.etag))
            for extent in list(content.extents) if content is not None else []:
                if extent.pins == 0:
                    self._drop(extent)
            self._room.notify_all()

    def retire(self, extent: Extent) -> None:
        """Drop an extent whose bytes were handed on and are not wanted again soon."""
        with self._lock:
            if extent.pins == 0 and self._order.get(id(extent)) is extent:
                self._drop(extent)
                self._room.notify_all()

    def clear(self) -> None:
        """Drop everything that is not pinned."""
        with self._lock:
            for extent in list(self._order.values()):
                if extent.pins == 0:
                    self._drop(extent)
            self._release_spare()
            self._room.notify_all()

    def resize(self, capacity: int) -> None:
        """Change the bound, live; what is over it leaves at once unless pinned."""
        with self._lock:
            self._capacity = capacity
            self._make_room(0)
            if self._used + self._spare_bytes > capacity:
                self._release_spare()
            self._room.notify_all()

    def bound_contents(self, count: int) -> None:
        """Change how many contents may be here, live; what is over it leaves at once."""
        with self._lock:
            self._max_contents = count
            self._make_room(0)
            self._room.notify_all()

    def statistics(self) -> CacheStatistics:
        with self._lock:
            return CacheStatistics(
                self._capacity,
                self._used + self._spare_bytes,
                len(self._order),
                len(self._contents),
                self._hits,
                self._misses,
                self._evictions,
            )

    @property
    def capacity(self) -> int:
        return self._capacity

    # -- memory ----------------------------------------------------------------------------

    def _make_room(self, length: int, *, evict: bool = True) -> bool:
        """Evict until ``length`` more bytes fit; False when pinned extents stand in the way."""
        excess = self._used + length - self._capacity
        surplus = len(self._contents) + (length > 0) - self._max_contents
        if excess <= 0 and surplus <= 0:
            return True
        if not evict:
            return False
        victims: list[Extent] = []
        for extent in self._order.values():
            if excess <= 0 and surplus <= 0:
                break
            if extent.pins == 0:
                victims.append(extent)
                excess -= extent.length
                content = self._contents[extent.version.key, extent.version.etag]
                surplus -= len(content.extents) == 1
        for extent in victims:
            self._evictions += 1
            self._drop(extent)
        return excess <= 0

    def _drop(self, extent: Extent) -> None:
        del self._order[id(extent)]
        identity = (extent.version.key, extent.version.etag)
        content = self._contents[identity]
        content.remove(extent)
        if not content.extents:
            del self._contents[identity]
        self._used -= extent.length
        memory = extent.memory
        if (
            extent.pins == 0
            and isinstance(memory, mmap.mmap)
            and self._spare_bytes + len(memory) <= min(_SPARE_BYTES, self._capacity // 8)
            and self._used + self._spare_bytes + len(memory) <= self._capacity
        ):
            self._spare.append(memory)
            self._spare_bytes += len(memory)
        if extent.pins == 0:  # whoever still knows the extent must not keep its memory
            extent.let_go()

    def _memory(self, length: int) -> mmap.mmap | bytearray:
        for index, memory in enumerate(self._spare):
            if len(memory) == length:
                del self._spare[index]
                self._spare_bytes -= length
                return memory
        if self._used + self._spare_bytes + length > self._capacity:
            self._release_spare()
        return mmap.mmap(-1, length) if length >= _MAPPED_FROM else bytearray(length)

    def _release_spare(self) -> None:
        self._spare.clear()
        self._spare_bytes = 0
