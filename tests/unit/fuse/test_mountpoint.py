"""The mount point: what may be covered, and what is refused in which words."""

import os
from pathlib import Path

import pytest

from yas3fs.errors import ConfigError, MountError, Yas3fsError
from yas3fs.fuse.mountpoint import prepare


def refusal(path: Path | str, *, mkdir: bool = False) -> Yas3fsError:
    with pytest.raises(Yas3fsError) as refused:
        prepare(str(path), mkdir=mkdir, nonempty=False)
    return refused.value


def test_an_empty_directory_will_do(tmp_path: Path) -> None:
    prepare(str(tmp_path), mkdir=False, nonempty=False)
    assert os.listdir(tmp_path) == []


def test_missing(tmp_path: Path) -> None:
    error = refusal(tmp_path / "none")
    assert isinstance(error, ConfigError)
    assert str(error) == (
        f"the mount point {tmp_path}/none does not exist: create it, or set mkdir (--mkdir)"
    )


def test_mkdir_makes_it_with_its_parents(tmp_path: Path) -> None:
    prepare(str(tmp_path / "a" / "b"), mkdir=True, nonempty=False)
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
        f"the mount point {tmp_path} is not empty: "
        "empty it, or set nonempty (--nonempty) to cover it"
    )
    prepare(str(tmp_path), mkdir=False, nonempty=True)


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
