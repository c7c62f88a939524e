"""``yas3fsctl``: looks after nodes. A table of sub-commands; each has a module of its own, or
shares one with its like.

Exit statuses: 0 done, 1 failed, 2 wrong input.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from yas3fs import __version__
from yas3fs.cli.check_command import CHECK_COMMANDS
from yas3fs.cli.cleanup_command import CLEANUP
from yas3fs.cli.cluster_commands import CLUSTER_COMMANDS
from yas3fs.cli.command import FAILED, WRONG_INPUT, Command
from yas3fs.cli.rescue_command import RESCUE
from yas3fs.cli.service_commands import SERVICE_COMMANDS
from yas3fs.errors import ConfigError, Yas3fsError

COMMANDS: tuple[Command, ...] = (
    *SERVICE_COMMANDS,
    RESCUE,
    *CHECK_COMMANDS,
    *CLUSTER_COMMANDS,
    CLEANUP,
)
"""In the order in which --help shows them."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all sub-commands; the chosen one's function is ``run``."""
    parser = argparse.ArgumentParser(
        prog="yas3fsctl", description="Look after yas3fs nodes.", allow_abbrev=False
    )
    parser.add_argument("-V", "--version", action="version", version=f"yas3fs {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        below = commands.add_parser(
            command.name, help=command.help, description=command.help, allow_abbrev=False
        )
        command.declare(below)
        below.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status. argparse exits by itself, with 0 or 2."""
    arguments = build_parser().parse_args(argv)
    before = signal.signal(signal.SIGTERM, _interrupt)  # what was made for the moment is removed
    try:
        return int(arguments.run(arguments))
    except ConfigError as error:
        return _complain(error, WRONG_INPUT)
    except Yas3fsError as error:
        return _complain(error, FAILED)
    except KeyboardInterrupt:
        return _complain("interrupted", FAILED)
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _complain(reason: object, status: int) -> int:
    for line in str(reason).splitlines():
        print(f"yas3fsctl: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
