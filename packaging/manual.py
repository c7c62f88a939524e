"""Writes the man pages, from the tables that the program itself goes by.

python3 packaging/manual.py FOLDER
"""

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yas3fs import __version__
from yas3fs.cli import mount_helper, yas3fsctl
from yas3fs.config.option import Group, Kind, Option
from yas3fs.config.options import OPTIONS
from yas3fs.config.service import MOUNTPOINT, OPTIONS_KEY

SEE = {
    "yas3fs.8": "yas3fsctl(8), mount.yas3fs(8), yas3fs.yaml(5), umount(8), fusermount3(1)",
    "yas3fsctl.8": "yas3fs(8), yas3fs.yaml(5)",
    "mount.yas3fs.8": "yas3fs(8), yas3fs.yaml(5), mount(8), umount(8), fstab(5), systemd.mount(5)",
    "yas3fs.yaml.5": "yas3fs(8), yas3fsctl(8), mount.yas3fs(8), systemd.service(5)",
}
UNIT_FILES = {
    "/etc/yas3fs.yaml": "the mounts of the service, see yas3fs.yaml(5)",
    "/etc/default/yas3fs, /etc/sysconfig/yas3fs": "variables for the units",
    "/var/cache/yas3fs": "files that are being written, until they are uploaded",
    "/var/lib/yas3fs": "the journal, and in rescue what S3 refused",
    "/run/yas3fs": "control sockets",
}


