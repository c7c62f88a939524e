"""The units that the packages install."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "systemd").glob("*.service"))
HIDES_MOUNTS = re.compile(
    r"Private(?!Network)\w*|Protect(System|Home|Kernel\w+|ControlGroups|Proc|Clock)|\w+Paths|"
    r"Bind\w*|TemporaryFileSystem|LogNamespace|DynamicUser|RootDirectory|RootImage|MountFlags|"
    r"MountAPIVFS|MemoryDenyWriteExecute"
)
"""They give a service a mount namespace of its own, or keep libfuse from calling back."""


def settings(path: Path) -> list[tuple[str, str]]:
    lines = [line for line in path.read_text().splitlines() if line and line[0] not in "#["]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_mounts_stay_visible_and_ready_is_meant(path: Path) -> None:
    found = settings(path)
    assert [name for name, _ in found if HIDES_MOUNTS.fullmatch(name)] == []
    wanted = {
        "Type": "notify",
        "KillMode": "mixed",
        "Restart": "on-failure",
        "RestartSec": "5",
        "RestartPreventExitStatus": "2",
        "TimeoutStopSec": "10min",
        "OOMScoreAdjust": "-500",
        "StateDirectory": "yas3fs",
        "CacheDirectory": "yas3fs",
        "RuntimeDirectory": "yas3fs",
        "DeviceAllow": "/dev/fuse rw",
        "Before": "remote-fs.target",
        "Wants": "network-online.target",
    }
    assert {name: value for name, value in found if name in wanted} == wanted


def test_one_mount_is_run_as_all_are() -> None:
    one, all_of_them = settings(UNITS[1]), settings(UNITS[0])
    differing = [(a[0], b[1]) for a, b in zip(all_of_them, one, strict=True) if a != b]
    assert differing == [
        ("Description", "S3 bucket as a file system: %i"),
        ("ExecStart", "/usr/bin/yas3fs --config /etc/yas3fs.yaml --mount %i --foreground"),
    ]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_understands_every_line(path: Path, tmp_path: Path) -> None:
    text = re.sub(r"/usr/bin/yas3fs\w*", "/bin/true", path.read_text())
    (tmp_path / path.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / path.name],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in done.stderr.splitlines() if "yas3fs" in line]
    assert complaints == []
