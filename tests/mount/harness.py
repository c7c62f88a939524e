"""Mounts under test live in child processes, and so does everything that touches them.

A mount that hangs must cost its own test a timeout and nothing else: the process that runs the
tests never makes a system call on a mount point. Children are ended by their process id.
"""

import contextlib
import ctypes
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

START_SECONDS = 30.0
COMMAND_SECONDS = 30.0
STOP_SECONDS = 15.0

MNT_DETACH = 2


def can_mount() -> str | None:
    """Why nothing can be mounted here, or None."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse is missing or not ours to open"
    return None


def run(
    command: Sequence[str | os.PathLike[str]], timeout: float = COMMAND_SECONDS, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program that touches a mount; it is killed when it takes too long."""
    return subprocess.run(
        [os.fspath(word) for word in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **options,
    )


def python(
    code: str,
    *arguments: object,
    timeout: float = COMMAND_SECONDS,
    prefix: Sequence[str] = (),
    **options: Any,
) -> Any:
    """Run Python code that touches a mount; it finds ``arguments`` in ``args`` and leaves its
    answer in ``answer``, which is handed back through JSON."""
    program = "import json, sys, os\nargs = json.loads(sys.argv[1])\nanswer = None\n" + code
    program += "\nprint('ANSWER' + json.dumps(answer))\n"
    words = [*prefix, sys.executable, "-c", program, json.dumps(arguments, default=str)]
    done = run(words, timeout, **options)
    for line in done.stdout.splitlines():
        if line.startswith("ANSWER"):
            return json.loads(line.removeprefix("ANSWER"))
    raise AssertionError(f"exit {done.returncode}: {done.stdout}{done.stderr}")


class MountProcess:
    """A child that mounts at ``mountpoint``, says one line when it is ready, and then answers
    one JSON line for each JSON line it is sent."""

    def __init__(
        self,
        command: Sequence[str],
        mountpoint: Path,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.mountpoint = mountpoint
        self.log = mountpoint.parent / f"{mountpoint.name}.log"
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        variables = {**os.environ, "PYTHONPATH": ":".join(filter(None, paths))}
        with open(self.log, "wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**variables, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def read_line(self, timeout: float) -> str:
        """The child's next line; AssertionError with its log when there is none in time."""
        stdout = self.process.stdout
        assert stdout is not None
        line, deadline = b"", time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise AssertionError(f"no answer in {timeout} s\n{self.log.read_text()}")
                piece = os.read(stdout.fileno(), 65536)
                if not piece:
                    raise AssertionError(f"the child ended\n{self.log.read_text()}")
                line += piece
        return line.decode()

    def wait_ready(self, timeout: float = START_SECONDS) -> str:
        return self.read_line(timeout).strip()

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have the child do something; returns what it answers."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        self.process.stdin.flush()
        reply = json.loads(self.read_line(COMMAND_SECONDS))
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def unmount(self) -> bool:
        """Unmount as an administrator would; False when it did not work."""
        try:
            return run(["umount", self.mountpoint], STOP_SECONDS).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def wait_exit(self, timeout: float = STOP_SECONDS) -> int | None:
        """The child's exit status, None when it still runs."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Leave nothing: no mount, no process. Never waits longer than a few timeouts."""
        if self.process.poll() is None:
            self.unmount()
            assert self.process.stdin is not None
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            if self.wait_exit() is None:
                self.process.kill()
                self.wait_exit()
        detach(self.mountpoint)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


def is_mounted(mountpoint: Path) -> bool:
    """Whether the mount table names ``mountpoint``; asks nobody else."""
    wanted = str(mountpoint).replace("\\", "\\134").replace(" ", "\\040")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:
        return any(line.split(" ")[4] == wanted for line in table)


def detach(mountpoint: Path) -> None:
    """Detach what is left at ``mountpoint``, however often it was mounted over."""
    libc = ctypes.CDLL(None, use_errno=True)
    for _ in range(8):
        if not is_mounted(mountpoint) or libc.umount2(os.fsencode(mountpoint), MNT_DETACH) != 0:
            return


@contextlib.contextmanager
def mounted(command: Sequence[str], mountpoint: Path, **options: Any) -> Iterator[MountProcess]:
    """A child that mounts at ``mountpoint`` and is ready; leaves nothing behind."""
    mountpoint.mkdir(parents=True, exist_ok=True)
    child = MountProcess(command, mountpoint, **options)
    try:
        child.wait_ready()
        yield child
    finally:
        child.close()
