"""News from elsewhere is seen at once, although the kernel was told to trust for an hour."""

import errno

import pytest

from tests.mount.edge.conftest import Mount
from tests.mount.harness import MountProcess, python

LOOK = """
answer = []
for name in args[1]:
    path = args[0] + "/" + name
    try: answer.append([os.stat(path).st_size, open(path).read()])
    except OSError as error: answer.append(error.errno)
"""


def look(mnt: MountProcess, *names: str) -> list[object]:
    result: list[object] = python(LOOK, mnt.mountpoint, names)
    return result


def test_without_a_word_the_kernel_keeps_what_it_knew(mnt: MountProcess) -> None:
    """The premise of the other tests: the caches do hold."""
    mnt.ask("set", keep_cache=True)
    mnt.ask("change", change="write", path="/f", content="old")
    for _ in range(2):  # a read makes the access time stale, so one more stat asks the core
        assert look(mnt, "f", "g") == [[3, "old"], errno.ENOENT]
    mnt.ask("change", change="write", path="/f", content="newer")
    mnt.ask("change", change="write", path="/g", content="new")
    assert look(mnt, "f", "g") == [[3, "old"], errno.ENOENT]


def test_content_and_attributes(mnt: MountProcess) -> None:
    mnt.ask("set", keep_cache=True)
    mnt.ask("change", change="write", path="/f", content="old")
    assert look(mnt, "f") == [[3, "old"]]
    assert mnt.ask("change", change="write", path="/f", content="newer", invalidate=["/f", "/"])
    assert look(mnt, "f") == [[5, "newer"]]
    assert mnt.ask("change", change="write", path="/f", content="other", invalidate=["/f", "/"])
    assert look(mnt, "f") == [[5, "other"]]


def test_vanished_and_appeared_names(mnt: MountProcess) -> None:
    mnt.ask("change", change="mkdir", path="/d")
    mnt.ask("change", change="write", path="/d/old", content="x")
    assert look(mnt, "d/old", "d/new") == [[1, "x"], errno.ENOENT]
    assert mnt.ask("change", change="remove", path="/d/old", invalidate=["/d/old", "/d"])
    assert mnt.ask("change", change="write", path="/d/new", invalidate=["/d/new", "/d"])
    assert look(mnt, "d/old", "d/new") == [errno.ENOENT, [0, ""]]
    names = "answer = os.listdir(args[0] + '/d')"
    assert python(names, mnt.mountpoint) == ["new"]


def test_a_file_becomes_a_directory(mnt: MountProcess) -> None:
    mnt.ask("change", change="write", path="/x", content="file")
    assert look(mnt, "x") == [[4, "file"]]
    assert mnt.ask("change", change="mkdir", path="/x", invalidate=["/x", "/"])
    answer = python("answer = [os.path.isdir(args[0]), os.listdir(args[0])]", mnt.mountpoint / "x")
    assert answer == [True, []]


def test_creating_what_vanished_unheard(mnt: MountProcess) -> None:
    """No notification came: opening a remembered name still creates the file."""
    mnt.ask("change", change="write", path="/f", content="old")
    assert look(mnt, "f") == [[3, "old"]]
    mnt.ask("change", change="remove", path="/f")
    program = """
try: open(args[0]).close()
except OSError as error: missing = error.errno
with open(args[0], "w") as file: file.write("again")
answer = [missing, open(args[0]).read()]
"""
    assert python(program, mnt.mountpoint / "f") == [errno.ENOENT, "again"]


def test_listings_are_fresh(mnt: MountProcess) -> None:
    mnt.ask("change", change="mkdir", path="/d")
    program = "answer = sorted(os.listdir(args[0] + '/d'))"
    seen = []
    for n in range(3):
        mnt.ask("change", change="write", path=f"/d/{n}", invalidate=[f"/d/{n}", "/d"])
        seen.append([python(program, mnt.mountpoint) for _ in range(2)][-1])
    assert seen == [["0"], ["0", "1"], ["0", "1", "2"]]


def test_timeouts_change_while_mounted(mnt: MountProcess) -> None:
    mnt.ask("timeouts", entry=0, attribute=0, negative=0)
    mnt.ask("change", change="write", path="/f", content="old")
    assert look(mnt, "f") == [[3, "old"]]
    mnt.ask("change", change="write", path="/f", content="newer")
    assert look(mnt, "f") == [[5, "newer"]]
    mnt.ask("timeouts", entry=3600, attribute=3600, negative=3600)
    exists = "answer = os.path.exists(args[0])"
    assert python(exists, mnt.mountpoint / "f") is True
    mnt.ask("change", change="remove", path="/f")
    assert python(exists, mnt.mountpoint / "f") is True


def test_paths_the_kernel_never_saw_are_no_trouble(mnt: MountProcess) -> None:
    assert mnt.ask("invalidate", paths=["/never", "/never/seen", "/"])
    assert "did not forget" not in mnt.log.read_text()


def test_invalidating_from_within_a_callback_blocks_nobody(mnt: MountProcess) -> None:
    """Each read and write drops the very pages and names that it is about."""
    program = """
import threading
path = args[0] + "/forget"
body = b"x" * (1 << 20)
def work(n):
    for _ in range(20):
        with open(path + str(n % 2), "wb", buffering=0) as file: file.write(body)
        with open(path + str(n % 2), "rb", buffering=0) as file: file.read()
        os.listdir(args[0])
threads = [threading.Thread(target=work, args=[n]) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = os.stat(path + "0").st_size
"""
    assert python(program, mnt.mountpoint, timeout=60) == 1 << 20
    assert mnt.ask("invalidate", paths=["/"])


CHANGES = {
    "chmod": "os.chmod(path, 0o600)",
    "utime": "os.utime(path, ns=(1, 2))",
    "truncate": "os.truncate(path, 1)",
    "mknod": "os.unlink(path); os.mknod(path)",
}


@pytest.mark.parametrize("verb", CHANGES)
def test_the_answer_to_a_change_is_not_believed(mount: Mount, verb: str) -> None:
    """The kernel takes it even when news overtook it; what it asks for later, it guards."""
    mnt = mount(entry_timeout=3600, attribute_timeout=3600, pushed=True)
    mnt.ask("change", change="write", path="/f", content="old")
    python(f"path = args[0] + '/f'\nos.stat(path)\n{CHANGES[verb]}", mnt.mountpoint)
    mnt.ask("change", change="write", path="/f", content="of another node")
    size = "answer = os.stat(args[0] + '/f').st_size"
    assert python(size, mnt.mountpoint) == len("of another node")
