"""Contents through the kernel."""

import errno

import pytest

from tests.mount.harness import MountProcess, python, run


def test_write_and_read_back_everywhere(mnt: MountProcess) -> None:
    answer = python(
        """
path = args[0] + "/f"
body = os.urandom(3 * 1024 * 1024 + 17)
with open(path, "wb") as file: file.write(body)
with open(path, "r+b") as file:
    file.seek(1000); file.write(b"middle")
    file.seek(len(body) + 5000); file.write(b"end")
want = bytearray(body); want[1000:1006] = b"middle"; want += bytes(5000) + b"end"
with open(path, "ab") as file: file.write(b"more")
want += b"more"
answer = [open(path, "rb").read() == bytes(want), os.stat(path).st_size == len(want)]
""",
        mnt.mountpoint,
    )
    assert answer == [True, True]


def test_requests_are_a_mebibyte(mnt: MountProcess) -> None:
    python(
        """
with open(args[0] + "/f", "wb", buffering=0) as file: file.write(b"x" * (8 << 20))
with open(args[0] + "/f", "rb", buffering=0) as file:
    assert len(file.read()) == 8 << 20
""",
        mnt.mountpoint,
    )
    counts = mnt.ask("counts")
    assert counts["write"] == 8
    assert counts["read"] <= 12  # the first ones are smaller, while read-ahead grows


def test_truncate_through_path_handle_and_open(mnt: MountProcess) -> None:
    answer = python(
        """
path = args[0] + "/f"
with open(path, "wb") as file: file.write(b"0123456789")
sizes = []
os.truncate(path, 4); sizes.append(os.stat(path).st_size)
with open(path, "r+b") as file:
    os.ftruncate(file.fileno(), 9); sizes.append(os.fstat(file.fileno()).st_size)
    os.posix_fallocate(file.fileno(), 0, 20); sizes.append(os.fstat(file.fileno()).st_size)
body = open(path, "rb").read().decode()
os.close(os.open(path, os.O_WRONLY | os.O_TRUNC)); sizes.append(os.stat(path).st_size)
answer = [sizes, body]
""",
        mnt.mountpoint,
    )
    assert answer == [[4, 9, 20, 0], "0123" + "\0" * 16]
    assert mnt.ask("counts")["write"] == 1


def test_space_cannot_be_reserved(mnt: MountProcess) -> None:
    answer = python(
        """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
fd = os.open(args[0] + "/f", os.O_RDWR | os.O_CREAT)
keep_size = 1
answer = [libc.fallocate(fd, keep_size, ctypes.c_long(0), ctypes.c_long(5)), ctypes.get_errno()]
""",
        mnt.mountpoint,
    )
    assert answer == [-1, errno.EOPNOTSUPP]


def test_unlinked_while_open(mnt: MountProcess) -> None:
    answer = python(
        """
path = args[0] + "/f"
file = open(path, "w+"); file.write("still here"); file.flush()
os.unlink(path)
names = os.listdir(args[0])
file.seek(0)
links = os.fstat(file.fileno()).st_nlink
answer = [names, os.path.exists(path), file.read(), links]
file.close()
""",
        mnt.mountpoint,
    )
    assert answer == [[], False, "still here", 0]
    run(["ls", mnt.mountpoint])
    assert mnt.ask("names") == ["/"]


def test_memory_maps(mnt: MountProcess) -> None:
    answer = python(
        """
import mmap
path = args[0] + "/f"
with open(path, "wb") as file: file.write(bytes(10000))
with open(path, "r+b") as file:
    shared = mmap.mmap(file.fileno(), 10000)
    shared[5000:5005] = b"hello"; shared.flush(); shared.close()
with open(path, "rb") as file:
    private = mmap.mmap(file.fileno(), 10000, access=mmap.ACCESS_COPY)
    private[0:1] = b"x"
    answer = [private[5000:5005].decode(), open(path, "rb").read()[:1] == bytes(1)]
""",
        mnt.mountpoint,
    )
    assert answer == ["hello", True]


def test_direct_io_goes_to_the_core_each_time(mnt: MountProcess) -> None:
    answer = python(
        """
import mmap
path = args[0] + "/f"
buffer = mmap.mmap(-1, 8192); buffer.write(b"d" * 8192)
fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
wrote = os.write(fd, buffer)
for n in range(3): got = os.preadv(fd, [buffer], 4096)
answer = [wrote, got, buffer[0:1].decode()]
""",
        mnt.mountpoint,
    )
    assert answer == [8192, 4096, "d"]
    assert mnt.ask("counts")["read"] == 3


def test_kept_pages_need_no_second_read(mnt: MountProcess) -> None:
    mnt.ask("set", keep_cache=True)
    mnt.ask("change", change="write", path="/f", content="body")
    program = "answer = open(args[0] + '/f').read()"
    assert [python(program, mnt.mountpoint) for _ in range(3)] == ["body"] * 3
    assert mnt.ask("counts")["read"] == 1


