"""Nodes of one bucket on one topic, with the servers they share."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from contestants import (
    BUCKET,
    KEY_ID,
    SECRET,
    Mounted,
    Server,
    contestants,
    free_port,
    run_environment,
    wait_until,
)

REGION = "us-east-1"


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """moto's server, which plays SNS and SQS; yields its URL."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=run_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), "moto")
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url}/moto-api/", timeout=1):
            return True
    except OSError:
        return False


def client(url: str, service: str) -> "object":
    """A boto3 client of a service at ``url``."""
    import boto3

    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
    )


def listening(transport: str) -> list[str]:
    """The options of a node that hears by ``transport``, sqs or http."""
    if transport == "http":
        return ["--hostname", "127.0.0.1", "--port", str(free_port())]
    return ["--new-queue"]


@contextlib.contextmanager
def nodes(
    count: int, s3: Server, notify: str, topic: str, transport: str
) -> Iterator[list[Mounted]]:
    """``count`` nodes that hear the topic."""
    plain = next(one for one in contestants() if one.name == "yas3fs")
    with contextlib.ExitStack() as stack:

        def start(number: int) -> Mounted:
            words = [*plain.command, "--topic", topic, "--notify-endpoint", notify]
            words += ["--id", f"node{number}", *listening(transport)]
            return stack.enter_context(replace(plain, command=words).mounted(s3))

        with ThreadPoolExecutor(4) as pool:
            mounted = list(pool.map(start, range(count)))
        for node in mounted:
            wait_until(lambda node=node: _is_coherent(node.log), "coherent mode", 60.0)
        yield mounted


def _is_coherent(log: Path) -> bool:
    return f"{BUCKET} is coherent now" in log.read_text(errors="replace")


def cpu_model() -> str:
    """The machine, in a few words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    kernel = os.uname().release
    return f"{len(names)} cores {names[0] if names else os.uname().machine}, Linux {kernel}"


def today() -> str:
    return time.strftime("%Y-%m-%d")
