"""Worker threads of libfuse, made at home in the interpreter.

A thread that Python did not start gets a new thread state for every callback and loses it at the
end: allocation, a mapped stack chunk, all thread-local values. Raising the count of its state once
keeps the state for the thread's life, and what every request needs is made once: the test whether
the waiting program was interrupted, the memory that is read into.

The states of ended workers stay until the interpreter ends, some kilobytes for each.
"""

import ctypes
import threading
from collections.abc import Callable

from yas3fs.runtime import affinity, interrupts, naming

_ensure = ctypes.pythonapi.PyGILState_Ensure


def _is_foreign() -> bool:
    """Whether libfuse started the current thread (Python knows its own)."""
    me = threading.get_ident()
    return not any(
        thread.ident == me and type(thread).__name__ != "_DummyThread"
        for thread in threading.enumerate()
    )


BULK = 256 * 1024
"""Bytes whose copying takes longer than it takes to let a thread run elsewhere."""


class Buffer:
    """Memory to read into, and where it is for C."""

    __slots__ = ("_bytes", "address", "size", "view")

    def __init__(self, size: int) -> None:
        self._bytes = bytearray(size)
        self.view = memoryview(self._bytes)
        self.address = ctypes.addressof((ctypes.c_char * size).from_buffer(self._bytes))
        self.size = size


class WorkerThreads(threading.local):
    """What belongs to the current thread. The first look adopts the thread when it is new.

    ``request`` is the one that the thread works on, for "was I interrupted?"; 0 when there is none.
    Threads of Python's own, which make the session, are not interrupted.
    """

    def __init__(self, interrupted: Callable[[int], int], mount: str) -> None:
        self.request = 0
        self.free = False
        """Whether the thread may run on all processors."""
        self._buffer: Buffer | None = None
        if _is_foreign():
            naming.enter(mount)
            _ensure()
            interrupts.set_test(lambda: self.request != 0 and interrupted(self.request) != 0)

    def move(self, size: int) -> None:
        """The thread is about to copy ``size`` bytes: many are copied on any processor."""
        if (size >= BULK) is not self.free:
            if self.free:
                self.confine()
            else:
                self.free = True
                affinity.free_thread()

    def confine(self) -> None:
        """The thread is not about to copy much."""
        self.free = False
        affinity.confine_thread()

    def buffer(self, size: int) -> Buffer:
        """Memory of ``size`` bytes or more, the thread's own until its next request."""
        buffer = self._buffer
        if buffer is None or buffer.size < size:
            buffer = self._buffer = Buffer(size)
        return buffer
