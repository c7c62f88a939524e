"""News from elsewhere is seen at once, although the kernel was told to trust for an hour."""

import errno
from concurrent.futures import ThreadPoolExecutor

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


def test_missing_names_are_forgotten_with_what_is_above_them(mnt: MountProcess) -> None:
    """The kernel answers for them, and no node stands for them."""
    mnt.ask("change", change="mkdir", path="/d")
    mnt.ask("change", change="mkdir", path="/d/e")
    names = ["new", "d/new", "d/e/new"]
    assert look(mnt, *names) == [errno.ENOENT] * 3
    mnt.ask("counts", reset=True)
    assert look(mnt, *names) == [errno.ENOENT] * 3
    assert "getattr" not in mnt.ask("counts")
    for name in names:
        mnt.ask("change", change="write", path=f"/{name}", content="x")
    assert look(mnt, *names) == [errno.ENOENT] * 3
    assert mnt.ask("invalidate", paths=["/d"])
    assert look(mnt, *names) == [errno.ENOENT, [1, "x"], [1, "x"]]
    assert mnt.ask("invalidate", paths=["/"])
    assert look(mnt, *names) == [[1, "x"]] * 3


def test_a_path_whose_first_name_was_missing(mnt: MountProcess) -> None:
    """Somebody stores a/b/c: it is news for who looked for a."""
    assert look(mnt, "a", "b") == [errno.ENOENT] * 2
    for path in ("/a", "/a/b"):
        mnt.ask("change", change="mkdir", path=path)
    assert mnt.ask("change", change="write", path="/a/b/c", content="x", invalidate=["/a/b/c"])
    assert look(mnt, "a/b/c") == [[1, "x"]]


def test_a_listing_that_shows_a_missing_name_is_right(mnt: MountProcess) -> None:
    mnt.ask("change", change="mkdir", path="/d")
    assert look(mnt, "d/new") == [errno.ENOENT]
    mnt.ask("change", change="write", path="/d/new", content="x")
    assert look(mnt, "d/new") == [errno.ENOENT]
    assert python("answer = os.listdir(args[0] + '/d')", mnt.mountpoint) == ["new"]
    assert mnt.ask("invalidate", paths=[])  # waits until the kernel was told
    assert look(mnt, "d/new") == [[1, "x"]]


@pytest.mark.parametrize(
    "forgotten", [["/"], ["/d"], ["/d/block-getattr"], ["/d/block-getattr/below/it"]]
)
def test_news_during_a_lookup_is_not_lost(mnt: MountProcess, forgotten: list[str]) -> None:
    """The answer that nothing is there was on its way when everything was forgotten."""
    mnt.ask("change", change="mkdir", path="/d")
    assert look(mnt, "d/other") == [errno.ENOENT]
    path = "/d/block-getattr"
    with ThreadPoolExecutor(1) as besides:
        early = besides.submit(
            python, "answer = os.path.exists(args[0])", f"{mnt.mountpoint}{path}"
        )
        assert mnt.ask("wait_stuck", count=1)
        mnt.ask("change", change="write", path=path, content="x")
        mnt.ask("forget", paths=forgotten)
        mnt.ask("let_go")
        assert early.result() is False
    assert mnt.ask("invalidate", paths=[])
    assert look(mnt, path[1:]) == [[1, "x"]]


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
