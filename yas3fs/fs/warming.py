"""Fetching what is at and below a path before anybody asks for it.

What does not fit into the memory cache is left out: nothing leaves the cache for it. Requests go
out a few at a time, so that most of the store's are left to programs that wait.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from yas3fs.errors import NoEntry, NotADirectory, NotFound, PreconditionFailed, Yas3fsError
from yas3fs.fs.entries import Directory, Entry
from yas3fs.fs.keys import join
from yas3fs.fs.namespace import has_local_content
from yas3fs.fs.volume import Volume
from yas3fs.runtime.pools import Pool

_WIDTH = 8
"""Files at a time: a quarter of the requests that a mount makes at most, unless told otherwise."""
_SLACK = 1024 * 1024
"""Bytes that must be free beyond a file's, or its attributes are asked for without its content:
what comes that way has others leave when the cache is filled meanwhile."""
_TOLD = 10
"""So many failures are named."""
_SECONDS = 0.5
"""Between two looks at how far it is, while nothing is finished."""


@dataclass(slots=True)
class Warmth:
    """How far it is. ``files`` and ``bytes`` were found, the ``warm_`` ones are in the cache."""

    files: int = 0
    bytes: int = 0
    warm_files: int = 0
    warm_bytes: int = 0
    failures: int = 0
    failed: list[str] = field(default_factory=list)
    """The first failures: path and reason."""
    full: bool = False
    """Something was left out because there is no room."""


class Warming:
    """One walk over a volume."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._reader = volume.parts.reader
        self.warmth = Warmth()
        self._wanted: deque[tuple[str, int]] = deque()
        self._room = volume.parts.cache.capacity

    def run(self, path: str) -> Iterator[Warmth]:
        """Fetch; tells how far it is, the last time when it has ended.

        Raises NoEntry and StoreError when ``path`` cannot be looked at. Whoever closes the
        iterator ends the work.
        """
        found = self._volume.lookup(path)
        if isinstance(found, Directory):
            for _ in self._list(path):
                yield self.warmth
        else:
            self._find(path, found)
        yield self.warmth
        pool = Pool("warm", _WIDTH, free=True)
        try:
            yield from self._fetch_all(pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        yield self.warmth

    # -- finding ---------------------------------------------------------------------------

    def _list(self, top: str) -> Iterator[None]:
        folders = deque([top])
        while folders:
            folder = folders.popleft()
            try:
                names = self._volume.discovery.list_directory(folder)
                directory = self._volume.discovery.directory(folder)
            except (NoEntry, NotADirectory):
                continue  # it has gone meanwhile
            except Yas3fsError as error:
                self._failed(folder, error)
                continue
            for name in names:
                entry = directory.children.get(name)
                if isinstance(entry, Directory):
                    folders.append(join(folder, name))
                elif entry is not None:
                    self._find(join(folder, name), entry)
            self._volume.names.trim()
            yield

    def _find(self, path: str, entry: Entry) -> None:
        """Count a file, and remember it as long as there may be room for it."""
        self.warmth.files += 1
        self.warmth.bytes += entry.size
        self._room -= entry.size
        if self._room >= 0:
            self._wanted.append((path, entry.size))
        else:
            self.warmth.full = True

    def _failed(self, path: str, error: BaseException) -> None:
        self.warmth.failures += 1
        if len(self.warmth.failed) < _TOLD:
            self.warmth.failed.append(f"{path}: {error}")

    # -- fetching --------------------------------------------------------------------------

    def _fetch_all(self, pool: Pool) -> Iterator[Warmth]:
        running: dict[Future[bool], tuple[str, int]] = {}
        while self._wanted or running:
            while self._wanted and len(running) < 2 * _WIDTH:
                path, size = self._wanted.popleft()
                running[pool.submit(self._fetch, path, size)] = (path, size)
            ended, _ = wait(running, _SECONDS, FIRST_COMPLETED)
            for future in ended:
                self._take(future, *running.pop(future))
            yield self.warmth

    def _take(self, future: "Future[bool]", path: str, size: int) -> None:
        try:
            if not future.result():
                self.warmth.full = True
                return
        except NoEntry:  # gone meanwhile
            self.warmth.files -= 1
            self.warmth.bytes -= size
            return
        except (Yas3fsError, OSError) as error:
            self._failed(path, error)
            return
        self.warmth.warm_files += 1
        self.warmth.warm_bytes += size

    def _fetch(self, path: str, size: int) -> bool:
        """Whether the file's content and attributes are here; False: there is no room."""
        for again in (True, False):
            ample = self._volume.parts.cache.has_room(size + _SLACK)
            entry = self._volume.discovery.lookup(path, content=ample)
            if isinstance(entry, Directory) or has_local_content(entry):
                return True
            try:
                return self._reader.fetch(self._volume.version_of(path, entry))
            except (NotFound, PreconditionFailed):  # another version by now
                self._volume.forget(path)
                if not again:
                    raise
        raise AssertionError("unreachable")
