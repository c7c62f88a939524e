"""Another client changes the bucket underneath, and objects that other tools left there."""

import functools
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.doubles import servers
from tests.mount.program import (
    Mounts,
    S3Mount,
    client_of,
    eventually,
    new_bucket_name,
    python,
    running,
    shell,
)

STAT = """
def look(path):
    try:
        s = os.lstat(path)
    except OSError as error:
        return error.errno
    return [oct(s.st_mode), s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns]
def body(path):
    try:
        return open(path).read()
    except OSError as error:
        return error.errno
"""


def same_as(wanted: object, ask: Callable[[], object]) -> None:
    """Asks until the answer is the wanted one; says what it was last if that never comes."""
    answers: list[object] = [None]

    def good() -> bool:
        answers[0] = ask()
        return answers[0] == wanted

    try:
        eventually(good)
    except AssertionError:
        assert answers[0] == wanted


def put(s3: Any, mount: S3Mount, name: str, body: bytes = b"", **metadata: str) -> None:
    s3.put_object(Bucket=mount.bucket, Key=f"data/{name}", Body=body, Metadata=metadata)


def delete(s3: Any, mount: S3Mount, name: str) -> None:
    s3.delete_object(Bucket=mount.bucket, Key=f"data/{name}")


def body_of(mount: S3Mount, name: str) -> Any:
    return python(f"{STAT}\nanswer = body(args[0])", mount.mountpoint / name)


def names_in(mount: S3Mount, name: str = "") -> list[str]:
    found: list[str] = python("answer = sorted(os.listdir(args[0]))", mount.mountpoint / name)
    return found


@pytest.mark.parametrize("ttl", ["0", "0.2", "1"])
def test_new_changed_and_deleted_objects_are_seen(mounts: Mounts, s3: Any, ttl: str) -> None:
    mount = mounts("--metadata-ttl", ttl)
    put(s3, mount, "f", b"one")
    put(s3, mount, "d/deep/g", b"deep")
    eventually(lambda: body_of(mount, "f") == "one")
    eventually(lambda: body_of(mount, "d/deep/g") == "deep")
    assert body_of(mount, "later") == 2
    put(s3, mount, "later", b"late")
    eventually(lambda: body_of(mount, "later") == "late")
    put(s3, mount, "f", b"two, and longer")
    eventually(lambda: body_of(mount, "f") == "two, and longer")
    put(s3, mount, "f", b"3")
    eventually(lambda: body_of(mount, "f") == "3")
    delete(s3, mount, "f")
    eventually(lambda: body_of(mount, "f") == 2)
    assert "f" not in names_in(mount)
    delete(s3, mount, "d/deep/g")
    eventually(lambda: body_of(mount, "d/deep/g") == 2)
    put(s3, mount, "f/now/a/folder", b"inside")
    eventually(lambda: body_of(mount, "f/now/a/folder") == "inside")


def test_content_that_the_kernel_has_cached(mounts: Mounts, s3: Any) -> None:
    """Same size, other bytes: nothing but the ETag tells. Read through a mapping and a handle."""
    mount = mounts("--metadata-ttl", "0.2")
    size = 3_000_000
    for byte in (b"a", b"b", b"c"):
        put(s3, mount, "f", byte * size)
        code = """
import mmap
with open(args[0], "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
    mapped = sorted(set(m[:]))
    answer = [len(m), mapped == sorted(set(f.read())), bytes(mapped).decode()]
"""
        want = [size, True, byte.decode()]
        same_as(want, functools.partial(python, code, mount.mountpoint / "f"))


def test_bytes_of_two_versions_never_mix(mounts: Mounts, s3: Any) -> None:
    """A program reads while another client replaces the object again and again."""
    mount = mounts("--metadata-ttl", "0.2", "--cache-size", 4)
    size = 6_000_000
    put(s3, mount, "f", b"\0" * size)
    reader = """
import errno
mixed, whole, stale = [], 0, 0
print("go")
while not os.path.exists(args[0] + "/stop"):
    try:
        with open(args[0] + "/f", "rb", buffering=0) as f:
            kinds, length = set(), 0
            while piece := f.read(100_000):
                kinds |= set(piece); length += len(piece)
        whole += 1
        if len(kinds) != 1 or length != 6_000_000: mixed.append([sorted(kinds), length])
    except OSError as error:
        if error.errno != errno.ESTALE: raise
        stale += 1
print(mixed, whole > 0)
"""
    with running(reader, mount.mountpoint) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        for n in range(25):
            put(s3, mount, "f", bytes([n]) * size)
        put(s3, mount, "stop")
        out, err = process.communicate(timeout=60)
    assert out == "[] True\n", err


