"""Many names, large files, little memory."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import servers
from tests.mount.program import Mounts, S3Mount, python, shell

MIB = 1 << 20
GIB = 1 << 30

MAKE_MANY = """
import threading
from concurrent.futures import ThreadPoolExecutor
os.mkdir(args[0])
def make(n):
    with open(f"{args[0]}/{n:05}", "wb") as file: file.write(b"%d" % n)
with ThreadPoolExecutor(8) as pool: list(pool.map(make, range(args[1])))
answer = len(os.listdir(args[0]))
"""

LOOK_AT_MANY = """
bad = []
with os.scandir(args[0]) as entries:
    found = sorted((entry.name, entry.stat().st_size, entry.is_file()) for entry in entries)
for n, (name, size, is_file) in enumerate(found):
    if (name, size, is_file) != (f"{n:05}", len(str(n)), True): bad.append([n, name, size])
for n in range(0, args[1], 97):
    if open(f"{args[0]}/{n:05}").read() != str(n): bad.append(n)
answer = [len(found), bad]
"""

REMOVE_MANY = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda n: os.unlink(f"{args[0]}/{n:05}"), range(args[1])))
answer = os.listdir(args[0])
os.rmdir(args[0])
"""


@pytest.mark.timeout(400)
def test_ten_thousand_files_in_one_directory(mounts: Mounts) -> None:
    count = 10_000 if servers.find_versitygw() else 500
    first = mounts()
    assert python(MAKE_MANY, first.mountpoint / "many", count, timeout=240) == count
    assert first.unmount()
    assert first.wait_exit() == 0
    second = mounts(name="again")
    there = second.mountpoint / "many"
    assert python(LOOK_AT_MANY, there, count, timeout=120) == [count, []]
    assert shell('ls -l "$1" | grep -c -- -rw', there, timeout=120) == f"{count}\n"
    assert python(REMOVE_MANY, there, count, timeout=120) == []


def room_for_sparse(folder: Path) -> bool:
    return shutil.disk_usage(folder).free > 8 * GIB


@pytest.mark.timeout(400)
def test_a_sparse_file_of_3_gib(mounts: Mounts, place: Path, s3_server: servers.Server) -> None:
    if s3_server.kind == "moto":
        pytest.skip("moto keeps objects in memory: 3 GiB of zeros are too many")
    if not room_for_sparse(place):
        pytest.skip("less than 8 GiB are free below the temporary folder")
    code = """
import hashlib
path, pieces = args[0] + "/sparse", args[1]
with open(path, "wb") as file:
    file.truncate(3 << 30)
    for offset, text in pieces:
        file.seek(offset)
        file.write(text.encode() * 1000)
answer = os.stat(path).st_size
"""
    pieces = [
        [0, "start"],
        [GIB - 2500, "across"],
        [2 * GIB + 12345, "middle"],
        [3 * GIB - 3000, "end"],
    ]
    first = mounts("--read-timeout", 120)
    assert python(code, first.mountpoint, pieces, timeout=240) == 3 * GIB
    assert first.unmount()
    assert first.wait_exit() == 0
    code = """
path, pieces = args[0] + "/sparse", args[1]
answer = [os.stat(path).st_size]
with open(path, "rb") as file:
    for offset, text in pieces:
        file.seek(max(offset - 100, 0))
        before = file.read(min(offset, 100))
        body = file.read(len(text) * 1000)
        answer.append([before == bytes(len(before)), body == text.encode() * 1000])
    for offset in (5000, 1 << 30, (3 << 30) - 4096):
        file.seek(offset + 10000 if offset == 1 << 30 else offset)
        answer.append(file.read(1000) == bytes(1000))
    answer.append(len(file.read()))
"""
    second = mounts(name="again")
    answer = python(code, second.mountpoint, pieces, timeout=120)
    assert answer == [3 * GIB, *[[True, True]] * 4, True, True, True, 3096]
    assert shell('rm "$1"/sparse; ls "$1"', second.mountpoint) == ""


def object_digest(s3: Any, mount: S3Mount, name: str) -> tuple[int, str]:
    """Size and SHA-256 of an object, read by another client."""
    body = s3.get_object(Bucket=mount.bucket, Key=f"data/{name}")["Body"]
    digest, size = hashlib.sha256(), 0
    for piece in body.iter_chunks(MIB):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


