"""Telling the kernel to forget paths.

Two things are kept by the kernel: the inode (attributes, pages, names of a directory) and the
entry in its parent (that the name exists, or does not, and which inode it means). The table of
nodes and that of missing names tell both for everything that the kernel knows, also for what the
core has forgotten.

A notification waits for locks that a request in flight may hold (the pages of a slow read, the
directory of a slow create), so callbacks must never wait for one: paths are queued to threads of
our own, each path once however often it is named meanwhile.
"""

import errno
import itertools
import logging
import os
import threading
from collections.abc import Callable

from yas3fs.fuse.binding import Binding
from yas3fs.fuse.missing import MissingNames
from yas3fs.fuse.nodes import Node, NodeTable

log = logging.getLogger(__name__)

THREADS = 4
"""One slow read must not hold up the news about other files."""

ONE_BY_ONE = 10_000
"""So many names below a directory are told one by one."""

STOP_SECONDS = 5.0

QUIET = (-errno.ENOENT, -errno.ENOTCONN, -errno.ENODEV, -errno.EBADF)
"""Nothing was kept, or the mount has just gone."""


class Invalidator:
    """Drops paths from the kernel's caches, in threads of its own.

    ``open_nodes`` tells the numbers of inodes that are open.
    """

    def __init__(
        self,
        binding: Binding,
        session: int,
        nodes: NodeTable,
        missing: MissingNames,
        open_nodes: Callable[[], list[int]],
    ) -> None:
        self._binding = binding
        self._session = session
        self._nodes = nodes
        self._missing = missing
        self._open_nodes = open_nodes
        self._changed = threading.Condition()
        self._queue: dict[str, bool] = {}
        """Paths, and whether what is below them is to be forgotten too."""
        self._busy: set[str] = set()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"invalidate-{n}", daemon=True)
            for n in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, path: str, below: bool) -> None:
        """Queue ``path`` (and what is below it); returns at once."""
        with self._changed:
            if not self._stopped:
                self._queue[path] = below or self._queue.get(path, False)
                self._changed.notify()

    def drain(self, timeout: float) -> bool:
        """Wait until everything queued so far was said; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)

    def stop(self) -> None:
        """Drop what is queued and wait for what is being said; the session may be freed then."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def _next(self) -> tuple[str, bool] | None:
        """A queued path that no other thread is at work on; None when it is time to end."""
        with self._changed:
            while not self._stopped:
                path = next((path for path in self._queue if path not in self._busy), None)
                if path is not None:
                    self._busy.add(path)
                    return path, self._queue.pop(path)
                self._changed.wait()
        return None

    def _work(self) -> None:
        while (work := self._next()) is not None:
            path, below = work
            try:
                self._forget(path, below)
            except Exception:
                log.exception("the kernel could not be told to forget %s", path)
            finally:
                with self._changed:
                    self._busy.discard(path)
                    self._changed.notify_all()

    # -- what is said ------------------------------------------------------------------------

    def _forget(self, path: str, below: bool) -> None:
        parent, rest, node = self._nodes.find(path)
        name, deeper, _ = rest.partition("/")
        wholly = False
        if node is not None:
            self._forget_inode(node)
            if below:
                wholly = node.children is not None and self._forget_below(node)
                for directory, missing in self._missing.take_below(node):
                    self._forget_entry(directory, missing)
        if parent is not None and (not deeper or self._missing.take(parent, name)):
            self._forget_entry(parent, name, drop=wholly)

    def _forget_below(self, top: Node) -> bool:
        """Tell each name below a directory; True when the directory's own has to be dropped.

        A million names are not a million messages: with a name that is dropped the kernel drops
        those below it, but for directories that are worked in and files that are open.
        """
        names = list(itertools.islice(self._nodes.below(top), ONE_BY_ONE + 1))
        few = len(names) <= ONE_BY_ONE
        opened = set(self._open_nodes())
        for node in names if few else self._nodes.below(top):
            parent, directory = node.parent, node.children is not None
            first = parent is top and top is self._nodes.root  # which has no name to drop
            if parent is None or not (few or first or directory or node.number in opened):
                continue
            if directory or node.number in opened:
                self._forget_inode(node)
            self._forget_entry(parent, node.name, drop=first and not few)
        return not few

    def _forget_inode(self, node: Node) -> None:
        self._say(node.name, self._binding.invalidate_inode, self._session, node.number, 0, 0)

    def _forget_entry(self, parent: Node, name: str, *, drop: bool = False) -> None:
        """Have the name looked up again.

        A name that is dropped takes its inode with it, so that it comes back with another number,
        and programs that work there do not know where they are; so it expires only, where the
        kernel (6.2) and libfuse (3.12) can do that.
        """
        raw = name.encode("utf-8", "surrogateescape")
        arguments = (self._session, parent.number, raw, len(raw))
        expire = self._binding.expire_entry
        if not drop and expire is not None and expire(*arguments) != -errno.ENOSYS:
            return
        self._say(name, self._binding.invalidate_entry, *arguments)

    def _say(self, name: str, notify: Callable[..., int], *arguments: object) -> None:
        if self._stopped:
            return
        code = notify(*arguments)
        if code < 0 and code not in QUIET:
            log.warning("the kernel did not forget %s: %s", name, os.strerror(-code))
