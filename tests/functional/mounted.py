"""The driver of a real mount: a child process makes the system calls, so that a mount that hangs
costs one test. Run as a program, this module is that child."""

import base64
import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.functional.driver import LocalDriver
from tests.mount.harness import ROOT
from tests.mount.program import S3Mount

CALL_SECONDS = 60.0
"""Longer than anything on a server of this machine takes; then the mount is killed."""


class MountDriver:
    """Calls the methods of a LocalDriver in a child below ``root``."""

    def __init__(self, mount: S3Mount, root: Path) -> None:
        self.mount = mount
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.functional.mounted", str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self._buffer = b""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments: self._call(name, arguments)

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps([name, _pack(list(arguments))]).encode() + b"\n")
        self._child.stdin.flush()
        outcome = json.loads(self._line())
        if "errno" in outcome:
            raise OSError(outcome["errno"], f"{name}{arguments!r}: {outcome['text']}")
        return _unpack(outcome["result"])

    def _line(self) -> bytes:
        stdout = self._child.stdout
        assert stdout is not None
        deadline = time.monotonic() + CALL_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.mount.process.kill()  # which ends the child's system call as well
                    self._child.kill()
                    raise AssertionError(f"hung\n{self.mount.log.read_text()[-4000:]}")
                piece = os.read(stdout.fileno(), 1 << 16)
                assert piece, "the child ended"
                self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def end(self) -> None:
        """Let the child close its files and go."""
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._child.wait(CALL_SECONDS)
        except subprocess.TimeoutExpired:
            self.mount.process.kill()
            self._child.kill()
            self._child.wait()


def _pack(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return [_pack(item) for item in value] if isinstance(value, list) else value


def _unpack(value: Any) -> Any:
    if isinstance(value, dict) and "bytes" in value:
        return base64.b64decode(value["bytes"])
    return [_unpack(item) for item in value] if isinstance(value, list) else value


def main(root: str) -> None:
    os.umask(0)
    local = LocalDriver(root)
    for line in sys.stdin.buffer:
        name, arguments = json.loads(line)
        try:
            result = getattr(local, name)(*_unpack(arguments))
            outcome = {"result": _pack(result)}
        except OSError as error:
            outcome = {"errno": error.errno, "text": str(error)}
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
