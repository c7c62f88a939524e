"""The control socket, the commands that use it, and metrics: on a service that mounts nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.doubles.servers import free_port
from yas3fs.cli.yas3fsctl import main
from yas3fs.control.endpoint import Endpoint
from yas3fs.control.sockets import ask, served_sockets
from yas3fs.errors import ConfigError, ControlFailed

MOUNTED = {
    "name": "media",
    "url": "s3://bucket/media",
    "mountpoint": "/srv/media",
    "state": "mounted",
    "reason": "",
    "failures": 0,
    "mode": "coherent",
    "names": 12,
    "cache": {"used": 2048, "capacity": 4096, "hits": 9, "misses": 1, "evictions": 0},
    "pending": {"files": 2, "bytes": 1536},
    "rescued": 1,
    "errors": 4,
    "requests": {
        "get": {
            "calls": 3, "bytes": 2048, "seconds": 0.5, "errors": {"TimedOut": 1},
            "buckets": [("0.1", 1), ("+Inf", 3)],
        }
    },
    "publisher": {"waiting": 7, "published": 20},
    "listener": {"alive": True, "counts": {"events": 5}},
}  # fmt: skip
FAILED = {
    "name": "bad",
    "url": "s3://nosuch/",
    "mountpoint": "/srv/bad",
    "state": "failed",
    "reason": "there is no bucket 'nosuch'",
    "failures": 3,
}


class Bench:
    """An endpoint whose verbs say what the test wants."""

    def __init__(self, folder: Path, address: str) -> None:
        self.mounts: list[dict[str, Any]] = [MOUNTED, FAILED]
        self.heard: list[Mapping[str, Any]] = []
        self.warmth: dict[str, Any] = {
            "files": 3, "bytes": 4096, "warm_files": 3, "warm_bytes": 4096,
            "failures": 0, "failed": [], "full": False,
        }  # fmt: skip
        self.folder = folder
        self.endpoint = Endpoint(
            str(folder),
            address,
            {
                "status": self._status,
                "pending": self._pending,
                "flush": self._flush,
                "reset": self._reset,
                "warm": self._warm,
                "reload": self._reload,
            },
        )

    def _status(self, _words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield {"version": "3", "pid": os.getpid(), "since": 1.5, "mounts": self.mounts}

    def _pending(self, words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        self.heard.append(words)
        file = {"path": "/a/b", "size": 1024, "open": True, "reason": ""}
        yield {"mounts": [{"name": "media", "files": [file]}]}

    def _flush(self, _words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        yield {"progress": 1, "of": 2, "path": "/a"}
        yield {"progress": 2, "of": 2, "path": "/b"}
        yield {"uploaded": 1, "failed": ["media:/b: refused"]}

    def _reset(self, words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        self.heard.append(words)
        yield {"reset": ["media"], "path": words["path"]}

    def _warm(self, words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        self.heard.append(words)
        yield {"progress": self.warmth}
        yield self.warmth

    def _reload(self, _words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        raise ConfigError("F:1: wrong\nF:2: wrong too")
        yield

    def run(self, *words: str) -> int:
        return main([*words, "--runtime-path", str(self.folder)])


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def bench(tmp_path: Path, port: int) -> Iterator[Bench]:
    made = Bench(tmp_path / "run", f"127.0.0.1:{port}")
    made.endpoint.open()
    yield made
    made.endpoint.close()


def test_only_its_user_may_ask(bench: Bench) -> None:
    assert os.stat(bench.endpoint.path).st_mode & 0o777 == 0o600


def test_status_for_people(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("status") == 1
    head, first, second, *rest = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "MOUNT"
    for word in ("media", "mounted", "coherent", "2 (1.5 KiB)", "7", "90%", "2.0 KiB of 4.0 KiB"):
        assert word in first
    assert "failed" in second
    assert rest == [
        "media: 1 files could not be uploaded, they are in the rescue folder",
        "bad: there is no bucket 'nosuch'",
    ]
    bench.mounts = [MOUNTED]
    assert bench.run("status") == 0


def test_status_for_programs(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("status", "--json") == 1
    (process,) = json.loads(capsys.readouterr().out)
    assert [mount["name"] for mount in process["mounts"]] == ["media", "bad"]


def test_status_is_shown_again_until_ctrl_c(bench: Bench) -> None:
    command = [sys.executable, "-m", "yas3fs.cli.yas3fsctl", "status", "--watch", "0.1"]
    watching = subprocess.Popen(
        [*command, "--runtime-path", str(bench.folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert watching.stdout is not None
    shown = [watching.stdout.readline() for _ in range(12)]
    assert sum(line.startswith("MOUNT ") for line in shown) >= 2
    watching.send_signal(signal.SIGINT)
    watching.communicate(timeout=60)
    assert watching.returncode == 0


def test_mounts(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("mounts", "--json") == 0
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "bad",
        "state": "failed",
        "url": "s3://nosuch/",
        "mountpoint": "/srv/bad",
        "pid": os.getpid(),
    }


def test_pending(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("pending", "--mount", "media") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == [
        "media",
        "/a/b",
        "1.0",
        "KiB",
        "yes",
        "-",
    ]
    assert bench.heard[-1]["mount"] == "media"


def test_flush_tells_what_failed(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("flush") == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("1 uploaded, 1 failed\n", "media:/b: refused\n")


def test_forget(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("forget", "/folder") == 0
    assert capsys.readouterr().out == "media: /folder is asked for anew\n"
    assert bench.heard[-1] == {"verb": "reset", "mount": "", "path": "/folder"}


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["/srv/media/a/b"], "/a/b"),
        (["/srv/media"], "/"),
        (["/srv/media/a/../c/"], "/c"),
        (["--mount", "media", "/a"], "/a"),
        (["--mount", "/srv/media", "a"], "a"),
    ],
)
def test_warm_finds_the_mount_that_holds_the_path(
    bench: Bench, words: list[str], path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run("warm", *words) == 0
    assert capsys.readouterr().out == "3 of 3 files, 4.0 KiB of 4.0 KiB\n"
    assert bench.heard[-1] == {"verb": "warm", "mount": "media", "path": path}


def test_warm_where_nothing_is_mounted(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("warm", "/srv/mediation/a") == 1
    assert "/srv/mediation/a is on no mount; mounted are /srv/media, /srv/bad" in (
        capsys.readouterr().err
    )
    assert bench.run("warm", "/a", "--mount", "nosuch") == 1
    assert "there is no mount 'nosuch', there are media, bad" in capsys.readouterr().err
    assert not bench.heard


def test_warm_tells_what_failed_and_what_had_no_room(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.warmth |= {"warm_files": 1, "warm_bytes": 1024, "failures": 1, "failed": ["/a: refused"]}
    assert bench.run("warm", "/srv/media") == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("1 of 3 files, 1.0 KiB of 4.0 KiB\n", "/a: refused\n")
    bench.warmth |= {"full": True, "failures": 7}
    assert bench.run("warm", "/srv/media") == 1
    said = capsys.readouterr()
    assert said.out == "cache full: 1 of 3 files, 1.0 KiB of 4.0 KiB\n"
    assert said.err == "/a: refused\nand 6 more\n"
    assert bench.run("warm", "/srv/media", "--json") == 1
    assert json.loads(capsys.readouterr().out) == bench.warmth


def test_a_refusal_is_told_line_by_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("reload") == 1
    assert capsys.readouterr().err == "yas3fsctl: F:1: wrong\nyas3fsctl: F:2: wrong too\n"


def test_nobody_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--runtime-path", str(tmp_path)]) == 1
    assert "no yas3fs runs here" in capsys.readouterr().err


def test_sockets_of_the_dead_are_passed_over_and_removed(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "1.sock"))
    assert served_sockets(str(tmp_path)) == []
    bench = Bench(tmp_path, "")
    bench.endpoint.open()
    assert os.listdir(tmp_path) == [f"{os.getpid()}.sock"]
    bench.endpoint.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b'{"verb": 5}\n', b'{"verb": "x"}\n'])
def test_nonsense_is_answered(bench: Bench, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as conversation:
        conversation.connect(bench.endpoint.path)
        conversation.sendall(line)
        assert "error" in json.loads(conversation.makefile().readline())
    assert list(ask(bench.endpoint.path, "status"))


def test_an_unknown_verb() -> None:
    with pytest.raises(ControlFailed, match="No such file"):
        list(ask("/nonexistent/1.sock", "status"))


def test_metrics(bench: Bench, port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    found = {
        (sample.name, sample.labels.get("mount"), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for key, value in {
        ("yas3fs_mount_state", "media", "media", "mounted"): 1,
        ("yas3fs_mount_state", "bad", "bad", "mounted"): 0,
        ("yas3fs_mount_state", "bad", "bad", "failed"): 1,
        ("yas3fs_mount_mode", "media", "coherent", "media"): 1,
        ("yas3fs_failures_total", "bad", "bad"): 3,
        ("yas3fs_cache_hits_total", "media", "media"): 9,
        ("yas3fs_pending_bytes", "media", "media"): 1536,
        ("yas3fs_rescued_files", "media", "media"): 1,
        ("yas3fs_publish_waiting", "media", "media"): 7,
        ("yas3fs_s3_request_seconds_count", "media", "get", "media"): 3,
        ("yas3fs_s3_request_seconds_sum", "media", "get", "media"): 0.5,
        ("yas3fs_s3_errors_total", "media", "TimedOut", "get", "media"): 1,
        ("yas3fs_listener_events_total", "media", "events", "media"): 5,
    }.items():
        assert found[key] == value, key


def test_health(bench: Bench, port: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as sick:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz")
    assert sick.value.code == 503
    assert json.load(sick.value)["mounts"] == {"media": "mounted", "bad": "failed"}
    bench.mounts = [MOUNTED]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as answer:
        assert json.load(answer) == {"healthy": True, "mounts": {"media": "mounted"}}


def test_a_port_that_is_taken_is_told(bench: Bench, port: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"--metrics: 127.0.0.1:{port}: Address already in use"):
        Bench(tmp_path / "other", f"127.0.0.1:{port}").endpoint.open()
