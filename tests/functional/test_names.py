"""Directories, links, renames and names, errno by errno."""

import errno
import os
import stat
from typing import Any

import pytest

from tests.functional.cases import read, refused, write
from tests.functional.conftest import Bench

NOREPLACE = 1
CONTROLS = "\x01\x1f\x7f"
"""The servers of the tests cannot list it in XML."""
ODD = [
    " ", "  lead and trail ", "a+b", "100%", "%41", "what?", "#hash", "a&b=c", "~tilde", "*star*",
    "new\nline", "tab\there", CONTROLS, "quote'\"", "back\\slash", "é", "日本語",
    "\U0001f600", "..a", "...", "-dash", "\udcff\udc80", "mixed é\udce9", "\uf7ff", "a;b", "a:b",
    "$x", "<&>", "x" * 255,
]  # fmt: skip


def test_mkdir(bench: Bench) -> None:
    driver = bench.driver
    driver.mkdir("/dir", 0o750)
    assert driver.stat("/dir")["mode"] == stat.S_IFDIR | 0o750
    assert driver.listdir("/dir") == []
    write(driver, "/file", b"")
    for path in ("/dir", "/file"):
        with refused(errno.EEXIST):
            driver.mkdir(path)
    with refused(errno.ENOENT):
        driver.mkdir("/missing/dir")
    with refused(errno.ENOTDIR):
        driver.mkdir("/file/dir")
    bench.remount()
    assert bench.driver.stat("/dir")["mode"] == stat.S_IFDIR | 0o750


def test_rmdir(bench: Bench) -> None:
    driver = bench.driver
    driver.mkdir("/dir")
    driver.mkdir("/dir/sub")
    write(driver, "/file", b"")
    with refused(errno.ENOTEMPTY, errno.EEXIST):
        driver.rmdir("/dir")
    driver.rmdir("/dir/sub")
    driver.rmdir("/dir")
    with refused(errno.ENOENT):
        driver.rmdir("/dir")
    with refused(errno.ENOTDIR):
        driver.rmdir("/file")
    bench.remount()
    assert bench.driver.listdir("/") == ["file"]


def test_a_directory_with_an_unsaved_file_is_not_empty(driver: Any) -> None:
    driver.mkdir("/dir")
    fd = driver.open("/dir/file", os.O_WRONLY | os.O_CREAT)
    with refused(errno.ENOTEMPTY, errno.EEXIST):
        driver.rmdir("/dir")
    driver.close(fd)


def test_a_directory_stays_when_its_last_name_goes(bench: Bench) -> None:
    driver = bench.driver
    driver.mkdir("/dir")
    write(driver, "/dir/file", b"")
    driver.unlink("/dir/file")
    bench.remount()
    assert bench.driver.listdir("/dir") == []


def test_links_count(driver: Any) -> None:
    driver.mkdir("/dir")
    for name in ("one", "two"):
        driver.mkdir(f"/dir/{name}")
    driver.listdir("/dir")
    assert driver.stat("/dir")["nlink"] in (1, 4)  # 1 says that nobody counted


def test_symlinks(bench: Bench) -> None:
    driver = bench.driver
    for index, target in enumerate(["nowhere", "../x/y", "/abs", "é\udcff\n", "t" * 4000]):
        path = f"/link-{index}"
        driver.symlink(target, path)
        found = driver.stat(path)
        assert stat.S_ISLNK(found["mode"])
        assert found["size"] == len(os.fsencode(target))
        assert driver.readlink(path) == target
        with refused(errno.EEXIST):
            driver.symlink("other", path)
    bench.remount()
    assert bench.driver.readlink("/link-3") == "é\udcff\n"
    assert stat.S_ISLNK(bench.driver.stat("/link-4")["mode"])


def test_readlink_of_something_else(driver: Any) -> None:
    write(driver, "/file", b"target")
    driver.mkdir("/dir")
    for path in ("/file", "/dir"):
        with refused(errno.EINVAL):
            driver.readlink(path)
    with refused(errno.ENOENT):
        driver.readlink("/missing")


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK], ids=["fifo", "socket"])
def test_special_files(bench: Bench, kind: int) -> None:
    driver = bench.driver
    driver.mknod("/special", kind | 0o620)
    assert driver.stat("/special")["mode"] == kind | 0o620
    with refused(errno.EEXIST):
        driver.mknod("/special", kind | 0o600)
    bench.remount()
    assert bench.driver.stat("/special")["mode"] == kind | 0o620


