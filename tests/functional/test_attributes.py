"""chmod, chown, times, extended attributes, statfs."""

import errno
import os
import stat
from typing import Any

import pytest

from tests.functional.cases import read, refused, write
from tests.functional.conftest import Bench
from tests.functional.driver import NOW, OMIT

CREATE, REPLACE = 1, 2
PAST = 1_000_000_000_123_456_789


@pytest.mark.parametrize("kind", ["file", "dir"])
def test_modes(bench: Bench, kind: str) -> None:
    driver = bench.driver
    (driver.mkdir("/x", 0o755) if kind == "dir" else write(driver, "/x", b"data"))
    for mode in (0o600, 0o777, 0, 0o1755, 0o2755, 0o4755, 0o640):
        driver.chmod("/x", mode)
        assert stat.S_IMODE(driver.stat("/x")["mode"]) == mode
    bench.remount()
    assert stat.S_IMODE(bench.driver.stat("/x")["mode"]) == 0o640
    with refused(errno.ENOENT):
        bench.driver.chmod("/missing", 0o600)


def test_the_mode_of_an_open_unsaved_file(bench: Bench) -> None:
    driver = bench.driver
    fd = driver.open("/x", os.O_RDWR | os.O_CREAT, 0o644)
    driver.pwrite(fd, b"data", 0)
    driver.fchmod(fd, 0o400)
    driver.chown("/x", 12, 34)
    assert stat.S_IMODE(driver.fstat(fd)["mode"]) == 0o400
    driver.close(fd)
    bench.remount()
    found = bench.driver.stat("/x")
    assert (stat.S_IMODE(found["mode"]), found["uid"], found["gid"]) == (0o400, 12, 34)


@pytest.mark.parametrize("kind", ["file", "dir", "link"])
def test_owners(bench: Bench, kind: str) -> None:
    driver = bench.driver
    match kind:
        case "file":
            write(driver, "/x", b"")
        case "dir":
            driver.mkdir("/x")
        case _:
            driver.symlink("target", "/x")
    driver.chown("/x", 1234, 5678)
    driver.chown("/x", -1, 4_000_000_000)
    driver.chown("/x", 77, -1)
    for _ in range(2):
        found = bench.driver.stat("/x")
        assert (found["uid"], found["gid"]) == (77, 4_000_000_000)
        bench.remount()


def test_a_setgid_directory_hands_down_its_group(driver: Any) -> None:
    driver.mkdir("/dir")
    driver.chown("/dir", 0, 4321)
    driver.chmod("/dir", 0o2775)
    write(driver, "/dir/file", b"")
    driver.mkdir("/dir/sub", 0o755)
    driver.symlink("t", "/dir/link")
    assert driver.stat("/dir/file")["gid"] == 4321
    assert driver.stat("/dir/link")["gid"] == 4321
    sub = driver.stat("/dir/sub")
    assert (sub["gid"], stat.S_IMODE(sub["mode"])) == (4321, 0o2755)
    assert not driver.stat("/dir/file")["mode"] & stat.S_ISGID


@pytest.mark.parametrize("kind", ["file", "dir", "link"])
def test_times_to_the_nanosecond(bench: Bench, kind: str) -> None:
    driver = bench.driver
    match kind:
        case "file":
            write(driver, "/x", b"")
        case "dir":
            driver.mkdir("/x")
        case _:
            driver.symlink("target", "/x")
    driver.utimens("/x", PAST, PAST + 1)
    found = driver.stat("/x")
    assert (found["atime_ns"], found["mtime_ns"]) == (PAST, PAST + 1)
    driver.utimens("/x", OMIT, PAST + 2)
    driver.utimens("/x", PAST + 3, OMIT)
    for _ in range(2):
        found = bench.driver.stat("/x")
        assert (found["atime_ns"], found["mtime_ns"]) == (PAST + 3, PAST + 2)
        bench.remount()


