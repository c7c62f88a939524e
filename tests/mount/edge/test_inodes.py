"""Inode numbers, and files whose name is gone or another file's."""

import errno
import os
import time

import pytest

from tests.mount.edge.conftest import Mount
from tests.mount.harness import MountProcess, python, run


@pytest.fixture
def forgetful(mount: Mount) -> MountProcess:
    """A mount of which the kernel believes nothing for longer than a moment."""
    return mount(entry_timeout=0, attribute_timeout=0, negative_timeout=0)


def test_numbers_stay_what_they_are(forgetful: MountProcess) -> None:
    answer = python(
        """
import shutil
os.chdir(args[0])
os.makedirs("d/e"); open("d/e/f", "w").close()
numbers = [os.stat("d/e/f").st_ino for _ in range(3)]
listed = [entry.inode() for entry in os.scandir("d/e")]
os.rename("d", "x")
numbers.append(os.stat("x/e/f").st_ino)
os.rename("x/e/f", "g")
numbers.append(os.stat("g").st_ino)
shutil.rmtree("x")
answer = [len(set(numbers)), listed == numbers[:1], os.listdir(".")]
""",
        forgetful.mountpoint,
    )
    assert answer == [1, True, ["g"]]


def test_a_name_given_anew_is_another_inode(forgetful: MountProcess) -> None:
    answer = python(
        """
path = args[0] + "/f"
numbers = []
for n in range(3):
    open(path, "w").close()
    numbers.append(os.stat(path).st_ino)
    os.unlink(path)
answer = len(set(numbers))
""",
        forgetful.mountpoint,
    )
    assert answer == 3


@pytest.mark.parametrize("how", ["os.unlink(path)", "os.rename(other, path)"])
def test_an_open_file_without_a_name_is_whole(forgetful: MountProcess, how: str) -> None:
    answer = python(
        f"""
path, other = args[0] + "/f", args[0] + "/other"
open(other, "w").write("another")
fd = os.open(path, os.O_RDWR | os.O_CREAT)
os.write(fd, b"content")
number = os.fstat(fd).st_ino
{how}
os.fchmod(fd, 0o600); os.setxattr(fd, "user.x", b"1"); os.ftruncate(fd, 4)
os.utime(fd, ns=(5, 6)); os.fchown(fd, 7, 8)
s = os.fstat(fd)
answer = [s.st_ino == number, s.st_nlink, s.st_size, oct(s.st_mode), s.st_mtime_ns, s.st_uid,
          os.listxattr(fd), os.pread(fd, 9, 0).decode()]
again = os.open(f"/proc/self/fd/{{fd}}", os.O_RDWR)
os.pwrite(again, b"C", 0)
answer += [os.pread(fd, 9, 0).decode(), os.fstat(again).st_ino == number]
os.close(fd)
answer.append([os.pread(again, 9, 0).decode(), os.fstat(again).st_size])
""",
        forgetful.mountpoint,
    )
    assert answer == [
        *(True, 0, 4, "0o100600", 6, 7, ["user.x"], "cont"),
        *("Cont", True, ["Cont", 4]),
    ]


def test_a_removed_directory_has_attributes_while_it_is_open(forgetful: MountProcess) -> None:
    answer = python(
        """
os.mkdir(args[0] + "/d")
fd = os.open(args[0] + "/d", os.O_RDONLY)
os.rmdir(args[0] + "/d")
answer = [os.fstat(fd).st_nlink, os.listdir(fd)]
try: os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
except OSError as error: answer.append(error.errno)
""",
        forgetful.mountpoint,
    )
    assert answer == [0, [], errno.ENOENT]


FOUND = """
path = args[0] + "/f"
open(path, "w").write("old")
found = os.open(path, os.O_PATH)
link = f"/proc/self/fd/{found}"
"""
"""The kernel has found the name, and has not opened the file yet."""


def test_who_found_a_name_that_is_replaced_then_opens_what_has_it_now(mnt: MountProcess) -> None:
    answer = python(
        f"""{FOUND}
assert open(path).read() == "old"  # the kernel keeps pages of it
open(args[0] + "/new", "w").write("newer content")
os.rename(args[0] + "/new", path)
answer = []
for n in range(2):
    file = open(link)
    answer += [file.read(), os.fstat(file.fileno()).st_size]
with open(link, "w") as file: file.write("written")
answer.append(open(path).read())
""",
        mnt.mountpoint,
    )
    assert answer == ["newer content", 13, "newer content", 13, "written"]


def test_who_found_a_name_that_is_unlinked_then_is_told_so(mnt: MountProcess) -> None:
    answer = python(
        f"""{FOUND}
os.unlink(path)
answer = []
for n in range(2):
    try: open(link)
    except OSError as error: answer.append(error.errno)
open(path, "w").write("made anew")
answer.append(open(link).read())
""",
        mnt.mountpoint,
    )
    assert answer == [errno.ENOENT, errno.ENOENT, "made anew"]


def test_opening_beside_programs_that_replace_never_fails(mnt: MountProcess) -> None:
    program = """
import subprocess, sys
replacer = '''
import os, sys
path, who = sys.argv[1], sys.argv[2]
for n in range(1500):
    with open(path + who, "w") as file: file.write(str(n) * 3)
    os.rename(path + who, path)
'''
path = args[0] + "/f"
open(path, "w").write("000")
others = [subprocess.Popen([sys.executable, "-c", replacer, path, who]) for who in "ab"]
opened, wrong = 0, []
while any(other.poll() is None for other in others):
    try:
        with open(path) as file: body = file.read()
    except OSError as error:
        wrong.append(error.errno)
        continue
    opened += 1
    if body[:len(body) // 3] * 3 != body or not body: wrong.append(body)
answer = [opened > 100, wrong]
"""
    assert python(program, mnt.mountpoint, timeout=100) == [True, []]


