"""The command line of ``yas3fs``, made from the options table.

argparse only finds out which text was given for which option; what the texts mean is decided in
:mod:`yas3fs.config`. Both call forms are understood, with options anywhere among the operands::

    yas3fs s3://BUCKET/PATH MOUNTPOINT [options]
    yas3fs MOUNTPOINT --url=s3://BUCKET/PATH [options]
    yas3fs --config FILE [--mount NAME]... [options]
"""

import argparse
import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from yas3fs import __version__
from yas3fs.config.dash_o import parse_dash_o
from yas3fs.config.option import Group, Kind, Option
from yas3fs.config.options import OPTIONS
from yas3fs.config.resolve import Given, Resolved, resolve
from yas3fs.config.service import Service, load_service
from yas3fs.config.source import DEFAULT_FILE, USER_DATA
from yas3fs.errors import ConfigError

USAGE = """yas3fs s3://BUCKET/PATH MOUNTPOINT [options]
       yas3fs MOUNTPOINT --url=s3://BUCKET/PATH [options]
       yas3fs --config FILE [--mount NAME]... [options]"""
DESCRIPTION = "Mount a bucket, or a path in it, as a folder. It is unmounted with umount."
EPILOG = """Sizes take a unit (512K, 100M, 1.5G). Every option can also be set by an environment
variable, as YAS3FS_CACHE_SIZE. Options of 2.x that have no effect any more are accepted with a
warning; the reference (docs/OPTIONS.md) lists them."""

_BARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/.*)?", re.DOTALL)


class _Parser(argparse.ArgumentParser):
    """Leaves the words of a refusal, and the exit, to whoever called."""

    def error(self, message: str) -> NoReturn:
        text = re.sub(r"^argument (?:-\w/)?", "", message)
        raise ConfigError(f"{text} (see yas3fs --help)")


