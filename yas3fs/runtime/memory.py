"""Copies of memory that let other threads run meanwhile."""

import ctypes

_UNLOCKED_FROM = 32 * 1024
"""Below it, handing the interpreter lock over costs more than the copy."""


def copy_bytes(
    target: memoryview, position: int, source: memoryview, start: int, length: int, address: int
) -> None:
    """Copy ``source[start:start + length]`` to ``target[position:]``.

    ``address`` is that of ``source``. ``ctypes.memmove`` is a foreign call and so releases the
    interpreter lock; slice assignment would hold it for as long as the copy takes.
    """
    if length < _UNLOCKED_FROM:
        target[position : position + length] = source[start : start + length]
    else:
        to = ctypes.addressof(ctypes.c_char.from_buffer(target, position))
        ctypes.memmove(to, address + start, length)
