"""What the kernel knows: inode numbers, the tree of names they hang in, and who may use a name now.

The kernel speaks of numbers, the file system of paths. A :class:`Node` is made when the kernel is
told of a name for the first time, and lives until it has taken back every lookup that it was
granted (FORGET), so that the number of a file is the same while anybody can ask. Numbers are never
given twice: a late request cannot reach a stranger's file.

A node that was unlinked, or replaced by a rename, is *gone*: it has no path any more, only whoever
holds it open.

Who needs the path of a node *uses* its place, which is a name in a directory; who takes the name
away or gives it to another node *changes* the place, alone, and with it everything below. Otherwise
an open could reach the file that has just been given the name, and the kernel would show the pages
of one file as those of another. Each request takes its places at once and no others later, so
nobody waits in a circle.
"""

import itertools
import threading
from collections.abc import Iterator
from typing import Self

from yas3fs.errors import NoEntry, StaleHandle
from yas3fs.runtime import interrupts

ROOT = 1
"""The number of the root, which is never forgotten."""


class Node:
    """One inode of the kernel's. ``lookups`` is how often the kernel must forget it still."""

    __slots__ = ("children", "gone", "lookups", "name", "number", "parent")

    def __init__(self, number: int, parent: "Node | None", name: str) -> None:
        self.number = number
        self.parent = parent
        self.name = name
        self.children: dict[str, Node] | None = None
        self.lookups = 0
        self.gone = False


Place = tuple[Node | None, str]


class NodeTable:
    """The nodes of one session. ``_lock`` is a leaf: nothing is asked for while it is held."""

    def __init__(self) -> None:
        self.root = Node(ROOT, None, "")
        self._nodes = {ROOT: self.root}
        self._numbers = itertools.count(ROOT + 1)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting = 0
        self._used: dict[Place, int] = {}
        self._changing: set[Place] = set()
        self._moving: set[Node] = set()
        """The nodes at the places that change; nothing below them is used meanwhile."""

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, number: int) -> Node:
        """The node; StaleHandle when the kernel has forgotten it."""
        node = self._nodes.get(number)
        if node is None:
            raise StaleHandle(f"inode {number} is not known")
        return node

    # -- lookups -----------------------------------------------------------------------------

    def count(self, parent: Node, name: str) -> Node:
        """The node of a name that the kernel is about to be told of; it will forget it once more.

        NoEntry when the directory has been removed meanwhile.
        """
        with self._lock:
            if parent.gone:
                raise NoEntry(name)
            children = parent.children
            if children is None:
                children = parent.children = {}
            node = children.get(name)
            if node is None:
                number = next(self._numbers)
                node = children[name] = self._nodes[number] = Node(number, parent, name)
            node.lookups += 1
            return node

    def forget(self, number: int, count: int) -> None:
        """The kernel takes ``count`` lookups back."""
        with self._lock:
            node = self._nodes.get(number)
            if node is not None and node is not self.root:
                node.lookups = max(0, node.lookups - count)
                self._prune(node)

    def _prune(self, node: Node) -> None:
        """Drop the node, and those above it, as far as nobody knows them any more."""
        while node is not self.root and not node.lookups and not node.children:
            if self._nodes.pop(node.number, None) is None:
                return
            parent = node.parent
            assert parent is not None
            if node.gone:
                return
            node.gone = True
            if parent.children is not None:
                del parent.children[node.name]
            node = parent

    # -- finding -----------------------------------------------------------------------------

    def find(self, path: str) -> tuple[Node | None, str, Node | None]:
        """As far as nodes are known on the way to ``path``: the last directory, the rest of the
        path from there (a name, or more), and the node at ``path``. The root is in no directory.
        """
        directory: Node | None = None
        node, name, rest = self.root, "", path[1:]
        with self._lock:
            while rest:
                directory = node
                name, _, deeper = rest.partition("/")
                child = node.children.get(name) if node.children is not None else None
                if child is None:
                    return directory, rest, None
                node, rest = child, deeper
        return directory, name, node

    def below(self, node: Node) -> Iterator[Node]:
        """The nodes below ``node``, directories before what is in them."""
        with self._lock:
            children = list(node.children.values()) if node.children is not None else []
        for child in children:
            yield child
            if child.children is not None:
                yield from self.below(child)

    # -- using a name ------------------------------------------------------------------------

    def using(self, number: int, name: str | None = None) -> "Use":
        """Keep the path of a node, or of ``name`` in it, as it is while the block runs."""
        return Use(self, number, name)

    def enter(self, use: "Use") -> None:
        """See :meth:`using`."""
        with self._lock:
            while True:
                node = use.node = self.get(use.number)
                if use.name is None:
                    if node.gone:
                        return
                    place: Place = (node.parent, node.name)
                else:
                    if node.gone:
                        raise NoEntry(use.name)
                    place = (node, use.name)
                if not self._changing or not self._taken(place):
                    break
                self._pause()
            self._used[place] = self._used.get(place, 0) + 1
            use.place = place
            use.path = path_of(place)

    def _taken(self, place: Place) -> bool:
        """Whether the place, or a directory above it, is being changed."""
        return place in self._changing or any(node in self._moving for node in above(place))

    def _pause(self) -> None:
        """Wait for a change, the lock is held; raises Interrupted."""
        self._waiting += 1
        try:
            self._changed.wait(interrupts.SLICE)
        finally:
            self._waiting -= 1
        interrupts.check()

    def leave(self, place: Place) -> None:
        """See :meth:`using`."""
        with self._lock:
            left = self._used[place] - 1
            if left:
                self._used[place] = left
            else:
                del self._used[place]
            if self._waiting:
                self._changed.notify_all()

    # -- changing names ----------------------------------------------------------------------

    def changing(self, *names: tuple[int, str]) -> "Change":
        """Have names (of a directory's number) to oneself while the block runs.

        Nobody else uses or changes them, nor anything below them.
        """
        return Change(self, names)

    def begin(self, change: "Change") -> None:
        """See :meth:`changing`."""
        with self._lock:
            while not self._mark(change):
                self._pause()
            try:
                while not self._is_unused(change):
                    self._pause()
            except BaseException:
                self._unmark(change)
                raise

    def _mark(self, change: "Change") -> bool:
        """Take the places, if nobody changes them; from then on new users wait."""
        places: list[Place] = []
        nodes: list[Node] = []
        for number, name in change.names:
            parent = self.get(number)
            if parent.gone:
                raise NoEntry(name)
            places.append((parent, name))
            node = parent.children.get(name) if parent.children is not None else None
            if node is not None:
                nodes.append(node)
        if any(self._taken(place) for place in places):
            return False
        if any(node in nodes for place in self._changing for node in above(place)):
            return False
        change.places, change.nodes = places, nodes
        change.paths = [path_of(place) for place in places]
        self._changing.update(places)
        self._moving.update(nodes)
        return True

    def _is_unused(self, change: "Change") -> bool:
        return not any(
            used in change.places or any(node in change.nodes for node in above(used))
            for used in self._used
        )

    def _unmark(self, change: "Change") -> None:
        self._changing.difference_update(change.places)
        self._moving.difference_update(change.nodes)
        self._changed.notify_all()

    def end(self, change: "Change") -> None:
        """See :meth:`changing`."""
        with self._lock:
            self._unmark(change)

    def remove(self, place: Place) -> None:
        """The name is gone: its node goes on for whoever has it open."""
        with self._lock:
            parent, node = place[0], self._take(place)
            if node is not None and parent is not None:
                self._orphan(node)
                self._prune(parent)

    @staticmethod
    def _take(place: Place) -> Node | None:
        parent, name = place
        if parent is None or parent.children is None:
            return None
        return parent.children.pop(name, None)

    @staticmethod
    def _put(place: Place, node: Node) -> None:
        parent, name = place
        assert parent is not None
        node.parent, node.name = parent, name
        if parent.children is None:
            parent.children = {}
        parent.children[name] = node

    def _orphan(self, node: Node) -> None:
        node.gone = True
        children, node.children = node.children, None
        for child in (children or {}).values():
            self._orphan(child)
        if not node.lookups:
            self._nodes.pop(node.number, None)

    def move(self, old: Place, new: Place) -> None:
        """What has the old name gets the new one, in place of what has that."""
        with self._lock:
            moved, replaced = self._take(old), self._take(new)
            if replaced is not None:
                self._orphan(replaced)
            if moved is not None:
                self._put(new, moved)
            for parent in (old[0], new[0]):
                if parent is not None:
                    self._prune(parent)

    def exchange(self, first: Place, second: Place) -> None:
        """Each of two nodes gets the other's name."""
        with self._lock:
            for node, place in ((self._take(first), second), (self._take(second), first)):
                if node is not None:
                    self._put(place, node)


