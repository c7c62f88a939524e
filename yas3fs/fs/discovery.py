"""Asking the store about names, and no more often than needed.

What was confirmed within ``ttl`` seconds is believed. A name in a directory whose complete listing
is known exists or not without a request. Otherwise one round trip decides: the listing of the
parent (which settles its other names too) and the HEAD of the name go out together. Attributes are
in user metadata, which listings do not carry; whoever walks a directory's attributes gets them in
ever larger parallel batches.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from yas3fs.cache.memory import Version
from yas3fs.errors import (
    InputOutput,
    InvalidRequest,
    NoEntry,
    NotADirectory,
    NotFound,
    PreconditionFailed,
)
from yas3fs.fs.ahead import Ahead, Asked
from yas3fs.fs.answers import Answers, has_local_children
from yas3fs.fs.attributes import Defaults
from yas3fs.fs.departures import Hidden
from yas3fs.fs.entries import FOREVER, NEVER, Asking, Directory, Entry
from yas3fs.fs.keys import KeyMap, name_of, parent_of
from yas3fs.fs.listing import read_listing
from yas3fs.fs.namespace import Namespace, has_local_content
from yas3fs.objectstore.protocol import ObjectInfo, ObjectStore
from yas3fs.runtime import interrupts
from yas3fs.runtime.pools import Pool

_log = logging.getLogger(__name__)

_ATTEMPTS = 64
"""Times that an answer may be out of date when it comes before that counts as an error."""
_ENOUGH = 8
"""Answers in a row that others called out of date as they came, until one has to do."""
_SMALL = 64 * 1024
"""Bytes of content that come with the attributes for about the cost of the attributes."""
_RELIST_AFTER = 4
"""Stale names asked for one by one before the whole directory is listed again."""


class Discovery:
    """What one mount learns from its store.

    ``ttl`` (seconds, may be infinite) is how long an answer is believed; ``now`` tells monotonic
    milliseconds. For ``changed`` and ``started`` see :class:`Answers`.
    """

    def __init__(
        self,
        store: ObjectStore,
        keys: KeyMap,
        namespace: Namespace,
        pool: Pool,
        defaults: Defaults,
        *,
        ttl: float,
        metadata: bool,
        now: Callable[[], int],
        changed: Callable[[str, Entry], None],
        started: float,
        fetch: Callable[[Version], ObjectInfo | None],
    ) -> None:
        self._store = store
        self._keys = keys
        self._names = namespace
        self._pool = pool
        self.ttl = ttl
        self._metadata = metadata
        self._now = now
        self._fetch = fetch
        self._asked = Asked()
        self._ahead = Ahead(
            namespace, self._asked, pool, self._ask_ahead, self._list_if_unknown, now
        )
        self._listings: dict[str, Future[None]] = {}
        self._listings_lock = threading.RLock()
        self.dying: set[str] = set()
        """Keys whose objects are about to be deleted by this node: nobody is shown them."""
        self._answers = Answers(
            namespace,
            keys,
            defaults,
            metadata=metadata,
            started=started,
            changed=changed,
            dying=self.dying,
        )

    # -- what is believed ------------------------------------------------------------------

    def _fresh(self, checked: int, since: int = FOREVER) -> bool:
        """Confirmed within ``ttl``, or after ``since`` (when the question was asked)."""
        return checked != NEVER and (checked >= since or self._now() - checked <= self.ttl * 1000)

    def hidden(self) -> Hidden:
        """What a listing that is asked for now must not show."""
        return Hidden(self.dying)

    def is_listed(self, directory: Directory) -> bool:
        """Whether what is known of the directory's names needs no request."""
        return self._fresh(directory.complete_at)

    def believed(self, entry: Entry, since: int = FOREVER) -> bool:
        """Whether the entry's attributes need no request."""
        return has_local_content(entry) or (entry.known and self._fresh(entry.checked, since))

    # -- one name --------------------------------------------------------------------------

    def lookup(self, path: str, *, content: bool | None = None) -> Entry:
        """The entry at ``path`` with attributes; NoEntry, NotADirectory, StoreError.

        ``content``: whether a small file's is wanted as well, by one who knows all names that
        will be asked for; None: as far as its neighbours tell.
        """
        entry = self._names.known(path)
        if entry is not None and self.believed(entry):
            return entry
        if path == "/":
            self._ask_root()
            return self._names.root
        name = name_of(path)
        asked_at = self._now()
        for attempt in range(_ATTEMPTS):
            parent = self.directory(parent_of(path))
            entry = parent.children.get(name)
            if entry is not None and self.believed(entry, asked_at):
                return entry
            if entry is not None and entry.known and attempt >= _ENOUGH:
                return entry  # doubted each time, and yet an answer to what was asked in here
            if entry is None and self._fresh(parent.complete_at, asked_at):
                raise NoEntry(path)
            if not self._ask(path, parent, name, entry, content):
                raise NoEntry(path)
        raise InputOutput(f"{path!r} changes faster than it can be looked up")

    def directory(self, path: str) -> Directory:
        """The directory at ``path``; its attributes may be unknown. As :meth:`lookup` raises."""
        entry = self._names.known(path)
        if entry is None or not (isinstance(entry, Directory) or self.believed(entry)):
            entry = self.lookup(path)
        if not isinstance(entry, Directory):
            raise NotADirectory(path)
        return entry

    def _ask(
        self,
        path: str,
        parent: Directory,
        name: str,
        entry: Entry | None,
        content: bool | None,
    ) -> bool:
        """Ask the store about one name; somebody else's question under way is shared.

        Returns False when there is no such name; else what is known of it now is worth a look.
        """
        question, mine = self._asked.begin(path)
        if not mine:
            interrupts.result(question)
            return True
        asked_at = self._now()
        try:
            if entry is not None and self._relist(path, parent, entry):
                entry = parent.children.get(name)
                if entry is None and self._fresh(parent.complete_at, asked_at):
                    return False
                if entry is not None and self.believed(entry, asked_at):
                    return True
            self._names.used(parent_of(path), parent)
            if content is None and self._fresh(parent.complete_at):
                self._ahead.missed(path, parent)
            touched = self._names.asking(parent)
            try:
                return self._ask_now(path, parent, name, entry, touched, content)
            finally:
                self._names.answered(parent, touched)
        finally:
            self._asked.settle(path, question)

    def _relist(self, path: str, parent: Directory, entry: Entry) -> bool:
        """Many stale names of one directory: one listing confirms them by the thousand."""
        if not entry.known or parent.complete_at == NEVER or self._fresh(parent.complete_at):
            return False
        parent.misses += 1
        if parent.misses < _RELIST_AFTER or parent.misses * 1000 < len(parent.children):
            return False
        self.list_directory(parent_of(path))
        return True

    def _ask_now(
        self,
        path: str,
        parent: Directory,
        name: str,
        entry: Entry | None,
        touched: Asking,
        content: bool | None,
    ) -> bool:
        if entry is None:
            return self._ask_unknown(path, parent, name, touched)
        asked = (path, parent, name, touched)
        if isinstance(entry, Directory):
            return self._ask_directory(*asked) or self._ask_file(*asked, content=content)
        return self._ask_file(*asked, content=content) or self._ask_directory(*asked)

    def _ask_file(
        self,
        path: str,
        parent: Directory,
        name: str,
        touched: Asking,
        *,
        content: bool | None = None,
    ) -> bool:
        """HEAD the name as a file; whether there is one.

        ``content``: whether it is likely to be read next; None: as far as its neighbours tell.
        """
        asked_at = self._now()
        if content is None:
            content = 2 * parent.opened >= parent.misses - 1
        info = self._get_small(path, parent.children.get(name)) if content else None
        if info is None:
            info = self._head(self._keys.file(path))
        return self._answers.take_head(path, parent, name, info, touched, asked_at)

    def _get_small(self, path: str, entry: Entry | None) -> ObjectInfo | None:
        """GET in place of HEAD, for a small file that is likely to be read next.

        It costs the same, and the content comes along. None when HEAD has to answer.
        """
        if entry is None or entry.known or isinstance(entry, Directory) or not self._metadata:
            return None
        if not 0 < entry.size <= _SMALL:
            return None
        key = self._keys.file(path)
        if key in self.dying:
            return None
        try:
            return self._fetch(Version(key, entry.etag, entry.size))
        except (NotFound, PreconditionFailed):
            return None  # another version by now

    def _ask_directory(
        self, path: str, parent: Directory, name: str, touched: Asking, *, ahead: bool = False
    ) -> bool:
        """HEAD the marker and list what is below it, together; whether there is a directory.

        Whoever looks at a directory is likely to look into it, so that the listing is kept. With
        ``ahead`` one after the other: it runs in the pool, which must not wait for itself.
        """
        asked_at = self._now()
        key = self._keys.marker(path)
        known = parent.children.get(name)
        head = None
        if not ahead and not (isinstance(known, Directory) and known.marker is False):
            head = self._pool.submit(self._head, key)
        below = self._look_below(path, known, asked_at)
        info = None
        if head is not None:
            info = interrupts.result(head)
        elif not (isinstance(known, Directory) and known.marker is False):
            info = self._head(key)
        with self._names.lock:
            if self._answers.overtaken(path, parent, name, touched):
                return True
            if info is None and not below and not has_local_children(known):
                self._answers.drop(path, parent, name)
                return False
            self._answers.take_directory(path, parent, name, info, asked_at)
            self._names.doubt(parent, touched)
        return True

    def _look_below(self, path: str, known: Entry | None, asked_at: int) -> bool:
        """Whether the store has anything below the directory."""
        if isinstance(known, Directory) and not known.large:
            if not self._fresh(known.complete_at):
                self._list_first_page(path, known)
            if known.large or self._fresh(known.complete_at, asked_at):
                return known.large or known.unseen or bool(known.children)
        hidden = self.hidden()
        page = self._store.list_page(self._keys.children(path), limit=2 + len(hidden))
        return any(listed.key not in hidden for listed in page.objects)

    def _ask_unknown(self, path: str, parent: Directory, name: str, touched: Asking) -> bool:
        """Nothing is known of the name: HEAD it, while the pool lists the parent or below it.

        A HEAD that finds a file is answer enough; the listing settles the other names meanwhile.
        """
        asked_at = self._now()
        large = parent.large
        if large and self._list_further(parent_of(path), parent):
            return name in parent.children
        if large:
            below = self._pool.submit(self._look_below, path, None, asked_at)
        else:
            listing = self._list_ahead(parent_of(path), parent)
        info = self._head(self._keys.file(path))
        if info is not None:
            return self._answers.take_head(path, parent, name, info, touched, asked_at)
        if not large:
            interrupts.result(listing)
            if self._fresh(parent.complete_at, asked_at):
                return name in parent.children
            below = self._pool.submit(self._look_below, path, None, asked_at)
        if interrupts.result(below):
            return self._ask_directory(path, parent, name, touched)
        return self._answers.take_head(path, parent, name, None, touched, asked_at)

    def _list_further(self, path: str, directory: Directory) -> bool:
        """List a large directory as far as the names asked for are worth; whether that is all.

        After 4, 8, 16 … unknown names it may cost twice as many pages, so that the listing costs
        at most a few times what the names did, and a directory of some thousand names soon costs
        nothing.
        """
        directory.misses += 1
        asked_at, count = self._now(), directory.misses
        if count < _RELIST_AFTER or count & (count - 1):
            return False
        self._list(path, directory, 2 * count)
        return self._fresh(directory.complete_at, asked_at)

    def _list_if_unknown(self, path: str, directory: Directory) -> "Future[None] | None":
        if directory.large or self.is_listed(directory):
            return None
        return self._list_ahead(path, directory)

    def _list_ahead(self, path: str, directory: Directory) -> "Future[None]":
        """List the first page in the pool; whoever asks meanwhile shares it."""
        with self._listings_lock:
            under_way = self._listings.get(path)
            if under_way is not None:
                return under_way
            listing = self._pool.submit(self._list_first_page, path, directory)
            self._listings[path] = listing
        listing.add_done_callback(lambda _: self._listings.pop(path, None))
        return listing

    def _ask_root(self) -> None:
        root = self._names.root
        asked_at = self._now()
        asking = self._names.asking(root)
        try:
            try:
                info = self._head(self._keys.marker("/"))
            except InvalidRequest:
                if self._keys.prefix:
                    raise
                info = None  # servers that keep objects as files cannot have one named "."
            with self._names.lock:
                if not self._fresh(root.checked):
                    root.marker = info is not None
                    self._answers.learn(root, info, directory=True)
                    root.checked = NEVER if asking.all_doubted else asked_at
        finally:
            self._names.answered(root, asking)

    def _head(self, key: str) -> ObjectInfo | None:
        if key in self.dying:
            return None
        try:
            info = self._store.head(key)
        except NotFound:
            return None
        return None if key in self.dying else info

    # -- many names ------------------------------------------------------------------------

    def _ask_ahead(self, path: str, parent: Directory, name: str, content: bool) -> None:
        touched = self._names.asking(parent)
        try:
            if isinstance(parent.children.get(name), Directory):
                self._ask_directory(path, parent, name, touched, ahead=True)
            else:
                self._ask_file(path, parent, name, touched, content=content)
        finally:
            self._names.answered(parent, touched)

    def read_directory(self, path: str) -> list[str]:
        """As :meth:`list_directory`, for somebody who may walk on from there."""
        names = self.list_directory(path)
        directory = self._names.known(path)
        if isinstance(directory, Directory):
            self._ahead.listed(path, directory)
        return names

    def list_directory(self, path: str) -> list[str]:
        """The names in the directory, asking the store when what is known is not fresh."""
        asked_at = self._now()
        for attempt in range(_ATTEMPTS):
            directory = self.directory(path)
            if self._fresh(directory.complete_at, asked_at):
                with self._names.lock:
                    self._names.used(path, directory)
                    return list(directory.children)
            under_way = self._listings.get(path)
            if under_way is not None and attempt == 0:
                interrupts.result(under_way)
                continue
            names = self._list(path, directory, None)
            if names is not None:
                return names
        raise NoEntry(path)

    def _list_first_page(self, path: str, directory: Directory) -> None:
        """List the directory as far as one page goes; complete if that is all."""
        self._list(path, directory, 1)

    def _list(self, path: str, directory: Directory, max_pages: int | None) -> list[str] | None:
        asked_at = self._now()
        touched = self._names.asking(directory)
        try:
            listing = read_listing(self._store, self._keys, path, self.hidden(), max_pages)
            if listing is None:
                directory.large = True
                return None
            directory.unseen = bool(listing.skipped)
            return self._answers.take_listing(path, directory, listing, touched, asked_at)
        finally:
            self._names.answered(directory, touched)