def test_the_present_as_a_time(bench: Bench) -> None:
    driver = bench.driver
    write(driver, "/x", b"")
    before = driver.stat("/x")
    driver.utimens("/x", PAST, PAST)
    bench.tick()
    driver.utimens("/x", NOW, OMIT)
    found = driver.stat("/x")
    assert found["mtime_ns"] == PAST
    assert found["atime_ns"] >= before["atime_ns"]
    driver.utimens("/x", OMIT, NOW)
    assert driver.stat("/x")["mtime_ns"] >= before["mtime_ns"]


def test_times_before_the_epoch_and_far_ahead(bench: Bench) -> None:
    write(bench.driver, "/x", b"")
    bench.driver.utimens("/x", 0, 4_102_444_800 * 10**9)
    bench.remount()
    found = bench.driver.stat("/x")
    assert (found["atime_ns"], found["mtime_ns"]) == (0, 4_102_444_800 * 10**9)


def test_what_changes_which_times(bench: Bench) -> None:
    driver = bench.driver
    write(driver, "/x", b"data")

    def moved(change: Any) -> set[str]:
        before = driver.stat("/x")
        bench.tick()
        change()
        after = driver.stat("/x")
        return {name for name in ("mtime_ns", "ctime_ns") if after[name] > before[name]}

    assert moved(lambda: driver.chmod("/x", 0o600)) == {"ctime_ns"}
    assert moved(lambda: driver.chown("/x", 5, 5)) == {"ctime_ns"}
    assert moved(lambda: write(driver, "/x", b"new")) == {"mtime_ns", "ctime_ns"}
    assert moved(lambda: driver.truncate("/x", 1)) == {"mtime_ns", "ctime_ns"}
    assert moved(lambda: driver.setxattr("/x", "user.a", b"1")) == {"ctime_ns"}
    assert moved(lambda: read(driver, "/x")) == set()
    assert moved(lambda: driver.utimens("/x", OMIT, PAST)) == {"ctime_ns"}


def test_a_directory_s_times_move_with_its_names(bench: Bench) -> None:
    driver = bench.driver
    driver.mkdir("/dir")

    def moves(change: Any) -> bool:
        driver.utimens("/dir", PAST, PAST)
        bench.tick()
        change()
        found = driver.stat("/dir")
        return bool(found["mtime_ns"] > PAST and found["ctime_ns"] > PAST)

    assert moves(lambda: write(driver, "/dir/a", b""))
    assert moves(lambda: driver.mkdir("/dir/sub"))
    assert moves(lambda: driver.symlink("t", "/dir/l"))
    assert moves(lambda: driver.rename("/dir/a", "/dir/b"))
    assert moves(lambda: driver.rename("/dir/b", "/b"))
    assert moves(lambda: driver.rename("/b", "/dir/b"))
    assert moves(lambda: driver.unlink("/dir/b"))
    assert moves(lambda: driver.rmdir("/dir/sub"))


# -- extended attributes -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "dir"])
def test_extended_attributes(bench: Bench, kind: str) -> None:
    driver = bench.driver
    (driver.mkdir("/x") if kind == "dir" else write(driver, "/x", b"data"))
    values = {
        "user.text": b"value",
        "user.empty": b"",
        "user.binary": bytes(range(256)),
        "user.percent": b"100%41%",
        "user.unicode": "é日本".encode(),
        "user.é name": b"x",
        "user.json": b'{"a": "b\\n"}',
    }
    for name, value in values.items():
        driver.setxattr("/x", name, value)
    for _ in range(2):
        assert bench.driver.listxattr("/x") == sorted(values)
        for name, value in values.items():
            assert bench.driver.getxattr("/x", name) == value
        bench.remount()
    bench.driver.removexattr("/x", "user.text")
    with refused(errno.ENODATA):
        bench.driver.getxattr("/x", "user.text")
    with refused(errno.ENODATA):
        bench.driver.removexattr("/x", "user.text")


