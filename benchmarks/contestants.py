"""The mounts that are compared, and the server they share."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

KEY_ID, SECRET = "benchmark", "benchmarksecret"
BUCKET = "benchmark"


def run_environment() -> dict[str, str]:
    """The environment of everything that is started here."""
    return {
        **os.environ,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """An S3 server with an empty bucket. ``near`` is where it is without the latency that ``url``
    has; ``certificate`` is a PEM file, when it speaks https."""

    url: str
    near_url: str
    certificate: Path | None

    @property
    def near(self) -> "Server":
        return Server(self.near_url, self.near_url, self.certificate)


@contextlib.contextmanager
def server(latency: float = 0.0, *, tls: bool = False) -> Iterator[Server]:
    """versitygw on memory, so many milliseconds away."""
    binary = shutil.which("versitygw") or str(Path.home() / "go/bin/versitygw")
    folder = tempfile.mkdtemp(prefix="benchmark-", dir="/dev/shm")
    os.mkdir(f"{folder}/{BUCKET}")
    port = free_port()
    words, certificate = [], None
    with tempfile.TemporaryDirectory(prefix="benchmark-tls-") as keys:
        if tls:
            certificate, key = _certificate(Path(keys))
            words = ["--cert", str(certificate), "--key", str(key)]
        process = subprocess.Popen(
            [binary, "--port", f"127.0.0.1:{port}", "--keep-alive", "-q", *words, "posix", folder],
            env={**os.environ, "ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: _listens(port), "the S3 server")
            with contextlib.ExitStack() as stack:
                seen = stack.enter_context(_far_away(port, latency)) if latency else port
                start = "https://localhost" if tls else "http://127.0.0.1"
                yield Server(f"{start}:{seen}", f"{start}:{port}", certificate)
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of localhost and its key, in files."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


@contextlib.contextmanager
def _far_away(port: int, latency: float) -> Iterator[int]:
    """The port of a proxy that makes a request to ``port`` take ``latency`` milliseconds."""
    script = str(Path(__file__).with_name("delaying_proxy.py"))
    proxy = subprocess.Popen(
        [sys.executable, script, str(port), str(latency)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert proxy.stdout is not None
        yield int(proxy.stdout.readline())
    finally:
        proxy.kill()
        proxy.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: "object", what: str, seconds: float = 30.0) -> None:
    """Poll ``condition()``; raises RuntimeError when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come up")
        time.sleep(0.01)


@dataclass
class Contestant:
    """One kind of mount: ``command`` has ``{url}``, ``{folder}`` and ``{mnt}`` in it.

    ``trust`` is added to it for a server with a certificate of our own (``{certificate}``);
    ``plain`` where modes and owners are not wanted.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    trust: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)

    def without_attributes(self) -> "Contestant":
        """The same mount, but for modes and owners."""
        return replace(self, command=[*self.command, *self.plain])

    @contextlib.contextmanager
    def mounted(self, s3: Server) -> Iterator["Mounted"]:
        """A fresh mount with empty caches."""
        folder = tempfile.mkdtemp(prefix=f"{self.name}-")
        point = f"{folder}/mnt"
        os.mkdir(point)
        passwd = Path(folder, "passwd")
        passwd.write_text(f"{KEY_ID}:{SECRET}")
        passwd.chmod(0o600)
        parts = [*self.command, *(self.trust if s3.certificate else [])]
        values = {"url": s3.url, "folder": folder, "mnt": point, "certificate": s3.certificate}
        words = [word.format(**values) for word in parts]
        log = Path(folder, "log")
        process = subprocess.Popen(
            words,
            env={**run_environment(), **self.environment, "AWS_ENDPOINT": s3.url},
            stdout=subprocess.DEVNULL,
            stderr=os.open(log, os.O_WRONLY | os.O_CREAT),
            start_new_session=True,
        )
        try:
            try:
                wait_until(lambda: os.path.ismount(point), self.name)
            except RuntimeError as error:
                raise RuntimeError(f"{error}: {log.read_text()}") from error
            yield Mounted(point, process, log)
        finally:
            subprocess.run(["umount", point], check=False, timeout=60)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                subprocess.run(["umount", "-l", point], check=False)
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Mounted:
    """A mount that is up: where, and whose memory and CPU it takes."""

    path: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def cpu(self) -> float:
        """Seconds of user and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, which: str = "VmHWM") -> float:
        """MiB resident: the peak (VmHWM) or now (VmRSS)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(which):
                return int(line.split()[1]) / 1024
        return 0.0


def on_another_python(path: str) -> Contestant:
    """yas3fs run by another interpreter, which has its dependencies."""
    program = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    done = subprocess.run([path, "-c", program], check=True, capture_output=True, text=True)
    ours = contestants()[0]
    return replace(ours, name=f"yas3fs-{done.stdout.strip()}", command=[path, *ours.command[1:]])


def contestants() -> list[Contestant]:
    """Those that are installed; the first is yas3fs."""
    ours = [sys.executable, "-m", "yas3fs", "-f", f"s3://{BUCKET}", "{mnt}",
            "--s3-endpoint", "{url}", "--cache-path", "{folder}/cache",
            "--state-path", "{folder}/state"]  # fmt: skip
    found = [
        Contestant("yas3fs", ours, trust=["--ca-bundle", "{certificate}"], plain=["--no-metadata"])
    ]
    if shutil.which("s3fs"):
        words = ["s3fs", "-f", BUCKET, "{mnt}", "-o", "url={url}", "-o", "use_path_request_style",
                 "-o", "passwd_file={folder}/passwd"]  # fmt: skip
        found.append(Contestant("s3fs", words, trust=["-o", "no_check_certificate"]))
    rclone = shutil.which("rclone") or shutil.which("rclone", path=str(Path(sys.executable).parent))
    if rclone:
        environment = {
            "RCLONE_CONFIG_R_TYPE": "s3",
            "RCLONE_CONFIG_R_PROVIDER": "Other",
            "RCLONE_CONFIG_R_ENV_AUTH": "true",
        }
        for mode in ("off", "full"):
            words = [rclone, "mount", f"r:{BUCKET}", "{mnt}", "--s3-endpoint", "{url}",
                     "--vfs-cache-mode", mode, "--vfs-write-back", "0", "--cache-dir",
                     "{folder}/cache"]  # fmt: skip
            trust = ["--ca-cert", "{certificate}"]
            found.append(
                Contestant(f"rclone-{mode}", words, environment, trust, plain=["--no-modtime"])
            )
    return found + _built_from_source()


def _built_from_source() -> list[Contestant]:
    """Mounts that no package brings, when they are on PATH; their servers' certificates must be
    trusted by the system."""
    found = []
    if shutil.which("mount-s3"):
        words = ["mount-s3", "-f", BUCKET, "{mnt}", "--endpoint-url", "{url}", "--force-path-style",
                 "--allow-delete", "--allow-overwrite", "--region", "us-east-1"]  # fmt: skip
        found.append(Contestant("mount-s3", words))
    for name in ("geesefs", "goofys"):
        if shutil.which(name):
            words = [name, "-f", "--endpoint", "{url}", BUCKET, "{mnt}"]
            found.append(Contestant(name, words))
    return found
