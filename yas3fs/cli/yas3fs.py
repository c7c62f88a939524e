"""``yas3fs``: mounts a bucket. Arguments become a configuration; the rest is the daemon's."""

import sys
from collections.abc import Sequence

from yas3fs import daemon
from yas3fs.cli.arguments import parse_arguments
from yas3fs.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        resolved = parse_arguments(sys.argv[1:] if argv is None else argv)
    except ConfigError as error:
        print(f"yas3fs: {error}", file=sys.stderr)
        return daemon.WRONG_INPUT
    for warning in resolved.warnings:
        print(f"yas3fs: warning: {warning}", file=sys.stderr)
    return daemon.run(resolved.mount, resolved.process)
