"""The demo's own S3: moto's server in a process of its own, on a free port of the loopback.

It keeps everything in memory and speaks S3, SNS and SQS. It is found again by its process id.
"""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from yas3fs.notify.aws import AwsAccess, Clients

READY_WITHIN = 60.0
"""Seconds; moto loads in two on a laptop, and in twenty on a machine that is busy."""
GONE_WITHIN = 10.0
KEY = "demo"
"""The key id and the secret; moto takes any."""
_PAUSE = 0.1


class ServerFailed(Exception):
    """moto did not come up, or did not answer."""


def free_port() -> int:
    """A port of the loopback nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(port: int, log: Path) -> int:
    """Start moto detached and return its process id once it answers."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            request("GET", port, "/")
            return process.pid
        time.sleep(_PAUSE)
    process.kill()
    process.wait()
    raise ServerFailed(f"the S3 server of the demo did not start; see {log}")


def request(method: str, port: int, path: str) -> str:
    """The body of moto's answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with opener.open(asked, timeout=10) as answer:
        body: bytes = answer.read()
        return body.decode("utf-8", "replace")


def create_bucket(port: int, bucket: str) -> None:
    """Create the bucket; it is all right if it is there."""
    try:
        request("PUT", port, f"/{bucket}")
    except urllib.error.URLError as error:
        raise ServerFailed(f"the bucket could not be created: {error}") from None


def create_topic(port: int, name: str) -> str:
    """Create the SNS topic, and return its ARN."""
    access = AwsAccess(endpoint=f"http://127.0.0.1:{port}", key_id=KEY, secret=KEY)
    clients = Clients(access)
    try:
        arn: str = clients.sns("us-east-1").create_topic(Name=name)["TopicArn"]
    except Exception as error:  # noqa: BLE001 (the SDK has kinds of its own)
        raise ServerFailed(f"the topic could not be created: {error}") from None
    finally:
        clients.close()
    return arn


def keys(port: int, bucket: str) -> list[str]:
    """The keys in the bucket."""
    return re.findall(r"<Key>([^<]*)</Key>", request("GET", port, f"/{bucket}?list-type=2"))


def is_running(pid: int) -> bool:
    """Whether ``pid`` is a moto server (and not a process that has got its number since)."""
    return b"moto.server" in command_line(pid)


def stop(pid: int) -> None:
    """End the server, if it is still that."""
    if not is_running(pid):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + GONE_WITHIN
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    if is_running(pid):
        os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> bytes:
    """The words of a process' command line, each ended by a NUL; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_until_unserved(mountpoint: Path) -> None:
    """Wait for the process that serves ``mountpoint`` to end, after an unmount."""
    deadline = time.monotonic() + GONE_WITHIN
    word = b"\0" + os.fsencode(mountpoint) + b"\0"
    while time.monotonic() < deadline:
        others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        if not any(word in command_line(pid) for pid in others if pid != os.getpid()):
            return
        time.sleep(_PAUSE)
