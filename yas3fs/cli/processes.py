"""Which processes on this machine a sub-command is about, and what they answer."""

import argparse
import os
from collections.abc import Iterator
from typing import Any

from yas3fs.config.options import BY_NAME
from yas3fs.config.resolve import runtime_folder
from yas3fs.control.sockets import ask, served_sockets
from yas3fs.errors import ControlFailed


def declare_process(parser: argparse.ArgumentParser) -> None:
    """Add --pid and --runtime-path."""
    section = parser.add_argument_group("the process")
    section.add_argument("--pid", type=int, metavar="N", help="only the process of this number")
    section.add_argument(
        "--runtime-path",
        metavar="FOLDER",
        default=runtime_folder(),
        help=f"folder of the control sockets (default: {BY_NAME['runtime_path'].default_text})",
    )


def declare_mount(parser: argparse.ArgumentParser) -> None:
    """Add --mount."""
    parser.add_argument(
        "--mount", metavar="NAME", default="", help="only this mount: its name or mount point"
    )


def sockets(arguments: argparse.Namespace) -> list[str]:
    """The sockets of the processes that are meant; ControlFailed when there are none."""
    found = served_sockets(arguments.runtime_path)
    if arguments.pid is not None:
        found = [path for path in found if path.endswith(f"/{arguments.pid}.sock")]
        if not found:
            raise ControlFailed(f"{arguments.runtime_path}/{arguments.pid}.sock is not served")
    if not found:
        raise ControlFailed(f"no yas3fs runs here: no socket in {arguments.runtime_path} is served")
    return found


def results(arguments: argparse.Namespace, verb: str, **words: Any) -> Iterator[dict[str, Any]]:
    """The result from each process."""
    for path in sockets(arguments):
        yield list(ask(path, verb, **words))[-1]


def place_of(arguments: argparse.Namespace) -> tuple[str, str, str]:
    """The socket, the mount and the path within it; ControlFailed when no mount is meant."""
    served = [
        (socket, mount)
        for socket in sockets(arguments)
        for process in ask(socket, "status")
        for mount in process["mounts"]
    ]
    if arguments.mount:
        for socket, mount in served:
            if arguments.mount in (mount["name"], mount["mountpoint"]):
                return socket, mount["name"], arguments.path
        names = ", ".join(mount["name"] for _, mount in served)
        raise ControlFailed(f"there is no mount {arguments.mount!r}, there are {names}")
    path = os.path.abspath(arguments.path)
    holding = [
        (len(mount["mountpoint"]), socket, mount)
        for socket, mount in served
        if f"{path}/".startswith(f"{mount['mountpoint'].rstrip('/')}/")
    ]
    if not holding:
        places = ", ".join(mount["mountpoint"] for _, mount in served)
        raise ControlFailed(f"{path} is on no mount; mounted are {places}")
    length, socket, mount = max(holding, key=lambda one: one[0])
    return socket, mount["name"], path[length:] or "/"
