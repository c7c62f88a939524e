"""The demo: the first thing a reader runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from yas3fs.demo import server
from yas3fs.fuse.mounts import mount_at

ROOT = Path(__file__).parents[2]


def demo(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "yas3fs.demo", "--folder", str(folder), *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "demo"
    demo(tmp_path / "demo", "--stop")


@pytest.mark.mount
def test_it_shows_a_mount_leaves_it_and_clears_it_away(folder: Path) -> None:
    shown = demo(folder)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("$ yas3fs s3://demo/home ") == 3
    assert shown.stdout.count("Node two sees it ") == 2
    assert shown.stdout.count("Node one sees it ") == 1
    assert shown.stdout.count("Hello, bucket\n") == 2
    assert "  s3://demo/home/letters/2026/greeting.txt\n" in shown.stdout
    files, others = folder / "one", folder / "two"
    mounted = mount_at(str(files))
    assert mounted is not None
    assert mounted.fstype.startswith("fuse")
    assert (files / "latest").read_text() == "Hello, bucket\n"
    assert oct((files / "numbers.txt").stat().st_mode) == "0o100640"
    assert (others / "latest").read_text() == "Hello, bucket\n"
    (files / "mine.txt").write_text("mine")

    again = demo(folder)
    assert again.returncode == 0
    assert again.stdout.startswith("The demo is running already.\n")
    assert (files / "mine.txt").read_text() == "mine"

    pid = json.loads((folder / "demo.json").read_text())["pid"]
    assert server.is_running(pid)
    stopped = demo(folder, "--stop")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert (mount_at(str(files)), mount_at(str(others))) == (None, None)
    assert not server.is_running(pid)
    assert not folder.exists()


def test_stopping_what_does_not_run_is_no_failure(folder: Path) -> None:
    stopped = demo(folder, "--stop")
    assert (stopped.returncode, stopped.stdout) == (0, "The demo is not running.\n")


@pytest.mark.mount
def test_a_folder_with_other_things_is_left_alone(folder: Path) -> None:
    (folder / "cache").mkdir(parents=True)
    refused = demo(folder)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"demo: {folder} is in use for something else: choose another --folder\n"
    )
    assert (folder / "cache").exists()
