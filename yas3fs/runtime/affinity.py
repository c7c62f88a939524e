"""On which processors threads run.

The interpreter's lock lets one thread run at a time. Where threads that take turns are spread over
processors, each turn begins with a wake-up across processors and with cold caches, which more than
doubled the CPU that small requests cost (docs/PERFORMANCE.md). So the threads of a process are
*confined* to one processor, the same for all, but for those that are *free*: they copy, encrypt or
sum up bytes, which the lock does not cover.

The kernel still moves other programs away from the processor, and which one it is depends on the
number of the process, so that several yas3fs spread.
"""

import os

_given: frozenset[int] = frozenset()
"""The processors that the process may use; empty while nobody is confined."""
_home = 0


def confine_process() -> None:
    """Confine this thread and all threads that it, or they, will start.

    Nothing happens where there is one processor, or where threads cannot be confined (macOS).
    """
    global _given, _home  # noqa: PLW0603 - there is one process
    if not hasattr(os, "sched_setaffinity"):
        return
    given = frozenset(os.sched_getaffinity(0))
    if len(given) > 1:
        _home = sorted(given)[os.getpid() % len(given)]
        _given = given
        confine_thread()


def release_process() -> None:
    """Free this thread; those that it will start are free as well."""
    global _given  # noqa: PLW0603
    free_thread()
    _given = frozenset()


def confine_thread() -> None:
    """Confine the current thread, if the process is."""
    if _given:
        os.sched_setaffinity(0, {_home})


def free_thread() -> None:
    """Let the current thread run on all processors of the process."""
    if _given:
        os.sched_setaffinity(0, _given)
