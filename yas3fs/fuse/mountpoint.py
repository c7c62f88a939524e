"""The directory to mount on: whether it may be covered, answered in one line before it is."""

import errno
import os
import shutil

from yas3fs.errors import ConfigError, MountError
from yas3fs.fuse import mounts

DEVICE = "/dev/fuse"


def prepare(path: str, *, mkdir: bool = False, nonempty: bool = False) -> str:
    """The resolved path of a mount point that can be used.

    ``mkdir`` makes what is missing. Raises ConfigError for a path that cannot be one, MountError
    for one that is in use or out of reach. An autofs mount is no obstacle.
    """
    _check_system()
    if mounts.is_dead(path):
        raise MountError(
            f"{path} is a dead mount, the process that served it is gone: "
            f"free it with: umount {path}"
        )
    existing = mounts.mount_at(path)
    if existing is not None and existing.fstype != "autofs" and not nonempty:
        raise MountError(
            f"{path} is busy, {existing.source} ({existing.fstype}) is mounted there already: "
            f"unmount it with: umount {path}"
        )
    _check_directory(path, mkdir=mkdir, nonempty=nonempty)
    return os.path.realpath(path)


def _check_system() -> None:
    if not mounts.LINUX:
        return
    if not os.path.exists(DEVICE):
        raise MountError(
            f"{DEVICE} is missing: load the kernel module fuse, or give the container it"
        )
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        raise MountError("fusermount3 is missing, which mounts for ordinary users: install fuse3")


def _check_directory(path: str, *, mkdir: bool, nonempty: bool) -> None:
    try:
        if mkdir and not os.path.exists(path):
            os.makedirs(path, exist_ok=True)
        with os.scandir(path) as names:
            occupied = next(names, None) is not None and not nonempty
    except FileNotFoundError:
        raise ConfigError(
            f"the mount point {path} does not exist: create it, or set mkdir (--mkdir)"
        ) from None
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"the mount point {path} is not a directory") from None
    except OSError as error:
        reason = "no permission" if error.errno == errno.EACCES else error.strerror
        raise MountError(f"the mount point {path} cannot be used: {reason}") from None
    if occupied:
        raise ConfigError(
            f"the mount point {path} is not empty: "
            "empty it, or set nonempty (--nonempty) to cover it"
        )
    if os.geteuid() != 0 and not os.access(path, os.W_OK):
        raise MountError(f"{path}: no permission to mount there: it is not writable for you")
