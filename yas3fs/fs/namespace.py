"""The tree of names this node knows, without asking anybody.

Everything here is short and in memory, under one lock (``lock``, a leaf but for the caller's own
use of it). What the store says comes in through :meth:`merge_listing` and :meth:`put`; what this
node does itself through :meth:`put`, :meth:`remove` and :meth:`move`, which also note the name as
touched, so that an answer which was asked for before the change is not believed after it.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from yas3fs.errors import NotADirectory
from yas3fs.fs.entries import NEVER, Asking, Directory, Entry, type_from_listing
from yas3fs.fs.keys import join, name_of, parent_of
from yas3fs.objectstore.protocol import ListedObject

_log = logging.getLogger(__name__)

_JUST_ASKED = 2000
"""Milliseconds for which a HEAD's answer stands beside a listing that can say nothing of it."""


class Namespace:
    """``max_entries`` bounds how many names are remembered; clean ones leave first."""

    def __init__(self, max_entries: int, now: Callable[[], int]) -> None:
        self.lock = threading.RLock()
        self.root = Directory()
        self.etag_is_enough = False
        """The same bytes are the same version: attributes are not in the store."""
        self._max = max_entries
        self._count = 0
        self._now = now
        self._recent: OrderedDict[int, tuple[str, Directory]] = OrderedDict()

    # -- finding ---------------------------------------------------------------------------

    def find(self, path: str) -> Entry | None:
        """The entry at ``path`` if it is known; NotADirectory when a parent is none."""
        node: Entry = self.root
        if path == "/":
            return node
        with self.lock:
            for name in path[1:].split("/"):
                if not isinstance(node, Directory):
                    if node.mode and not node.is_directory:
                        raise NotADirectory(path)
                    return None
                child = node.children.get(name)
                if child is None:
                    return None
                node = child
        return node

    def known(self, path: str) -> Entry | None:
        """As :meth:`find`; None as well when a parent is no directory."""
        try:
            return self.find(path)
        except NotADirectory:
            return None

    def directory(self, path: str) -> Directory | None:
        """As :meth:`find`, for a directory."""
        node = self.find(path)
        return node if isinstance(node, Directory) else None

    def used(self, path: str, directory: Directory) -> None:
        """The directory was read or looked into: it leaves later than others."""
        with self.lock:
            self._recent[id(directory)] = (path, directory)
            self._recent.move_to_end(id(directory))

    # -- changing --------------------------------------------------------------------------

    def put(self, directory: Directory, name: str, entry: Entry, *, touch: bool = True) -> None:
        """Make ``entry`` the one that is known under ``name``."""
        with self.lock:
            known = directory.children.get(name)
            if known is not entry:
                if known is not None:
                    self._left(directory, known)
                self._count += 1
                directory.folders += isinstance(entry, Directory)
                directory.children[name] = entry
                directory.version += 1
            if touch:
                self._touch(directory, name)

    def remove(self, directory: Directory, name: str, *, touch: bool = True) -> Entry | None:
        """Forget ``name`` (and what is below it); returns what was known."""
        with self.lock:
            if touch:
                self._touch(directory, name)
            entry = directory.children.pop(name, None)
            if entry is not None:
                directory.version += 1
                self._left(directory, entry)
            return entry

    def uncover(self, parent: Directory, gone: Directory) -> None:
        """A directory has left its name: a file that it hid may be there."""
        if gone.shadows:
            with self.lock:
                gone.shadows = False
                parent.complete_at = NEVER

    def move(self, old: str, new: str, entry: Entry) -> None:
        """``entry``, known at ``old``, is at ``new`` from now on, replacing what is known there.

        A listing may have found ``old`` gone a moment before; that changes nothing.
        """
        with self.lock:
            source, target = self.directory(parent_of(old)), self.directory(parent_of(new))
            if source is not None:
                found = self.remove(source, name_of(old))
                entry = found if isinstance(found, Directory) else entry
            if target is None:
                return
            self.put(target, name_of(new), entry)
            for path, below in walk_paths(new, entry):
                if isinstance(below, Directory):
                    self._count += len(below.children)
                    if below.children:
                        self.used(path, below)

    def noted(self, path: str) -> None:
        """This node changed the object at ``path``: answers asked for before are out of date."""
        with self.lock:
            directory = self.known(parent_of(path))
            if isinstance(directory, Directory):
                self._touch(directory, name_of(path))

    @staticmethod
    def _touch(directory: Directory, name: str) -> None:
        for touched in directory.asking:
            touched.add(name)

    def _left(self, directory: Directory, entry: Entry) -> None:
        """``entry`` is no part of the tree any more, nor is what is below it."""
        self._count -= 1
        for below in walk(entry):
            if isinstance(below, Directory):
                self._count -= len(below.children)
                self._recent.pop(id(below), None)
        directory.folders -= isinstance(entry, Directory)

    def asking(self, directory: Directory) -> Asking:
        """A request about names of ``directory`` begins; see :meth:`answered`.

        Returns the set of names that are changed here from now on.
        """
        touched = Asking()
        with self.lock:
            directory.asking = (*directory.asking, touched)
        return touched

    def answered(self, directory: Directory, touched: Asking) -> None:
        """The request is over; its answer has been put in."""
        with self.lock:
            self.doubt(directory, touched)
            directory.asking = tuple(other for other in directory.asking if other is not touched)

    @staticmethod
    def doubt(directory: Directory, touched: Asking) -> None:
        """Where an answer may be older than what others said, ask again next time.

        ``lock`` is held, and has been since the answer was put in.
        """
        if not touched.doubted and not touched.all_doubted:
            return
        directory.complete_at = NEVER
        names = list(directory.children) if touched.all_doubted else touched.doubted
        for name in names:
            entry = directory.children.get(name)
            if entry is not None:
                entry.checked = NEVER
                if isinstance(entry, Directory):
                    entry.complete_at = NEVER

    # -- listings --------------------------------------------------------------------------

    def merge_listing(
        self,
        directory: Directory,
        files: Iterable[tuple[str, ListedObject]],
        folders: Iterable[str],
        touched: Asking,
        asked_at: int,
    ) -> list[tuple[str, Entry]]:
        """Take a complete listing for what the directory holds.

        Returns the names that are gone or whose object is another version now, each with what was
        known of it: what the kernel still shows of them has to be dropped.
        """
        changed: list[tuple[str, Entry]] = []
        seen: set[str] = set()
        with self.lock:
            for name in folders:
                seen.add(name)
                if name not in touched:
                    self._see_folder(directory, name, changed)
            for name, listed in files:
                if name in seen:
                    _log.warning("%r is a file and a directory: only the directory is shown",
                                 listed.key)  # fmt: skip
                    covering = directory.children.get(name)
                    if isinstance(covering, Directory):
                        covering.shadows = True
                    continue
                seen.add(name)
                if name not in touched:
                    self._see_file(directory, name, listed, asked_at, changed)
            gone = [
                (name, entry)
                for name, entry in directory.children.items()
                if name not in seen and name not in touched and not has_local_content(entry)
            ]
            for name, _ in gone:
                self.remove(directory, name, touch=False)
            directory.complete_at = asked_at
            directory.misses = directory.opened = 0
            directory.scan = None
            self._evict(directory)
        return gone + changed

    def _see_folder(
        self, directory: Directory, name: str, changed: list[tuple[str, Entry]]
    ) -> None:
        known = directory.children.get(name)
        if isinstance(known, Directory):
            return
        if known is not None:
            if has_local_content(known):
                return
            changed.append((name, known))
        self.put(directory, name, Directory(), touch=False)

    def _see_file(
        self,
        directory: Directory,
        name: str,
        listed: ListedObject,
        asked_at: int,
        changed: list[tuple[str, Entry]],
    ) -> None:
        modified = round(listed.last_modified * 1_000_000_000)
        known = directory.children.get(name)
        if known is not None:
            if has_local_content(known):
                return
            same = known.same_version(listed.size, listed.etag, modified)
            if self.etag_is_enough and known.known and known.etag == listed.etag:
                same, known.modified = True, modified
            if same and not isinstance(known, Directory):
                known.checked = asked_at
                return
            if (
                known.known
                and known.may_be(listed.size, listed.etag, modified)
                and (known.checked >= asked_at - _JUST_ASKED)
            ):
                return  # neither confirmed nor contradicted
            changed.append((name, known))
            if known.inode is not None and known.etag == listed.etag:
                # The same bytes, perhaps other attributes: whoever has it open keeps it.
                known.modified, known.known, known.checked = modified, False, asked_at
                return
        entry = Entry(type_from_listing(listed.size), listed.size, listed.etag, modified)
        entry.checked = asked_at
        self.put(directory, name, entry, touch=False)

    # -- forgetting ------------------------------------------------------------------------

    def forget_below(self, path: str) -> None:
        """Believe nothing about ``path`` and what is below it until the store is asked again.

        Nor an answer that is on its way: it may have been given before what this is about.
        """
        with self.lock:
            parent = self.known(parent_of(path))
            if isinstance(parent, Directory):
                parent.complete_at = NEVER
                for asking in parent.asking:
                    asking.doubted.add(name_of(path))
            node = self.known(path)
            if node is None:
                return
            for entry in walk(node):
                entry.checked = NEVER
                if entry.inode is not None:
                    entry.inode.doubted = True
                if isinstance(entry, Directory):
                    entry.complete_at = NEVER
                    entry.large = False
                    entry.marker = None
                    for asking in entry.asking:
                        asking.all_doubted = True

    def doubt_directory(self, path: str) -> bool:
        """Ask again about a directory's own attributes, and whether it has an object.

        What is in it is still believed. False when no directory is known there.
        """
        with self.lock:
            node, parent = self.known(path), self.known(parent_of(path))
            if not isinstance(node, Directory) or not isinstance(parent, Directory):
                return False
            node.checked, node.marker = NEVER, None
            for asking in parent.asking:
                asking.doubted.add(name_of(path))
            return True

    def forget_above(self, path: str) -> list[str]:
        """Ask again whether the directories above ``path`` exist that have no object of their own.

        They come and go with what is below them. Returns those that are known.
        """
        doubtful: list[str] = []
        with self.lock:
            while path != "/":
                path = parent_of(path)
                node = self.known(path)
                if isinstance(node, Directory) and (node.marker or node is self.root):
                    break
                if isinstance(node, Directory):
                    doubtful.append(path)
                    node.checked = NEVER
                parent = self.known(parent_of(path))
                if isinstance(parent, Directory):
                    parent.complete_at = NEVER
                    for asking in parent.asking:
                        asking.doubted.add(name_of(path))
        return doubtful

    @property
    def count(self) -> int:
        """How many names are remembered."""
        return self._count

    @property
    def limit(self) -> int:
        """How many may be."""
        return self._max

    def resize(self, max_entries: int) -> None:
        """Change the bound, live."""
        with self.lock:
            self._max = max_entries
            self._evict(self.root)

    def trim(self) -> None:
        """Let least recently used names go until the bound holds."""
        if self._count > self._max:
            with self.lock:
                self._evict(None)

    def _evict(self, spared: Directory | None) -> None:
        """Forget the children of the least recently used directories; ``spared``'s come last."""
        if self._count <= self._max:
            return
        floor = self._max - self._max // 20  # some slack, or every new name would evict again
        for path, directory in list(self._recent.values()):
            if self._count <= floor:
                return
            if directory is not spared:
                self._forget_children(path, directory, floor)
        if self._count > self._max and spared is not None:
            self._forget_children("", spared, floor)

    def _forget_children(self, path: str, directory: Directory, floor: int) -> None:
        if directory.asking and path:
            return
        kept: dict[str, Entry] = {}
        for name, entry in directory.children.items():
            busy = entry.inode is not None or (isinstance(entry, Directory) and
                                               (entry.children or entry.asking))  # fmt: skip
            if busy or self._count <= floor:
                kept[name] = entry
            else:
                self._count -= 1
                self._recent.pop(id(entry), None)
        directory.children = kept
        directory.version += 1
        directory.folders = sum(isinstance(entry, Directory) for entry in kept.values())
        directory.complete_at = NEVER
        directory.scan = None
        if not kept:
            self._recent.pop(id(directory), None)


def has_local_content(entry: Entry) -> bool:
    """Whether the entry is more than a copy of what the store has."""
    return entry.inode is not None and entry.inode.has_unsaved


def walk(entry: Entry) -> Iterator[Entry]:
    """The entry and everything known below it."""
    yield entry
    if isinstance(entry, Directory):
        for child in list(entry.children.values()):
            yield from walk(child)


def walk_paths(path: str, entry: Entry) -> Iterator[tuple[str, Entry]]:
    """As :func:`walk`, with paths."""
    yield path, entry
    if isinstance(entry, Directory):
        for name, child in list(entry.children.items()):
            yield from walk_paths(join(path, name), child)
