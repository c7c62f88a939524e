"""The mount point: what may be covered, and what is refused in which words."""

import os
from pathlib import Path

import pytest

from yas3fs.config.mountpoint import find_mount, prepare_mountpoint
from yas3fs.errors import ConfigError, MountError, Yas3fsError

MOUNTINFO = r"""22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:30 / /mnt/with\040blank rw shared:9 master:1 - fuse.yas3fs s3://b/a\040b rw,user_id=0
31 22 0:31 / /mnt/twice rw - autofs systemd-1 rw
32 31 0:32 / /mnt/twice rw - fuse.yas3fs s3://top rw
33 22 0:33 / /mnt/automatic rw - autofs systemd-1 rw
"""


@pytest.fixture
def mountinfo(tmp_path: Path) -> str:
    file = tmp_path / "mountinfo"
    file.write_text(MOUNTINFO)
    return str(file)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", ("ext4", "/dev/root")),
        ("/mnt/with blank", ("fuse.yas3fs", "s3://b/a b")),
        ("/mnt/twice", ("fuse.yas3fs", "s3://top")),
        ("/mnt/automatic", ("autofs", "systemd-1")),
        ("/mnt", None),
    ],
)
def test_what_is_mounted(mountinfo: str, path: str, found: tuple[str, str] | None) -> None:
    assert find_mount(path, mountinfo) == found


def test_without_mountinfo_the_directory_is_asked(tmp_path: Path) -> None:
    assert find_mount("/", str(tmp_path / "none")) == ("", "")
    assert find_mount(str(tmp_path), str(tmp_path / "none")) is None


def refusal(path: Path | str, *, mkdir: bool = False) -> Yas3fsError:
    with pytest.raises(Yas3fsError) as refused:
        prepare_mountpoint(str(path), mkdir=mkdir, nonempty=False)
    return refused.value


def test_an_empty_directory_will_do(tmp_path: Path) -> None:
    prepare_mountpoint(str(tmp_path), mkdir=False, nonempty=False)
    assert os.listdir(tmp_path) == []


def test_missing(tmp_path: Path) -> None:
    error = refusal(tmp_path / "none")
    assert isinstance(error, ConfigError)
    assert str(error) == (
        f"the mount point {tmp_path}/none does not exist: create it, or give --mkdir"
    )


def test_mkdir_makes_it_with_its_parents(tmp_path: Path) -> None:
    prepare_mountpoint(str(tmp_path / "a" / "b"), mkdir=True, nonempty=False)
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("mkdir", [False, True])
def test_not_a_directory(tmp_path: Path, mkdir: bool) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        error = refusal(path, mkdir=mkdir)
        assert isinstance(error, ConfigError)
        assert str(error) == f"the mount point {path} is not a directory"


def test_not_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = refusal(tmp_path)
    assert isinstance(error, ConfigError)
    assert str(error) == (
        f"the mount point {tmp_path} is not empty: empty it, or give --nonempty to cover it"
    )
    prepare_mountpoint(str(tmp_path), mkdir=False, nonempty=True)


def test_busy() -> None:
    error = refusal("/proc")
    assert isinstance(error, MountError)
    assert str(error) == (
        "/proc is busy, proc (proc) is mounted there already: unmount it with: umount /proc"
    )


def test_a_loop_of_links_is_one_line(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    error = refusal(loop)
    assert str(error) == (
        f"the mount point {loop} cannot be used: Too many levels of symbolic links"
    )
