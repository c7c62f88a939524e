"""Asking for attributes before anybody wants them, because somebody is walking.

Within a directory: whoever looks at one unknown name after the other, in the listing's order, has
the next ones asked for in ever larger batches (:class:`yas3fs.fs.entries.Scan`).

From directory to directory: who has read three directories of one parent in the listing's order
walks a tree. Then those that come next are listed before the walker is there. And once the walker
has looked at one name after the other in two directories shortly after each other, they also get
the attributes of all their files, side by side; and the files' content along with them where the
walker opens what it finds.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from yas3fs.fs.entries import Directory, Entry, Scan
from yas3fs.fs.keys import join, name_of, parent_of
from yas3fs.fs.namespace import Namespace
from yas3fs.runtime.pools import Pool

_log = logging.getLogger(__name__)

_STEPS = 2
"""Steps from a directory to the next in order that make a walk."""
_PARENTS = 16
"""Directories among whose children walkers may be; a tree is rarely deeper."""
_WALKING = 5000
"""Milliseconds after which a walker who has not gone on is none any more."""
_WIDE = 64
"""Names asked for at once in a directory that a walker has come to."""
_UNDER_WAY = 256
"""Requests ahead at a time, two for each thread of a usual pool: more would only wait in it, in
front of what somebody needs now."""
_DIRECTORIES = 1024
"""Directories that may wait for their turn; a walker who comes first asks for itself."""


class Asked:
    """Which paths are being asked for, so that nobody asks a second time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[str, Future[None]] = {}

    def begin(self, path: str) -> tuple["Future[None]", bool]:
        """The question about ``path``, and whether the caller is the one to ask it."""
        with self._lock:
            waiting = self._pending.get(path)
            if waiting is not None:
                return waiting, False
            mine = self._pending[path] = Future()
            return mine, True

    def settle(self, path: str, mine: "Future[None]") -> None:
        """It has been answered, or failed."""
        with self._lock:
            self._pending.pop(path, None)
        mine.set_result(None)


class _Siblings:
    """The directories in one directory, in the listing's order, and how far a walker has come."""

    def __init__(self, parent: Directory) -> None:
        self.names = [n for n, e in parent.children.items() if isinstance(e, Directory)]
        self._places = {name: place for place, name in enumerate(self.names)}
        self._at = -2
        self._asked = 0
        """Those before were given to whoever asked for what comes next."""
        self.steps = 0

    def step(self, name: str) -> None:
        """The walker reads this one."""
        place = self._places.get(name, -2)
        if place != self._at:
            self.steps = self.steps + 1 if place == self._at + 1 else 0
            self._at = place

    def ahead(self) -> list[str]:
        """What comes next and was not given before."""
        start, end = max(self._at + 1, self._asked), max(0, self._at + 1 + _WIDE)
        found = self.names[start:end]
        self._asked = max(self._asked, min(end, len(self.names)))
        return found


Ask = Callable[[str, Directory, str, bool], None]
"""Asks the store about a name of a directory: path, parent, name, whether content is wanted."""
ListAhead = Callable[[str, Directory], "Future[None] | None"]
"""Begins to list a directory, unless its names are known."""


