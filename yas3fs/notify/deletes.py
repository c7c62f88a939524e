"""Messages that were applied are deleted from their queue, a little later.

What is urgent when a message has come is the next one, and what programs ask now that they are told
to look again. So handles gather for a moment, which also makes fewer requests of them. A message
that is not deleted before the process ends is seen again, harmlessly.
"""

import threading
from collections.abc import Callable

from yas3fs.notify.queues import BATCH

DELAY = 0.05
"""Seconds for which handles gather: little beside the 30 that a message stays out of sight."""
STOP_SECONDS = 1.0


class Deletes:
    """Handles of messages, given to ``delete`` in batches of at most ten, from its own thread or,
    when a batch is full, from the one that brought the last.

    ``delete`` deals with failures itself.
    """

    def __init__(self, delete: Callable[[list[str]], None], delay: float = DELAY) -> None:
        self._delete = delete
        self._delay = delay
        self._handles: list[str] = []
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, handles: list[str]) -> None:
        """Delete these soon."""
        with self._changed:
            self._handles += handles
            full = self._take() if len(self._handles) >= BATCH else []
            if self._handles:
                self._start()
                self._changed.notify()
        if full:
            self._delete(full)

    def _take(self) -> list[str]:
        taken = self._handles[:BATCH]
        del self._handles[:BATCH]
        return taken

    def _start(self) -> None:
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="yas3fs-sqs-delete", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._handles or self._stopping.is_set())
            self._stopping.wait(self._delay)
            with self._changed:
                batch = self._take()
            if batch:
                self._delete(batch)
            elif self._stopping.is_set():
                return

    def close(self) -> None:
        """Delete what has gathered, and end the thread; another :meth:`add` starts it again."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._stopping.set()
            self._changed.notify()
        if thread is not None:
            thread.join(STOP_SECONDS)
