"""How far long work is, where somebody looks."""

import sys

_WIDTH = 30


def progress(done: int, total: int, what: str) -> None:
    """Draw a bar on stderr when that is a terminal."""
    if sys.stderr.isatty():
        filled = _WIDTH * done // max(1, total)
        bar = "#" * filled + "." * (_WIDTH - filled)
        print(f"\r[{bar}] {done}/{total} {what[-40:]:<40}", end="", file=sys.stderr, flush=True)


def progress_ended() -> None:
    """Take the bar away."""
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
