"""A lock that is held while the network is slow, so that whoever waits can be interrupted."""

import threading
from types import TracebackType

from yas3fs.runtime import interrupts


class InterruptibleLock:
    """A reentrant lock; entering it raises Interrupted when the waiting program is interrupted."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        while not self._lock.acquire(timeout=interrupts.SLICE):
            interrupts.check()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()
