"""Putting what the store said into the namespace.

An answer is not believed where this node changed the name since it asked (``touched``), nor where
a file has content that the store does not have yet.
"""

from collections.abc import Callable, Set
from dataclasses import replace

from yas3fs.fs.attributes import Defaults, Xattrs, decode, foreign_headers
from yas3fs.fs.entries import NEVER, SECOND, UNSETTLED, Asking, Directory, Entry
from yas3fs.fs.keys import KeyMap, join, name_of, parent_of
from yas3fs.fs.listing import Listing
from yas3fs.fs.namespace import Namespace, has_local_content
from yas3fs.fs.types import Attributes
from yas3fs.objectstore.protocol import Headers, ObjectInfo

_SETTLED = 2.0
"""Seconds after a change from which on another one has another time, which S3 gives in seconds.

The same bytes with other attributes have the same ETag: by the time alone a listing tells whether
the attributes that are known are still right. A HEAD within these seconds says what they are, and
not that they will be so for as long as listings give this time.
"""


class Answers:
    """What one mount makes of its store's answers.

    ``changed`` is called with each path whose object turned out to be another version, or gone,
    and what was known of it. ``started`` (seconds since the epoch) is the time of directories that
    have no object.
    """

    def __init__(
        self,
        names: Namespace,
        keys: KeyMap,
        defaults: Defaults,
        *,
        metadata: bool,
        started: float,
        changed: Callable[[str, Entry], None],
        dying: Set[str],
    ) -> None:
        self._names = names
        self._keys = keys
        self._defaults = defaults
        self._metadata = metadata
        names.etag_is_enough = not metadata
        self._started = started
        self._changed = changed
        self._dying = dying

    # -- one name --------------------------------------------------------------------------

    def overtaken(self, path: str, parent: Directory, name: str, touched: Asking) -> bool:
        """Whether this node changed the name, or moved its directory, since it asked."""
        return name in touched or self._names.known(parent_of(path)) is not parent

    def take_head(
        self,
        path: str,
        parent: Directory,
        name: str,
        info: ObjectInfo | None,
        touched: Asking,
        asked_at: int,
    ) -> bool:
        """Put in what HEAD said of the name as a file; whether there is one."""
        with self._names.lock:
            if self.overtaken(path, parent, name, touched):
                return True
            if info is None:
                self.drop(path, parent, name)
                return False
            self._take_file(path, parent, name, info, asked_at)
            self._names.doubt(parent, touched)
        return True

    def _take_file(
        self, path: str, parent: Directory, name: str, info: ObjectInfo, asked_at: int
    ) -> None:
        """Put a HEAD's answer in; names.lock is held."""
        entry = parent.children.get(name)
        if entry is not None and has_local_content(entry):
            return
        modified = round(info.last_modified * 1_000_000_000)
        before, told = entry, False
        if entry is None or isinstance(entry, Directory) or entry.etag != info.etag:
            told = entry is not None
            entry = Entry(0, info.size, info.etag, modified)
            self._names.put(parent, name, entry, touch=False)
        elif entry.known and entry.modified:
            told = abs(entry.modified - modified) >= SECOND  # the same bytes, other attributes
        if info.answered - info.last_modified < _SETTLED:
            entry.modified = modified + UNSETTLED
        elif entry.modified // SECOND != modified // SECOND:
            entry.modified = modified  # a listing's fraction of a second is kept: HEAD has none
        self.learn(entry, info, directory=False)
        entry.checked = asked_at
        if told and before is not None:
            self._changed(path, before)

    def take_directory(
        self, path: str, parent: Directory, name: str, info: ObjectInfo | None, asked_at: int
    ) -> None:
        entry = parent.children.get(name)
        replaced: Entry | None = None
        if not isinstance(entry, Directory):
            if entry is not None:
                if has_local_content(entry):
                    return
                replaced = entry
            entry = Directory()
            self._names.put(parent, name, entry, touch=False)
            if replaced is not None:
                self._changed(path, replaced)
        if entry.marker is not False or info is not None:
            entry.marker = info is not None
        before = entry.attributes() if entry.known else None
        self.learn(entry, info, directory=True)
        entry.checked = asked_at
        if before is not None and before != entry.attributes():
            self._changed(path, entry)

    def drop(self, path: str, parent: Directory, name: str) -> None:
        entry = parent.children.get(name)
        if entry is not None and not has_local_content(entry):
            self._names.remove(parent, name, touch=False)
            self._changed(path, entry)

    def learn(self, entry: Entry, info: ObjectInfo | None, *, directory: bool) -> None:
        if entry.known and not self._metadata:
            return  # what was set here is nowhere else
        attributes, xattrs = self.interpret(info, directory=directory)
        headers = foreign_headers(info.headers, info.key) if info is not None else None
        entry.learn(attributes, xattrs, headers)

    def interpret(self, info: ObjectInfo | None, *, directory: bool) -> tuple[Attributes, Xattrs]:
        """What an object's metadata says, with the mount's defaults for what it does not."""
        if info is None:
            return decode(Headers(), 0, self._started, self._defaults, directory=True)
        headers = info.headers if self._metadata else replace(info.headers, metadata={})
        return decode(headers, info.size, info.last_modified, self._defaults, directory=directory)

    # -- a directory -----------------------------------------------------------------------

    def take_listing(
        self,
        path: str,
        directory: Directory,
        listing: Listing,
        touched: Asking,
        asked_at: int,
    ) -> list[str] | None:
        with self._names.lock:
            if self._names.known(path) is not directory:
                return None  # moved or deleted meanwhile
            if path != "/":
                local = has_local_children(directory)
                if listing.is_empty and not local and directory.marker is not True and not touched:
                    # Deleted by somebody else meanwhile.
                    directory.checked = NEVER
                    parent = self._names.directory(parent_of(path))
                    if parent is not None:
                        self.drop(path, parent, name_of(path))
                    return None
                if directory.marker is None or listing.marker is not None:
                    directory.marker = listing.marker is not None
            folders = [name for name in listing.folders if not self._all_dying(path, name)]
            changed = self._names.merge_listing(
                directory, listing.files, folders, touched, asked_at
            )
            if not self._metadata:
                self._decide_all(directory, asked_at)
            self._names.doubt(directory, touched)
            self._names.used(path, directory)
            names = {name for name, _ in listing.files}
            names.update(folders)
            here = [n for n in directory.children if n not in names]
            dropped = {n for n in touched if n not in directory.children}
        for name, entry in changed:
            self._changed(join(path, name), entry)
        ordered = dict.fromkeys(folders)
        ordered.update(dict.fromkeys(name for name, _ in listing.files))
        ordered.update(dict.fromkeys(here))
        return [name for name in ordered if name not in dropped]

    def _all_dying(self, path: str, name: str) -> bool:
        """Whether this node is deleting the only object that made ``name`` a directory."""
        return bool(self._dying) and self._keys.marker(join(path, name)) in self._dying

    def _decide_all(self, directory: Directory, asked_at: int) -> None:
        """Without metadata a listing tells everything there is to know."""
        for entry in directory.children.values():
            if entry.known or has_local_content(entry):
                continue
            if isinstance(entry, Directory):
                self.learn(entry, None, directory=True)
            else:
                attributes, xattrs = decode(
                    Headers(), entry.size, entry.modified / 1e9, self._defaults, directory=False
                )
                entry.learn(attributes, xattrs)
            entry.checked = asked_at


def has_local_children(entry: Entry | None) -> bool:
    return isinstance(entry, Directory) and any(
        has_local_content(child) for child in entry.children.values()
    )