class Use:
    """A path that stays what it is; empty when the node has none any more."""

    __slots__ = ("name", "node", "number", "path", "place", "table")

    node: Node

    def __init__(self, table: NodeTable, number: int, name: str | None) -> None:
        self.table = table
        self.number = number
        self.name = name
        self.place: Place | None = None
        self.path = ""

    def __enter__(self) -> Self:
        self.table.enter(self)
        return self

    def __exit__(self, _kind: object, _error: object, _trace: object) -> None:
        if self.place is not None:
            self.table.leave(self.place)


class Change:
    """Names that nobody else uses; says what became of them before the block ends."""

    __slots__ = ("names", "nodes", "paths", "places", "table")

    def __init__(self, table: NodeTable, names: tuple[tuple[int, str], ...]) -> None:
        self.table = table
        self.names = names
        self.places: list[Place] = []
        self.nodes: list[Node] = []
        self.paths: list[str] = []

    def __enter__(self) -> Self:
        self.table.begin(self)
        return self

    def __exit__(self, _kind: object, _error: object, _trace: object) -> None:
        self.table.end(self)

    def removed(self) -> None:
        """The (only) name does not exist any more."""
        self.table.remove(self.places[0])

    def moved(self, *, exchanged: bool = False) -> None:
        """What had the first name has the second now (and the other way round)."""
        (self.table.exchange if exchanged else self.table.move)(*self.places)


def above(place: Place) -> Iterator[Node]:
    """The directories on the way to a place."""
    node = place[0]
    while node is not None:
        yield node
        node = node.parent


def path_of(place: Place) -> str:
    """The path of a place, as it is now."""
    parent, name = place
    if parent is None:
        return "/"
    parts = [name]
    while parent.parent is not None:
        parts.append(parent.name)
        parent = parent.parent
    parts.append("")
    parts.reverse()
    return "/".join(parts)
