"""``yas3fs`` with a mount that mounts nothing: ``python fake_mount.py BEHAVIOUR EVENTS argument…``.

It tells what is done with it, one word a line, in the named pipe EVENTS, whose end is also the end
of the process. As a mount it is gone when a line can be read from the pipe EVENTS.gone.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

from yas3fs import daemon
from yas3fs.cli.arguments import parse_command
from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import BadCredentials, ConfigError


class FakeMount:
    """Does as ``behaviour`` says."""

    def __init__(self, config: MountConfig, behaviour: str, events: str) -> None:
        self._behaviour = behaviour
        self._gone = events + ".gone"
        self._events = open(events, "w", buffering=1)  # noqa: SIM115 (its end is a sign)
        self._tell(f"made {config.url} in {os.getcwd()}")

    def _tell(self, event: str) -> None:
        self._events.write(f"{event}\n")

    def open(self) -> None:
        self._tell(f"open {os.getpid()}")
        match self._behaviour:
            case "refused":
                raise BadCredentials("the credentials\nare refused", status=403)
            case "misconfigured":
                raise ConfigError("no such bucket")
            case "hangs":
                self.wait()

    def start(self) -> None:
        self._tell("start")
        match self._behaviour:
            case "dies":
                os._exit(9)
            case "surprises":
                raise ZeroDivisionError("what")

    def wait(self) -> None:
        with open(self._gone) as gone:
            gone.readline()

    def stop(self) -> int:
        self._tell("stop")
        if self._behaviour == "cannot stop":
            raise OSError("what")
        return 2 if self._behaviour == "leaves two" else 0

    def status(self) -> dict[str, Any]:
        return {"mode": "standalone"}

    def pending(self) -> list[dict[str, Any]]:
        return []

    def flush(self) -> Iterator[tuple[str, int, str]]:
        return iter(())

    def reset(self, path: str) -> None:
        self._tell(f"reset {path}")

    def set_cache_size(self, size: int) -> None:
        self._tell(f"cache {size}")


if __name__ == "__main__":
    _, behaviour, events, *arguments = sys.argv
    command = parse_command(arguments)
    sys.exit(
        daemon.run(
            command.service,
            reload=command.reload,
            make_mount=lambda config: FakeMount(config, behaviour, events),
        )
    )
