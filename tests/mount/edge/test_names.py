"""Attributes, the tree, extended attributes and directories through the kernel."""

import errno
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.mount.harness import MountProcess, python, run
from yas3fs.fuse.negotiation import (
    AUTO_INVAL_DATA,
    EXPLICIT_INVAL_DATA,
    READDIRPLUS,
    WRITEBACK_CACHE,
)


def test_attributes_reach_stat(mnt: MountProcess) -> None:
    answer = python(
        """
path = args[0] + "/f"
with open(path, "w") as file: file.write("x" * 1025)
os.chmod(path, 0o640); os.chown(path, 11, 22); os.chown(path, -1, 33)
os.utime(path, ns=(1234567890_000000001, -5_000000007))
s = os.stat(path)
answer = [s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_blocks, s.st_blksize, s.st_nlink,
          s.st_atime_ns, s.st_mtime_ns]
""",
        mnt.mountpoint,
    )
    assert answer == [stat.S_IFREG | 0o640, 11, 33, 1025, 3, 1 << 20, 1,
                      1234567890_000000001, -5_000000007]  # fmt: skip


def test_utimens_now_omit_and_null(mnt: MountProcess) -> None:
    program = """
import ctypes, time
path = (args[0] + "/f").encode()
open(path, "w").close()
libc = ctypes.CDLL(None, use_errno=True)
def touch(*times):
    pair = (ctypes.c_long * 4)(*times) if times else None
    assert libc.utimensat(-100, path, pair, 0) == 0
    s = os.stat(path)
    return s.st_atime_ns, s.st_mtime_ns
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
before = time.time_ns()
first = touch(5, 6, 7, 8)
omitted = touch(0, OMIT, 9, 10)
now = touch(0, NOW, 0, OMIT)
null = touch()
answer = [first, omitted, now[0] >= before and now[1], min(null) >= before]
"""
    first, omitted, now, null = python(program, mnt.mountpoint)
    assert first == [5_000000006, 7_000000008]
    assert omitted == [5_000000006, 9_000000010]
    assert now == 9_000000010
    assert null is True


def test_tree_verbs(mnt: MountProcess) -> None:
    answer = python(
        """
os.chdir(args[0])
os.mkdir("d"); os.symlink("to/nowhere", "d/link"); os.mkfifo("d/fifo")
os.mknod("d/null", 0o20666, os.makedev(1, 3))
kinds = {n: oct(os.lstat("d/" + n).st_mode >> 12) for n in sorted(os.listdir("d"))}
device = os.lstat("d/null").st_rdev
os.rename("d", "e")
try: os.rmdir("e")
except OSError as error: busy = error.errno
try: os.link("e/fifo", "hard")
except OSError as error: hard = error.errno
answer = [kinds, os.readlink("e/link"), device == os.makedev(1, 3), busy, hard, os.listdir(".")]
""",
        mnt.mountpoint,
    )
    kinds, target, device, busy, hard, names = answer
    assert kinds == {"fifo": "0o1", "link": "0o12", "null": "0o2"}
    assert (target, device) == ("to/nowhere", True)
    assert (busy, hard) == (errno.ENOTEMPTY, errno.EPERM)
    assert names == ["e"]


def test_rename_flags(mnt: MountProcess) -> None:
    answer = python(
        """
import ctypes
os.chdir(args[0])
for name in "ab":
    with open(name, "w") as file: file.write(name)
libc = ctypes.CDLL(None, use_errno=True)
def rename(flags):
    code = libc.renameat2(-100, b"a", -100, b"b", flags)
    return 0 if code == 0 else ctypes.get_errno()
noreplace, exchange = rename(1), rename(2)
answer = [noreplace, exchange, open("a").read(), open("b").read()]
""",
        mnt.mountpoint,
    )
    assert answer == [errno.EEXIST, 0, "b", "a"]


def test_names_of_any_bytes(mnt: MountProcess) -> None:
    answer = python(
        """
raw = os.fsencode(args[0]) + b"/\\xff\\xfe new\\nline \\\\ \\xc3\\xa9"
open(raw, "w").close()
answer = [os.listdir(os.fsencode(args[0])) == [os.path.basename(raw)], os.path.exists(raw)]
""",
        mnt.mountpoint,
    )
    assert answer == [True, True]


def test_extended_attributes(mnt: MountProcess) -> None:
    answer = python(
        """
import ctypes
path = args[0] + "/f"
open(path, "w").close()
def code(call, *arguments):
    try: return call(path, *arguments)
    except OSError as error: return -error.errno
os.setxattr(path, "user.a", b"value"); os.setxattr(path, "user.empty", b"")
libc = ctypes.CDLL(None, use_errno=True)
small = libc.getxattr(path.encode(), b"user.a", ctypes.create_string_buffer(2), 2)
answer = [
    os.getxattr(path, "user.a").decode(), os.getxattr(path, "user.empty").decode(),
    small, ctypes.get_errno(), sorted(os.listxattr(path)),
    code(os.setxattr, "user.a", b"", os.XATTR_CREATE),
    code(os.setxattr, "user.b", b"", os.XATTR_REPLACE),
    code(os.getxattr, "user.none"), code(os.getxattr, "trusted.x"),
    code(os.setxattr, "trusted.x", b"1"), code(os.removexattr, "user.a"), os.listxattr(path),
]
""",
        mnt.mountpoint,
    )
    assert answer == [
        *("value", "", -1, errno.ERANGE, ["user.a", "user.empty"]),
        *(-errno.EEXIST, -errno.ENODATA, -errno.ENODATA, -errno.ENOTSUP),
        *(-errno.ENOTSUP, None, ["user.empty"]),
    ]