class Ahead:
    """Follows whoever walks one volume. ``now`` gives monotonic milliseconds."""

    def __init__(
        self,
        names: Namespace,
        asked: Asked,
        pool: Pool,
        ask: Ask,
        list_ahead: ListAhead,
        now: Callable[[], int],
    ) -> None:
        self._names = names
        self._asked = asked
        self._pool = pool
        self._ask = ask
        self._list_ahead = list_ahead
        self._now = now
        self._lock = threading.Lock()
        self._under_way = 0
        self._scanned_at = -_WALKING
        self._walking_until = 0
        """Milliseconds: whether attributes are wanted."""
        self._listing_until = 0
        """As before: whether listings are."""
        self._reads = False
        """Whether the walker opens what it finds."""
        self._last: Directory | None = None
        self._siblings: OrderedDict[Directory, _Siblings] = OrderedDict()
        self._queue: deque[tuple[str, Directory, bool]] = deque(maxlen=_DIRECTORIES)
        """Directories that come next, and whether they were listed for that already."""

    @property
    def _is_walking(self) -> bool:
        return self._now() < self._walking_until

    # -- in a directory ----------------------------------------------------------------------

    def missed(self, path: str, parent: Directory) -> None:
        """Somebody asks for an unknown name of a directory whose listing is known."""
        parent.misses += 1
        if parent.misses == 2:
            self._note_scan()
        walking = self._is_walking
        if parent.misses < 2 and not walking:
            return
        with self._names.lock:
            if parent.scan is None:
                unknown = [n for n, e in parent.children.items() if not e.known]
                parent.scan = Scan(unknown, _WIDE) if walking else Scan(unknown)
            ahead = parent.scan.batch(name_of(path))
            batch = [n for n in ahead if n in parent.children and not parent.children[n].known]
        folder, content = parent_of(path), self._reads if walking else None
        for name in batch:
            self._submit(join(folder, name), parent, name, content=content)

    def _note_scan(self) -> None:
        """The names of one directory are asked for one after the other."""
        now = self._now()
        if now - self._scanned_at < _WALKING:
            self._walking_until = now + _WALKING
        self._scanned_at = now

    # -- from directory to directory -----------------------------------------------------------

    def listed(self, path: str, directory: Directory) -> None:
        """Somebody reads the names of a directory."""
        last, self._last = self._last, directory
        if path == "/" or directory is last:
            return
        folder, now = parent_of(path), self._now()
        with self._names.lock:
            parent = self._names.known(folder)
            if not isinstance(parent, Directory):
                return
            siblings = self._siblings_in(parent)
            siblings.step(name_of(path))
            if siblings.steps >= _STEPS or now < self._listing_until:
                self._listing_until = now + _WALKING
            if self._is_walking:
                self._walking_until = now + _WALKING
            elif now >= self._listing_until:
                return
            if last is not None and last.children:
                self._reads = 2 * last.opened >= len(last.children) - last.folders > 0
            found = [(join(folder, name), parent.children.get(name)) for name in siblings.ahead()]
        with self._lock:
            self._queue.extend((p, e, False) for p, e in found if isinstance(e, Directory))
        self._go_on()

    def _siblings_in(self, parent: Directory) -> _Siblings:
        siblings = self._siblings.pop(parent, None)
        if siblings is None or len(siblings.names) != parent.folders:
            siblings = _Siblings(parent)
        self._siblings[parent] = siblings
        while len(self._siblings) > _PARENTS:
            self._siblings.popitem(last=False)
        return siblings

    def _go_on(self) -> None:
        """Ask for what comes next, as far as there is room."""
        while True:
            with self._lock:
                if not self._queue or self._under_way >= _UNDER_WAY:
                    return
                path, directory, listed = self._queue.popleft()
                walking = self._is_walking
                if not walking and self._now() >= self._listing_until:
                    self._queue.clear()
                    return
            if (not listed and self._list(path, directory)) or not walking:
                continue
            with self._names.lock:
                unknown = [name for name, entry in directory.children.items() if _is_open(entry)]
                if len(unknown) > _UNDER_WAY:
                    continue  # large enough to be worth its own batches
            for name in unknown:
                self._submit(join(path, name), directory, name, content=self._reads)

    def _list(self, path: str, directory: Directory) -> bool:
        """Have an unlisted directory listed, whose files are asked for afterwards."""
        try:
            listing = self._list_ahead(path, directory)
        except RuntimeError:  # the pool has ended
            return True
        if listing is None:
            return False
        with self._lock:
            self._under_way += 1

        def done(listing: "Future[None]") -> None:
            with self._lock:
                self._under_way -= 1
                if listing.cancelled():
                    return
                if listing.exception() is None and self._is_walking:
                    self._queue.appendleft((path, directory, True))
            self._go_on()

        listing.add_done_callback(done)
        return True

    def _submit(self, path: str, parent: Directory, name: str, *, content: bool | None) -> None:
        """Ask in the pool; ``content`` None: as many have been opened of this directory."""
        mine, first = self._asked.begin(path)
        if not first:
            return
        with self._lock:
            self._under_way += 1
        try:
            self._pool.run(
                partial(self._run, path, parent, name, mine, content),
                partial(self._settle, path, mine),
            )
        except RuntimeError:  # the pool has ended, and nothing goes on
            self._settle(path, mine)

    def _run(
        self,
        path: str,
        parent: Directory,
        name: str,
        mine: "Future[None]",
        content: bool | None,
    ) -> None:
        """One request ahead; a failure is for whoever asks for this very name."""
        try:
            wanted = content if content is not None else 2 * parent.opened >= parent.misses - 1
            self._ask(path, parent, name, wanted)
        except Exception as error:  # noqa: BLE001 - asked on suspicion: nobody waits for the error
            _log.debug("attributes of %r not fetched ahead: %s", path, error)
        finally:
            self._settle(path, mine)
        self._go_on()

    def _settle(self, path: str, mine: "Future[None]") -> None:
        self._asked.settle(path, mine)
        with self._lock:
            self._under_way -= 1


def _is_open(entry: Entry) -> bool:
    """Whether nothing is known of the entry but that it is there."""
    return not entry.known and entry.inode is None
