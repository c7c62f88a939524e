"""C structures made in one step.

Setting the fields of a ctypes structure one by one costs a descriptor call and often a temporary
object each, a microsecond for a ``struct stat``. A :class:`Layout` compiles the offsets of the
wanted fields, which differ between architectures, into one :class:`struct.Struct`.
"""

import ctypes
import operator
import struct
import sys
from collections.abc import Callable, Iterator, Sequence

_SIGNED = {1: "b", 2: "h", 4: "i", 8: "q"}
_UNSIGNED = {1: "B", 2: "H", 4: "I", 8: "Q"}


def _scalars(kind: type, name: str, offset: int) -> Iterator[tuple[int, str, str]]:
    """(offset, name, format) of each number in a field; nested ones are called ``a.b``."""
    if issubclass(kind, ctypes.Structure):
        for field in kind._fields_:
            inner = getattr(kind, field[0])
            yield from _scalars(field[1], f"{name}.{field[0]}", offset + inner.offset)
    elif issubclass(kind, ctypes._SimpleCData):
        size = ctypes.sizeof(kind)
        if kind is ctypes.c_double:
            yield offset, name, "d"
            return
        signed = kind(-1).value < 0
        yield offset, name, (_SIGNED if signed else _UNSIGNED)[size]


class Layout:
    """Packs chosen fields of a structure; what lies between them is zero."""

    def __init__(self, structure: type[ctypes.Structure], names: Sequence[str]) -> None:
        known: dict[str, tuple[int, str]] = {}
        for field in structure._fields_:
            place = getattr(structure, field[0])
            for offset, name, code in _scalars(field[1], field[0], place.offset):
                known[name] = (offset, code)
        ordered = sorted(names, key=lambda name: known[name][0])
        parts, position = ["<" if sys.byteorder == "little" else ">"], 0
        for name in ordered:
            offset, code = known[name]
            parts.append(f"{offset - position}x{code}")
            position = offset + struct.calcsize("=" + code)
        self.size = ctypes.sizeof(structure)
        parts.append(f"{self.size - position}x")
        compiled = struct.Struct("".join(parts))
        if compiled.size != self.size:
            raise ValueError(f"{structure.__name__}: fields overlap")
        self.pack: Callable[..., bytes] = compiled.pack
        """The structure with values, one argument for each name and in their order."""
        if ordered != list(names):
            in_order = operator.itemgetter(*(names.index(name) for name in ordered))
            self.pack = lambda *values: compiled.pack(*in_order(values))
