"""Times: what POSIX says each verb does to mtime and ctime; and statfs."""

from pathlib import Path

import pytest

from tests.mount.program import python, shell

WATCH = """
import time
def times(path):
    s = os.lstat(path)
    return s.st_mtime_ns, s.st_ctime_ns
def moved(path, verb):
    "Which of mtime and ctime of path moved over the verb, both having been long ago before."
    before = times(path)
    start = time.time_ns()
    while time.time_ns() - max(before + (start,)) < 2_000_000: pass
    verb()
    after = times(path)
    assert after[0] >= before[0] or after[0] < 10**18, (before, after)
    return [after[0] != before[0], after[1] != before[1]]
d = args[0]
f = d + '/f'
open(f, 'w').write('hello')
os.mkdir(d + '/sub')
"""

BOTH, CTIME, NONE = [True, True], [False, True], [False, False]

VERBS: dict[str, tuple[str, str, list[bool]]] = {
    "read": ("f", "open(f).read()", NONE),
    "write": ("f", "fd = os.open(f, os.O_WRONLY); os.write(fd, b'x'); os.close(fd)", BOTH),
    "write nothing": ("f", "fd = os.open(f, os.O_WRONLY); os.write(fd, b''); os.close(fd)", NONE),
    "append": ("f", "open(f, 'a').write('x')", BOTH),
    "open with O_TRUNC": ("f", "os.close(os.open(f, os.O_WRONLY | os.O_TRUNC))", BOTH),
    "truncate shorter": ("f", "os.truncate(f, 2)", BOTH),
    "truncate longer": ("f", "os.truncate(f, 99)", BOTH),
    "ftruncate": ("f", "fd = os.open(f, os.O_WRONLY); os.ftruncate(fd, 1); os.close(fd)", BOTH),
    "chmod": ("f", "os.chmod(f, 0o600)", CTIME),
    "chown": ("f", "os.chown(f, 1, 1)", CTIME),
    "setxattr": ("f", "os.setxattr(f, 'user.a', b'b')", CTIME),
    "utimens": ("f", "os.utime(f, ns=(5, 5))", BOTH),
    "rename": ("f", "os.rename(f, d + '/g'); os.rename(d + '/g', f)", CTIME),
    "stat": ("f", "os.stat(f); os.access(f, os.R_OK)", NONE),
    "create in a directory": ("d", "open(d + '/new', 'w').close()", BOTH),
    "mkdir in a directory": ("d", "os.mkdir(d + '/new')", BOTH),
    "rmdir in a directory": ("d", "os.rmdir(d + '/sub')", BOTH),
    "unlink in a directory": ("d", "os.unlink(f)", BOTH),
    "symlink in a directory": ("d", "os.symlink('f', d + '/l')", BOTH),
    "mkfifo in a directory": ("d", "os.mkfifo(d + '/p')", BOTH),
    "rename out of a directory": ("d", "os.rename(f, d + '/sub/f')", BOTH),
    "rename into a directory": ("d + '/sub'", "os.rename(f, d + '/sub/f')", BOTH),
    "writing a file in a directory": ("d", "open(f, 'a').write('x')", NONE),
    "chmod of a file in a directory": ("d", "os.chmod(f, 0o600)", NONE),
    "listing a directory": ("d", "os.listdir(d)", NONE),
    "failing unlink": ("d", "\n try: os.unlink(d + '/none')\n except OSError: pass", NONE),
}


@pytest.mark.parametrize("name", VERBS)
def test_what_a_verb_does_to_mtime_and_ctime(folder: Path, name: str) -> None:
    path, verb, expected = VERBS[name]
    code = f"{WATCH}\ndef verb():\n {verb}\nanswer = moved({path}, verb)"
    assert python(code, folder) == expected


def test_utime_now_and_omit(folder: Path) -> None:
    """utimensat(2) with its two special values, which Python does not hand out."""
    code = """
import ctypes, time
libc = ctypes.CDLL(None, use_errno=True)
class Timespec(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("nsec", ctypes.c_long)]
NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
path = args[0] + "/f"
open(path, "w").close()
def set(atime, mtime):
    pair = (Timespec * 2)(Timespec(*atime), Timespec(*mtime))
    assert libc.utimensat(-100, path.encode(), pair, 0) == 0, ctypes.get_errno()
    s = os.stat(path)
    return s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns
answer = []
first = set((1, 2), (3, 4))
answer.append(first[:2])
answer.append(set((0, OMIT), (5, 6))[:2])
answer.append(set((7, 8), (0, OMIT))[:2])
begun = time.time()
got = set((0, NOW), (0, OMIT))
answer.append([abs(got[0] / 1e9 - begun) < 60, got[1]])
before = got
got = set((0, OMIT), (0, OMIT))
answer.append(got[:2] == before[:2])
got = set((0, NOW), (0, NOW))
answer.append([abs(t / 1e9 - begun) < 60 for t in got])
"""
    answer = python(code, folder)
    assert answer == [
        [1_000_000_002, 3_000_000_004],
        [1_000_000_002, 5_000_000_006],
        [7_000_000_008, 5_000_000_006],
        [True, 5_000_000_006],
        True,
        [True, True, True],
    ]


def test_times_before_1970_and_of_a_symlink(folder: Path) -> None:
    code = """
path = args[0] + "/f"
open(path, "w").close()
os.symlink("f", args[0] + "/l")
os.utime(path, ns=(-1_500_000_001, -2_000_000_003))
os.utime(args[0] + "/l", ns=(11, 12), follow_symlinks=False)
s, l = os.stat(path), os.lstat(args[0] + "/l")
answer = [s.st_atime_ns, s.st_mtime_ns, l.st_atime_ns, l.st_mtime_ns]
"""
    assert python(code, folder) == [-1_500_000_001, -2_000_000_003, 11, 12]


def test_times_are_kept_while_a_file_is_being_written(folder: Path) -> None:
    """As cp -p does it: write, set the times through the open file, close."""
    code = """
with open(args[0] + "/f", "wb") as file:
    file.write(b"x" * 1000)
    file.flush()
    os.utime(file.fileno(), ns=(1, 2))
    os.fchmod(file.fileno(), 0o640)
s = os.stat(args[0] + "/f")
answer = [s.st_atime_ns, s.st_mtime_ns, s.st_mode & 0o7777, s.st_size]
"""
    assert python(code, folder) == [1, 2, 0o640, 1000]


def test_statfs_says_there_is_room(folder: Path) -> None:
    code = """
s = os.statvfs(args[0])
answer = [s.f_namemax,
          s.f_bavail * s.f_frsize > 1 << 45, s.f_ffree > 1 << 20, s.f_bfree <= s.f_blocks]
"""
    assert python(code, folder) == [255, True, True, True]
    assert "fuse.yas3fs" in shell('df -T "$1"', folder)


def test_hard_links_are_refused(folder: Path) -> None:
    code = """
import errno
open(args[0] + "/f", "w").close()
try:
    os.link(args[0] + "/f", args[0] + "/g")
except OSError as error:
    answer = [errno.errorcode[error.errno], os.listdir(args[0])]
"""
    assert python(code, folder) == ["EPERM", ["f"]]
