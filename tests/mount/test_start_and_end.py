"""Bad input at the start, and every way a mount ends."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import servers
from tests.doubles.faulty_proxy import FaultyProxy, Rule, hold
from tests.mount.program import (
    Mounts,
    command,
    detach,
    environment,
    eventually,
    is_mounted,
    python,
    run,
    running,
    shell,
)

FORMS = ["foreground", "detached"]


def attempt(
    place: Path,
    url: str,
    endpoint: str,
    form: str,
    *options: object,
    mountpoint: Path | None = None,
    **variables: str,
) -> "subprocess.CompletedProcess[str]":
    """Try to mount what cannot be mounted."""
    mnt = mountpoint or place / "mnt"
    if mountpoint is None:
        mnt.mkdir(exist_ok=True)
    words = command(
        url,
        mnt,
        *(["-f"] if form == "foreground" else ["--log", place / "log"]),
        *("--s3-endpoint", endpoint, "--cache-path", place / "cache"),
        *("--state-path", place / "state", *options),
    )
    try:
        return run(words, 60, env=environment(**variables))
    finally:
        assert not is_mounted(mnt), "something stayed mounted"


def refused(done: "subprocess.CompletedProcess[str]", *words: str, status: int = 1) -> None:
    """One line on stderr with all of ``words`` in it, and the exit status.

    In the foreground the log goes there as well: what was tried before it was given up.
    """
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    *before, message = done.stderr.splitlines()
    assert message.startswith("yas3fs: ")
    if "-f" in done.args:
        before = [line for line in before if " yas3fs.objectstore.retry: " not in line]
    assert before == []
    for word in words:
        assert word in message
    assert done.returncode == status


@contextlib.contextmanager
def not_s3(answer: bytes) -> Iterator[str]:
    """A server that answers everything with the same bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError):
                    client.recv(65536)
                    client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize("form", FORMS)
