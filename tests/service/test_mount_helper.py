"""mount.yas3fs and umount.fuse.yas3fs, called as mount(8) and umount(8) call them."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.doubles import servers
from yas3fs.cli.mount_helper import url_of
from yas3fs.fuse.mounts import is_dead, mount_at

pytestmark = pytest.mark.mount

ROOT = Path(__file__).parents[2]
BARE = {
    "AWS_ACCESS_KEY_ID": servers.KEY_ID,
    "AWS_SECRET_ACCESS_KEY": servers.SECRET,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "PYTHONPATH": str(ROOT),
}
"""What a helper may find in the environment at boot: neither HOME nor much of a PATH."""


class Place:
    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.path = folder / "mnt"
        self.path.mkdir()
        self.file = folder / "yas3fs.yaml"
        self.options = ",".join(
            [
                f"s3_endpoint={endpoint},retry_budget=1,log={folder / 'log'}",
                f"cache_path={folder / 'cache'},state_path={folder / 'state'}",
            ]
        )

    def _run(self, module: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", f"yas3fs.cli.{module}", *words],
            capture_output=True,
            text=True,
            env={**BARE, "YAS3FS_CONFIG": str(self.file)},
            cwd="/",
            check=False,
        )

    def mount(
        self, spec: str, *words: str, options: str = "rw"
    ) -> subprocess.CompletedProcess[str]:
        options = f"{options},{self.options}"
        return self._run("mount_helper", spec, str(self.path), "-o", options, *words)

    def umount(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._run("umount_helper", str(self.path), *words)

    def kill(self) -> None:
        """Kill the process that serves the mount, and wait for its end."""
        word = str(self.path).encode()
        names = [name for name in os.listdir("/proc") if name.isdecimal()]
        lines = {name: command_line(name) for name in names}
        (pid,) = [
            int(name) for name in names if b"mount_helper" in lines[name] and word in lines[name]
        ]
        descriptor = os.pidfd_open(pid)
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], 60)[0]
        os.close(descriptor)

    @property
    def source(self) -> str:
        found = mount_at(str(self.path))
        return "" if found is None else found.source


@pytest.fixture
def place(tmp_path: Path, endpoint: str) -> Iterator[Place]:
    made = Place(tmp_path, endpoint)
    yield made
    if made.source:
        subprocess.run(["umount", "-i", "-l", made.path], check=True)


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ("s3://bucket/path", "s3://bucket/path"),
        ("yas3fs#bucket/path", "s3://bucket/path"),
        ("yas3fs#s3://bucket", "s3://bucket"),
        ("fuse#bucket/a b", "s3://bucket/a b"),
        ("media", ""),
    ],
)
def test_specifications(spec: str, url: str) -> None:
    assert url_of(spec) == url


GENERIC = (
    "rw,noatime,nosuid,_netdev,nofail,noauto,user=me,users,x-systemd.automount,X-mount.mkdir,"
    "relatime,defaults,comment=x"
)


@pytest.mark.parametrize("spec", ["s3://good/spec", "yas3fs#good/spec"])
def test_it_is_mounted_when_the_helper_returns(place: Place, spec: str) -> None:
    done = place.mount(spec, "-n", "-v", "-t", "fuse.yas3fs", options=GENERIC)
    assert (done.returncode, done.stderr) == (0, "")
    assert place.source == "s3://good/spec"
    (place.path / "file").write_text("x")
    assert place.umount("-n").returncode == 0
    assert place.source == ""
    assert (place.folder / "log").read_text().endswith("ended\n")  # it has waited for the process


def test_an_entry_of_the_file_by_name(place: Place) -> None:
    place.file.write_text("mounts:\n  media:\n    url: s3://good/entry\n    mountpoint: /srv/x\n")
    assert place.mount("media", options="ro").returncode == 0
    assert place.source == "s3://good/entry"
    with pytest.raises(OSError, match="Read-only"):
        (place.path / "file").touch()
    assert place.umount().returncode == 0
    assert place.mount("/some/where/media").returncode == 0  # as mount(8) hands it on
    assert place.source == "s3://good/entry"
    unknown = place.mount("medla")
    assert unknown.returncode == 1
    assert "did you mean media?" in unknown.stderr


def test_what_is_written_and_still_open_is_uploaded_first(place: Place, endpoint: str) -> None:
    assert place.mount("s3://good/drain").returncode == 0
    held = os.open(place.path / "file", os.O_CREAT | os.O_WRONLY)
    os.write(held, b"not closed")
    busy = place.umount()
    assert busy.returncode == 32
    assert place.source
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=servers.KEY_ID,
        aws_secret_access_key=servers.SECRET,
    )
    assert client.get_object(Bucket="good", Key="drain/file")["Body"].read() == b"not closed"
    os.close(held)
    assert place.umount().returncode == 0


@pytest.mark.parametrize(
    ("spec", "words", "options", "status", "said"),
    [
        ("s3://good", [], "frobnicate", 1, "-o frobnicate: there is no such option"),
        ("s3://good", [], "cache_size=x", 1, "-o cache_size: 'x' is not valid"),
        ("s3://good", ["-z"], "rw", 1, "unrecognized arguments: -z"),
        ("s3://nosuchbucket", [], "rw", 32, "there is no bucket 'nosuchbucket'"),
        ("nosuchname", [], "rw", 1, "cannot read"),
    ],
)
def test_refusals(
    place: Place, spec: str, words: list[str], options: str, status: int, said: str
) -> None:
    done = place.mount(spec, *words, options=options)
    assert done.returncode == status
    assert said in done.stderr
    assert place.source == ""


def test_sloppy_passes_over_what_is_unknown(place: Place) -> None:
    assert place.mount("s3://good", "-s", options="frobnicate,ro").returncode == 0
    assert place.source == "s3://good/"


def test_fake_mounts_nothing_but_checks(place: Place) -> None:
    assert place.mount("s3://good", "-f").returncode == 0
    assert place.mount("s3://good", "-f", options="frobnicate").returncode == 1
    assert place.source == ""


def test_remount_changes_the_kernels_flags(place: Place) -> None:
    assert place.mount("s3://good/remount").returncode == 0
    (place.path / "file").write_text("x")
    assert place.mount("s3://good/remount", options="remount,ro,cache_size=5").returncode == 0
    with pytest.raises(OSError, match="Read-only"):
        (place.path / "file").write_text("y")
    assert place.mount("s3://good/remount", options="remount,rw,noatime").returncode == 0
    (place.path / "file").write_text("y")


@pytest.mark.parametrize("clear", [False, True])
def test_a_dead_mount_is_replaced_or_cleared(place: Place, clear: bool) -> None:
    assert place.mount("s3://good/dead").returncode == 0
    place.kill()
    assert is_dead(str(place.path))
    if clear:
        cleared = place._run("yas3fsctl", "clear-dead")
        assert cleared.returncode == 0
        assert f"{place.path}: unmounted" in cleared.stdout
        assert place.source == ""
    assert place.mount("s3://good/again").returncode == 0
    assert place.source == "s3://good/again"


def command_line(name: str) -> bytes:
    try:
        return Path("/proc", name, "cmdline").read_bytes()
    except OSError:
        return b""


def test_another_mount_namespace(place: Place) -> None:
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdout.readline()
    try:
        assert place.mount("s3://good/space", "-N", str(holder.pid)).returncode == 0
        assert place.source == ""
        seen = Path(f"/proc/{holder.pid}/mountinfo").read_text()
        assert str(place.path) in seen
        assert place.umount("-N", str(holder.pid)).returncode == 0
    finally:
        holder.stdin.close()
        holder.wait(60)
    assert place.mount("s3://good", "-N", "/nonexistent").returncode == 2


def test_nothing_to_unmount(place: Place) -> None:
    done = place.umount()
    assert done.returncode == 32
    assert done.stderr == f"umount.fuse.yas3fs: {place.path}: not mounted\n"
    assert place.umount("-z").returncode == 1
