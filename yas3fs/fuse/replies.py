"""What goes back to the kernel: attributes and names, and how long it may believe them."""

import errno
import logging
from collections.abc import Callable

from yas3fs.fs.types import Attributes
from yas3fs.fuse.binding import Binding, Context
from yas3fs.fuse.missing import MissingNames
from yas3fs.fuse.nodes import Node, NodeTable, Place

log = logging.getLogger(__name__)

NANO = 1_000_000_000
UNKNOWN_INODE = 0xFFFFFFFF
"""As libfuse: the number of an inode that the kernel is not told of."""

_RETRYING_KEPT = 1024


class Timeouts:
    """Seconds for which the kernel believes names, attributes, and that a name does not exist.

    Attributes in the answer to a look are dropped by the kernel when an invalidation came in
    between (Linux, ``attr_version``); those in the answer to a change it always takes
    (``fuse_do_setattr``, ``fuse_create_open``). With ``pushed`` the latter count for nothing, so
    that news which overtook the answer is not lost; whoever wants to know asks, and that costs no
    request to the store.
    """

    __slots__ = ("attribute", "entry", "negative", "pushed")

    def __init__(
        self, entry: float, attribute: float, negative: float, *, pushed: bool = False
    ) -> None:
        self.pushed = pushed
        self.entry = entry
        self.attribute = attribute
        self.negative = negative

    @property
    def changed(self) -> float:
        """For attributes in the answer to a change."""
        return 0.0 if self.pushed else self.attribute


class Replies:
    """Answers in libfuse's structures.

    A reply ends its request: nothing of it may be touched afterwards, and no second one be given.
    """

    def __init__(
        self,
        binding: Binding,
        nodes: NodeTable,
        missing: MissingNames,
        timeouts: Timeouts,
        block_size: int,
    ) -> None:
        self._binding = binding
        self._nodes = nodes
        self._missing = missing
        self._timeouts = timeouts
        self._block_size = block_size
        self._retrying: dict[int, Place] = {}
        """The names that threads (by their id) were made to look up afresh."""
        self._pack_stat = binding.stat_layout.pack
        self._pack_entry = binding.entry_layout.pack

    def caller(self, request: int) -> Context:
        """On whose behalf the request comes."""
        return Context.from_address(self._binding.request_context(request))

    def stat(self, number: int, a: Attributes) -> bytes:
        """``struct stat``."""
        size, atime, mtime, ctime = a.size, a.atime_ns, a.mtime_ns, a.ctime_ns
        return self._pack_stat(
            *(number, a.nlink, a.mode, a.uid, a.gid, a.rdev),
            *(size, self._block_size, (size + 511) >> 9),
            *(atime // NANO, atime % NANO, mtime // NANO, mtime % NANO),
            *(ctime // NANO, ctime % NANO),
        )

    def entry_of(self, number: int, a: Attributes) -> bytes:
        """``struct fuse_entry_param`` of a name whose lookup has been counted."""
        times = self._timeouts
        return self._entry(number, number, a, times.attribute, times.entry)

    def type_only(self, number: int, a: Attributes) -> bytes:
        """As :meth:`entry_of`, for a name in a listing that is not looked up yet."""
        return self._entry(0, number, a, 0.0, 0.0)

    def _entry(
        self, node: int, number: int, a: Attributes, attribute: float, entry: float
    ) -> bytes:
        size, atime, mtime, ctime = a.size, a.atime_ns, a.mtime_ns, a.ctime_ns
        return self._pack_entry(
            node,
            *(number, a.nlink, a.mode, a.uid, a.gid, a.rdev),
            *(size, self._block_size, (size + 511) >> 9),
            *(atime // NANO, atime % NANO, mtime // NANO, mtime % NANO),
            *(ctime // NANO, ctime % NANO),
            *(attribute, entry),
        )

    def made_entry_of(self, number: int, a: Attributes) -> bytes:
        """As :meth:`entry_of`, of a name that the request has made."""
        times = self._timeouts
        return self._entry(number, number, a, times.changed, times.entry)

    def attributes(self, request: int, number: int, a: Attributes) -> None:
        """What was asked for."""
        stat = self.stat(number, a)
        self._binding.reply_attr(request, stat, self._timeouts.attribute)

    def changed_attributes(self, request: int, number: int, a: Attributes) -> None:
        """What the request has changed."""
        stat = self.stat(number, a)
        self._binding.reply_attr(request, stat, self._timeouts.changed)

    def entry(self, request: int, node: Node, a: Attributes, *, made: bool = False) -> None:
        """A name whose lookup has been counted; taken back when nobody waits any more."""
        entry = (self.made_entry_of if made else self.entry_of)(node.number, a)
        if self._binding.reply_entry(request, entry) < 0:
            self.undo(lambda: self._nodes.forget(node.number, 1))

    def missing(self, request: int, directory: Node, name: str, resets: int) -> int | None:
        """The name does not exist: an errno, or None when the kernel was told to keep note.

        For ``resets`` see :meth:`yas3fs.fuse.missing.MissingNames.note`.
        """
        self.found(request)
        seconds = self._timeouts.negative
        if seconds <= 0 or not self._missing.note(directory, name, seconds, resets):
            return errno.ENOENT
        nothing = self._entry(0, 0, Attributes(0, 0, 0, 0, 0, 0, 0), 0.0, seconds)
        self._binding.reply_entry(request, nothing)
        return None

    def vanished(self, request: int, node: Node) -> int:
        """What is said of an inode whose file does not exist any more.

        The kernel came through a name that it believes in, perhaps for an hour. ESTALE makes it
        look the name up afresh and try again, so that O_CREAT creates the file; but only once:
        who comes back with another inode that has gone meanwhile is told that there is none.
        """
        thread, place = self.caller(request).pid, (node.parent, node.name)
        if self._retrying.pop(thread, None) == place:
            return errno.ENOENT
        if len(self._retrying) >= _RETRYING_KEPT:
            self._retrying.clear()
        self._retrying[thread] = place
        return errno.ESTALE

    def found(self, request: int) -> None:
        """The thread that was to look a name up afresh has got its answer."""
        if self._retrying:
            self._retrying.pop(self.caller(request).pid, None)

    @staticmethod
    def undo(call: Callable[[], object]) -> None:
        """Take back what nobody was told of: the program was killed while it waited."""
        try:
            call()
        except Exception:
            log.exception("a request that was given up could not be undone")
