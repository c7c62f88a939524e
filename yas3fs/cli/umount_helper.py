"""``umount.fuse.yas3fs``: what umount(8) runs: what is due is uploaded first, then it unmounts.

::

    umount.fuse.yas3fs DIR [-flnrv] [-t TYPE] [-N NAMESPACE]

It returns when the mount is gone and its process has let go of everything, so that whoever unmounts
knows that S3 has it all. A mount that is in use is left as it was (exit status 32), unless -l hides
it.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from yas3fs.cli.mount_helper import (
    FAILED,
    OK,
    PATH,
    SYSTEM_ERROR,
    WRONG_USE,
    complain,
    enter_namespace,
)
from yas3fs.cli.progress import progress, progress_ended
from yas3fs.config.resolve import runtime_folder
from yas3fs.control.sockets import ask, served_sockets
from yas3fs.errors import ControlFailed, Yas3fsError
from yas3fs.fuse import mounts

_NAME = "umount.fuse.yas3fs"
_LOOK = 0.05
"""Seconds between two looks whether the process has let go."""


def build_parser() -> argparse.ArgumentParser:
    """The flags that umount(8) gives to a helper."""
    parser = argparse.ArgumentParser(prog=_NAME, allow_abbrev=False)
    parser.add_argument("directory", metavar="DIR")
    parser.add_argument("-f", dest="force", action="store_true", help="do not wait for uploads")
    parser.add_argument("-l", dest="lazy", action="store_true", help="hide it, end it when unused")
    parser.add_argument("-n", action="store_true", help="accepted: there is no mtab")
    parser.add_argument("-r", action="store_true", help="accepted")
    parser.add_argument("-v", dest="verbose", action="store_true", help="say what is done")
    parser.add_argument("-t", dest="type", metavar="TYPE", help="accepted")
    parser.add_argument("-N", dest="namespace", metavar="NAMESPACE")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Unmount; returns the exit status for umount(8)."""
    os.environ.setdefault("PATH", PATH)
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as stop:
        return WRONG_USE if stop.code else OK
    try:
        if arguments.namespace:
            enter_namespace(arguments.namespace)
    except OSError as error:
        return complain(_NAME, f"{arguments.namespace}: {error.strerror}", SYSTEM_ERROR)
    return _unmount(os.path.abspath(arguments.directory), arguments)


def _unmount(place: str, arguments: argparse.Namespace) -> int:
    if not mounts.is_mounted(place):
        return complain(_NAME, f"{place}: not mounted", FAILED)
    socket = "" if arguments.force or mounts.is_dead(place) else _socket_of(place)
    status = OK
    if socket:
        status = _flush(socket, place)
    if arguments.verbose:
        print(f"{_NAME}: {place}: unmounting")
    try:
        if os.geteuid() == 0:
            lazy = arguments.lazy or arguments.force
            done = subprocess.run(["umount", "-i", *(["-l"] if lazy else []), place], check=False)
            if done.returncode:
                return done.returncode
        else:
            mounts.unmount(place, lazy=arguments.lazy)
    except Yas3fsError as error:
        return complain(_NAME, error, FAILED)
    if socket and not arguments.lazy:
        _wait(socket, place)
    return status


def _socket_of(place: str) -> str:
    """The socket of the process that serves ``place``; empty when there is none to ask."""
    for path in served_sockets(runtime_folder()):
        try:
            if _entry(path, place) is not None:
                return path
        except ControlFailed:
            continue
    return ""


def _entry(socket: str, place: str) -> dict[str, Any] | None:
    """The mount at ``place`` as its process sees it, None when it is none of its own."""
    return next((mount for mount in _living(socket) if mount["mountpoint"] == place), None)


def _living(socket: str) -> list[dict[str, Any]]:
    """The mounts that a process has not let go of. Raises ControlFailed."""
    mounts_of_it = list(ask(socket, "status"))[-1]["mounts"]
    return [mount for mount in mounts_of_it if mount["state"] != "ended"]


def _flush(socket: str, place: str) -> int:
    """Upload what is due, showing how far it is; FAILED when S3 refused something."""
    failed: list[str] = []
    try:
        for said in ask(socket, "flush", mount=place):
            if "progress" in said:
                progress(said["progress"], said["of"], said["path"])
            else:
                failed = said["failed"]
    except ControlFailed as error:
        failed = [str(error)]
    progress_ended()
    for line in failed:
        complain(_NAME, line, FAILED)
    return FAILED if failed else OK


def _wait(socket: str, place: str) -> None:
    """Until the process has let go; one that serves nothing else: until it has said its last."""
    while True:
        try:
            living = _living(socket)
        except ControlFailed:
            return
        if living and not any(mount["mountpoint"] == place for mount in living):
            return
        time.sleep(_LOOK)


if __name__ == "__main__":
    sys.exit(main())
