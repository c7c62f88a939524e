"""On which processors threads run.

The interpreter's lock lets one thread run at a time. Where threads that take turns are spread over
processors, each turn begins with a wake-up across processors and with cold caches, which more than
doubled the CPU that small requests cost (docs/PERFORMANCE.md). So the threads of a process are
*confined* to one processor, the same for all, but for those that are *free*: they copy, encrypt or
sum up bytes, which the lock does not cover.

The kernel still moves other programs away from the processor. Which one it is, is where it has put
the process to start, so that several yas3fs spread as it finds best.
"""

import os
import random
from pathlib import Path

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
        here = _running_on()
        _home = here if here in given else random.choice(sorted(given))  # noqa: S311
        _given = given
        confine_thread()


def _running_on() -> int:
    """The processor of the current thread; -1 when that cannot be told. See proc(5)."""
    try:
        return int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])
    except (OSError, ValueError, IndexError):
        return -1


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