class _Record(argparse.Action):
    """Notes that an option was given, how it was spelled, and with which text."""

    def __init__(self, *, option: Option, **rest: Any) -> None:
        super().__init__(**rest)
        self.option = option

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 (argparse's signature)
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        text = values if isinstance(values, str) else self.const
        namespace.given.append(Given(self.option.name, text, option_string or self.option.flag))


def build_parser() -> argparse.ArgumentParser:
    """The parser for every row of the table."""
    parser = _Parser(
        prog="yas3fs",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("operands", nargs="*", help=argparse.SUPPRESS)
    parser.set_defaults(given=[], dash_o=[])
    for group in Group:
        section = parser.add_argument_group(group.value)
        for option in OPTIONS:
            if option.group is group:
                _add(section, option)
        if group is Group.MOUNT:
            _add_file(section)
        if group is Group.KERNEL:
            section.add_argument(
                "-o",
                action="append",
                dest="dash_o",
                metavar="OPT[,OPT...]",
                help="options as mount(8) takes them: any of these by its name "
                "(-o cache_size=100,read_only), or the kernel's (noatime, nosuid, ...)",
            )
        if group is Group.PROCESS:
            version = f"yas3fs {__version__}"
            section.add_argument("-V", "--version", action="version", version=version)
            section.add_argument("-h", "--help", action="help", help="show this and exit")
    return parser


def _add_file(section: argparse._ArgumentGroup) -> None:
    section.add_argument(
        "--config",
        metavar="FILE",
        help=f"serve the mounts that a file names, as {DEFAULT_FILE}, or the instance's user data "
        f"({USER_DATA}); other options win over the file's",
    )
    section.add_argument(
        "--mount",
        action="append",
        dest="names",
        default=[],
        metavar="NAME",
        help="with --config: only this mount; may be given again",
    )


def _add(section: argparse._ArgumentGroup, option: Option) -> None:
    hidden = bool(option.retired)
    is_switch = option.kind is Kind.SWITCH
    text = argparse.SUPPRESS if hidden else _help(option)
    only_shorthands = is_switch and option.default is True
    if not only_shorthands:
        form: dict[str, Any] = {"nargs": 0, "const": "yes"} if is_switch else {}
        if option.metavar:
            form["metavar"] = option.metavar
        section.add_argument(
            *option.all_flags, action=_Record, option=option, dest="given", help=text, **form
        )
    for short in option.shorthands:
        section.add_argument(
            short.flag,
            action=_Record,
            option=option,
            dest="given",
            nargs=0,
            const=short.value,
            help=short.help,
        )


def _help(option: Option) -> str:
    text = option.help
    if option.kind is Kind.CHOICE:
        text += f" (one of {option.valid})"
    if option.default_text:
        text += f" (default: {option.default_text})"
    elif option.kind is not Kind.SWITCH and option.default is not None:
        text += f" (default: {option.show(option.default)})"
    return text.replace("%", "%%")


@dataclass(frozen=True, slots=True)
class Command:
    """What ``yas3fs`` was asked to do. ``reload`` reads the file anew; None without a file."""

    service: Service
    reload: Callable[[], Service] | None


def parse_command(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Command:
    """What ``argv`` asks for, in any of the three forms; ConfigError when it cannot be."""
    found, words = _parse(argv)
    if found.config is None:
        if found.names:
            raise ConfigError("--mount needs --config, the file that names the mount")
        one = _one_mount(found, words, environment)
        return Command(Service((one.mount,), one.process, one.warnings), None)
    if words:
        raise ConfigError(f"{words[0]!r} is one too much: --config names what is mounted")
    ours, passed = parse_dash_o(found.dash_o)
    given = [*ours, *found.given]
    if any(name == "url" for name, _, _ in given):
        raise ConfigError("--url contradicts --config, which names what is mounted")

    def load() -> Service:
        return load_service(
            found.config,
            only=found.names,
            given=given,
            fuse_options=passed,
            environment=environment,
        )

    return Command(load(), load)


def parse_arguments(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Resolved:
    """The one mount that ``argv`` names; ConfigError when it cannot be."""
    found, words = _parse(argv)
    return _one_mount(found, words, environment)


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options that were given, and the operands."""
    found, unknown = build_parser().parse_known_intermixed_args(list(argv))
    for word in unknown:
        if word.startswith("-"):
            raise ConfigError(_unknown(word))
    return found, [*found.operands, *unknown]


def _one_mount(
    found: argparse.Namespace, words: Sequence[str], environment: Mapping[str, str]
) -> Resolved:
    url, mountpoint = _operands(words)
    ours, passed = parse_dash_o(found.dash_o)
    given = [*ours, *found.given]
    if url:
        given.append(Given("url", url, "the first operand"))
    has_url = any(name == "url" for name, _, _ in given)
    if not has_url and mountpoint.lower().startswith("s3://"):
        raise ConfigError("the mount point is missing: yas3fs s3://BUCKET/PATH MOUNTPOINT")
    if url and sum(name == "url" for name, _, _ in given) > 1:
        raise ConfigError("the URL is given twice, as an operand and with --url")
    return resolve(given, mountpoint, environment=environment, fuse_options=passed)


def _operands(words: Sequence[str]) -> tuple[str, str]:
    """The URL (empty in the form with --url) and the mount point."""
    if not words:
        raise ConfigError("nothing to mount is named (see yas3fs --help)")
    if len(words) > 2:
        raise ConfigError(f"too many operands, {words[2]!r} is one too much (see yas3fs --help)")
    if len(words) == 1:
        return "", words[0]
    if words[1].lower().startswith("s3://") and not words[0].lower().startswith("s3://"):
        raise ConfigError("the URL comes first: yas3fs s3://BUCKET/PATH MOUNTPOINT")
    return url_of(words[0]), words[1]


def url_of(word: str) -> str:
    """The URL of an operand; mount.fuse leaves ``BUCKET/PATH`` of ``yas3fs#BUCKET/PATH``."""
    return f"s3://{word}" if _BARE.fullmatch(word) else word


def _unknown(word: str) -> str:
    name = word.partition("=")[0]
    known = ["--config", "--mount", "--help", "--version"]
    for option in OPTIONS:
        known += [*option.all_flags, *(short.flag for short in option.shorthands)]
    near = difflib.get_close_matches(name, known, n=1) if name.startswith("--") else []
    hint = f"did you mean {near[0]}?" if near else "see yas3fs --help"
    return f"{name}: there is no such option; {hint}"