def test_creating_beside_a_program_that_unlinks_never_fails(mnt: MountProcess) -> None:
    program = """
import subprocess, sys
unlinker = '''
import os, sys
removed = 0
while removed < 200:
    try: os.unlink(sys.argv[1])
    except FileNotFoundError: continue
    removed += 1
'''
path = args[0] + "/f"
other = subprocess.Popen([sys.executable, "-c", unlinker, path])
answer = []
while other.poll() is None:
    try: os.close(os.open(path, os.O_RDWR | os.O_CREAT))
    except OSError as error: answer.append(error.errno)
"""
    assert python(program, mnt.mountpoint, timeout=100) == []


def test_a_directory_is_renamed_below_programs_that_write(mnt: MountProcess) -> None:
    """Open files go with it, and no name reaches another's file."""
    program = """
import threading
root = args[0]
os.makedirs(root + "/a/sub")
handles = {n: open(f"{root}/a/sub/{n}", "w+b", buffering=0) for n in range(4)}
end, wrong = threading.Event(), []
def write(n):
    for m in range(150):
        handles[n].seek(0); handles[n].write(bytes([n]) * 5000)
        handles[n].seek(0)
        if handles[n].read() != bytes([n]) * 5000: wrong.append(n)
        if os.fstat(handles[n].fileno()).st_size != 5000: wrong.append("size")
def look():
    while not end.is_set():
        for top in "ab":
            for n in handles:
                try: body = open(f"{root}/{top}/sub/{n}", "rb").read()
                except FileNotFoundError: continue
                if set(body) - {n}: wrong.append((top, n))
writers = [threading.Thread(target=write, args=[n]) for n in handles]
looker = threading.Thread(target=look)
for thread in (*writers, looker): thread.start()
for n in range(100):
    os.rename(root + "/a", root + "/b")
    os.rename(root + "/b", root + "/a")
for thread in writers: thread.join()
end.set(); looker.join()
answer = [wrong, sorted(os.listdir(root + "/a/sub")), os.listdir(root)]
"""
    answer = python(program, mnt.mountpoint, timeout=100)
    assert answer == [[], ["0", "1", "2", "3"], ["a"]]


SHRINK = """
import ctypes
remount = 32
if ctypes.CDLL(None, use_errno=True).mount(None, args[0].encode(), None, remount, None):
    raise OSError(ctypes.get_errno(), "remounting")
"""
"""The kernel drops what it keeps of a file system that is mounted anew, and of no other."""


def wait_for_inodes(mnt: MountProcess, count: int) -> int:
    """What is known when it is ``count``, or after ten seconds."""
    python(SHRINK, mnt.mountpoint)
    deadline = time.monotonic() + 10
    while (known := int(mnt.ask("inodes"))) != count and time.monotonic() < deadline:
        pass
    return known


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount anew")
def test_every_lookup_is_taken_back(mnt: MountProcess) -> None:
    """What is granted and what the kernel counts is the same, by whatever verb it was granted."""
    mnt.ask("change", change="mkdir", path="/large")
    mnt.ask("fill", directory="/large", count=8000)  # more than fits into one reply
    run(["ls", "-l", mnt.mountpoint / "large"])
    assert mnt.ask("inodes") > 8000
    python(
        """
os.chdir(args[0])
for n in range(5): os.stat("large/file-000001"); os.listdir("large")
os.mkdir("d"); os.symlink("x", "d/link"); os.mkfifo("d/fifo"); open("d/f", "w").close()
os.rename("d", "e"); os.rename("e/f", "e/link"); os.unlink("e/link")
open("g", "w").close(); open("h", "w").close()
held = open("g"); os.rename("h", "g"); open("g").close()
os.mkdir("gone"); gone = os.open("gone", os.O_RDONLY); os.rmdir("gone")
for name in ("none", "large/none"): assert not os.path.exists(name)
""",
        mnt.mountpoint,
    )
    assert wait_for_inodes(mnt, 1) == 1


@pytest.mark.parametrize("others", [0, 20_000], ids=["few names", "many names"])
def test_news_of_a_directory_are_news_of_everything_below(mount: Mount, others: int) -> None:
    """Also of what is open, and of who works there."""
    mnt = mount(entry_timeout=3600, attribute_timeout=3600)
    mnt.ask("change", change="mkdir", path="/d")
    mnt.ask("change", change="mkdir", path="/d/e")
    mnt.ask("change", change="write", path="/d/e/f", content="old")
    mnt.ask("change", change="write", path="/d/e/open", content="old")
    mnt.ask("fill", directory="/d", count=others)
    run(["ls", "-l", mnt.mountpoint / "d"])
    child = r"""
import os, subprocess, sys
os.chdir(args[0] + "/d/e")
handle = open("open")
answer = []
def look():
    answer.append([open("f").read(), os.stat("f").st_size, os.fstat(handle.fileno()).st_size,
                   os.path.exists("new"), os.path.basename(os.getcwd())])
look()
print("looked", flush=True)
sys.stdin.readline()
look()
"""
    import json
    import subprocess
    import sys

    words = json.dumps([str(mnt.mountpoint)])
    source = f"import json\nargs = json.loads({words!r})\n{child}\nprint(json.dumps(answer))"
    process = subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "looked\n"
        for path in ("f", "open"):
            mnt.ask("change", change="write", path=f"/d/e/{path}", content="newer")
        mnt.ask("change", change="write", path="/d/e/new")
        assert mnt.ask("invalidate", paths=["/d"])
        out, _ = process.communicate("go\n", timeout=20)
    finally:
        process.kill()
        process.wait(10)
    assert json.loads(out) == [["old", 3, 3, False, "e"], ["newer", 5, 5, True, "e"]]
