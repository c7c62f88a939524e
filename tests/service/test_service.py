"""``yas3fs --config`` as a service manager runs it, with real mounts on a real S3 server."""

import contextlib
import errno
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.doubles import servers
from tests.doubles.imds import imds
from yas3fs.fuse.mounts import is_dead, mount_at

pytestmark = pytest.mark.mount

ROOT = Path(__file__).parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": servers.KEY_ID, "AWS_SECRET_ACCESS_KEY": servers.SECRET}
REGION = "us-east-1"


class Manager:
    """Starts the service, and hears what it tells the service manager."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.folder = folder
        self.endpoint = endpoint
        self.file = folder / "yas3fs.yaml"
        self.extra: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.settimeout(60)
        self._notify.bind(str(folder / "notify"))

    def write(self, **mounts: str) -> None:
        """A file with these mounts: the URL, and more lines."""
        lines = [
            "defaults:",
            f"  s3-endpoint: {self.endpoint}",
            "  retry-budget: 1",
            "  mkdir: yes",
        ]
        lines += [f"  {name}-path: {self.folder / name}" for name in ("cache", "state", "runtime")]
        lines += [*(f"  {line}" for line in self.extra), "mounts:"]
        for name, text in mounts.items():
            url, _, more = text.partition(" ")
            lines += [f"  {name}:", f"    url: {url}", f"    mountpoint: {self.place(name)}"]
            lines += [f"    {more}"] if more else []
        self.file.write_text("\n".join(lines) + "\n")

    def place(self, name: str) -> Path:
        return self.folder / "mnt" / name

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "yas3fs", "--config", str(self.file), "-f", *words],
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ
            | KEYS
            | {"NOTIFY_SOCKET": str(self.folder / "notify"), "WATCHDOG_USEC": "2000000"}
            | environment,
        )
        return self.process

    def heard(self) -> str:
        return self._notify.recv(4096).decode()

    def until(self, word: str) -> str:
        """What comes up to the message with ``word``, which is returned."""
        while word not in (said := self.heard()):
            pass
        return said

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "yas3fs.cli.yas3fsctl", *words]
        return subprocess.run(
            [*command, "--runtime-path", str(self.folder / "runtime")],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )

    def status(self) -> dict[str, dict[str, Any]]:
        """The mounts by name."""
        (process,) = json.loads(self.ctl("status", "--json").stdout)
        return {mount["name"]: mount for mount in process["mounts"]}

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Send a signal; what it said on stderr, when it has ended."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[1]

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._notify.close()
        for path in self.folder.glob("mnt/*"):
            with contextlib.suppress(FileNotFoundError):
                subprocess.run(["umount", "-l", path], check=False, capture_output=True)


@pytest.fixture
def manager(tmp_path: Path, endpoint: str) -> Iterator[Manager]:
    made = Manager(tmp_path, endpoint)
    yield made
    made.close()


def content(endpoint: str, key: str) -> bytes:
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=servers.KEY_ID,
        aws_secret_access_key=servers.SECRET,
    )
    found: bytes = client.get_object(Bucket="good", Key=key)["Body"].read()
    return found


def test_a_start_without_any_mount_says_why_to_the_end(manager: Manager) -> None:
    manager.write(bad="s3://nosuchbucket/x")
    process = manager.start()
    assert "STATUS=not mounted: wrong bucket: there is no bucket" in manager.until("STOPPING=1")
    assert process.wait(60) == 1


def test_the_life_of_a_service_with_one_mount_that_fails(manager: Manager, endpoint: str) -> None:
    manager.write(one="s3://good/one", two="s3://good/two", bad="s3://nosuchbucket/x")
    manager.start()
    ready = manager.until("READY=1")
    assert mount_at(str(manager.place("one"))) is not None
    assert mount_at(str(manager.place("two"))) is not None
    assert "STATUS=2 of 3 mounted; " in ready
    assert "bad: failed (wrong bucket: there is no bucket 'nosuchbucket'" in ready
    (manager.place("one") / "file").write_text("said")
    assert content(endpoint, "one/file") == b"said"
    script = (
        f"file = open({str(manager.place('two') / 'held')!r}, 'wb', buffering=0)\n"
        "file.write(b'not closed'); print(flush=True); input()"
    )
    pipe = subprocess.PIPE
    holder = subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    (pending,) = json.loads(manager.ctl("pending", "--json").stdout)
    assert pending == {"mount": "two", "path": "/held", "size": 10, "open": True, "reason": ""}
    assert manager.ctl("flush").stdout == "1 uploaded, 0 failed\n"
    assert content(endpoint, "two/held") == b"not closed"
    assert manager.ctl("pending").stdout == "everything is uploaded\n"
    holder.communicate("\n", timeout=60)
    manager.until("WATCHDOG=1")
    shown = manager.status()
    assert {name: one["state"] for name, one in shown.items()} == {
        "one": "mounted",
        "two": "mounted",
        "bad": "failed",
    }
    assert shown["one"]["requests"]["put"]["calls"] >= 1

    device = mount_at(str(manager.place("one")))
    manager.write(one="s3://good/one", two="s3://good/other read-only: yes", three="s3://good/3")
    assert manager.process is not None
    manager.process.send_signal(signal.SIGHUP)
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", manager.until("RELOADING"))
    assert "STATUS=3 of 3 mounted; " in manager.until("READY=1")
    assert mount_at(str(manager.place("one"))) == device
    mounted = mount_at(str(manager.place("two")))
    assert mounted is not None
    assert mounted.source == "s3://good/other"
    assert manager.status().keys() == {"one", "two", "three"}

    manager.file.write_text("mounts:\n  one: {}\n")
    refused = manager.ctl("reload")
    assert refused.returncode == 1
    assert "mount one: mountpoint: is missing" in refused.stderr
    assert manager.status().keys() == {"one", "two", "three"}

    subprocess.run(["umount", manager.place("three")], check=True)
    manager.until("2 of 2 mounted")
    said = manager.end()
    assert manager.until("STOPPING=1") == "STOPPING=1\nSTATUS=uploading what is due"
    assert manager.process.returncode == 0, said
    assert " one: INFO yas3fs.daemon.supervisor: mounted s3://good/one" in said
    assert " bad: ERROR " in said
    assert not any(mount_at(str(manager.place(name))) for name in ("one", "two", "three"))
    assert list((manager.folder / "runtime").iterdir()) == []


def test_what_was_warmed_is_read_without_a_request(manager: Manager, endpoint: str) -> None:
    manager.write(warm="s3://good/warm", other="s3://good/other")
    manager.start()
    manager.until("READY=1")
    place = manager.place("warm")
    write = "import os, sys\nos.makedirs(sys.argv[1] + '/d/e')\n" + "".join(
        f"open(sys.argv[1] + '/{name}', 'w').write('{name}' * {count})\n"
        for name, count in (("a", 10), ("d/b", 30_000), ("d/e/c", 400_000))
    )
    subprocess.run([sys.executable, "-c", write, str(place)], check=True, timeout=60)
    manager.end()
    manager.start()
    manager.until("READY=1")
    warmed = manager.ctl("warm", str(place))
    assert (warmed.returncode, warmed.stderr) == (0, "")
    assert warmed.stdout == "3 of 3 files, 2.0 MiB of 2.0 MiB\n"

    def gets() -> int:
        return int(manager.status()["warm"]["requests"]["get"]["calls"])

    before = gets()
    read = f"cat {place}/a {place}/d/b {place}/d/e/c | wc -c"
    done = subprocess.run(
        ["sh", "-c", read], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) == 10 + 90_000 + 2_000_000
    assert gets() == before
    nothing = manager.ctl("warm", str(manager.place("other")), "--json")
    assert nothing.returncode == 0
    assert json.loads(nothing.stdout)["files"] == 0
    assert (
        "warm: there is no file or directory '/nosuch'"
        in manager.ctl("warm", f"{place}/nosuch").stderr
    )
    assert "is on no mount" in manager.ctl("warm", "/nosuch").stderr


def test_a_file_that_lost_a_conflict_is_stored_after_all(manager: Manager, endpoint: str) -> None:
    manager.extra = ["conflict: detect"]
    manager.write(one="s3://good/rescue", two="s3://good/rescue")
    manager.start()
    manager.until("READY=1")
    one, two = manager.place("one"), manager.place("two")
    program = """
