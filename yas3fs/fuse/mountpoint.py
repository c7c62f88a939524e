"""Is this directory fit to be mounted on? Answers before anything is mounted, in one line."""

import errno
import logging
import os
import shutil

from yas3fs.errors import MountError
from yas3fs.fuse import mounts

log = logging.getLogger(__name__)

DEVICE = "/dev/fuse"


def prepare(path: str, *, nonempty: bool) -> str:
    """The resolved path of a usable mount point; raises MountError.

    A dead mount of ours is cleaned away. Other things mounted there (autofs, say) are no obstacle.
    """
    _check_system()
    clean_dead(path)
    existing = mounts.mount_at(path)
    if existing is not None and existing.fstype == mounts.FUSE_TYPE:
        raise MountError(f"{path}: {existing.source} is already mounted there")
    _check_directory(path, nonempty)
    return os.path.realpath(path)


def clean_dead(path: str) -> bool:
    """Detach dead yas3fs mounts at ``path``; raises MountError when the dead one is not ours."""
    cleaned = False
    while mounts.is_dead(path):
        existing = mounts.mount_at(path)
        if existing is None or existing.fstype != mounts.FUSE_TYPE:
            raise MountError(
                f"{path}: a dead mount is in the way (transport endpoint is not connected): "
                f"clean it with 'umount -l {path}'"
            )
        try:
            mounts.unmount(path, lazy=True)
        except MountError as error:
            raise MountError(
                f"{path}: a dead mount is in the way: clean it with 'umount -l {path}' ({error})"
            ) from error
        log.warning("%s: a dead mount of %s was cleaned away", path, existing.source)
        cleaned = True
    return cleaned


def _check_system() -> None:
    if not mounts.LINUX:
        return
    if not os.path.exists(DEVICE):
        raise MountError(
            f"{DEVICE} is missing: load the kernel module fuse, or give the container it"
        )
    if os.geteuid() != 0 and shutil.which("fusermount3") is None:
        raise MountError("fusermount3 is missing, which mounts for ordinary users: install fuse3")


def _check_directory(path: str, nonempty: bool) -> None:
    try:
        with os.scandir(path) as names:
            occupied = next(names, None) is not None and not nonempty
    except OSError as error:
        reason = {
            errno.ENOENT: "the mount point does not exist (--mkdir creates it)",
            errno.ENOTDIR: "the mount point is not a directory",
            errno.EACCES: "no permission to use the mount point",
        }.get(error.errno or 0, f"the mount point cannot be used: {error.strerror}")
        raise MountError(f"{path}: {reason}") from error
    if occupied:
        raise MountError(f"{path}: the mount point is not empty (nonempty mounts over the files)")
    if os.geteuid() != 0 and not os.access(path, os.W_OK):
        raise MountError(f"{path}: no permission to mount there: it is not writable for you")
