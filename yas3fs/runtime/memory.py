"""Bytes on their way to the kernel: copies that let other threads run meanwhile, or none."""

import ctypes
from collections.abc import Callable
from typing import Protocol, TypeAlias

_UNLOCKED_FROM = 32 * 1024
"""Below it, handing the interpreter lock over costs more than the copy."""


class RoomToRead(Protocol):
    """Memory to read into, and where it is."""

    view: memoryview
    address: int


Room: TypeAlias = Callable[[int], RoomToRead]
"""Gives room for at least so many bytes."""
Send: TypeAlias = Callable[[int, int], object]
"""Takes an address and a count; the memory is good until it returns."""


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
