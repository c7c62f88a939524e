"""open, read, write, truncate, unlink: what POSIX says of one file."""

import errno
import os
import stat
from typing import Any

import pytest

from tests.functional.cases import read, refused, write
from tests.functional.conftest import Bench

CREATE = os.O_RDWR | os.O_CREAT


def test_a_new_file_has_the_mode_asked_for(driver: Any) -> None:
    driver.close(driver.open("/file", CREATE, 0o640))
    found = driver.stat("/file")
    assert found["mode"] == stat.S_IFREG | 0o640
    assert (found["size"], found["nlink"]) == (0, 1)


def test_o_excl_refuses_what_exists(driver: Any) -> None:
    write(driver, "/file", b"data")
    driver.mkdir("/dir")
    driver.symlink("nowhere", "/link")
    for path in ("/file", "/dir", "/link"):
        with refused(errno.EEXIST):
            driver.open(path, CREATE | os.O_EXCL)
    assert read(driver, "/file") == b"data"


def test_o_trunc_empties(driver: Any) -> None:
    write(driver, "/file", b"data")
    driver.close(driver.open("/file", os.O_WRONLY | os.O_TRUNC))
    assert driver.stat("/file")["size"] == 0
    assert read(driver, "/file") == b""


def test_o_append_writes_at_the_end_whatever_happens(driver: Any) -> None:
    write(driver, "/file", b"one")
    first = driver.open("/file", os.O_WRONLY | os.O_APPEND)
    second = driver.open("/file", os.O_WRONLY | os.O_APPEND)
    driver.append(first, b" two")
    driver.append(second, b" three")
    driver.append(first, b" four")
    driver.close(second)
    driver.close(first)
    assert read(driver, "/file") == b"one two three four"


def test_opening_what_is_not_there(driver: Any) -> None:
    write(driver, "/file", b"")
    with refused(errno.ENOENT):
        driver.open("/missing", os.O_RDONLY)
    with refused(errno.ENOENT):
        driver.open("/missing/file", CREATE)
    with refused(errno.ENOTDIR):
        driver.open("/file/below", CREATE)


def test_a_directory_is_not_opened_for_writing(driver: Any) -> None:
    driver.mkdir("/dir")
    with refused(errno.EISDIR):
        driver.open("/dir", os.O_WRONLY)
    with refused(errno.EISDIR):
        driver.open("/dir", CREATE)


def test_the_access_mode_holds(driver: Any) -> None:
    write(driver, "/file", b"data")
    reader = driver.open("/file", os.O_RDONLY)
    with refused(errno.EBADF):
        driver.pwrite(reader, b"x", 0)
    with refused(errno.EINVAL, errno.EBADF):
        driver.ftruncate(reader, 0)
    writer = driver.open("/file", os.O_WRONLY)
    with refused(errno.EBADF):
        driver.pread(writer, 1, 0)
    driver.close(reader)
    driver.close(writer)
    assert read(driver, "/file") == b"data"


def test_reads_end_at_the_end(driver: Any) -> None:
    write(driver, "/file", b"0123456789")
    fd = driver.open("/file", os.O_RDONLY)
    assert driver.pread(fd, 4, 3) == b"3456"
    assert driver.pread(fd, 100, 8) == b"89"
    assert driver.pread(fd, 100, 10) == b""
    assert driver.pread(fd, 100, 1 << 40) == b""
    driver.close(fd)


def test_a_hole_reads_as_zeros(driver: Any) -> None:
    fd = driver.open("/file", CREATE)
    driver.pwrite(fd, b"end", 100_000)
    assert driver.fstat(fd)["size"] == 100_003
    assert driver.pread(fd, 10, 99_998) == b"\0\0end"
    driver.close(fd)
    assert read(driver, "/file") == bytes(100_000) + b"end"


def test_written_bytes_are_seen_at_once_through_every_descriptor(driver: Any) -> None:
    write(driver, "/file", b"old content")
    writer = driver.open("/file", os.O_RDWR)
    reader = driver.open("/file", os.O_RDONLY)
    assert driver.pread(reader, 100, 0) == b"old content"
    driver.pwrite(writer, b"NEW", 0)
    assert driver.pread(reader, 100, 0) == b"NEW content"
    assert driver.stat("/file")["size"] == 11
    driver.close(writer)
    assert driver.pread(reader, 100, 0) == b"NEW content"
    driver.close(reader)


