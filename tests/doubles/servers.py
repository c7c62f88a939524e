"""S3 servers in child processes, on free ports of the loopback interface."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

KEY_ID = "AKIDTESTTESTTESTTEST"
SECRET = "secret-of-the-tests"

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Server:
    """A running server. ``folder`` is where it keeps its objects, when it has one."""

    kind: str
    host: str
    port: int
    pid: int
    folder: Path | None = None
    certificate: Path | None = None
    """What to trust when it speaks https."""

    @property
    def scheme(self) -> str:
        return "https" if self.certificate else "http"

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def find_versitygw() -> str | None:
    """The path of the versitygw binary, or None."""
    beside = Path.home() / "go" / "bin" / "versitygw"
    return shutil.which("versitygw") or (str(beside) if beside.exists() else None)


@contextmanager
def moto() -> Iterator[Server]:
    """A moto server: all of S3's rules, slowly; also SNS and SQS."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, port, "/moto-api/") as pid:
        yield Server("moto", "127.0.0.1", port, pid)


@contextmanager
def versitygw(
    *, certificate: Path | None = None, key: Path | None = None, folder: Path | None = None
) -> Iterator[Server]:
    """A versitygw over a temporary folder (``folder`` to choose where): a fast real server."""
    binary = find_versitygw()
    if binary is None:
        raise FileNotFoundError("versitygw is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="versitygw-", dir=folder) as root:
        command = [binary, "--port", f"127.0.0.1:{port}", "--access", KEY_ID, "--secret", SECRET]
        command += ["--keep-alive", "-q"]
        if certificate and key:
            command += ["--cert", str(certificate), "--key", str(key)]
        command += ["posix", root]
        with _running(command, port, None) as pid:
            yield Server("versitygw", "127.0.0.1", port, pid, Path(root), certificate)


@contextmanager
def _running(command: list[str], port: int, ready_path: str | None) -> Iterator[int]:
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            _await_ready(process, port, ready_path)
            yield process.pid
        except BaseException:
            output.seek(0)
            sys.stderr.write(output.read()[-4000:].decode("utf-8", "replace"))
            raise
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await_ready(process: "subprocess.Popen[bytes]", port: int, path: str | None) -> None:
    pause = threading.Event()
    for _ in range(int(_START_SECONDS / 0.05)):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                pass
            if path is None:
                return
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", path)
            connection.getresponse().read()
            connection.close()
            return
        except OSError:
            pause.wait(0.05)
    raise TimeoutError("the server did not answer in time")


def create_bucket(server: Server, name: str) -> None:
    """Create a bucket; harmless when it is there."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}),
        verify=str(server.certificate) if server.certificate else None,
    )
    client.create_bucket(Bucket=name)
    client.close()
