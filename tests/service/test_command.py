"""``yas3fs`` as one runs it, on a real S3 server and a real mount point."""

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles import servers
from yas3fs.fuse.mounts import mount_at

pytestmark = pytest.mark.mount

ROOT = Path(__file__).parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": servers.KEY_ID, "AWS_SECRET_ACCESS_KEY": servers.SECRET}


class Place:
    """A mount point with folders of its own beside it."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.mountpoint = folder / "mnt"
        self.mountpoint.mkdir()
        self.log = folder / "log"
        self.endpoint = endpoint
        self.options = [
            *("--log", str(self.log), "--retry-budget", "1"),
            *("--cache-path", str(folder / "cache"), "--state-path", str(folder / "state")),
        ]

    def yas3fs(
        self, url: str = "s3://good/path", *words: str, endpoint: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in the background."""
        command = [sys.executable, "-m", "yas3fs", url, str(self.mountpoint), *self.options]
        return subprocess.run(
            [*command, "--s3-endpoint", endpoint or self.endpoint, *words],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | KEYS | environment,
            check=False,
        )

    def mounted(self) -> bool:
        return mount_at(str(self.mountpoint)) is not None

    def pids(self) -> list[int]:
        """The processes that serve it."""
        word = f"\0{self.mountpoint}\0".encode()
        found = []
        for name in os.listdir("/proc"):
            try:
                line = Path("/proc", name, "cmdline").read_bytes() if name.isdigit() else b""
            except OSError:
                continue
            if word in line and b"yas3fs" in line:
                found.append(int(name))
        return found

    def end(self, number: signal.Signals) -> None:
        """Send the one process a signal, and wait for its end."""
        (pid,) = self.pids()
        descriptor = os.pidfd_open(pid)
        signal.pidfd_send_signal(descriptor, number)
        wait_for_end(descriptor)


def wait_for_end(descriptor: int) -> None:
    """Wait until the process behind a pidfd has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(60_000)
    os.close(descriptor)


@pytest.fixture
def place(tmp_path: Path, endpoint: str) -> Iterator[Place]:
    made = Place(tmp_path, endpoint)
    yield made
    if made.mounted():
        subprocess.run(["umount", "-l", made.mountpoint], check=True)


def test_it_returns_when_the_mount_answers(place: Place) -> None:
    done = place.yas3fs()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    mounted = mount_at(str(place.mountpoint))
    assert mounted is not None
    assert (mounted.fstype, mounted.source) == ("fuse.yas3fs", "s3://good/path")
    (place.mountpoint / "file").write_text("said")
    (pid,) = place.pids()
    descriptor = os.pidfd_open(pid)
    subprocess.run(["umount", place.mountpoint], check=True)
    wait_for_end(descriptor)
    assert place.log.read_text().endswith("ended\n")

    assert place.yas3fs().returncode == 0
    assert (place.mountpoint / "file").read_text() == "said"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts(place: Place, number: signal.Signals) -> None:
    assert place.yas3fs().returncode == 0
    place.end(number)
    assert not place.mounted()
    assert place.log.read_text().endswith("ended\n")


def test_options_of_the_kernel_arrive(place: Place) -> None:
    assert place.yas3fs("s3://good/path", "-o", "noatime,nosuid,ro").returncode == 0
    mounts = Path("/proc/self/mountinfo").read_text()
    (line,) = [line for line in mounts.splitlines() if str(place.mountpoint) in line]
    assert {"noatime", "nosuid"} <= set(line.split()[5].split(","))
    with pytest.raises(OSError, match="Read-only file system"):
        (place.mountpoint / "file").write_text("x")


def test_a_second_mount_on_the_same_place_is_refused(place: Place) -> None:
    assert place.yas3fs().returncode == 0
    again = place.yas3fs()
    assert again.returncode == 1
    assert again.stderr == (
        f"yas3fs: {place.mountpoint} is busy, s3://good/path (fuse.yas3fs) is mounted there "
        f"already: unmount it with: umount {place.mountpoint}\n"
    )
    assert len(place.pids()) == 1


def test_a_mount_whose_process_was_killed_is_named_as_dead(place: Place) -> None:
    assert place.yas3fs().returncode == 0
    place.end(signal.SIGKILL)
    done = place.yas3fs()
    assert done.returncode == 1
    assert "is a dead mount" in done.stderr
    subprocess.run(["umount", place.mountpoint], check=True)
    assert place.yas3fs().returncode == 0


def refused(place: Place, done: subprocess.CompletedProcess[str], status: int, words: str) -> None:
    """One line that says ``words``, the exit status, and nothing is left behind."""
    assert done.returncode == status
    assert done.stdout == ""
    assert re.fullmatch(r"yas3fs: [^\n]+\n", done.stderr)
    assert words in done.stderr
    assert "Traceback" not in place.log.read_text()
    assert not place.mounted()
    assert place.pids() == []


def test_wrong_bucket(place: Place) -> None:
    refused(place, place.yas3fs("s3://nosuchbucket"), 1, "there is no bucket 'nosuchbucket'")


def test_no_credentials(place: Place) -> None:
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    refused(place, place.yas3fs(**none), 1, "no credentials")


def test_wrong_profile(place: Place) -> None:
    refused(place, place.yas3fs("s3://good", "--profile", "nosuch"), 2, "nosuch")


def test_nobody_at_the_endpoint(place: Place) -> None:
    endpoint = f"http://127.0.0.1:{servers.free_port()}"
    refused(place, place.yas3fs(endpoint=endpoint), 1, endpoint)


def test_an_endpoint_that_does_not_exist(place: Place) -> None:
    endpoint = "http://nosuch.invalid"
    refused(place, place.yas3fs(endpoint=endpoint), 1, "nosuch.invalid")


def test_tls_where_there_is_none(place: Place) -> None:
    endpoint = place.endpoint.replace("http:", "https:")
    refused(place, place.yas3fs(endpoint=endpoint), 1, "TLS")


@pytest.mark.parametrize("option", ["--cache-path", "--state-path"])
def test_folders_that_cannot_be_made(place: Place, option: str) -> None:
    refused(place, place.yas3fs("s3://good", option, "/proc/none"), 2, "/proc/none")


@pytest.mark.skipif(servers.find_versitygw() is None, reason="versitygw is not installed")
@pytest.mark.parametrize("name", list(KEYS))
def test_wrong_credentials(tmp_path: Path, name: str) -> None:
    with servers.versitygw() as server:
        place = Place(tmp_path, server.endpoint)
        refused(place, place.yas3fs(**{name: "wrong"}), 1, server.endpoint)
