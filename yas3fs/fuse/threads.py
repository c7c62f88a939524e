"""Worker threads of libfuse, made at home in the interpreter.

A thread that Python did not start gets a new thread state for every callback and loses it at the
end: allocation, a mapped stack chunk, all thread-local values. Raising the count of its state once
keeps the state for the thread's life, and the values that every request needs are set once: the
test whether the waiting program was interrupted, and the mount that log lines name.

The states of ended workers stay until the interpreter ends, some kilobytes for each.
"""

import ctypes
import threading
from collections.abc import Callable

from yas3fs.runtime import interrupts, naming

_ensure = ctypes.pythonapi.PyGILState_Ensure


def _is_foreign() -> bool:
    """Whether libfuse started the current thread (Python knows its own)."""
    me = threading.get_ident()
    return not any(
        thread.ident == me and type(thread).__name__ != "_DummyThread"
        for thread in threading.enumerate()
    )


class WorkerThreads(threading.local):
    """Reading :attr:`adopted` adopts the current thread when it is new.

    Threads of Python's own are left alone: one makes the session and ends it, and libfuse's
    "was I interrupted?" must only be asked while a request is being served.
    """

    def __init__(self, interrupted: Callable[[], int], mount: str) -> None:
        if _is_foreign():
            naming.enter(mount)
            _ensure()
            interrupts.set_test(lambda: interrupted() != 0)
        self.adopted = True
