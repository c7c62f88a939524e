"""What one option is: its names, what values it takes, and how a text becomes one.

The same text arrives from a flag, from the environment and from ``-o``; it is parsed here once, so
that every origin accepts the same spellings and refuses with the same words. A refusal names the
option as the administrator wrote it, the value, and what would be valid.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from yas3fs.errors import ConfigError

Value = str | int | float | bool | None

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB


class Kind(StrEnum):
    """What an option's value is."""

    SWITCH = "switch"
    INTEGER = "integer"
    SECONDS = "seconds"
    SIZE = "size"
    OCTAL = "octal"
    TEXT = "text"
    PATH = "path"
    CHOICE = "choice"


class Group(StrEnum):
    """The headings of ``--help`` and of the reference, in their order."""

    MOUNT = "Mount"
    STORE = "Object store"
    CREDENTIALS = "Credentials"
    PLACEMENT = "Encryption and storage of what is written"
    CACHE = "Caches"
    READ = "Reading"
    WRITE = "Writing"
    ATTRIBUTES = "Attributes and permissions"
    KERNEL = "Kernel"
    PROCESS = "Process and log"
    NOTIFICATIONS = "Notifications between nodes"
    EARLIER = "Accepted from earlier releases, without effect"


@dataclass(frozen=True, slots=True)
class Shorthand:
    """A flag without a value that gives its option a fixed one."""

    flag: str
    value: str
    help: str


@dataclass(frozen=True, slots=True)
class Option:
    """One row of the table.

    ``name`` is the option's name in files and in :class:`~yas3fs.config.mount_config.MountConfig`.
    ``default`` is of the kind's own type (sizes in bytes); None stands for "decided when mounting",
    which ``default_text`` then describes. ``unit`` is what a bare number of a size counts.
    ``retired`` says, for an option of an earlier release that has no effect, what took its place.
    """

    name: str
    group: Group
    kind: Kind
    help: str
    default: Value = None
    flags: tuple[str, ...] = ()
    shorthands: tuple[Shorthand, ...] = ()
    metavar: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    default_text: str = ""
    secret: bool = False
    retired: str = ""

    @property
    def all_flags(self) -> tuple[str, ...]:
        """Every spelling on the command line; a table row without any gets ``--its-name``."""
        return self.flags or ("--" + self.name.replace("_", "-"),)

    @property
    def flag(self) -> str:
        """The flag that stands for the option in messages and documents."""
        return next(flag for flag in self.all_flags if flag.startswith("--"))

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, the first one set wins."""
        return ("YAS3FS_" + self.name.upper(), *self.environment)

    @property
    def valid(self) -> str:
        """What values are valid, in words."""
        match self.kind:
            case Kind.SWITCH:
                return "yes or no"
            case Kind.CHOICE:
                return ", ".join(self.choices)
            case Kind.INTEGER:
                return "a whole number" + self._range()
            case Kind.SECONDS:
                return "a number of seconds" + self._range()
            case Kind.SIZE:
                return f"a number of {self.unit}, or one with a unit as in 1.5G" + self._range()
            case Kind.OCTAL:
                return "an octal number" + self._range()
            case Kind.PATH:
                return "a path"
            case Kind.TEXT:
                return "a text that is not empty"

    def parse(self, text: str, origin: str = "") -> Value:
        """The value ``text`` stands for; ``origin`` is the name to blame, by default the flag."""
        value = _PARSERS[self.kind](self, text.strip())
        if value is None or not self._within(value):
            shown = "the value" if self.secret else repr(text)
            raise ConfigError(f"{origin or self.flag}: {shown} is not valid: give {self.valid}")
        return value

    def show(self, value: Value) -> str:
        """``value`` as one would write it."""
        if self.kind is Kind.SWITCH:
            return "yes" if value else "no"
        if self.kind is Kind.OCTAL and isinstance(value, int):
            return f"{value:03o}"
        if self.kind is Kind.SIZE and isinstance(value, int):
            return f"{value / _UNITS[self.unit]:.12g}"
        if isinstance(value, float):
            return f"{value:.12g}"
        return str(value)

    def _within(self, value: Value) -> bool:
        if isinstance(value, str) or value is None:
            return True
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def _range(self) -> str:
        low = None if self.low is None else self.show(_same(self.low))
        high = None if self.high is None else self.show(_same(self.high))
        unit = f" {self.unit}" if self.kind is Kind.SIZE else ""
        if low is not None and high is not None:
            return f", from {low} to {high}{unit}"
        if low is not None:
            return f", {low}{unit} or more"
        return ""


_UNITS = {"bytes": 1, "KB": KIB, "MB": MIB}
_SUFFIXES = {"": 0, "b": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}
_SIZE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(?:([kmgt])(?:i?b)?|(b))?", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:\.\d*)?|\.\d+")
_YES = frozenset({"1", "yes", "true", "on"})
_NO = frozenset({"0", "no", "false", "off"})


def _same(bound: float) -> int | float:
    """A bound as an integer where it is one."""
    return int(bound) if bound == int(bound) else bound


def _switch(_option: Option, text: str) -> Value:
    word = text.lower()
    return True if word in _YES else False if word in _NO else None


def _integer(_option: Option, text: str) -> Value:
    return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None


def _seconds(_option: Option, text: str) -> Value:
    return float(text) if _NUMBER.fullmatch(text) else None


def _size(option: Option, text: str) -> Value:
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    suffix = (match[2] or match[3] or "").lower()
    return int(float(match[1]) * (_SUFFIXES[suffix] or _UNITS[option.unit]))


def _octal(_option: Option, text: str) -> Value:
    return int(text, 8) if re.fullmatch(r"(?:0o)?[0-7]{1,6}", text) else None


def _text(_option: Option, text: str) -> Value:
    return text or None


def _choice(option: Option, text: str) -> Value:
    wanted = text.lower()
    return next((choice for choice in option.choices if choice.lower() == wanted), None)


_PARSERS = {
    Kind.SWITCH: _switch,
    Kind.INTEGER: _integer,
    Kind.SECONDS: _seconds,
    Kind.SIZE: _size,
    Kind.OCTAL: _octal,
    Kind.TEXT: _text,
    Kind.PATH: _text,
    Kind.CHOICE: _choice,
}
