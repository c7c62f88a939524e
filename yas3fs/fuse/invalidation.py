"""Telling the kernel to forget one path.

Two things are kept by the kernel: the inode (attributes, pages, names of a directory) and the
entry in its parent (that the name exists, or does not, and which inode it means). The first is
dropped with libfuse's ``fuse_invalidate_path``; the second needs the number of the parent's inode,
which libfuse does not tell. It is what stat(2) shows as ``st_ino``, because ``use_ino`` is off.

A notification waits for locks that a request in flight may hold (the pages of a slow read, the
directory of a slow create), so callbacks must never wait for one: paths are queued to threads of
our own, each path once however often it is named meanwhile.
"""

import errno
import logging
import os
import threading
from collections.abc import Callable

from yas3fs.fuse.binding import Binding
from yas3fs.fuse.kernelstat import cached_inode

log = logging.getLogger(__name__)

THREADS = 4
"""One slow read must not hold up the news about other files."""

STOP_SECONDS = 5.0

QUIET = (-errno.ENOENT, -errno.ENOTCONN, -errno.ENODEV, -errno.EBADF)
"""Nothing was kept, or the mount has just gone."""


class Invalidator:
    """Drops paths from the kernel's caches, in threads of its own."""

    def __init__(self, binding: Binding, fuse: int, mountpoint: str, device: str) -> None:
        self._binding = binding
        self._fuse = fuse
        self._session = binding.get_session(fuse)
        self._root = mountpoint
        self._device = device
        self._changed = threading.Condition()
        self._queue: dict[str, None] = {}
        self._busy: set[str] = set()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"invalidate-{n}", daemon=True)
            for n in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def add(self, path: str) -> None:
        """Queue ``path``; returns at once."""
        with self._changed:
            if not self._stopped and path not in self._queue:
                self._queue[path] = None
                self._changed.notify()

    def drain(self, timeout: float) -> bool:
        """Wait until everything queued so far was said; False when that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)

    def stop(self) -> None:
        """Drop what is queued and wait for what is being said; libfuse may be freed afterwards.

        A thread that still waits for a look into the mount (nobody serves any more) gets its
        answer when the mount is taken away, and then says nothing.
        """
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(STOP_SECONDS)

    def _next(self) -> str | None:
        """A queued path that no other thread is at work on; None when it is time to end."""
        with self._changed:
            while not self._stopped:
                path = next((path for path in self._queue if path not in self._busy), None)
                if path is not None:
                    del self._queue[path]
                    self._busy.add(path)
                    return path
                self._changed.wait()
        return None

    def _work(self) -> None:
        while (path := self._next()) is not None:
            try:
                self._forget(path)
            except Exception:
                log.exception("the kernel could not be told to forget %s", path)
            finally:
                with self._changed:
                    self._busy.discard(path)
                    self._changed.notify_all()

    def _forget(self, path: str) -> None:
        raw = path.encode("utf-8", "surrogateescape")
        self._say(path, self._binding.invalidate_path, self._fuse, raw)
        if path == "/":
            return
        parent, _, name = raw.rpartition(b"/")
        inode = cached_inode(os.fsencode(self._root) + parent, self._device)
        if inode is not None and not self._stopped:
            say = self._binding.invalidate_entry
            self._say(path, say, self._session, inode, name, len(name))

    def _say(self, path: str, notify: Callable[..., int], *arguments: object) -> None:
        code = notify(*arguments)
        if code < 0 and code not in QUIET:
            log.warning("the kernel did not forget %s: %s", path, os.strerror(-code))