def test_devices_keep_their_numbers(bench: Bench) -> None:
    bench.driver.mknod("/device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    bench.remount()
    assert bench.driver.stat("/device")["rdev"] == os.makedev(1, 3)


@pytest.mark.parametrize("name", ODD, ids=range(len(ODD)))
def test_odd_names(bench: Bench, name: str) -> None:
    driver = bench.driver
    if name == CONTROLS and not bench.any_key:
        pytest.skip("the server behind the mount lists it as something else")
    driver.mkdir(f"/{name}")
    write(driver, f"/{name}/{name}", name.encode("utf-8", "surrogateescape"))
    assert driver.listdir("/") == [name]
    assert driver.listdir(f"/{name}") == [name]
    driver.rename(f"/{name}/{name}", f"/{name}/other")
    driver.rename(f"/{name}/other", f"/{name}/{name}")
    if name in ("\udcff\udc80", "new\nline"):  # the others are looked at again all together
        bench.remount()
    assert read(bench.driver, f"/{name}/{name}") == os.fsencode(name)
    bench.driver.unlink(f"/{name}/{name}")
    bench.driver.rmdir(f"/{name}")


def test_all_odd_names_after_a_remount(bench: Bench) -> None:
    names = [name for name in ODD if name != CONTROLS or bench.any_key]
    for name in names:
        write(bench.driver, f"/{name}", os.fsencode(name))
    bench.remount()
    assert bench.driver.listdir("/") == sorted(names)
    for name in names:
        assert read(bench.driver, f"/{name}") == os.fsencode(name)


def test_names_that_are_too_long(driver: Any) -> None:
    for name in ("x" * 256, "é" * 128, "\udcff" * 256):
        with refused(errno.ENAMETOOLONG):
            driver.mkdir(f"/{name}")
        with refused(errno.ENAMETOOLONG):
            driver.open(f"/{name}", os.O_WRONLY | os.O_CREAT)
        with refused(errno.ENAMETOOLONG):
            driver.stat(f"/{name}")
    write(driver, "/file", b"kept")
    with refused(errno.ENAMETOOLONG):
        driver.rename("/file", "/" + "x" * 256)
    assert read(driver, "/file") == b"kept"


def test_keys_that_are_too_long(driver: Any) -> None:
    path = ""
    for length in (255, 255, 255, 200):
        path += "/" + "d" * length
        driver.mkdir(path)
    with refused(errno.ENAMETOOLONG):
        driver.mkdir(path + "/" + "d" * 60)
    with refused(errno.ENAMETOOLONG):
        driver.open(path + "/" + "f" * 60, os.O_WRONLY | os.O_CREAT)
    driver.mkdir("/longer")
    write(driver, "/longer/" + "f" * 60, b"kept")
    with refused(errno.ENAMETOOLONG):
        driver.rename("/longer", path + "/longer")
    assert read(driver, "/longer/" + "f" * 60) == b"kept"
    assert driver.listdir(path) == []


# -- rename --------------------------------------------------------------------------------


def test_renaming_a_file(bench: Bench) -> None:
    driver = bench.driver
    driver.mkdir("/dir")
    write(driver, "/old", b"content")
    driver.rename("/old", "/dir/new")
    with refused(errno.ENOENT):
        driver.stat("/old")
    assert read(driver, "/dir/new") == b"content"
    bench.remount()
    assert bench.driver.listdir("/") == ["dir"]
    assert read(bench.driver, "/dir/new") == b"content"


def make(driver: Any, path: str, kind: str) -> None:
    if kind == "file":
        write(driver, path, path.encode())
    elif kind == "link":
        driver.symlink(path, path)
    elif kind != "missing":
        driver.mkdir(path)
        if kind == "full":
            write(driver, f"{path}/in", b"in")


@pytest.mark.parametrize("target", ["missing", "file", "link", "empty", "full"])
@pytest.mark.parametrize("source", ["missing", "file", "link", "empty", "full"])
def test_renaming_onto(bench: Bench, source: str, target: str) -> None:
    driver = bench.driver
    make(driver, "/old", source)
    make(driver, "/new", target)
    directory = {"empty", "full"}
    wanted: tuple[int, ...] = ()
    if source == "missing":
        wanted = (errno.ENOENT,)
    elif source in directory and target in ("file", "link"):
        wanted = (errno.ENOTDIR,)
    elif source not in directory and target in directory:
        wanted = (errno.EISDIR,)
    elif source in directory and target == "full":
        wanted = (errno.ENOTEMPTY, errno.EEXIST)
    if wanted:
        before = driver.listdir("/")
        with refused(*wanted):
            driver.rename("/old", "/new")
        assert driver.listdir("/") == before
        return
    driver.rename("/old", "/new")
    for _ in range(2):
        driver = bench.driver
        assert driver.listdir("/") == ["new"]
        if source == "file":
            assert read(driver, "/new") == b"/old"
        elif source == "link":
            assert driver.readlink("/new") == "/old"
        else:
            assert driver.listdir("/new") == (["in"] if source == "full" else [])
        if (source, target) in (("file", "file"), ("full", "empty")):
            bench.remount()


def test_renaming_without_replacing(driver: Any) -> None:
    write(driver, "/old", b"old")
    write(driver, "/new", b"new")
    with refused(errno.EEXIST):
        driver.rename("/old", "/new", NOREPLACE)
    assert (read(driver, "/old"), read(driver, "/new")) == (b"old", b"new")
    driver.rename("/old", "/other", NOREPLACE)
    assert read(driver, "/other") == b"old"


def test_renaming_onto_itself(driver: Any) -> None:
    write(driver, "/file", b"data")
    driver.mkdir("/dir")
    driver.rename("/file", "/file")
    driver.rename("/dir", "/dir")
    assert driver.listdir("/") == ["dir", "file"]
    assert read(driver, "/file") == b"data"


def test_renaming_a_directory_into_itself(driver: Any) -> None:
    driver.mkdir("/dir")
    driver.mkdir("/dir/sub")
    for new in ("/dir/new", "/dir/sub/new"):
        with refused(errno.EINVAL):
            driver.rename("/dir", new)
    with refused(errno.ENOTEMPTY, errno.EEXIST):
        driver.rename("/dir/sub", "/dir")
    assert driver.listdir("/dir") == ["sub"]


def test_renaming_into_what_is_no_directory(driver: Any) -> None:
    write(driver, "/file", b"")
    write(driver, "/other", b"")
    with refused(errno.ENOTDIR):
        driver.rename("/other", "/file/new")
    with refused(errno.ENOENT):
        driver.rename("/other", "/missing/new")


def test_renaming_open_files(bench: Bench) -> None:
    driver = bench.driver
    write(driver, "/old", b"content")
    write(driver, "/new", b"replaced")
    moved, replaced = driver.open("/old", os.O_RDWR), driver.open("/new", os.O_RDONLY)
    driver.pwrite(moved, b"CON", 0)
    driver.rename("/old", "/new")
    assert driver.pread(replaced, 100, 0) == b"replaced"
    driver.pwrite(moved, b"!", 7)
    assert read(driver, "/new") == b"CONtent!"
    driver.close(moved)
    driver.close(replaced)
    assert driver.listdir("/") == ["new"]
    bench.remount()
    assert bench.driver.listdir("/") == ["new"]
    assert read(bench.driver, "/new") == b"CONtent!"


def test_renaming_a_tree_with_open_files(bench: Bench) -> None:
    driver = bench.driver
    driver.mkdir("/old")
    driver.mkdir("/old/sub")
    write(driver, "/old/sub/kept", b"kept")
    reader = driver.open("/old/sub/kept", os.O_RDONLY)
    writer = driver.open("/old/sub/unsaved", os.O_RDWR | os.O_CREAT)
    driver.pwrite(writer, b"unsaved", 0)
    driver.rename("/old", "/new")
    driver.pwrite(writer, b" but not lost", 7)
    assert driver.pread(reader, 100, 0) == b"kept"
    assert read(driver, "/new/sub/unsaved") == b"unsaved but not lost"
    driver.close(reader)
    driver.close(writer)
    for _ in range(2):
        assert bench.driver.listdir("/") == ["new"]
        assert bench.driver.listdir("/new/sub") == ["kept", "unsaved"]
        assert read(bench.driver, "/new/sub/unsaved") == b"unsaved but not lost"
        bench.remount()


def test_a_saved_editor_pattern(bench: Bench) -> None:
    """Backup by rename, a new file under the old name, the backup removed."""
    driver = bench.driver
    write(driver, "/text", b"first")
    driver.rename("/text", "/text~")
    write(driver, "/text", b"second")
    driver.unlink("/text~")
    bench.remount()
    assert bench.driver.listdir("/") == ["text"]
    assert read(bench.driver, "/text") == b"second"


def test_an_unsaved_file_gives_its_old_name_free(bench: Bench) -> None:
    driver = bench.driver
    fd = driver.open("/a", os.O_RDWR | os.O_CREAT)
    driver.pwrite(fd, b"moved", 0)
    driver.fsync(fd)
    driver.pwrite(fd, b"MOVED", 0)
    driver.rename("/a", "/b")
    write(driver, "/a", b"new")
    driver.close(fd)
    for _ in range(2):
        assert read(bench.driver, "/a") == b"new"
        assert read(bench.driver, "/b") == b"MOVED"
        bench.remount()