def escape(text: str) -> str:
    """``text`` as roff shows it: hyphens can be copied, nothing is a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def bold(text: str) -> str:
    return f"\\fB{escape(text)}\\fR"


def italic(text: str) -> str:
    return f"\\fI{escape(text)}\\fR"


def title(name: str, text: str) -> Iterator[str]:
    program, _, section = name.rpartition(".")
    yield f'.TH {program.upper()} {section} "" "yas3fs {__version__}" "yas3fs"'
    yield from (".SH NAME", f"{program} \\- {escape(text)}")


def section(heading: str, *paragraphs: str) -> Iterator[str]:
    yield f".SH {heading.upper()}"
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        yield escape(paragraph)


def example(text: str) -> Iterator[str]:
    yield from (".PP", ".in +4n", ".EX", escape(text), ".EE", ".in")


def items(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for head, text in pairs:
        yield from (".TP", head, escape(text))


def end(name: str) -> Iterator[str]:
    yield from section("see also", SEE[name])


# -- options -----------------------------------------------------------------------------------


def describe(option: Option) -> str:
    text = option.help[0].upper() + option.help[1:] + "."
    if option.kind is Kind.CHOICE:
        text += f" One of {', '.join(option.choices)}."
    elif option.low is not None:
        text += f" Valid: {option.valid}."
    if option.environment:
        text += f" Also set by {', '.join(option.environment)}."
    if option.default_text:
        text += f" Default: {option.default_text}."
    elif option.kind is Kind.SWITCH:
        text += f" Default: {'on' if option.default else 'off'}."
    elif option.default is not None:
        text += f" Default: {option.show(option.default)}{f' {option.unit}' * bool(option.unit)}."
    return text


def flags(option: Option) -> str:
    shown = []
    if option.kind is not Kind.SWITCH or option.default is not True:
        for flag in option.all_flags:
            value = f" {italic(option.metavar)}" if option.metavar else ""
            shown.append(bold(flag) + value)
    shown += [bold(short.flag) for short in option.shorthands]
    return ", ".join(shown)


def groups(*, skip: Iterable[Group] = ()) -> Iterator[tuple[Group, list[Option]]]:
    for group in Group:
        rows = [option for option in OPTIONS if option.group is group and not option.retired]
        if rows and group not in skip:
            yield group, rows


# -- pages -------------------------------------------------------------------------------------


def yas3fs_page() -> Iterator[str]:
    yield from title("yas3fs.8", "mount S3 buckets as file systems")
    yield ".SH SYNOPSIS"
    yield f"{bold('yas3fs')} {italic('s3://BUCKET/PATH MOUNTPOINT')} [{italic('options')}]"
    yield ".br"
    yield f"{bold('yas3fs')} {italic('MOUNTPOINT')} {bold('--url')}={italic('s3://BUCKET/PATH')} [{italic('options')}]"
    yield ".br"
    yield f"{bold('yas3fs --config')} {italic('FILE')} [{bold('--mount')} {italic('NAME')}]... [{italic('options')}]"
    yield from section(
        "description",
        "yas3fs mounts an S3 bucket, or a path in it, as a POSIX file system, and keeps the caches of "
        "all machines that mount it coherent by means of SNS and SQS.",
        "The command returns when the mount is visible, and the process goes on in the background; or "
        "it says on stderr why the mount could not be made. With --config it serves every mount that "
        "a file names. umount, SIGTERM and SIGINT end a mount: what is due is uploaded first. SIGHUP "
        "has a process with --config follow changes of the file, and ends any other.",
        "A file is in S3 when close(2) or fsync(2) has returned 0.",
    )
    yield ".SH OPTIONS"
    yield escape(
        "Every option can also be set in the file, by its name, and in the environment, as "
        "YAS3FS_CACHE_SIZE. The environment wins over the file, a flag over both. Sizes take a unit "
        "(512K, 100M, 1.5G)."
    )
    for group, rows in groups():
        yield f".SS {escape(group.value)}"
        if group is Group.MOUNT:
            yield from items(
                [
                    (f"{bold('--config')} {italic('FILE')}",
                     "Serve the mounts that a file names, as /etc/yas3fs.yaml, or the instance's "
                     "user data (imds:user-data)."),
                    (f"{bold('--mount')} {italic('NAME')}",
                     "With --config: only this mount. May be given again."),
                ]
            )  # fmt: skip
        yield from items((flags(option), describe(option)) for option in rows)
        if group is Group.KERNEL:
            head = f"{bold('-o')} {italic('OPT')}[,{italic('OPT')}...]"
            text = (
                "Options as mount(8) takes them: any of these by its name "
                "(-o cache_size=100,read_only), or the kernel's (noatime, nosuid, ...)."
            )
            yield from items([(head, text)])
        if group is Group.PROCESS:
            yield from items(
                [
                    (f"{bold('-h')}, {bold('--help')}", "List the options."),
                    (f"{bold('-V')}, {bold('--version')}", "Tell the version."),
                ]
            )
    yield from section("exit status")
    yield from items(
        [
            ("0", "Mounted; in the foreground: unmounted in good order."),
            (
                "1",
                "The mount failed, or files could not be uploaded: they are in the rescue folder.",
            ),
            ("2", "The options, the file or the mount point are wrong."),
        ]
    )
    yield ".SH FILES"
    yield from items((italic(path), text) for path, text in UNIT_FILES.items())
    yield from end("yas3fs.8")


def yas3fsctl_page() -> Iterator[str]:
    yield from title("yas3fsctl.8", "look after yas3fs mounts and clusters")
    yield ".SH SYNOPSIS"
    yield f"{bold('yas3fsctl')} {italic('COMMAND')} [{italic('options')}]"
    yield from section(
        "description",
        "Commands ask the processes on this machine, through sockets that their user and root can "
        "open; or every node of a topic, by a message; or only the configuration file.",
    )
    yield ".SH COMMANDS"
    for command in yas3fsctl.COMMANDS:
        parser = argparse.ArgumentParser(prog=f"yas3fsctl {command.name}", add_help=False)
        command.declare(parser)
        yield f".SS {escape(command.name)}"
        yield escape(command.help[0].upper() + command.help[1:] + ".")
        yield from items(_arguments(parser))
    yield from section("exit status")
    yield from items(
        [("0", "Done."), ("1", "Failed; for status: not every mount is there."),
         ("2", "The arguments or the file are wrong.")]
    )  # fmt: skip
    yield from end("yas3fsctl.8")


def _arguments(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        names = ", ".join(bold(flag) for flag in action.option_strings)
        value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else "")
        shown = value if isinstance(value, str) else " ".join(value or ())
        takes = action.nargs != 0
        head = " ".join(filter(None, (names, italic(shown or action.dest) if takes else "")))
        values = {**vars(action), "prog": parser.prog}
        text = (action.help or "") % values
        if text and text is not argparse.SUPPRESS:
            yield head, text[0].upper() + text[1:] + "."


def mount_page() -> Iterator[str]:
    yield from title("mount.yas3fs.8", "mount an S3 bucket from fstab or with mount(8)")
    yield ".SH SYNOPSIS"
    yield escape(mount_helper.build_parser().usage or "")
    yield from section(
        "description",
        "mount(8) runs this program for the types yas3fs and fuse.yas3fs. SPEC is s3://BUCKET/PATH, "
        "the name of a mount in /etc/yas3fs.yaml, or yas3fs#BUCKET/PATH as in earlier releases. It "
        "returns when the mount is visible; an old mount whose process was killed is replaced.",
        "umount(8) runs umount.fuse.yas3fs, which uploads what is due, unmounts, and returns when the "
        "process has let go of the mount.",
    )
    yield from example(
        "s3://bucket/path  /mnt        yas3fs  _netdev,nofail,topic=ARN            0 0\n"
        "media             /srv/media  yas3fs  _netdev,nofail,x-systemd.automount  0 0"
    )
    yield ".SH OPTIONS"
    yield from items(_arguments(mount_helper.build_parser()))
    yield from section(
        "mount options",
        "Every option of yas3fs(8) by its name, with hyphens or underscores; ro and rw; what libfuse "
        "knows (noatime, nosuid, nodev, noexec, sync, dirsync, max_read=N, fsname=NAME). What mount(8) "
        "itself acts on is accepted (_netdev, nofail, noauto, user, x-systemd.automount, and so on). "
        "An unknown option is refused by name, unless -s is given.",
        "A comma within a value is written as \\,.",
        "-o remount changes ro, rw and what else the kernel checks.",
    )
    yield from section("exit status")
    yield from items(
        [
            ("0", "Mounted."),
            ("1", "The options, the name or the mount point are wrong."),
            ("2", "The system refuses, as for -N."),
            ("32", "The mount failed, or is in use when it is unmounted."),
        ]
    )
    yield from end("mount.yas3fs.8")


def file_page() -> Iterator[str]:
    yield from title("yas3fs.yaml.5", "the mounts of the yas3fs service")
    yield from section(
        "description",
        "A YAML document with two sections. What is below defaults holds for every mount that does "
        "not say otherwise; below mounts, each mount has a name and its options.",
    )
    yield from example(
        "defaults:\n  cache-size: 2G\nmounts:\n  media:\n    url: s3://my-bucket/media\n"
        "    mountpoint: /srv/media\n    options: nosuid,nodev"
    )
    yield from section("values")
    yield escape(
        "Keys are written with hyphens or underscores. A size counts the unit that is named, or one of "
        "its own (512K, 100M, 1.5G). An empty value takes a default back. ${NAME} is replaced by the "
        "variable NAME of the environment, ${hostname} by this machine's name, and on EC2 "
        "${instance_id} and ${region} by the instance's; $${ stands for ${."
    )
    yield from (".PP", escape("Secrets are refused: keys belong into the shared credentials file, "
                              "the environment or an instance role."))  # fmt: skip
    yield ".SH KEYS OF A MOUNT"
    yield from items(
        [
            (f"{bold('url')}: {italic('s3://BUCKET/PATH')}", "What to mount. Must be given."),
            (f"{bold(MOUNTPOINT)}: {italic('FOLDER')}", "Where, an absolute path. Must be given."),
            (f"{bold(OPTIONS_KEY)}: {italic('OPT,...')}",
             "Options for the kernel, as yas3fs -o takes them."),
        ]
    )  # fmt: skip
    yield ".SH KEYS OF A MOUNT OR OF THE DEFAULTS"
    for group, rows in groups(skip=[Group.PROCESS]):
        yield f".SS {escape(group.value)}"
        yield from items(_keys(rows))
    yield ".SH KEYS OF THE DEFAULTS ONLY"
    yield from items(_keys(next(rows for group, rows in groups() if group is Group.PROCESS)))
    yield from section("diagnostics", "yas3fsctl check-config tells every mistake with its line.")
    yield from end("yas3fs.yaml.5")


def _keys(rows: Iterable[Option]) -> Iterator[tuple[str, str]]:
    for option in rows:
        if option.name == "url":
            continue
        value = option.metavar or ("yes or no" if option.kind is Kind.SWITCH else "VALUE")
        yield f"{bold(option.name.replace('_', '-'))}: {italic(value)}", describe(option)


PAGES = {
    "yas3fs.8": yas3fs_page,
    "yas3fsctl.8": yas3fsctl_page,
    "mount.yas3fs.8": mount_page,
    "yas3fs.yaml.5": file_page,
}
LINKS = {
    "mount.fuse.yas3fs.8": "mount.yas3fs.8",
    "umount.fuse.yas3fs.8": "mount.yas3fs.8",
    "umount.yas3fs.8": "mount.yas3fs.8",
}


def write_pages(folder: Path) -> None:
    """One file for each page below ``folder``, in man5 and man8."""
    for name, page in PAGES.items():
        path = folder / f"man{name[-1]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(page()) + "\n", encoding="utf-8")
    for name, target in LINKS.items():
        (folder / f"man{name[-1]}" / name).write_text(f".so man{target[-1]}/{target}\n")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