import os, sys
one, two = (os.open(path + "/f", os.O_RDWR | os.O_CREAT, 0o640) for path in sys.argv[1:])
os.write(one, b"first")
os.write(two, b"later and longer")
os.close(one)
try: os.close(two)
except OSError as error: print(error.errno)
"""
    command = [sys.executable, "-c", program, str(one), str(two)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == str(errno.ESTALE)
    assert content(endpoint, "rescue/f") == b"first"
    words = ["rescue", "--state-path", str(manager.folder / "state")]
    (told,) = json.loads(manager.ctl(*words, "--json").stdout)
    refused = manager.ctl(*words, "--retry", told["name"])
    assert refused.returncode == 1
    assert "somebody else was faster" in refused.stderr
    assert content(endpoint, "rescue/f") == b"first"
    stored = manager.ctl(*words, "--retry", "all", "--force")
    assert (stored.returncode, stored.stderr) == (0, "")
    assert stored.stdout.endswith(":/f: uploaded\n")
    assert content(endpoint, "rescue/f") == b"later and longer"
    assert manager.ctl(*words).stdout == "nothing had to be rescued\n"
    stat = subprocess.run(
        ["sh", "-c", f"cat {two}/f; stat -c %a {two}/f"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert stat.stdout == "later and longer640\n"


def test_a_dead_mount_is_cleared_away(manager: Manager) -> None:
    manager.write(one="s3://good/one")
    manager.start()
    manager.until("READY=1")
    manager.end(signal.SIGKILL)
    assert is_dead(str(manager.place("one")))
    process = manager.start()
    manager.until("READY=1")
    (manager.place("one") / "again").write_text("x")
    assert "is a dead mount of an earlier process, it is unmounted" in manager.end()
    assert process.returncode == 0
    assert mount_at(str(manager.place("one"))) is None


@pytest.mark.parametrize(
    ("mounts", "status", "words"),
    [
        ({"one": "s3://nosuchbucket", "two": "s3://nosuchbucket/2"}, 1,
         ["yas3fs: one: wrong bucket:", "yas3fs: two: wrong bucket:"]),
        ({"one": "s3://good/1 urk: x", "two": "s3://good/2"}, 2,
         ["yas3fs.yaml:12: urk: there is no such option; did you mean url?"]),
    ],
)  # fmt: skip
def test_a_service_that_can_serve_nothing_says_why(
    manager: Manager, mounts: dict[str, str], status: int, words: list[str]
) -> None:
    manager.write(**mounts)
    process = manager.start("--log", str(manager.folder / "log"))
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert len(said.splitlines()) == len(words)
    for word in words:
        assert word in said
    assert not any(mount_at(str(manager.place(name))) for name in mounts)


def test_one_entry_alone(manager: Manager) -> None:
    manager.write(one="s3://good/one", broken="s3://good/two urk: x")
    process = manager.start("--mount", "one")
    manager.until("READY=1")
    assert manager.status().keys() == {"one"}
    manager.write(one="s3://good/another", broken="s3://good/two urk: x")
    assert manager.ctl("reload").stdout == "changed: one\n"
    mounted = mount_at(str(manager.place("one")))
    assert mounted is not None
    assert mounted.source == "s3://good/another"
    manager.end()
    assert process.returncode == 0


def test_all_mounts_share_one_queue_and_hear_each_other(manager: Manager, endpoint: str) -> None:
    aws = {
        "endpoint_url": endpoint,
        "region_name": REGION,
        "aws_access_key_id": servers.KEY_ID,
        "aws_secret_access_key": servers.SECRET,
    }
    topics = [
        boto3.client("sns", **aws).create_topic(Name=name)["TopicArn"]
        for name in ("first", "second")
    ]
    manager.extra = [f"notify-endpoint: {endpoint}", "new-queue: yes", "listener-timeout: 20"]
    state = manager.folder / "other-state"
    manager.write(
        one=f"s3://good/shared topic: {topics[0]}",
        two=f"s3://good/shared topic: {topics[0]}\n    state-path: {state}",
        three=f"s3://good/alone topic: {topics[1]}",
    )
    manager.start()
    manager.until("three: coherent")
    sqs = boto3.client("sqs", **aws)
    assert len(sqs.list_queues()["QueueUrls"]) == 1
    one, two = manager.place("one"), manager.place("two")
    assert list(two.iterdir()) == []
    (one / "news").write_text("heard")
    modes = {name: mount["mode"] for name, mount in manager.status().items()}
    assert modes == dict.fromkeys(("one", "two", "three"), "coherent")
    told = [entry["publisher"] for entry in manager.status().values()]
    assert sum(one.get("published", 0) for one in told) >= 1
    poll = select.poll()
    poll.poll(0)
    for _ in range(200):  # the topic takes its time, the mount's own patience is minutes
        if (two / "news").exists():
            break
        poll.poll(50)
    assert (two / "news").read_text() == "heard"
    manager.end()
    assert not sqs.list_queues().get("QueueUrls")


def test_an_instance_comes_up_with_nothing_but_its_user_data(manager: Manager) -> None:
    manager.write(shared="s3://good/${instance_id} id: ${instance_id}")
    with imds({"user-data": manager.file.read_bytes()}) as service:
        manager.file = Path("imds:user-data")
        manager.start(**service.environment, AWS_EC2_METADATA_DISABLED="")
        manager.until("READY=1")
        mounted = mount_at(str(manager.place("shared")))
        assert mounted is not None
        assert mounted.source == "s3://good/i-0123456789abcdef0"
        manager.end()


def test_in_the_background_it_returns_when_the_mounts_are_there(manager: Manager) -> None:
    manager.write(one="s3://good/one", two="s3://good/two")
    pid_file, log = manager.folder / "pid", manager.folder / "log"
    command = [sys.executable, "-m", "yas3fs", "--config", str(manager.file)]
    done = subprocess.run(
        [*command, "--pid-file", str(pid_file), "--log", str(log)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | KEYS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert manager.status().keys() == {"one", "two"}
    assert mount_at(str(manager.place("two"))) is not None
    descriptor = os.pidfd_open(int(pid_file.read_text()))
    signal.pidfd_send_signal(descriptor, signal.SIGTERM)
    assert select.select([descriptor], [], [], 60)[0]
    os.close(descriptor)
    assert not pid_file.exists()
    assert log.read_text().endswith("ended\n")
    assert mount_at(str(manager.place("two"))) is None


def test_the_end_of_an_instance_is_a_reason_to_end(manager: Manager) -> None:
    manager.extra = ["drain-on-termination: yes"]
    manager.write(one="s3://good/one")
    with imds({"meta-data/autoscaling/target-lifecycle-state": b"Terminated"}) as service:
        process = manager.start(**service.environment, AWS_EC2_METADATA_DISABLED="")
        _, said = process.communicate(timeout=60)
    assert process.returncode in {0, 1}  # it may come before the mount is there
    assert "the Auto Scaling group terminates this instance" in said
    assert mount_at(str(manager.place("one"))) is None


def test_a_pid_file_is_held_by_one(manager: Manager) -> None:
    manager.write(one="s3://good/one")
    pid_file = manager.folder / "pid"
    first = manager.start("--pid-file", str(pid_file))
    manager.until("READY=1")
    assert pid_file.read_text() == f"{first.pid}\n"
    second = subprocess.run(
        [
            *(sys.executable, "-m", "yas3fs", "s3://good/2", str(manager.folder), "--nonempty"),
            *("-f", "--pid-file", str(pid_file), "--s3-endpoint", manager.endpoint),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | KEYS,
        check=False,
    )
    assert second.returncode == 2
    assert f"--pid-file: {pid_file} is held by process {first.pid}" in second.stderr
    manager.end()
    assert not pid_file.exists()


def test_the_journal_gets_priorities_and_no_time(manager: Manager) -> None:
    manager.write(one="s3://good/one")
    reader, writer = os.pipe()
    status = os.fstat(writer)
    process = subprocess.Popen(
        [sys.executable, "-m", "yas3fs", "--config", str(manager.file), "-f"],
        stderr=writer,
        cwd=ROOT,
        env=os.environ
        | KEYS
        | {
            "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}",
            "NOTIFY_SOCKET": str(manager.folder / "notify"),
        },
    )
    os.close(writer)
    manager.until("READY=1")
    process.terminate()
    with os.fdopen(reader) as lines:
        assert "<6>one: INFO yas3fs.daemon.supervisor: mounted s3://good/one\n" in list(lines)
    assert process.wait(60) == 0
