"""The directory to mount on: what it is now, and whether it may be covered."""

import errno
import os
import re
from typing import NamedTuple

from yas3fs.errors import ConfigError, MountError

MOUNTINFO = "/proc/self/mountinfo"


class MountedHere(NamedTuple):
    """What covers a directory at present."""

    kind: str
    source: str


def find_mount(path: str, mountinfo: str = MOUNTINFO) -> MountedHere | None:
    """The topmost mount on exactly ``path``; None when there is none, or no way to tell."""
    found = None
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                before, _, after = line.rstrip("\n").partition(" - ")
                if _unescape(before.split(" ")[4]) == path:
                    kind, source = after.split(" ")[:2]
                    found = MountedHere(kind, _unescape(source))
    except FileNotFoundError:
        return MountedHere("", "") if os.path.ismount(path) else None
    return found


def prepare_mountpoint(path: str, *, mkdir: bool, nonempty: bool) -> None:
    """Make sure that ``path`` is a directory that may be mounted on, or say why not."""
    try:
        _stat_or_make(path, mkdir)
    except FileNotFoundError:
        raise ConfigError(
            f"the mount point {path} does not exist: create it, or give --mkdir"
        ) from None
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"the mount point {path} is not a directory") from None
    except OSError as error:
        raise _unusable(path, error) from None
    if not os.path.isdir(path):
        raise ConfigError(f"the mount point {path} is not a directory")
    if nonempty:
        return
    mounted = find_mount(path)
    if mounted is not None and mounted.kind != "autofs":
        what = f"{mounted.source} ({mounted.kind})" if mounted.kind else "something"
        raise MountError(
            f"{path} is busy, {what} is mounted there already: unmount it with: umount {path}"
        )
    if _has_entries(path):
        raise ConfigError(
            f"the mount point {path} is not empty: empty it, or give --nonempty to cover it"
        )


def _stat_or_make(path: str, mkdir: bool) -> None:
    try:
        os.stat(path)
    except FileNotFoundError:
        if not mkdir:
            raise
        os.makedirs(path, exist_ok=True)


def _unusable(path: str, error: OSError) -> MountError:
    if error.errno == errno.ENOTCONN:
        return MountError(
            f"{path} is a dead mount, the process that served it is gone: "
            f"free it with: umount {path}"
        )
    return MountError(f"the mount point {path} cannot be used: {error.strerror}")


def _has_entries(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            return next(entries, None) is not None
    except OSError as error:
        raise _unusable(path, error) from None


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
