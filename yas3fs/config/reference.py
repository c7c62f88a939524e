"""The reference of options, made from the table: ``python -m yas3fs.config.reference``."""

import sys
from collections.abc import Iterator

from yas3fs.config.option import Group, Kind, Option
from yas3fs.config.options import OPTIONS

INTRODUCTION = """\
# Options

<!-- Made by `python -m yas3fs.config.reference > docs/OPTIONS.md`; edit yas3fs/config/ instead. -->

    yas3fs s3://BUCKET/PATH MOUNTPOINT [options]
    yas3fs MOUNTPOINT --url=s3://BUCKET/PATH [options]
    yas3fs --config FILE [--mount NAME]... [options]

Each option can be given in four ways; the later in this list wins:

1. the file of `--config`, by its name (`cache-size: 2G`), see [SERVICE.md](SERVICE.md),
2. an environment variable, `YAS3FS_` and the option's name in capitals: `YAS3FS_CACHE_SIZE=2G`
   (switches take `yes` or `no`),
3. `-o` with the name, as in fstab: `-o cache_size=2G,read_only`,
4. a flag: `--cache-size 2G`.

A bare number of a size counts the unit that is named; `512K`, `100M` and `1.5G` are taken
everywhere. All units are powers of 1,024.

`-o` also takes what the kernel understands (`noatime`, `nosuid`, `nodev`, `noexec`, `sync`,
`fsname=…`, `max_read=…`), `ro` and `rw`, and passes over what mount(8) itself acts on (`_netdev`,
`nofail`, `x-systemd.…`).

`-h`/`--help` lists the options, `-V`/`--version` tells the version.
"""

REMARKS = {
    Group.NOTIFICATIONS: "Notifications are not part of this release yet: a mount that is given "
    "one of these, but for `--region`, is refused.",
    Group.EARLIER: "These options of 2.x are accepted with one warning that says what took their "
    "place.",
}


def reference() -> str:
    """The whole page."""
    return INTRODUCTION + "".join(_section(group) for group in Group)


def _section(group: Group) -> str:
    rows = [option for option in OPTIONS if option.group is group]
    remark = f"\n{REMARKS[group]}\n" if group in REMARKS else ""
    if group is Group.EARLIER:
        head = "\n| option | instead |\n|---|---|\n"
        body = "".join(f"| `{option.flag}` | {option.retired} |\n" for option in rows)
    else:
        head = "\n| option | default | meaning |\n|---|---|---|\n"
        body = "".join(f"| {_names(option)} | {_default(option)} | {_meaning(option)} |\n"
                       for option in rows)  # fmt: skip
    return f"\n## {group.value}\n{remark}{head}{body}"


def _names(option: Option) -> str:
    return ", ".join(_spellings(option))


def _spellings(option: Option) -> Iterator[str]:
    only_shorthands = option.kind is Kind.SWITCH and option.default is True
    if not only_shorthands:
        *others, last = option.all_flags
        yield from (f"`{flag}`" for flag in others)
        yield f"`{last} {option.metavar}`" if option.metavar else f"`{last}`"
    yield from (f"`{short.flag}`" for short in option.shorthands)


def _default(option: Option) -> str:
    if option.default_text:
        return option.default_text
    if option.kind is Kind.SWITCH:
        return "on" if option.default else "off"
    if option.default is None:
        return "–"  # noqa: RUF001 (the dash of a table cell that has nothing to say)
    unit = f" {option.unit}" if option.unit else " s" if option.kind is Kind.SECONDS else ""
    return option.show(option.default) + unit


def _meaning(option: Option) -> str:
    text = option.help
    if option.kind is Kind.CHOICE:
        text += ". One of " + ", ".join(f"`{choice}`" for choice in option.choices)
    elif option.low is not None:
        text += f". Valid: {option.valid}"
    for short in option.shorthands:
        text += f". `{short.flag}`: {short.help}"
    if option.environment:
        text += ". Also set by " + ", ".join(f"`{name}`" for name in option.environment)
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
