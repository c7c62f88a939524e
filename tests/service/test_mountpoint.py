"""A mount whose process was killed, as the kernel shows it."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from yas3fs.errors import MountError
from yas3fs.fuse.mountpoint import prepare

pytestmark = pytest.mark.mount


@pytest.fixture
def dead_mount(tmp_path: Path) -> Iterator[Path]:
    """A FUSE mount whose server has closed its end."""
    path = tmp_path / "dead"
    path.mkdir()
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"test", os.fsencode(path), b"fuse", 0, options) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    os.close(server)
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("mkdir", [False, True])
@pytest.mark.parametrize("nonempty", [False, True])
def test_a_dead_mount_is_named_as_such(dead_mount: Path, mkdir: bool, nonempty: bool) -> None:
    with pytest.raises(MountError) as refused:
        prepare(str(dead_mount), mkdir=mkdir, nonempty=nonempty)
    assert str(refused.value) == (
        f"{dead_mount} is a dead mount, the process that served it is gone: "
        f"free it with: umount {dead_mount}"
    )
