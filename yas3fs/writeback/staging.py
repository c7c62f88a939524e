"""The local, changeable image of one file: written bytes over an unchanging remote version.

An unnamed sparse file holds what was written or had to be fetched; everything else is still read
from the *base*, the version the file had when it was opened for writing. Nothing here talks to
the store: the base is read through a function handed in.

Two sets tell what is what: ``present`` (bytes that the local file holds) and ``changed`` (bytes
that differ from the base). Behind ``base_limit`` the base does not count: a file cut short and
grown again has zeros there.
"""

import contextlib
import errno
import os
import tempfile
import threading
from collections.abc import Callable, Collection

from yas3fs.cache.intervals import IntervalSet

BaseRead = Callable[[memoryview, int], int]
"""Fill a buffer from an offset of the base version; returns the bytes read."""

_COPY_CHUNK = 1024 * 1024


def open_unnamed(folder: str) -> int:
    """A descriptor of a new file without a name in ``folder``; raises OSError.

    A crash leaves nothing behind. O_TMPFILE exists on Linux only, and not on every file system.
    """
    flag = getattr(os, "O_TMPFILE", 0)
    if flag:
        with contextlib.suppress(OSError):
            return os.open(folder, flag | os.O_RDWR | os.O_CLOEXEC, 0o600)
    descriptor, path = tempfile.mkstemp(prefix="staging-", dir=folder)
    os.unlink(path)
    return descriptor


class Staging:
    """See the module's docstring. The owner serialises writers; readers need no lock."""

    def __init__(self, folder: str, base_size: int, read_base: BaseRead) -> None:
        self._descriptor = open_unnamed(folder)
        self._read_base = read_base
        self.base_limit = base_size
        self.size = base_size
        self.present = IntervalSet()
        self.changed = IntervalSet()
        self._sets = threading.Lock()  # a leaf: a reader must not see a set half updated

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    # -- writing ---------------------------------------------------------------------------

    def write(self, data: memoryview, offset: int) -> int:
        """Write all of ``data``; raises OSError (a full disk), then nothing counts as written."""
        end = offset + len(data)
        position = 0
        try:
            while position < len(data):
                position += os.pwrite(self._descriptor, data[position:], offset + position)
        except OSError:
            if end > self.size:  # behind the end there are only zeros
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self.size)
            raise
        if offset > self.size:
            self._mark(self.size, offset)  # the hole reads as zeros, and is so in the local file
        self._mark(offset, end)
        self.size = max(self.size, end)
        return len(data)

    def truncate(self, size: int) -> None:
        """Cut or grow to ``size`` bytes; raises OSError."""
        if size < self.size:
            os.ftruncate(self._descriptor, size)
            with self._sets:
                self.present.remove(size, self.size)
                self.changed.remove(size, self.size)
                self.base_limit = min(self.base_limit, size)
        elif size > self.size:
            os.ftruncate(self._descriptor, size)
            self._mark(self.size, size)
        self.size = size

    def _mark(self, start: int, end: int) -> None:
        with self._sets:
            self.present.add(start, end)
            self.changed.add(start, end)

    # -- reading ---------------------------------------------------------------------------

    def read_into(self, target: memoryview, offset: int) -> int:
        """Copy bytes into ``target``; short only at the end of the file."""
        end = min(offset + len(target), self.size)
        if offset >= end:
            return 0
        with self._sets:
            pieces = self.present.pieces(offset, end)
        for start, stop, here in pieces:
            piece = target[start - offset : stop - offset]
            if here:
                self._read_local(piece, start)
            else:
                self._read_remote(piece, start)
        return end - offset

    def _read_local(self, target: memoryview, offset: int) -> None:
        done = 0
        while done < len(target):
            count = os.preadv(self._descriptor, [target[done:]], offset + done)
            if count == 0:  # cut short by a concurrent truncate: zeros, as a hole reads
                target[done:] = bytes(len(target) - done)
                return
            done += count

    def _read_remote(self, target: memoryview, offset: int) -> None:
        count = max(0, min(len(target), self.base_limit - offset))
        done = self._read_base(target[:count], offset) if count else 0
        if done < len(target):
            target[done:] = bytes(len(target) - done)

    def fetch_all(self) -> None:
        """Bring every byte of the base that still counts into the local file.

        Raises OSError, and StoreError when the base cannot be read.
        """
        buffer = memoryview(bytearray(_COPY_CHUNK))
        limit = min(self.base_limit, self.size)
        for start, stop in self.present.gaps(0, limit):
            while start < stop:
                piece = buffer[: min(_COPY_CHUNK, stop - start)]
                self._read_remote(piece, start)
                done = 0
                while done < len(piece):
                    done += os.pwrite(self._descriptor, piece[done:], start + done)
                with self._sets:
                    self.present.add(start, start + len(piece))
                start += len(piece)

    def unchanged(self) -> list[tuple[int, int]]:
        """Ranges whose bytes are the base's at the same offsets, ascending."""
        return self.changed.gaps(0, min(self.base_limit, self.size))

    def rebase(self) -> None:
        """What the file holds now is the new base."""
        self.base_limit = self.size
        self.changed.clear()

    def is_whole(self) -> bool:
        """Whether nothing of the base is needed any more."""
        return self.present.covers(0, min(self.base_limit, self.size))

    def restore(
        self, path: str, size: int, ranges: Collection[tuple[int, int]], base_limit: int
    ) -> None:
        """Take over what :meth:`save_as` wrote, which holds ``ranges``; OSError."""
        with open(path, "rb") as source:
            for start, end in ranges:
                source.seek(start)
                while start < end:
                    piece = source.read(min(_COPY_CHUNK, end - start))
                    if not piece:
                        raise OSError(errno.EIO, "the file is shorter than its note says", path)
                    self.write(memoryview(piece), start)
                    start += len(piece)
        self.truncate(size)
        with self._sets:
            self.base_limit = min(self.base_limit, base_limit)
            self.present.clear()
            self.changed.clear()
            for start, end in ranges:
                self.present.add(start, end)
                self.changed.add(start, end)

    def save_as(self, path: str) -> None:
        """Write what the local file holds to ``path`` (new, mode 0600), holes kept; OSError."""
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as target:
            buffer = memoryview(bytearray(_COPY_CHUNK))
            for start, stop in self.present:
                while start < stop:
                    piece = buffer[: min(_COPY_CHUNK, stop - start)]
                    self._read_local(piece, start)
                    target.seek(start)
                    target.write(piece)
                    start += len(piece)
            target.truncate(self.size)
            target.flush()
            os.fsync(target.fileno())