def test_own_writes_keep_the_pages(mnt: MountProcess) -> None:
    """The modification time moves with each write; the pages stay (EXPLICIT_INVAL_DATA)."""
    mnt.ask("set", keep_cache=True)
    python(
        """
path = args[0] + "/f"
with open(path, "wb", buffering=0) as file: file.write(b"x" * (1 << 20))
os.stat(path)
with open(path, "rb", buffering=0) as file: assert len(file.read()) == 1 << 20
""",
        mnt.mountpoint,
    )
    assert "read" not in mnt.ask("counts")


def test_read_only_files_are_closed_without_a_flush(mnt: MountProcess) -> None:
    python(
        """
open(args[0] + "/f", "w").close()
for n in range(5): open(args[0] + "/f").close()
""",
        mnt.mountpoint,
    )
    assert mnt.ask("counts")["flush"] == 1


def test_fsync_reaches_the_core(mnt: MountProcess) -> None:
    python(
        """
fd = os.open(args[0] + "/f", os.O_WRONLY | os.O_CREAT); os.write(fd, b"x"); os.fsync(fd)
os.fsync(os.open(args[0], os.O_RDONLY))
""",
        mnt.mountpoint,
    )
    assert mnt.ask("counts")["fsync"] == 1


def test_locks_are_kept_by_the_kernel(mnt: MountProcess) -> None:
    answer = python(
        """
import fcntl
one, two = open(args[0] + "/f", "w"), open(args[0] + "/f", "w")
fcntl.flock(one, fcntl.LOCK_EX)
try: fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError as error: answer = error.errno
fcntl.lockf(one, fcntl.LOCK_EX)
""",
        mnt.mountpoint,
    )
    assert answer == errno.EAGAIN


def test_holes_are_data_and_ranges_are_copied(mnt: MountProcess) -> None:
    """lseek and copy_file_range are the kernel's own fallbacks."""
    answer = python(
        """
os.chdir(args[0])
with open("a", "wb") as file: file.truncate(10000)
a, b = os.open("a", os.O_RDONLY), os.open("b", os.O_RDWR | os.O_CREAT)
answer = [os.lseek(a, 5, os.SEEK_DATA), os.lseek(a, 5, os.SEEK_HOLE),
          os.copy_file_range(a, b, 10000, 0), os.fstat(b).st_size]
""",
        mnt.mountpoint,
    )
    assert answer == [5, 10000, 10000, 10000]


FAILURES = {
    "NoEntry": errno.ENOENT,
    "AccessDenied": errno.EACCES,
    "QuotaExceeded": errno.EDQUOT,
    "Throttled": errno.EIO,
    "StaleHandle": errno.ESTALE,
    "NameTooLong": errno.ENAMETOOLONG,
    "Unsupported": errno.ENOTSUP,
    "ValueError": errno.EIO,
    "SystemExit": errno.EIO,
}


def test_failures_become_errno(mnt: MountProcess) -> None:
    program = """
answer = {}
for name in args[1]:
    try: os.stat(f"{args[0]}/raise-{name}")
    except OSError as error: answer[name] = error.errno
"""
    assert python(program, mnt.mountpoint, list(FAILURES)) == FAILURES


def test_a_stray_exception_is_logged_once_with_a_traceback(mnt: MountProcess) -> None:
    for _ in range(3):
        run(["stat", mnt.mountpoint / "raise-ZeroDivisionError"])
    log = mnt.log.read_text()
    assert log.count("ZeroDivisionError: as told") == 1
    assert "in misbehave" in log


BLOCKED = {
    "getattr": "os.stat(path)",
    "open": "os.open(path, os.O_RDONLY)",
    "read": "os.read(os.open(path, os.O_RDONLY | os.O_DIRECT), 4096)",
    "flush": "os.close(os.open(path, os.O_WRONLY))",
}


@pytest.mark.parametrize("verb", sorted(BLOCKED))
@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGKILL"])
def test_a_signal_ends_a_blocked_call(mnt: MountProcess, verb: str, signal_name: str) -> None:
    """Within a second, although nobody answers."""
    mnt.ask("change", change="write", path=f"/block-{verb}", content="x")
    program = f"""
import signal, subprocess, sys, time
code = "import os, sys; path = sys.argv[1]; {BLOCKED[verb]}"
child = subprocess.Popen([sys.executable, "-c", code, args[0]], stderr=subprocess.DEVNULL)
print("started", flush=True)
sys.stdin.readline()
begun = time.monotonic()
child.send_signal(signal.{signal_name})
answer = [child.wait(), time.monotonic() - begun]
"""
    import json
    import subprocess
    import sys

    words = json.dumps([str(mnt.mountpoint / f"block-{verb}")])
    source = (
        f"import json, os, sys\nargs = json.loads({words!r})\n{program}\nprint(json.dumps(answer))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert mnt.ask("wait_stuck", count=1)
        out, _ = parent.communicate("go\n", timeout=20)
        status, seconds = json.loads(out.splitlines()[-1])
        assert status != 0
        assert seconds < 1.0
        assert mnt.ask("wait_stuck", count=0)
    finally:
        mnt.ask("let_go")
        parent.kill()
        parent.wait(10)