def test_an_old_and_a_new_reader_do_not_share_pages(mounts: Mounts, s3: Any) -> None:
    """The one keeps what it began with (or gets ESTALE), the other sees only the new."""
    mount = mounts("--metadata-ttl", "0.2", "--read-ahead", "0")
    size = 4_000_000
    put(s3, mount, "f", b"a" * size)
    code = """
import errno, time
path, size = args[0] + "/f", 4_000_000
def kinds(fd, start=0):
    seen = set()
    for offset in range(start, size, 50_000):
        try: seen |= set(os.pread(fd, 50_000, offset).decode())
        except OSError as error: seen.add(errno.errorcode[error.errno])
    return sorted(seen)
old = os.open(path, os.O_RDONLY)
print(os.pread(old, 1_000_000, 0)[:1].decode()); sys.stdin.readline()
while True:
    new = os.open(path, os.O_RDONLY)
    try:
        if os.pread(new, 1, 3_999_999) == b"b": break
    except OSError as error:
        assert error.errno == errno.ESTALE, error  # it was opened as the old one
    os.close(new)
print(kinds(new), [k for k in kinds(old) if k not in ("a", "ESTALE")], kinds(new))
os.close(old)
last = os.open(path, os.O_RDONLY)
print(kinds(last), kinds(new))
"""
    with running(code, mount.mountpoint) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a\n"
        put(s3, mount, "f", b"b" * size)
        out, err = process.communicate("go\n", timeout=60)
    assert out == "['b'] [] ['b']\n['b'] ['b']\n", err


def test_attributes_changed_by_another_mount(mounts: Mounts, s3: Any) -> None:
    one = mounts("--metadata-ttl", "0.2", name="one")
    two = mounts("--metadata-ttl", "0.2", name="two")
    shell('echo hi > "$1"/f; ln -s f "$1"/l; mkdir "$1"/d', one.mountpoint)
    script = """cd "$1"; chown 5:6 f; chmod 4751 f; touch -d @1234567890.123456789 f; chmod 700 d"""
    shell(script, one.mountpoint)
    python("os.setxattr(args[0] + '/f', 'user.k', b'v')", one.mountpoint)
    code = f"""{STAT}
d = args[0]
try:
    answer = [look(d + "/f"), look(d + "/d"), os.readlink(d + "/l")]
    answer[1] = answer[1][0]
    answer.append(os.getxattr(d + "/f", "user.k").decode())
except OSError as error:
    answer = repr(error)
"""
    good = [["0o104751", 5, 6, 3, 1234567890123456789], "0o40700", "f", "v"]
    same_as(good, lambda: python(code, two.mountpoint))
    shell('mv "$1/f" "$1/d/g"; rm "$1/l"', two.mountpoint)
    eventually(lambda: names_in(one) == ["d"])
    assert body_of(one, "d/g") == "hi\n"


def test_what_is_being_written_here_is_not_lost(mounts: Mounts, s3: Any) -> None:
    """The object is replaced and deleted while a program has unsaved changes: its close wins."""
    mount = mounts("--metadata-ttl", "0.2")
    put(s3, mount, "f", b"old")
    code = """
f = open(args[0] + "/f", "r+")
f.write("mine"); f.flush()
print("written"); sys.stdin.readline()
assert f.seek(0) == 0 and f.read() == "mine"
f.close()
print("closed")
"""
    for disturb in (lambda: put(s3, mount, "f", b"theirs"), lambda: delete(s3, mount, "f")):
        put(s3, mount, "f", b"old")
        eventually(lambda: body_of(mount, "f") == "old")
        with running(code, mount.mountpoint) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
            disturb()
            out, err = process.communicate("go\n", timeout=30)
            assert out == "closed\n", err
        found = s3.get_object(Bucket=mount.bucket, Key="data/f")["Body"].read()
        assert found == b"mine"
        assert body_of(mount, "f") == "mine"


