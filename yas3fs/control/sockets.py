"""The sockets of the processes that run here, and a conversation with one of them."""

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

from yas3fs.errors import ControlFailed

SUFFIX = ".sock"
"""A socket is named after its process: ``4711.sock``."""
_CONNECT_SECONDS = 5.0


def is_served(path: str) -> bool:
    """Whether a process listens at the socket ``path``."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(path)
        except PermissionError:
            return True
        except OSError:
            return False
    return True


def served_sockets(folder: str) -> list[str]:
    """The sockets in ``folder`` that somebody serves, by process number."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith(SUFFIX)]
    except OSError:
        return []
    paths = (os.path.join(folder, name) for name in sorted(names, key=lambda one: (len(one), one)))
    return [path for path in paths if is_served(path)]


def ask(path: str, verb: str, /, **words: Any) -> Iterator[dict[str, Any]]:
    """Send a request to the socket ``path``; its answers as they come, the last is the result.

    Raises ControlFailed with what the process says, or with what is wrong with the socket.
    """
    with socket.socket(socket.AF_UNIX) as conversation:
        try:
            conversation.connect(path)
            conversation.sendall(json.dumps({"verb": verb, **words}).encode("ascii") + b"\n")
            conversation.shutdown(socket.SHUT_WR)
            with conversation.makefile("rb") as lines:
                for line in lines:
                    said = json.loads(line)
                    if "error" in said:
                        raise ControlFailed(said["error"])
                    if said.get("end"):
                        return
                    yield said["answer"]
        except OSError as error:
            raise ControlFailed(f"{path}: {error.strerror or error}") from None
    raise ControlFailed(f"{path}: the process ended before it had answered")
