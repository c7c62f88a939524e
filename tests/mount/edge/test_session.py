"""Making and ending mounts: what goes wrong is said in one line, and nothing stays behind."""

import ctypes.util
import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.mount.edge.conftest import Mount
from tests.mount.harness import MountProcess, is_mounted, python, run

MOUNT = """
import sys, threading
from tests.mount.edge.memory_filesystem import MemoryFilesystem
from yas3fs.errors import Yas3fsError
from yas3fs.fuse import Session, SessionOptions, mounts
"""


def attempt(mountpoint: Path, code: str = "", prefix: Sequence[str] = (), **options: Any) -> str:
    """What mounting at ``mountpoint`` says: the MountError's message, or "mounted"."""
    program = f"""{MOUNT}
{code}
session = Session(MemoryFilesystem(), args[0], SessionOptions(**args[1]))
try:
    session.mount()
    answer = "mounted"
    session.unmount()
    session.serve()
except Yas3fsError as error:
    answer = str(error)
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    answer = python(program, str(mountpoint), options, env=environment, prefix=prefix)
    return str(answer)


def test_missing(tmp_path: Path) -> None:
    assert "does not exist" in attempt(tmp_path / "none")


def test_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not a directory" in attempt(tmp_path / "file")


def test_not_empty(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not empty" in attempt(tmp_path)
    assert attempt(tmp_path, nonempty=True) == "mounted"


def test_unknown_option(tmp_path: Path) -> None:
    message = attempt(tmp_path, extra=["no_such_thing=1"])
    assert "no_such_thing" in message
    assert "\n" not in message


def test_failing_init_fails_the_mount(tmp_path: Path) -> None:
    code = """
import yas3fs.fuse.session as module
def fail(*arguments): raise RuntimeError("as told")
module.negotiate = fail
"""
    assert "as told" in attempt(tmp_path, code)
    assert not is_mounted(tmp_path)


def test_libfuse_missing(tmp_path: Path) -> None:
    code = """
import ctypes.util
import yas3fs.fuse.binding as binding
binding.SONAMES = ("libno-such.so.1",)
ctypes.util.find_library = lambda name: None
"""
    assert "install the package fuse3" in attempt(tmp_path, code)


def test_no_device(tmp_path: Path) -> None:
    code = "import yas3fs.fuse.mountpoint as place; place.DEVICE = '/dev/no-such-device'"
    assert "/dev/no-such-device is missing" in attempt(tmp_path, code)


def test_no_permission(tmp_path: Path) -> None:
    """As in a container without CAP_SYS_ADMIN."""
    prefix = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    message = attempt(tmp_path, prefix=prefix)
    assert "Operation not permitted" in message
    assert "\n" not in message


def test_mounted_already(mount: Mount) -> None:
    child = mount(fsname="s3://bucket/path, with a comma")
    message = attempt(child.mountpoint)
    assert "s3://bucket/path, with a comma (fuse.yas3fs) is mounted there already" in message


def test_a_dead_mount_is_named(mount: Mount, tmp_path: Path) -> None:
    child = mount(attribute_timeout=3600)
    run(["ls", child.mountpoint])
    child.process.kill()
    assert child.wait_exit() is not None
    assert is_mounted(child.mountpoint)
    assert "is a dead mount" in attempt(child.mountpoint)
    assert "\n" not in attempt(child.mountpoint)


def test_a_live_mount_is_not_dead(mnt: MountProcess) -> None:
    code = f"{MOUNT}\nanswer = [mounts.is_mounted(args[0]), mounts.is_dead(args[0])]"
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    assert python(code, mnt.mountpoint, env=environment) == [True, False]


def test_unmount_from_outside_ends_the_session(mnt: MountProcess) -> None:
    assert mnt.unmount()
    assert mnt.wait_exit() == 0
    assert not is_mounted(mnt.mountpoint)


def test_unmount_from_inside(mnt: MountProcess) -> None:
    run(["ls", mnt.mountpoint])
    mnt.ask("unmount")
    assert mnt.wait_exit() == 0


def test_unmount_of_a_busy_mount_is_refused(mnt: MountProcess) -> None:
    code = "print('here', flush=True); sys.stdin.readline(); answer = os.listdir('.')"
    words = [sys.executable, "-c", f"import os, sys; {code}"]
    user = subprocess.Popen(
        ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(mnt.mountpoint), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert user.stdout is not None
        assert user.stdout.readline() == b"here\n"
        with pytest.raises(AssertionError, match="busy"):
            mnt.ask("unmount")
        mnt.ask("unmount", lazy=True)
        assert not is_mounted(mnt.mountpoint)
        assert mnt.process.poll() is None
    finally:
        user.kill()
        user.communicate(timeout=10)
    assert mnt.wait_exit() == 0


def test_read_only(mount: Mount) -> None:
    child = mount(read_only=True)
    done = run(["touch", child.mountpoint / "f"])
    assert "Read-only file system" in done.stderr


def test_two_sessions_in_one_process(tmp_path: Path) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    for place in places:
        place.mkdir()
    program = f"""{MOUNT}