def test_objects_of_other_tools(mounts: Mounts, s3: Any) -> None:
    """No metadata, that of s3fs and rclone, folders of Hadoop, keys without a folder."""
    mount = mounts("--uid", 11, "--gid", 12, "--umask", "027", "--metadata-ttl", "0.2")
    put(s3, mount, "plain", b"plain")
    put(s3, mount, "implicit/folder/f", b"x")
    put(s3, mount, "s3fs", b"s3fs", uid="21", gid="22", mode="33184", mtime="1000000001")
    put(s3, mount, "rclone", b"rclone", mtime="1000000002.123456789")
    put(s3, mount, "hadoop_$folder$", b"")
    put(s3, mount, "broken", b"broken", attr="{not json", mode="many", mtime="yesterday")
    code = f"{STAT}\nanswer = {{n: look(args[0] + '/' + n) for n in args[1]}}"
    names = [
        "plain",
        "implicit",
        "implicit/folder/f",
        "s3fs",
        "rclone",
        "broken",
        "hadoop_$folder$",
    ]
    eventually(lambda: set(names_in(mount)) >= {n for n in names if "/" not in n})
    found = python(code, mount.mountpoint, names)
    assert found["plain"][:4] == ["0o100640", 11, 12, 5]
    assert found["implicit"][:3] == ["0o40750", 11, 12]
    assert found["implicit/folder/f"][:4] == ["0o100640", 11, 12, 1]
    assert found["s3fs"] == ["0o100640", 21, 22, 4, 1_000_000_001_000_000_000]
    assert found["rclone"][3:] == [6, 1_000_000_002_123_456_789]
    assert found["broken"][:4] == ["0o100640", 11, 12, 6]
    assert body_of(mount, "broken") == "broken"
    script = 'cd "$1"; chmod 600 broken plain s3fs; mv implicit moved; rm -r moved'
    shell(script, mount.mountpoint)
    assert python(code, mount.mountpoint, ["broken"])["broken"][0] == "0o100600"
    stored = s3.head_object(Bucket=mount.bucket, Key="data/s3fs")["Metadata"]
    assert json.loads(stored["attr"])["st_uid"] == 21


def test_keys_that_are_no_paths(mounts: Mounts, moto_server: servers.Server) -> None:
    """Not shown, said so in the log, and never touched. moto: other servers refuse such keys."""
    bucket = new_bucket_name(moto_server)
    s3 = client_of(moto_server.endpoint)
    odd = ["a//b", "a/./c", "../d", "..", "long/" + "x" * 300, "//", "both/in", "both", "ok", "f/"]
    for key in odd:
        s3.put_object(Bucket=bucket, Key=f"data/{key}", Body=b"" if key[-1] == "/" else b"body")
    mount = mounts("--metadata-ttl", "0.2", endpoint=moto_server.endpoint, bucket=bucket)
    assert names_in(mount) == ["a", "both", "f", "long", "ok"]
    assert names_in(mount, "a") == []
    assert names_in(mount, "both") == ["in"]
    assert names_in(mount, "long") == []
    assert body_of(mount, "ok") == "body"
    assert mount.logged("2 keys below '/a' cannot be file names"), mount.log.read_text()
    assert mount.logged("'data/both' is a file and a directory"), mount.log.read_text()
    said = python(
        """
answer = []
for verb, name in ((os.rmdir, "a"), (os.unlink, "both/in"), (os.rmdir, "both"), (os.rmdir, "f")):
    try: verb(args[0] + "/" + name); answer.append("ok")
    except OSError as error: answer.append(os.strerror(error.errno))
""",
        mount.mountpoint,
    )
    assert said[1] == said[3] == "ok"
    left = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    kept = {f"data/{key}" for key in odd} - {"data/both/in", "data/f/"}
    assert kept <= left, os.linesep.join(sorted(kept - left))