def test_the_kernel_s_own_attributes_never_reach_the_core(mnt: MountProcess) -> None:
    python(
        """
path = args[0] + "/f"
with open(path, "wb", buffering=0) as file:
    for n in range(10): file.write(b"x")
""",
        mnt.mountpoint,
    )
    run(["ls", "-l", mnt.mountpoint])
    counts = mnt.ask("counts")
    assert counts["write"] == 10
    assert "getxattr" not in counts


def test_statfs(mnt: MountProcess) -> None:
    answer = python("answer = list(os.statvfs(args[0]))", mnt.mountpoint)
    assert answer[:8] == [4096, 4096, 1000, 600, 600, 500, 400, 400]
    assert answer[9] == 255


@pytest.mark.parametrize("name", ["file-{:06}", "typed-{:06}", "unknown-{:06}"])
def test_large_directory_is_listed_once_and_whole(mnt: MountProcess, name: str) -> None:
    """Attributes known, only the type known, nothing known."""
    mnt.ask("change", change="mkdir", path="/d")
    mnt.ask("fill", directory="/d", count=20000, name=name)
    answer = python(
        """
names = [(e.name, e.is_file()) for e in os.scandir(args[0] + "/d")]
answer = [len(names), len(set(names)), names == sorted(names), all(f for _, f in names)]
""",
        mnt.mountpoint,
    )
    assert answer == [20000, 20000, True, True]


def test_readdir_resumes_at_any_position(mnt: MountProcess) -> None:
    mnt.ask("change", change="mkdir", path="/d")
    mnt.ask("fill", directory="/d", count=3000)
    program = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = libc.readdir.restype = ctypes.c_void_p
for f in (libc.readdir, libc.telldir, libc.closedir): f.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
libc.telldir.restype = ctypes.c_long
d = libc.opendir((args[0] + "/d").encode())
def read():
    entry = libc.readdir(d)
    return entry and ctypes.string_at(entry + 19).decode()
places, names = [], []
while True:
    place, name = libc.telldir(d), read()
    if name is None: break
    places.append(place); names.append(name)
wrong = []
for n in [*range(0, 3002, 97), 0, 1, 2, 3, 3001]:
    libc.seekdir(d, places[n])
    if read() != names[n]: wrong.append(n)
answer = [len(names), names[:3], wrong]
"""
    assert python(program, mnt.mountpoint) == [3002, [".", "..", "file-000000"], []]


def test_a_listing_brings_the_attributes_along(mnt: MountProcess) -> None:
    """ls -l and find of 20,000 files ask for a handful of them, not for each."""
    mnt.ask("change", change="mkdir", path="/d")
    mnt.ask("fill", directory="/d", count=20000)
    mnt.ask("counts", reset=True)
    listing = run(["ls", "-l", mnt.mountpoint / "d"])
    assert listing.stdout.count("\n") == 20001
    assert mnt.ask("counts", reset=True)["getattr"] < 50
    assert mnt.ask("change", change="mkdir", path="/e")
    mnt.ask("fill", directory="/e", count=20000)
    assert run(["find", mnt.mountpoint / "e", "-size", "+1"]).stdout == ""
    assert mnt.ask("counts")["getattr"] < 50


def test_names_vouched_for_stay_right(mnt: MountProcess) -> None:
    """The core says when a listing is unchanged; libfuse 3.14 does not pass that on, later ones
    let the kernel keep the names."""
    mnt.ask("change", change="mkdir", path="/d")
    mnt.ask("fill", directory="/d", count=100)
    lines = []
    for name in ("none", "new"):
        for _ in range(3):
            lines.append(run(["ls", "-f", mnt.mountpoint / "d"]).stdout.count("\n"))
        mnt.ask("fill", directory="/d", count=1, name=name)
    assert lines == [102, 102, 102, 103, 103, 103]


def test_what_was_negotiated(mnt: MountProcess) -> None:
    wanted = mnt.ask("negotiated")["wanted"]
    assert wanted & EXPLICIT_INVAL_DATA
    assert wanted & READDIRPLUS
    assert not wanted & (AUTO_INVAL_DATA | WRITEBACK_CACHE)


def test_names_of_one_directory_are_looked_up_and_read_side_by_side(mnt: MountProcess) -> None:
    mnt.ask("change", change="mkdir", path="/d")
    mnt.ask("change", change="write", path="/d/other", content="x")
    folder = mnt.mountpoint / "d"
    with ThreadPoolExecutor(1) as besides:
        slow = besides.submit(python, "answer = os.path.exists(args[0])", folder / "block-getattr")
        assert mnt.ask("wait_stuck", count=1)
        assert python("answer = os.stat(args[0]).st_size", folder / "other") == 1
        assert python("answer = os.listdir(args[0])", folder) == ["other"]
        assert not slow.done()
        mnt.ask("let_go")
        assert slow.result() is False
