"""The real program on a real mount, over an S3 server on this machine."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.doubles import servers
from tests.mount.harness import (
    ROOT,
    START_SECONDS,
    MountProcess,
    detach,
    is_mounted,
    python,
    run,
)

T = TypeVar("T")

NOBODY = 65534
CREDENTIALS = {"AWS_ACCESS_KEY_ID": servers.KEY_ID, "AWS_SECRET_ACCESS_KEY": servers.SECRET}

_buckets = itertools.count(1)


def new_bucket_name(server: servers.Server) -> str:
    name = f"mount-{next(_buckets)}"
    servers.create_bucket(server, name)
    return name


def client_of(endpoint: str) -> Any:
    """Another client of the bucket, with nothing of ours in it.

    It verifies no checksums: those that versitygw makes up for copied parts are of the wrong bytes.
    """
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            s3={"addressing_style": "path"}, response_checksum_validation="when_required"
        ),
    )


def eventually(probe: Callable[[], T], timeout: float = 30.0, what: str = "it") -> T:
    """The first true answer of ``probe``, asked again until a deadline."""
    deadline, pause = time.monotonic() + timeout, threading.Event()
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true in {timeout} s; last: {answer!r}")
        pause.wait(0.05)


def command(url: str, mountpoint: Path, *options: object) -> list[str]:
    """The words of the program, as a user would type them."""
    return [sys.executable, "-m", "yas3fs", url, str(mountpoint), *map(str, options)]


def environment(**more: str) -> dict[str, str]:
    """What the program runs with: this checkout, and the credentials of the servers."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **CREDENTIALS, **more}


class S3Mount(MountProcess):
    """One mount of a bucket by ``python -m yas3fs -f`` with folders of its own."""

    def __init__(
        self,
        folder: Path,
        bucket: str,
        endpoint: str,
        options: Sequence[object] = (),
        *,
        name: str = "mnt",
        prefix: str = "data",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.bucket, self.endpoint, self.prefix = bucket, endpoint, prefix
        self.state = folder / f"{name}.state"
        place = folder / name
        place.mkdir(exist_ok=True)
        self.words = command(
            f"s3://{bucket}/{prefix}",
            place,
            *("-f", "--s3-endpoint", endpoint, "--cache-path", folder / f"{name}.cache"),
            *("--state-path", self.state, *options),
        )
        super().__init__(self.words, place, {**CREDENTIALS, **(variables or {})})

    def wait_ready(self, timeout: float = START_SECONDS) -> str:
        """The line that says it is mounted; AssertionError with the log when it does not come."""

        def ready() -> str:
            line = self.logged(" mounted s3://")
            if not line and self.process.poll() is not None:
                raise AssertionError(f"the mount ended: {self.log.read_text()}")
            return line

        return eventually(ready, timeout, "the mount")

    def logged(self, words: str) -> str:
        """The first line of the log that has ``words`` in it, or an empty one."""
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line for line in lines if words in line), "")

    def status(self, field: str) -> int:
        """A number from the process's own /proc/PID/status (VmHWM in KiB)."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(field))

    def rescued(self) -> list[Path]:
        """The .json files of its rescue folders."""
        return sorted(self.state.glob("*/rescue/*.json"))

    def terminate(self, timeout: float = 60.0) -> int | None:
        """SIGTERM: ends in good order."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self) -> None:
        """As the out-of-memory killer would do it; the mount point stays, dead."""
        self.process.kill()
        assert self.wait_exit() is not None


@contextlib.contextmanager
def started(mount: S3Mount) -> Iterator[S3Mount]:
    """Waits until it is visible; leaves nothing behind."""
    try:
        mount.wait_ready()
        yield mount
    finally:
        mount.close()


Mounts = Callable[..., S3Mount]


def shell(script: str, *arguments: object, timeout: float = 60.0, **options: Any) -> str:
    """What a shell script that must succeed says; it finds its arguments in $1, $2 …"""
    words = ["bash", "-e", "-o", "pipefail", "-c", script, "sh", *map(str, arguments)]
    done = run(words, timeout, **options)
    if done.returncode != 0:
        raise AssertionError(f"{script}\nexit {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def as_user(
    code: str, *arguments: object, uid: int = NOBODY, groups: Sequence[int] = (NOBODY,), **more: Any
) -> Any:
    """As harness.python, without privileges: ``groups[0]`` is the group, the rest supplementary.

    What ``code`` raises as OSError is handed back as its errno's name in ``answer`` by ``tell``.
    """
    head = (
        "import errno\n"
        "def tell(verb, *words, **more):\n"
        "    try:\n"
        "        verb(*words, **more)\n"
        "    except OSError as error:\n"
        "        return errno.errorcode[error.errno]\n"
        "    return 'ok'\n"
        f"os.setgroups({list(groups[1:])})\nos.setgid({groups[0]})\nos.setuid({uid})\n"
    )
    return python(head + code, *arguments, **more)


def begin(code: str, *arguments: object) -> "subprocess.Popen[str]":
    """A program that touches a mount and is talked to meanwhile: lines in, lines out."""
    program = f"import json, os, sys\nargs = sys.argv[1:]\n{code}"
    return subprocess.Popen(
        [sys.executable, "-u", "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running(code: str, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    """:func:`begin`, and nothing of it is left at the end."""
    process = begin(code, *arguments)
    try:
        yield process
    finally:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)


__all__ = [
    "CREDENTIALS",
    "NOBODY",
    "Mounts",
    "S3Mount",
    "as_user",
    "begin",
    "client_of",
    "command",
    "detach",
    "environment",
    "eventually",
    "is_mounted",
    "new_bucket_name",
    "python",
    "run",
    "running",
    "shell",
    "started",
]
