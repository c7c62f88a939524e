"""The mount table, without mounting anything."""

from pathlib import Path

import pytest

from yas3fs.fuse import mounts
from yas3fs.fuse.mounts import MountPoint, parse_mountinfo

TABLE = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 22 0:41 / /srv/a\040b\134c\011d rw,nosuid shared:5 master:2 - fuse.yas3fs s3://bucket/x\040y rw
41 22 0:42 / /srv/a\040b\134c\011d rw,nosuid - autofs systemd-1 rw
nonsense
42 22 0:43 / /mnt rw
"""


def test_parse() -> None:
    assert parse_mountinfo(TABLE) == [
        MountPoint("254:1", "/", "ext4", "/dev/vda1", "rw,relatime"),
        MountPoint("0:41", "/srv/a b\\c\td", "fuse.yas3fs", "s3://bucket/x y", "rw,nosuid"),
        MountPoint("0:42", "/srv/a b\\c\td", "autofs", "systemd-1", "rw,nosuid"),
    ]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mountinfo"
    monkeypatch.setattr(mounts, "MOUNTINFO", str(path))
    return path


def test_the_topmost_mount_counts(table: Path) -> None:
    table.write_text(TABLE)
    found = mounts.mount_at("/srv/a b\\c\td/")
    assert found is not None
    assert found.device == "0:42"
    assert not mounts.is_mounted("/srv/a b\\c\td")


def test_mount_points_behind_symlinks(table: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    table.write_text(f"40 22 0:41 / {real} rw - fuse.yas3fs s3://b rw\n")
    assert mounts.is_mounted(str(tmp_path / "link"))
    assert mounts.is_mounted(f"{tmp_path}/link/../real")
    assert not mounts.is_mounted(str(tmp_path))


def test_no_table_no_mounts(table: Path) -> None:
    assert mounts.mounts() == []
    assert not mounts.is_mounted("/srv")


def test_a_plain_directory_is_not_dead(tmp_path: Path) -> None:
    assert not mounts.is_dead(str(tmp_path))
    assert not mounts.is_dead(str(tmp_path / "missing"))


def test_read_ahead_of_no_device_is_no_failure() -> None:
    assert mounts.set_read_ahead("no:such", 4096) is False
