"""The life of the process, in processes of their own with a mount that mounts nothing."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

PROGRAM = Path(__file__).with_name("fake_mount.py")
ROOT = Path(__file__).parents[2]


class Life:
    """One run of the program, and what its mount tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mountpoint = folder / "mnt"
        self.mountpoint.mkdir()
        self.log = folder / "log"
        self.served = 0
        pipe = folder / "events"
        os.mkfifo(pipe)
        os.mkfifo(f"{pipe}.gone")
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(reader, True)
        self.events: TextIO = os.fdopen(reader)
        self.gone = os.open(f"{pipe}.gone", os.O_RDWR)

    def command(self, behaviour: str, *arguments: str) -> list[str]:
        operands = ["s3://bucket/path", str(self.mountpoint)]
        program = [sys.executable, str(PROGRAM), behaviour, str(self.folder / "events")]
        return [*program, *operands, *arguments]

    def detach(self, behaviour: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it in the background with a log file; returns when the parent does."""
        return subprocess.run(
            self.command(behaviour, "--log", str(self.log), *arguments),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment(),
            cwd=self.folder,
        )

    def begin(self, behaviour: str, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start it, with pipes."""
        return subprocess.Popen(
            self.command(behaviour, *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment() | more,
            cwd=self.folder,
        )

    def unmount(self) -> None:
        """What umount does: the mount is gone."""
        os.write(self.gone, b"\n")

    def story(self) -> list[str]:
        """The first words of all events until the process has ended."""
        return [line.split()[0] for line in self.events]

    def pid(self) -> int:
        """The process that serves, as soon as it opens the mount.

        A pipe nobody has written to yet reads like one that has ended, so it is waited for first.
        """
        poll = select.poll()
        poll.register(self.events, select.POLLIN)
        poll.poll(60_000)
        for line in self.events:
            if line.startswith("open"):
                self.served = int(line.split()[1])
                return self.served
        raise AssertionError("the mount was not opened")


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    made = Life(tmp_path)
    yield made
    if made.served and str(PROGRAM).encode() in command_line(made.served):
        os.kill(made.served, signal.SIGKILL)  # after a test that failed
    made.events.close()
    os.close(made.gone)


def until(stream: TextIO | None, word: str) -> str:
    """Read lines until one has ``word``, and return it."""
    assert stream is not None
    for line in stream:
        if word in line:
            return line
    raise AssertionError(f"{word!r} was never said")


def test_detached_it_returns_when_the_mount_is_there(life: Life) -> None:
    done = life.detach("behaves")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    life.unmount()
    assert life.events.readline() == "made s3://bucket/path in /\n"
    assert life.story() == ["open", "start", "stop"]
    log = life.log.read_text()
    assert all(f" {life.mountpoint}: " in line for line in log.splitlines())
    assert "mounted s3://bucket/path" in log
    assert "ending: unmounted" in log
    assert log.endswith("ended\n")


def test_it_detaches_into_a_session_of_its_own(life: Life) -> None:
    life.detach("behaves")
    pid = life.pid()
    assert os.getsid(pid) not in (os.getsid(0), pid)
    assert os.readlink(f"/proc/{pid}/fd/2") == os.devnull
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    life.unmount()
    assert life.story() == ["start", "stop"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(life: Life, number: signal.Signals) -> None:
    life.detach("behaves")
    os.kill(life.pid(), number)
    assert life.story() == ["start", "stop"]
    assert f"ending: {number.name}" in life.log.read_text()


@pytest.mark.parametrize(
    ("behaviour", "status", "message", "story"),
    [
        ("refused", 1, "the credentials are refused", ["made", "open", "stop"]),
        ("misconfigured", 2, "no such bucket", ["made", "open", "stop"]),
        ("surprises", 1, "failed in an unforeseen way: ZeroDivisionError('what')",
         ["made", "open", "start", "stop"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("foreground", [False, True])
def test_a_start_that_fails_says_why_and_takes_back_what_was_begun(
    life: Life, behaviour: str, status: int, message: str, story: list[str], foreground: bool
) -> None:
    done = life.detach(behaviour, *(["-f"] if foreground else []))
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"yas3fs: {message}\n"
    assert life.story() == story
    assert message in life.log.read_text()


def test_a_surprise_is_logged_with_its_traceback(life: Life) -> None:
    life.detach("surprises")
    life.story()
    assert "Traceback" in life.log.read_text()


def test_a_process_that_dies_while_starting_is_reported(life: Life) -> None:
    done = life.detach("dies")
    assert done.returncode == 1
    assert done.stderr == (f"yas3fs: the process died before the mount was ready; see {life.log}\n")
    assert life.story() == ["made", "open", "start"]


def test_what_is_wrong_with_the_mount_point_is_said_before_anything_is_made(life: Life) -> None:
    (life.mountpoint / "file").touch()
    done = life.detach("behaves")
    assert done.returncode == 2
    assert done.stderr == (
        f"yas3fs: the mount point {life.mountpoint} is not empty: "
        "empty it, or set nonempty (--nonempty) to cover it\n"
    )
    assert life.story() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_waiting_parent_stops_the_start(life: Life, number: signal.Signals) -> None:
    parent = life.begin("hangs", "--log", str(life.log))
    assert life.pid() != parent.pid
    parent.send_signal(number)
    _, said = parent.communicate(timeout=60)
    assert parent.returncode == 1
    assert said == "yas3fs: stopped before the mount was ready (SIGTERM)\n"
    assert life.story() == ["stop"]


def test_a_signal_stops_a_start_in_the_foreground(life: Life) -> None:
    process = life.begin("hangs", "-f")
    assert life.pid() == process.pid
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said == "yas3fs: stopped before the mount was ready (SIGINT)\n"
    assert life.story() == ["stop"]


def test_in_the_foreground_it_stays_until_it_is_unmounted(life: Life) -> None:
    process = life.begin("behaves", "-f")
    until(process.stderr, "mounted s3://bucket/path")
    life.unmount()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert said.endswith("yas3fs.daemon.process: ended\n")
    assert life.story() == ["made", "open", "start", "stop"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_in_the_foreground_a_signal_ends_it_in_good_order(
    life: Life, number: signal.Signals
) -> None:
    process = life.begin("behaves", "-f")
    until(process.stderr, "mounted s3://bucket/path")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"ending: {number.name}" in said


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("leaves two", "2 files could not be uploaded; they are below "),
        ("cannot stop", "unmounting "),
    ],
)
def test_an_end_with_losses_is_a_failure(life: Life, behaviour: str, message: str) -> None:
    process = life.begin(behaviour, "-f")
    until(process.stderr, "mounted s3://bucket/path")
    life.unmount()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert message in said


def test_systemd_is_told(life: Life) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.settimeout(60)
        notify.bind(str(life.folder / "notify"))
        process = life.begin("behaves", "-f", NOTIFY_SOCKET=str(life.folder / "notify"))
        ready = notify.recv(1024).decode()
        assert ready == (
            f"READY=1\nSTATUS=1 of 1 mounted; {life.mountpoint}: standalone, "
            "0 to upload, 0 to publish"
        )
        process.send_signal(signal.SIGTERM)
        assert notify.recv(1024) == b"STOPPING=1\nSTATUS=uploading what is due"
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_relative_paths_survive_the_change_of_directory(life: Life) -> None:
    command = life.command("behaves", "--log", "log")
    command[command.index(str(life.mountpoint))] = "mnt"
    done = subprocess.run(
        command, timeout=60, check=False, env=environment(), cwd=life.folder, capture_output=True
    )
    assert done.returncode == 0
    life.unmount()
    life.story()
    assert f" {life.mountpoint}: " in life.log.read_text()


def test_the_command_starts_without_loading_an_sdk() -> None:
    heavy = "{'awscrt', 'boto3', 'botocore', 'mfusepy', 'daemon', 'yaml'}"
    code = f"import sys, yas3fs.cli.yas3fs; print(sorted({heavy} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    assert loaded.stdout == "[]\n"


def test_the_package_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yas3fs"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 2
    assert done.stderr == "yas3fs: nothing to mount is named (see yas3fs --help)\n"
