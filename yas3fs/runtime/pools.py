"""Work done side by side: how much at a time may change, and how much waits can be told."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from yas3fs.runtime import affinity, interrupts, naming

_log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")
_WINDOW = 256
"""Tasks handed to a pool at a time: more than any pool has threads."""


def for_each(pool: Executor, work: Callable[[T], None], items: Iterable[T]) -> None:
    """Run ``work`` on every item; the first failure is raised once nothing runs any more."""
    running: deque[Future[None]] = deque()
    try:
        for item in items:
            if len(running) >= _WINDOW:
                interrupts.result(running.popleft())
            running.append(pool.submit(work, item))
        while running:
            interrupts.result(running.popleft())
    except BaseException:
        for future in running:
            future.cancel()
        for future in running:
            if not future.cancelled():
                future.exception()
        raise


def _begin(mount: str, free: bool) -> None:
    naming.enter(mount)
    if free:
        affinity.free_thread()


class Pool(Executor):
    """Runs at most ``size`` tasks at a time, in their order; ``most`` is how far that may grow.

    Threads are started as they are needed, and work for the mount that their maker works for.
    With ``free`` they run on all processors (:mod:`yas3fs.runtime.affinity`).
    """

    def __init__(self, name: str, size: int, most: int = 0, *, free: bool = False) -> None:
        self.most = max(size, most)
        self._threads = ThreadPoolExecutor(
            self.most,
            thread_name_prefix=name,
            initializer=_begin,
            initargs=(naming.current(), free),
        )
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Callable[[], object], Callable[[], object]]] = deque()
        self._size = size
        self._running = 0
        self._closed = False

    @property
    def size(self) -> int:
        """How many tasks may run at a time."""
        return self._size

    @property
    def load(self) -> int:
        """How many tasks wait or run now."""
        with self._lock:
            return len(self._waiting) + self._running

    def resize(self, size: int) -> None:
        """Let ``size`` tasks run at a time from now on, at least 1 and at most ``most``.

        What runs already is not stopped.
        """
        with self._lock:
            self._size = min(max(1, size), self.most)
            self._start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """As :class:`concurrent.futures.Executor` says."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        def drop() -> None:
            future.cancel()
            future.set_running_or_notify_cancel()

        self.run(run, drop)
        return future

    def run(self, work: Callable[[], object], dropped: Callable[[], object]) -> None:
        """Have ``work`` run, of which nobody wants a result: cheaper than :meth:`submit`.

        ``dropped`` is called instead when the pool is shut down before its turn comes.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is shut down")
            self._waiting.append((work, dropped))
            self._start()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As :class:`concurrent.futures.Executor` says."""
        with self._lock:
            self._closed = True
            dropped = list(self._waiting) if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
        for _, drop in dropped:
            drop()
        self._threads.shutdown(wait=wait)

    def _start(self) -> None:
        """As many workers as there is work for; ``_lock`` is held."""
        for _ in range(min(self._size - self._running, len(self._waiting))):
            self._threads.submit(self._work)
            self._running += 1

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._running > self._size:
                    self._running -= 1
                    return
                work, _ = self._waiting.popleft()
            try:
                work()
            except Exception:  # noqa: BLE001 - the thread goes on to what comes next
                _log.exception("work in a pool failed")
            del work  # an idle thread must not keep what was worked on