@pytest.mark.parametrize("opened", [True, False], ids=["ftruncate", "truncate"])
def test_truncating_both_ways(bench: Bench, opened: bool) -> None:
    driver = bench.driver
    write(driver, "/file", b"0123456789")
    for size in (4, 8):
        if opened:
            fd = driver.open("/file", os.O_RDWR)
            driver.ftruncate(fd, size)
            assert driver.fstat(fd)["size"] == size
            driver.close(fd)
        else:
            driver.truncate("/file", size)
        assert driver.stat("/file")["size"] == size
    assert read(driver, "/file") == b"0123\0\0\0\0"
    bench.remount()
    assert read(bench.driver, "/file") == b"0123\0\0\0\0"


def test_truncating_what_cannot_be(driver: Any) -> None:
    driver.mkdir("/dir")
    with refused(errno.EISDIR):
        driver.truncate("/dir", 0)
    with refused(errno.ENOENT):
        driver.truncate("/missing", 0)


def test_an_unlinked_file_lives_while_it_is_open(bench: Bench) -> None:
    driver = bench.driver
    write(driver, "/file", b"content")
    fd = driver.open("/file", os.O_RDWR)
    driver.unlink("/file")
    with refused(errno.ENOENT):
        driver.stat("/file")
    assert driver.pread(fd, 100, 0) == b"content"
    driver.pwrite(fd, b"changed", 0)
    assert driver.pread(fd, 100, 0) == b"changed"
    assert driver.fstat(fd)["nlink"] == 0
    driver.close(fd)
    assert "file" not in driver.listdir("/")
    bench.remount()
    assert bench.driver.listdir("/") == []


def test_a_new_file_under_the_name_of_an_unlinked_open_one(bench: Bench) -> None:
    driver = bench.driver
    write(driver, "/file", b"first")
    fd = driver.open("/file", os.O_RDWR)
    driver.unlink("/file")
    again = driver.open("/file", CREATE | os.O_EXCL)
    driver.pwrite(again, b"second", 0)
    driver.close(again)
    assert driver.pread(fd, 100, 0) == b"first"
    driver.pwrite(fd, b"FIRST", 0)
    driver.close(fd)
    assert read(driver, "/file") == b"second"
    bench.remount()
    assert read(bench.driver, "/file") == b"second"


def test_unlinking_what_cannot_be(driver: Any) -> None:
    driver.mkdir("/dir")
    write(driver, "/file", b"")
    with refused(errno.EISDIR, errno.EPERM):
        driver.unlink("/dir")
    with refused(errno.ENOENT):
        driver.unlink("/missing")
    with refused(errno.ENOTDIR):
        driver.unlink("/file/below")


def test_fsync_makes_durable_before_close(bench: Bench) -> None:
    driver = bench.driver
    fd = driver.open("/file", CREATE)
    driver.pwrite(fd, b"safe", 0)
    driver.fsync(fd)
    driver.pwrite(fd, b" and more", 4)
    driver.close(fd)
    bench.remount()
    assert read(bench.driver, "/file") == b"safe and more"


def test_a_large_file_written_in_pieces(bench: Bench) -> None:
    driver = bench.driver
    piece = bytes(range(256)) * 2048
    fd = driver.open("/file", CREATE)
    for index in range(24):
        driver.pwrite(fd, piece, index * len(piece))
    driver.pwrite(fd, b"changed", 7)
    driver.close(fd)
    expected = bytearray(piece * 24)
    expected[7:14] = b"changed"
    bench.remount()
    fd = bench.driver.open("/file", os.O_RDWR)
    found = b"".join(bench.driver.pread(fd, len(piece), i * len(piece)) for i in range(24))
    assert found == expected
    bench.driver.pwrite(fd, b"end", len(expected))
    bench.driver.close(fd)
    bench.remount()
    fd = bench.driver.open("/file", os.O_RDONLY)
    assert bench.driver.pread(fd, 100, len(expected) - 2) == expected[-2:] + b"end"
    bench.driver.close(fd)