def test_wrong_bucket_and_credentials(
    s3_server: servers.Server, bucket: str, place: Path, form: str
) -> None:
    here = s3_server.endpoint
    refused(attempt(place, "s3://no-such-bucket/x", here, form), "wrong bucket", "no-such-bucket")
    if s3_server.kind == "moto":
        pytest.skip("moto takes any credentials")
    url = f"s3://{bucket}/x"
    done = attempt(place, url, here, form, AWS_ACCESS_KEY_ID="AKIANOBODY")
    refused(done, "wrong key id", "AKIANOBODY")
    done = attempt(place, url, here, form, AWS_SECRET_ACCESS_KEY="a secret of nobody")
    refused(done, "wrong secret")
    assert "a secret of nobody" not in done.stderr
    done = attempt(place, url, here, form, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    refused(done, "credentials")


@pytest.mark.parametrize("form", FORMS)
def test_wrong_endpoints(bucket: str, place: Path, form: str) -> None:
    url = f"s3://{bucket}/x"
    gone = f"http://127.0.0.1:{servers.free_port()}"
    refused(attempt(place, url, gone, form), "wrong endpoint", gone)
    if form == "detached":
        return  # the rest differs in what is said only, and each is tried for five seconds
    refused(attempt(place, url, "http://no-such-host.invalid", form), "no-such-host.invalid")
    page = b"<html><body>It works!</body></html>"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(page)
    with not_s3(head + page) as endpoint:
        refused(attempt(place, url, endpoint, form), endpoint)
    with not_s3(b"SSH-2.0-OpenSSH_9.2\r\n") as endpoint:
        refused(attempt(place, url, endpoint, form), endpoint)
    done = attempt(place, url, "ftp://127.0.0.1", form)
    refused(done, "s3-endpoint", status=2)


@pytest.mark.parametrize("form", FORMS)
def test_wrong_mount_points_and_folders(
    s3_server: servers.Server, bucket: str, place: Path, form: str, mounts: Mounts
) -> None:
    here, url = s3_server.endpoint, f"s3://{bucket}/x"
    missing, file = place / "missing", place / "file"
    file.touch()
    full = place / "full"
    (full / "sub").mkdir(parents=True)
    for mountpoint, word in ((missing, "does not exist"), (file, "not a directory")):
        done = attempt(place, url, here, form, mountpoint=mountpoint)
        refused(done, word, str(mountpoint), status=2)
    refused(attempt(place, url, here, form, mountpoint=full), "not empty", status=2)
    refused(attempt(place, url, here, form, "--cache-path", file / "x"), str(file), status=2)
    refused(attempt(place, "s3://", here, form), "bucket", status=2)
    refused(attempt(place, "http://bucket/x", here, form), "http://bucket/x", status=2)

    busy = mounts(prefix="other")
    words = command(url, busy.mountpoint, "-f", "--s3-endpoint", here)
    done = run(words, 30, env=environment())
    assert done.returncode in (1, 2)
    assert "busy" in done.stderr or "already mounted" in done.stderr
    assert done.stderr.count("\n") == 1
    assert shell('echo still > "$1/f"; cat "$1/f"', busy.mountpoint) == "still\n"


def test_detached_and_back(s3_server: servers.Server, bucket: str, place: Path) -> None:
    """The detached form: the mount is there when the command returns; umount ends it."""
    mnt = place / "mnt"
    mnt.mkdir()
    words = command(
        f"s3://{bucket}/nested/path",
        mnt,
        *("--s3-endpoint", s3_server.endpoint, "--log", place / "log"),
        *("--cache-path", place / "cache", "--state-path", place / "state"),
    )
    try:
        done = run(words, 60, env=environment())
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert is_mounted(mnt)
        assert shell('echo hi > "$1/f"; cat "$1/f"; umount "$1"', mnt) == "hi\n"
        eventually(lambda: "ended" in (place / "log").read_text())
    finally:
        detach(mnt)


def test_over_a_dead_mount(mounts: Mounts, s3_server: servers.Server) -> None:
    """kill -9 leaves a dead mount point: the next start names it and says how to free it."""
    mount = mounts()
    shell('echo kept > "$1/f"', mount.mountpoint)
    mount.kill()
    assert is_mounted(mount.mountpoint)
    done = run(mount.words, 30, env=environment())
    assert done.returncode in (1, 2), done.stderr
    assert f"{mount.mountpoint} is a dead mount" in done.stderr
    assert f"umount {mount.mountpoint}" in done.stderr
    assert done.stderr.count("\n") == 1
    shell('umount "$1"', mount.mountpoint)
    again = mounts()
    assert shell('cat "$1/f"', again.mountpoint) == "kept\n"


def test_ending_uploads_what_a_writer_has_not_saved(mounts: Mounts, s3: Any) -> None:
    mount = mounts()
    code = """
f = open(args[0] + "/f", "w"); f.write("unsaved" * 1000); f.flush()
print("written"); sys.stdin.readline()
"""
    with running(code, mount.mountpoint) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        mount.process.send_signal(signal.SIGTERM)
        eventually(lambda: not is_mounted(mount.mountpoint))
        eventually(lambda: stored(s3, mount.bucket, "data/f") == b"unsaved" * 1000)
    assert mount.wait_exit(30) == 0
    assert not is_mounted(mount.mountpoint)


def stored(s3: Any, bucket: str, key: str) -> bytes | None:
    """The object's bytes, or None."""
    try:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    return body


def test_uploads_that_a_killed_mount_had_begun_are_aborted(mounts: Mounts, s3: Any) -> None:
    mount = mounts("--part-size", 5, "--multipart-threshold", 5)
    code = """
f = open(args[0] + "/big", "wb")
f.write(bytes(30 << 20)); f.flush()
print("written"); sys.stdin.readline()
"""

    def uploads() -> list[str]:
        found = s3.list_multipart_uploads(Bucket=mount.bucket).get("Uploads", [])
        return [upload["Key"] for upload in found]

    with running(code, mount.mountpoint) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        eventually(lambda: uploads() == ["data/big"], what="the upload")
        mount.kill()
    detach(mount.mountpoint)
    assert uploads() == ["data/big"]
    again = mounts()
    eventually(lambda: uploads() == [], what="the end of the upload")
    assert shell('ls "$1"', again.mountpoint) == ""
    assert again.logged("data/big")


def test_a_directory_rename_killed_half_way_is_finished(
    mounts: Mounts, proxy: FaultyProxy, s3: Any
) -> None:
    mount = mounts(endpoint=proxy.endpoint)
    code = """
os.makedirs(args[0] + "/old/sub")
for n in range(40): open(f"{args[0]}/old/{n}", "w").write(str(n))
open(args[0] + "/old/sub/f", "w").write("sub")
"""
    python(code, mount.mountpoint)
    gate = threading.Event()
    rule = proxy.add(Rule(hold(gate), method="PUT", path="/new/", nth=10, times=1000))
    with running('os.rename(args[0] + "/old", args[0] + "/new")', mount.mountpoint):
        eventually(lambda: rule.seen >= 12, what="the middle of the rename")
        mount.kill()
    detach(mount.mountpoint)
    gate.set()
    proxy.clear()
    again = mounts(endpoint=proxy.endpoint)
    code = """
answer = [os.listdir(args[0]), os.listdir(args[0] + "/new"),
          [open(f"{args[0]}/new/{n}").read() for n in range(40)],
          open(args[0] + "/new/sub/f").read()]
"""
    names, inside, bodies, sub = python(code, again.mountpoint)
    assert names == ["new"]
    assert sorted(inside) == sorted([*map(str, range(40)), "sub"])
    assert bodies == [str(n) for n in range(40)]
    assert sub == "sub"
    listed = s3.list_objects_v2(Bucket=mount.bucket, Prefix="data/old")
    assert listed["KeyCount"] == 0
    assert os.listdir(mount.state), "the journal is kept below the state folder"
