"""What a sub-command of ``yas3fsctl`` is."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

OK, FAILED, WRONG_INPUT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Command:
    """One row of the table of sub-commands.

    ``declare`` adds its arguments to a parser; ``run`` does it and returns the exit status, or
    raises a Yas3fsError with one line (ConfigError: the input is wrong).
    """

    name: str
    help: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
