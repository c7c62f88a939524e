"""A YAML document as keys, texts and the lines they stand on.

Values stay the texts that were written: what they mean is decided by the table of options, as for
a flag, so that ``022`` is an octal mask and ``yes`` a switch whatever YAML makes of them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A value as written, None for an empty one; the items of a list stand with commas between."""

    value: str | None
    line: int


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping; ``pairs`` are in the order of the file, each with the line of its key."""

    pairs: tuple[tuple[str, "Section | Text", int], ...]
    line: int
