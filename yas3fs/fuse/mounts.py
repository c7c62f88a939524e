"""The mount table, and mounts that must go away."""

import ctypes
import errno
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass

from yas3fs.errors import MountError

LINUX = sys.platform.startswith("linux")
MOUNTINFO = "/proc/self/mountinfo"
FUSE_TYPE = "fuse.yas3fs"

MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

PROBE_SECONDS = 5.0
"""A live mount may be slow, a dead one answers at once."""

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One line of mountinfo; ``device`` is ``major:minor``."""

    device: str
    path: str
    fstype: str
    source: str
    options: str


def _unescape(field: str) -> str:
    """The kernel writes blank, tab, newline and backslash as three octal digits."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def parse_mountinfo(text: str) -> list[MountPoint]:
    """The mounts, in the order they were made: a later one hides an earlier one on its path."""
    found = []
    for line in text.splitlines():
        front, separator, back = line.partition(" - ")
        left, right = front.split(" "), back.split(" ")
        if not separator or len(left) < 6 or len(right) < 3:
            continue
        found.append(
            MountPoint(
                device=left[2],
                path=_unescape(left[4]),
                fstype=right[0],
                source=_unescape(right[1]),
                options=left[5],
            )
        )
    return found


def mounts() -> list[MountPoint]:
    """The mounts that this process sees; empty where there is no /proc."""
    try:
        with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as table:
            return parse_mountinfo(table.read())
    except OSError:
        return []


def mount_at(path: str) -> MountPoint | None:
    """What is mounted exactly at ``path``: the topmost.

    The last component is only looked at when no mount has that name: a mount that nobody serves
    would make the look hang.
    """
    absolute = os.path.abspath(path)
    parent, name = os.path.split(absolute)
    wanted = os.path.join(os.path.realpath(parent), name)
    table = mounts()[::-1]
    found = next((mount for mount in table if mount.path == wanted), None)
    if found is None and os.path.islink(wanted):
        target = os.path.realpath(wanted)
        found = next((mount for mount in table if mount.path == target), None)
    return found


def is_mounted(path: str) -> bool:
    """Whether yas3fs is mounted at ``path``, alive or dead."""
    mount = mount_at(path)
    return mount is not None and mount.fstype == FUSE_TYPE


def is_dead(path: str, timeout: float = PROBE_SECONDS) -> bool:
    """Whether the program behind the mount at ``path`` is gone (ENOTCONN). Never hangs.

    A mount that does not answer within ``timeout`` has somebody, so it is not dead.
    """
    return _probe(path, timeout) == errno.ENOTCONN


def answers(path: str, timeout: float = PROBE_SECONDS) -> bool:
    """Whether the mount at ``path`` answers within ``timeout`` seconds. Never hangs."""
    return _probe(path, timeout) == 0


def _probe(path: str, timeout: float) -> int | None:
    """The errno of a statvfs of ``path``, 0 when it succeeds, None when it takes too long.

    statvfs, because the kernel answers stat from its cache even when nobody serves any more.
    """
    result: list[int] = []

    def probe() -> None:
        try:
            os.statvfs(path)
            result.append(0)
        except OSError as error:
            result.append(error.errno or errno.EIO)

    thread = threading.Thread(target=probe, name="mount-probe", daemon=True)
    thread.start()
    thread.join(timeout)
    return result[0] if result else None


def unmount(path: str, *, lazy: bool = False) -> None:
    """Unmount what is at ``path``; ``lazy`` hides it now and ends it with its last user."""
    if LINUX and os.geteuid() == 0:
        _unmount_as_root(path, lazy)
        return
    tool = shutil.which("fusermount3") or shutil.which("fusermount")
    if tool is not None:
        command = [tool, "-u", *(["-z"] if lazy else []), "--", path]
    else:
        command = ["umount", *(["-f"] if lazy else []), path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = done.stderr.strip().replace("\n", "; ")
        raise MountError(f"{path} could not be unmounted: {reason}")


def _unmount_as_root(path: str, lazy: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    flags = UMOUNT_NOFOLLOW | (MNT_DETACH if lazy else 0)
    if libc.umount2(os.fsencode(path), flags) == 0:
        return
    code = ctypes.get_errno()
    if code == errno.EBUSY:
        reason = "it is busy: a program has a file open there or works in it"
    else:
        reason = os.strerror(code)
    raise MountError(f"{path} could not be unmounted: {reason}")


def set_read_ahead(device: str, kibibytes: int) -> bool:
    """Let the kernel read ahead further than its 128 KiB; False where /sys is not ours to write."""
    try:
        with open(f"/sys/class/bdi/{device}/read_ahead_kb", "w", encoding="ascii") as setting:
            setting.write(f"{kibibytes}\n")
    except OSError:
        return False
    return True
