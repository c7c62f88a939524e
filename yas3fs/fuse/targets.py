"""What a request about an inode is about: a path, or a file that is open.

An inode may lose its name between the moment at which the kernel finds it and the request that
follows, and no program must see an error of that. While the file is open, the request is about
that; where another file has the name now, about that one, as if the kernel had looked a moment
later; else the inode has :class:`Vanished`.
"""

from typing import Self

from yas3fs.errors import NoEntry, NotFound
from yas3fs.fuse.nodes import Node, NodeTable, Use
from yas3fs.fuse.served import ServedFile
from yas3fs.fuse.table import HandleTable


class Vanished(Exception):
    """An inode that the kernel still knows has neither a name nor anybody who holds it open."""

    def __init__(self, node: Node) -> None:
        super().__init__(node.name)
        self.node = node


class Target(Use):
    """A path that stays what it is while the block runs, or ``handle`` when ``path`` is empty.

    ``moved_on``: the path is that of what has the inode's former name. With ``own`` a handle is
    never one of another file that was opened through the inode.
    """

    __slots__ = ("files", "handle", "moved_on", "own")

    def __init__(
        self, nodes: NodeTable, files: HandleTable[ServedFile], number: int, *, own: bool = False
    ) -> None:
        super().__init__(nodes, number, None)
        self.files = files
        self.own = own
        self.handle: ServedFile | None = None
        self.moved_on = False

    def __enter__(self) -> Self:
        self.table.enter(self)
        if not self.path:
            self.handle = self.files.of_node(self.number, own=self.own)
            if self.handle is None:
                self._move_on()
        return self

    def _move_on(self) -> None:
        parent = self.node.parent
        if parent is None or parent.gone:
            raise Vanished(self.node)
        now = Use(self.table, parent.number, self.node.name)
        self.table.enter(now)
        self.place, self.path, self.moved_on = now.place, now.path, True

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        super().__exit__(kind, error, trace)
        if isinstance(error, NoEntry | NotFound) and self.node.gone:
            raise Vanished(self.node) from error
