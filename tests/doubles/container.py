"""A Debian that is booted: debootstrap makes its root once, systemd-nspawn boots a copy of it."""

import os
import select
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3,fuse3,libfuse3-3,ca-certificates,rpm"
WANTED = ("debootstrap", "systemd-nspawn", "nsenter", "dpkg-buildpackage", "dh", "rpmbuild")
DEVICES = ("/dev/fuse", "/dev/autofs")
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "yas3fs-tests"
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def lacking() -> str:
    """Why this machine cannot boot one; empty when it can, as far as can be seen."""
    if os.geteuid() != 0:
        return "booting a container needs root"
    if not os.path.exists("/dev/fuse"):
        return "there is no /dev/fuse here"
    missing = [name for name in WANTED if shutil.which(name, path=_PATH) is None]
    return f"booting a container needs {', '.join(missing)}" if missing else ""


def base() -> Path:
    """The root that all are copies of; made once for each machine."""
    made = _CACHE / f"{SUITE}-root"
    if not made.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        partial = _CACHE / f"{SUITE}-{os.getpid()}"
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(partial)]
        subprocess.run(
            command, check=True, env=os.environ | {"PATH": _PATH}, capture_output=True, text=True
        )
        partial.rename(made)
    return made


def cannot_boot() -> str:
    """Why no container can be had here, tried out; empty when one can."""
    try:
        command = ["systemd-nspawn", "-q", "-D", str(base()), "--register=no", "--keep-unit"]
        subprocess.run(
            [*command, "--read-only", "/bin/true"],
            check=True,
            env=os.environ | {"PATH": _PATH},
            capture_output=True,
            text=True,
        )
    except subprocess.CalledProcessError as error:
        said = " ".join(str(error.stderr).split())
        return f"{error.cmd[0]} does not work here: {said[-300:]}"
    return ""


class Container:
    """One that runs. ``root`` is its root folder, seen from here."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root = root
        self._log = folder / "boot.log"
        self._devices = {device: _open_to_all(device, folder) for device in DEVICES}
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> None:
        """Boot, and wait until everything that starts by itself has started or failed."""
        with open(self._log, "ab") as log:
            self._nspawn = subprocess.Popen(
                [
                    *("systemd-nspawn", "-q", "-D", self.root, "--register=no", "--keep-unit"),
                    *(f"--bind={node}:{path}" for path, node in self._devices.items() if node),
                    *("--console=pipe", "-b"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": _PATH},
                start_new_session=True,
            )
        until(self._is_up, "the container to be up")

    def _is_up(self) -> bool:
        assert self._nspawn is not None
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if not children:
            return False
        self._leader = int(children[-1])  # what comes before prepares it, and ends
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in {"running", "degraded"}

    def run(
        self, *command: str, check: bool = True, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        done = subprocess.run(
            self._enter(*command, **more), capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def begin(self, *command: str) -> subprocess.Popen[str]:
        """Start a command inside, with pipes."""
        pipe = subprocess.PIPE
        return subprocess.Popen(self._enter(*command), stdin=pipe, stdout=pipe, text=True)

    def _enter(self, *command: str, **more: str) -> list[str]:
        words = {"PATH": _PATH, "HOME": "/root", "LC_ALL": "C.UTF-8", **more}
        pairs = [f"{name}={value}" for name, value in words.items()]
        return ["nsenter", "-t", str(self._leader), "-a", "env", "-i", *pairs, *command]

    def write(self, path: str, text: str) -> None:
        """Write a file inside."""
        inside = self.root / path.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_text(text)

    def journal(self) -> str:
        """What yas3fs has said."""
        return self.run("journalctl", "--no-pager", "-o", "cat", check=False).stdout

    def power_off(self) -> None:
        """Shut down in good order; all of it is gone then."""
        if self._nspawn is None:
            return
        self._tell_leader(signal.SIGRTMIN + 4)
        try:
            self._nspawn.wait(90)
        except subprocess.TimeoutExpired:
            self._tell_leader(signal.SIGKILL)  # and with it all that runs inside
            self._nspawn.kill()
            self._nspawn.wait()
        self._nspawn, self._leader = None, 0

    def _tell_leader(self, number: int) -> None:
        if self._leader:
            with suppress(ProcessLookupError):
                os.kill(self._leader, number)


def until(true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Wait for something that no file descriptor tells of."""
    poll, deadline = select.poll(), time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        poll.poll(50)


def _open_to_all(device: str, folder: Path) -> Path | None:
    """A node for a device, with the rights that udev gives it where there is one; None without."""
    if not os.path.exists(device):
        return None
    node = folder / Path(device).name
    os.mknod(node, stat.S_IFCHR, os.stat(device).st_rdev)
    node.chmod(0o666)
    return node


@contextmanager
def container(folder: Path) -> Iterator[Container]:
    """A root of its own over the base, not booted yet; ``folder`` is for what it writes."""
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for path in (upper, work, root):
        path.mkdir()
    options = f"lowerdir={base()},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
    made = Container(root, folder)
    try:
        yield made
    finally:
        made.power_off()
        subprocess.run(["umount", "-l", root], check=True)
