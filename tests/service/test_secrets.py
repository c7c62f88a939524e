"""No secret comes to where others read: arguments, logs, answers, files."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.servers import free_port
from tests.mount.harness import ROOT
from tests.service.test_service import Manager

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "TheSecretThatNobodyMaySee0123456789abcdef",
    "AWS_SESSION_TOKEN": "TheTokenThatNobodyMaySee0123456789abcdef",
}
PASSWORD = "ThePasswordThatNobodyMaySee"
CUSTOMER_KEY = "a1b2c3d4" * 8
HIDDEN = [*SECRETS.values(), PASSWORD, CUSTOMER_KEY, CUSTOMER_KEY.upper()]


def leaks(text: str) -> list[str]:
    return [secret for secret in HIDDEN if secret in text]


def files_below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and "mnt" not in path.relative_to(folder).parts:
            yield path


@pytest.fixture
def manager(tmp_path: Path, endpoint: str) -> Iterator[Manager]:
    made = Manager(tmp_path, endpoint)
    yield made
    made.close()


def test_a_service_in_use_and_in_trouble(manager: Manager) -> None:
    """It is started with a debugging log, works, is refused, rescues, is asked and ends."""
    port = free_port()
    key = manager.folder / "customer.key"
    manager.extra = [f"log: {manager.folder}/log", f"metrics: {port}", "conflict: detect"]
    manager.write(
        one="s3://good/secrets",
        two="s3://good/secrets",
        away="s3://good/away proxy: ${PROXY}",
        customer=f"s3://nosuch/x sse-c-key-file: {key}",
    )
    key.write_text(CUSTOMER_KEY)
    key.chmod(0o600)
    manager.start("-d", PROXY=f"http://user:{PASSWORD}@127.0.0.1:9", **SECRETS)
    manager.until("READY=1")
    process = manager.process
    assert process is not None
    one, two = manager.place("one"), manager.place("two")
    program = """
import os, sys
one, two = (os.open(path + "/f", os.O_RDWR | os.O_CREAT) for path in sys.argv[1:])
os.write(one, b"first"), os.write(two, b"second")
os.close(one)
try: os.close(two)
except OSError: print("refused")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(one), str(two)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "refused\n"
    state = ["--state-path", str(manager.folder / "state")]
    said = [manager.ctl("status", "--json"), manager.ctl("status"), manager.ctl("rescue", *state)]
    assert all("nobody" not in answer.stderr for answer in said)
    mounts = json.loads(said[0].stdout)[0]["mounts"]
    assert {mount["name"]: mount["state"] for mount in mounts} == {
        "one": "mounted", "two": "mounted", "away": "failed", "customer": "failed",
    }  # fmt: skip
    assert "secrets/f" in said[2].stdout
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        metrics = answer.read().decode()
    arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
    stderr = manager.end()
    texts = [answer.stdout + answer.stderr for answer in said]
    for text in (*texts, metrics, arguments, stderr):
        assert leaks(text) == []
    log = (manager.folder / "log").read_text()
    assert "DEBUG" in log
    assert "AKID" not in log
    written = [path for path in files_below(manager.folder) if path not in (key, manager.file)]
    assert any(path.suffix == ".json" for path in written)  # the note of what was rescued
    for path in written:
        assert leaks(path.read_bytes().decode("latin-1")) == [], path
    private = [path for path in written if "state" in path.parts or "cache" in path.parts]
    assert all(path.stat().st_mode & 0o077 == 0 for path in private), private


def test_what_is_wrong_is_said_without_secrets(manager: Manager) -> None:
    checked = 0
    for line in (
        f"proxy: http://user:{PASSWORD}@127.0.0.1:99999",
        f"proxy: http://user:{PASSWORD}@[::1",
        "proxy: ${PROXY}",
        f"secret-access-key: {SECRETS['AWS_SECRET_ACCESS_KEY']}",
        f"aws_session_token: {SECRETS['AWS_SESSION_TOKEN']}",
        f"sse-c-key-file: {manager.folder}/wrong.key",
    ):
        (manager.folder / "wrong.key").write_text(CUSTOMER_KEY[:-1])
        manager.write(one=f"s3://good/x {line}")
        done = subprocess.run(
            [sys.executable, "-m", "yas3fs", "--config", str(manager.file), "-f"],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env=os.environ | SECRETS | {"PROXY": f"http://user:{PASSWORD}@[::1"},
            check=False,
        )
        assert done.returncode == 2, line
        assert done.stderr
        assert leaks(done.stdout + done.stderr) == []
        assert CUSTOMER_KEY[:-1] not in done.stderr
        checked += 1
    assert checked == 6