def test_extended_attribute_flags(driver: Any) -> None:
    write(driver, "/x", b"")
    with refused(errno.ENODATA):
        driver.setxattr("/x", "user.a", b"1", REPLACE)
    driver.setxattr("/x", "user.a", b"1", CREATE)
    with refused(errno.EEXIST):
        driver.setxattr("/x", "user.a", b"2", CREATE)
    driver.setxattr("/x", "user.a", b"3", REPLACE)
    assert driver.getxattr("/x", "user.a") == b"3"


def test_extended_attributes_that_do_not_fit(driver: Any) -> None:
    write(driver, "/x", b"data")
    driver.setxattr("/x", "user.a", b"kept")
    with refused(errno.ENOSPC):
        driver.setxattr("/x", "user.b", b"b" * 2100)
    with refused(errno.ENOSPC):
        driver.setxattr("/x", "user.a", bytes(2000))
    assert driver.listxattr("/x") == ["user.a"]
    assert driver.getxattr("/x", "user.a") == b"kept"
    fd = driver.open("/x", os.O_RDWR)
    driver.pwrite(fd, b"DATA", 0)
    with refused(errno.ENOSPC):
        driver.setxattr("/x", "user.b", b"b" * 2100)
    driver.close(fd)
    assert read(driver, "/x") == b"DATA"
    assert driver.listxattr("/x") == ["user.a"]


def test_foreign_name_spaces(driver: Any) -> None:
    write(driver, "/x", b"")
    with refused(errno.ENOTSUP, errno.EPERM):
        driver.setxattr("/x", "trusted.a", b"1")
    with refused(errno.ENODATA, errno.ENOTSUP):
        driver.getxattr("/x", "trusted.a")


def test_virtual_attributes(driver: Any) -> None:
    write(driver, "/x", b"data")
    assert driver.listxattr("/x") == []
    assert driver.getxattr("/x", "user.yas3fs.key").endswith(b"x")
    assert b"x" in driver.getxattr("/x", "user.yas3fs.signedURL")
    assert b"?" not in driver.getxattr("/x", "user.yas3fs.URL")
    with refused(errno.EPERM):
        driver.setxattr("/x", "user.yas3fs.key", b"other")
    with refused(errno.EPERM):
        driver.removexattr("/x", "user.yas3fs.bucket")
    with refused(errno.ENODATA):
        driver.getxattr("/x", "user.yas3fs.nothing")
    driver.setxattr("/x", "user.yas3fs.expiration", b"60")
    assert driver.getxattr("/x", "user.yas3fs.expiration") == b"60"
    with refused(errno.EINVAL):
        driver.setxattr("/x", "user.yas3fs.expiration", b"long")
    driver.removexattr("/x", "user.yas3fs.expiration")
    assert driver.getxattr("/x", "user.yas3fs.expiration") == b"604800"


def test_attributes_travel_with_a_rename(bench: Bench) -> None:
    driver = bench.driver
    write(driver, "/x", b"data", 0o640)
    driver.setxattr("/x", "user.a", b"1")
    driver.utimens("/x", PAST, PAST)
    driver.rename("/x", "/y")
    for _ in range(2):
        found = bench.driver.stat("/y")
        assert (stat.S_IMODE(found["mode"]), found["mtime_ns"]) == (0o640, PAST)
        assert bench.driver.getxattr("/y", "user.a") == b"1"
        bench.remount()


def test_attributes_outlive_a_rewrite(bench: Bench) -> None:
    driver = bench.driver
    write(driver, "/x", b"data", 0o640)
    driver.chown("/x", 12, 34)
    driver.setxattr("/x", "user.a", b"1")
    write(driver, "/x", b"other")
    bench.remount()
    found = bench.driver.stat("/x")
    assert (stat.S_IMODE(found["mode"]), found["uid"], found["gid"]) == (0o640, 12, 34)
    assert bench.driver.getxattr("/x", "user.a") == b"1"


def test_statvfs(driver: Any) -> None:
    found = driver.statvfs()
    assert found["namemax"] == 255
    assert found["bfree"] * found["bsize"] >= 1 << 40
