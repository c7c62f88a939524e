"""What a command found, for people and for programs."""

import argparse
import json
from collections.abc import Mapping, Sequence

Row = Mapping[str, object]


def declare_json(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def show(rows: Sequence[Row], columns: Mapping[str, str], as_json: bool) -> str:
    """``rows`` as a JSON array, or as a table of ``columns`` (a row's name to its heading)."""
    if as_json:
        return json.dumps(list(rows), indent=2)
    lines = [list(columns.values())]
    lines += [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def size(count: int) -> str:
    """Bytes as people read them."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def _cell(value: object) -> str:
    """One line of what may come from others, without what a terminal obeys."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(character if character.isprintable() else "?" for character in text)[:200]