def local_digest(path: Path) -> tuple[int, str]:
    with open(path, "rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def test_a_file_of_100_mib_in_parts(mounts: Mounts, place: Path, s3: Any) -> None:
    """Copied in, appended to, patched, cut: the object is right each time, also for others."""
    local = place / "local"
    with open(local, "wb") as file:
        for _ in range(100):
            file.write(os.urandom(MIB))
    first = mounts("--multipart-threshold", 5, "--part-size", 5)
    there = first.mountpoint / "big"
    both = 'for f in "$1" "$2"; do {}; done; cmp "$1" "$2"'
    steps = (
        'cp "$1" "$2"; cmp "$1" "$2"',
        both.format('echo "one more line" >> "$f"'),
        both.format(
            'printf patched | dd of="$f" bs=1 seek=52428801 conv=notrunc,fsync status=none'
        ),
        both.format('truncate -s 61000001 "$f"'),
        both.format('head -c 7000000 /etc/../dev/zero | tr "\\\\0" z >> "$f"'),
        both.format(
            'truncate -s 90000000 "$f"; printf start | dd of="$f" conv=notrunc status=none'
        ),
    )
    for step in steps:
        shell(step, local, there, timeout=120)
        assert object_digest(s3, first, "big") == local_digest(local), step
    etag = s3.head_object(Bucket=first.bucket, Key="data/big")["ETag"]
    assert "-" in etag, "it was not made of parts"
    assert first.unmount()
    assert first.wait_exit() == 0
    uploads = s3.list_multipart_uploads(Bucket=first.bucket)
    assert uploads.get("Uploads", []) == []
    second = mounts("--cache-size", 8, name="again")
    shell('cmp "$1" "$2"', local, second.mountpoint / "big", timeout=120)
    shell('mv "$1/big" "$1/moved"; cp "$1/moved" "$1/copy"', second.mountpoint, timeout=120)
    for name in ("moved", "copy"):
        assert object_digest(s3, second, name) == local_digest(local)


def test_a_stream_that_jumps_back(mounts: Mounts, place: Path, s3: Any) -> None:
    """Parts were sent already when the program rewrites what is in them, as archivers do."""
    code = """
import random
random.seed(7)
size = 30 << 20
with open(args[0], "wb") as one, open(args[1], "wb") as two:
    for file in (one, two):
        state = random.Random(3)
        for n in range(30): file.write(state.randbytes(1 << 20))
        file.seek(10); file.write(b"header"); file.seek((12 << 20) - 3); file.write(b"across")
        file.seek(0, 2); file.write(b"tail"); file.flush(); os.fsync(file.fileno())
        file.seek(20 << 20); file.write(b"after fsync"); file.truncate(size - 99)
        file.seek(0, 2); file.write(b"!" * 1_000_000)
"""
    mount = mounts("--part-size", 5, "--multipart-threshold", 5)
    python(code, place / "local", mount.mountpoint / "f", timeout=120)
    assert object_digest(s3, mount, "f") == local_digest(place / "local")
    shell('cmp "$1" "$2"', place / "local", mount.mountpoint / "f")


def test_streaming_300_mib_in_little_memory(mounts: Mounts, place: Path) -> None:
    """The cache's bound holds, and what else the process takes is bounded too."""
    mount = mounts("--cache-size", 32, "--read-ahead", 16)
    script = """
        head -c 314572800 /dev/zero | openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 > "$1/local"
        cp "$1/local" "$2/big"; echo 1 > /proc/sys/vm/drop_caches 2>/dev/null || true
        cmp "$1/local" "$2/big"; """
    shell(script, place, mount.mountpoint, timeout=200)
    peak = mount.status("VmHWM") / 1024
    assert peak < 250 + 32, f"{peak} MiB"
    assert mount.unmount()
    assert mount.wait_exit() == 0
    again = mounts("--cache-size", 32, "--read-ahead", 16, name="again")
    shell('cmp "$1/local" "$2/big"', place, again.mountpoint, timeout=120)
    peak = again.status("VmHWM") / 1024
    assert peak < 250 + 32, f"{peak} MiB"