import subprocess
sessions = []
for place in args:
    session = Session(MemoryFilesystem(), place, SessionOptions(fsname=place))
    session.mount()
    threading.Thread(target=session.serve, daemon=True).start()
    assert session.wait_visible()
    sessions.append(session)
def ls(place):
    done = subprocess.run(["ls", place], capture_output=True, text=True, timeout=10)
    return done.stdout.split()
for n, place in enumerate(args):
    subprocess.run(["touch", f"{{place}}/{{n}}"], check=True, timeout=10)
before = [ls(place) for place in args]
sessions[0].unmount()
gone = sessions[0].wait_ended(10)
after = ls(args[1])
sessions[1].unmount()
answer = [before, gone, after, sessions[1].wait_ended(10)]
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    answer = python(program, *map(str, places), env=environment)
    assert answer == [[["0"], ["1"]], True, ["1"], True]


def test_remounting_in_one_process(tmp_path: Path) -> None:
    program = f"""{MOUNT}
import subprocess
answer = 0
for n in range(5):
    session = Session(MemoryFilesystem(), args[0], SessionOptions())
    session.mount()
    threading.Thread(target=session.serve, daemon=True).start()
    assert session.wait_visible()
    subprocess.run(["touch", args[0] + "/f"], check=True, timeout=10)
    session.unmount()
    answer += session.wait_ended(10)
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    assert python(program, str(tmp_path), env=environment) == 5


def test_an_ordinary_user_mounts() -> None:
    """Through fusermount3, and for himself only.

    In a mount namespace of its own, where everybody may open /dev/fuse (as on most systems).
    """
    nobody = pwd.getpwnam("nobody").pw_uid
    program = f"""{MOUNT}
import subprocess
from yas3fs.fuse import binding
binding.load()
folder = args[1]
place = folder + "/mnt"
os.mkdir(place); os.chown(place, args[0], args[0])
os.mknod(folder + "/fuse", 0o20666, os.stat("/dev/fuse").st_rdev); os.chmod(folder + "/fuse", 0o666)
subprocess.run(["mount", "--bind", folder + "/fuse", "/dev/fuse"], check=True)
root = subprocess.Popen(["sh", "-c", "read go; ls " + place], text=True,
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
os.setgroups([]); os.setgid(args[0]); os.setuid(args[0])
session = Session(MemoryFilesystem(), place, SessionOptions())
session.mount()
threading.Thread(target=session.serve, daemon=True).start()
visible = session.wait_visible()
shell = ["sh", "-c", f"echo hi > {{place}}/f && cat {{place}}/f"]
own = subprocess.run(shell, capture_output=True, text=True, timeout=10).stdout
others = root.communicate("go\\n", timeout=10)[1]
session.unmount()
answer = [visible, own, "Permission denied" in others, session.wait_ended(10),
          mounts.is_mounted(place)]
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    prefix = ["unshare", "--mount"]
    with tempfile.TemporaryDirectory(prefix="yas3fs-user-") as folder:
        os.chmod(folder, 0o755)  # pytest's own folders are closed to others
        answer = python(program, nobody, folder, env=environment, prefix=prefix)
    assert answer == [True, "hi\n", True, True, False]


def test_the_table_shows_what_it_is(mount: Mount) -> None:
    child = mount(fsname="s3://bucket/a b")
    done = run(["findmnt", "-n", "--json", "-o", "FSTYPE,SOURCE,OPTIONS", child.mountpoint])
    (line,) = json.loads(done.stdout)["filesystems"]
    assert line["fstype"] == "fuse.yas3fs"
    assert line["source"] == "s3://bucket/a b"
    assert {"default_permissions", "allow_other", "max_read=1048576"} <= set(
        line["options"].split(",")
    )


@pytest.mark.skipif(ctypes.util.find_library("fuse") is None, reason="no libfuse 2 here")
def test_the_way_of_macos(tmp_path: Path) -> None:
    """Through mfusepy's own dispatch and libfuse 2, as with macFUSE."""
    program = f"""{MOUNT}
import os, subprocess
os.environ["FUSE_LIBRARY_PATH"] = args[1]
mounts.LINUX = False
session = Session(MemoryFilesystem(), args[0], SessionOptions())
session.mount()
threading.Thread(target=session.serve, daemon=True).start()
visible = session.wait_visible()
script = "cd $0; mkdir d; echo hi > d/f; mv d/f d/g; ln -s g d/l; cat d/l; ls d; rm d/l; rmdir d"
done = subprocess.run(["sh", "-c", script, args[0]], capture_output=True, text=True, timeout=10)
mounts.LINUX = True
mounts.unmount(args[0])
answer = [visible, done.stdout, done.stderr.rpartition(":")[2], session.wait_ended(10)]
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    library = ctypes.util.find_library("fuse")
    answer = python(program, str(tmp_path), library, env=environment)
    assert answer == [True, "hi\ng\nl\n", " Directory not empty\n", True]
