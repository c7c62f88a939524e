"""``-o NAME[=VALUE],...`` as mount(8) writes it: some names are ours, some the kernel's."""

import difflib
import re
from collections.abc import Iterable

from yas3fs.config.option import Kind
from yas3fs.config.options import BY_NAME
from yas3fs.config.resolve import Given
from yas3fs.errors import ConfigError

_FLAGS = ("atime", "dev", "exec", "suid")
_TIMES = ("diratime", "relatime", "strictatime", "lazytime")
"""When the kernel writes access times, which it never does for FUSE; libfuse does not know them."""
_PASSED = frozenset(
    (
        *_FLAGS,
        *("no" + flag for flag in _FLAGS),
        *("async", "sync", "dirsync", "fsname", "subtype"),
        *("max_read", "max_background", "congestion_threshold"),
    )
)
_OF_MOUNT = frozenset(
    (
        *("_netdev", "auto", "noauto", "defaults", "nofail", "remount"),
        *("user", "nouser", "users", "owner", "group", "uhelper", "helper"),
        *_TIMES,
        *("no" + flag for flag in _TIMES),
        *("mand", "nomand", "iversion", "noiversion", "silent", "loud"),
    )
)
"""What mount(8) itself acts on, or file systems of this kind have no use for."""
_MEANING = {"ro": ("read_only", "yes"), "rw": ("read_only", "no")}


def parse_dash_o(
    texts: Iterable[str], where: str = "", *, sloppy: bool = False
) -> tuple[list[Given], tuple[str, ...]]:
    """The options of ours among ``texts``, and those to pass to the kernel.

    ``where`` is put in front of a complaint; ``sloppy`` passes over what is unknown (mount -s).
    """
    prefix = f"{where}: " if where else ""
    ours: list[Given] = []
    passed: list[str] = []
    for text in texts:
        for item in _items(text):
            name, equals, value = item.partition("=")
            key = name.replace("-", "_")
            if key in _MEANING:
                ours.append(Given(*_MEANING[key], f"{prefix}-o {name}"))
            elif key in BY_NAME:
                ours.append(_ours(key, f"{prefix}-o {name}", value if equals else None))
            elif name in _PASSED:
                passed.append(item)
            elif name in _OF_MOUNT or name.startswith(("x-", "X-", "comment")) or sloppy:
                continue
            else:
                raise ConfigError(prefix + _unknown(name))
    return ours, tuple(passed)


def _items(text: str) -> Iterable[str]:
    """The parts between commas; a backslash takes the meaning from the comma behind it."""
    for item in re.split(r"(?<!\\),", text):
        if item.strip():
            yield item.strip().replace("\\,", ",")


def _ours(name: str, origin: str, value: str | None) -> Given:
    if value is None:
        if BY_NAME[name].kind is not Kind.SWITCH:
            raise ConfigError(f"{origin}: a value is missing: give {BY_NAME[name].valid}")
        return Given(name, "yes", origin)
    return Given(name, value, origin)


def _unknown(name: str) -> str:
    if name == "auto_unmount":
        return "-o auto_unmount: is not supported, it would unmount before files are uploaded"
    known = [*BY_NAME, *_MEANING, *_PASSED, *_OF_MOUNT]
    near = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
    return f"-o {name}: there is no such option" + (f"; did you mean {near[0]}?" if near else "")
