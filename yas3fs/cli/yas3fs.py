"""``yas3fs``: mounts buckets. Arguments become a configuration; the rest is the daemon's."""

import sys
from collections.abc import Sequence

from yas3fs import daemon
from yas3fs.cli.arguments import parse_command
from yas3fs.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        command = parse_command(sys.argv[1:] if argv is None else argv)
    except ConfigError as error:
        for line in str(error).splitlines():
            print(f"yas3fs: {line}", file=sys.stderr)
        return daemon.WRONG_INPUT
    for warning in command.service.warnings:
        print(f"yas3fs: warning: {warning}", file=sys.stderr)
    return daemon.run(command.service, reload=command.reload)
