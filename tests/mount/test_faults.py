"""S3 fails in the middle of each operation: right errno, nothing lost, usable afterwards."""

import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.doubles import faulty_proxy as fp
from tests.doubles.faulty_proxy import Action, FaultyProxy, Rule
from tests.mount.program import Mounts, S3Mount, eventually, python, running

FOREVER = 1_000_000
BUDGET = 2

TELL = """
import errno, time
d = args[0]
def tell(verb, *words):
    try:
        got = verb(*words)
    except OSError as error:
        return errno.errorcode[error.errno]
    return got if isinstance(got, (str, list)) else "ok"
def save(path, body):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try: os.write(fd, body)
    finally: os.close(fd)
def load(path):
    return open(path).read()
"""

VERBS = {
    "stat": "tell(os.stat, d + '/f')",
    "read": "tell(load, d + '/f')",
    "list": "tell(os.listdir, d + '/dir')",
    "save": "tell(save, d + '/new', b'new')",
    "overwrite": "tell(save, d + '/f', b'new')",
    "chmod": "tell(os.chmod, d + '/f', 0o600)",
    "rename": "tell(os.rename, d + '/f', d + '/g')",
    "rename of a directory": "tell(os.rename, d + '/dir', d + '/other')",
    "unlink": "tell(os.unlink, d + '/f')",
    "mkdir": "tell(os.mkdir, d + '/made')",
    "rmdir": "tell(os.rmdir, d + '/empty')",
    "symlink": "tell(os.symlink, 'f', d + '/link')",
    "truncate": "tell(os.truncate, d + '/f', 1)",
    "setxattr": "tell(os.setxattr, d + '/f', 'user.a', b'b')",
}
GOOD: dict[str, Any] = dict.fromkeys(VERBS, "ok") | {"read": "content", "list": ["one", "two"]}

FAULTS: dict[str, Action] = {
    "403": fp.status(403, "AccessDenied"),
    "404": fp.status(404, "NoSuchKey"),
    "412": fp.status(412, "PreconditionFailed"),
    "500": fp.status(500, "InternalError"),
    "503": fp.status(503, "SlowDown"),
    "reset": fp.reset_before,
    "lost answer": fp.lose_answer,
    "truncated": fp.cut_body(3),
    "silence": fp.silence,
}
ALLOWED = {
    "403": {"EACCES"},
    "404": {"ENOENT", "EIO", "ESTALE"},
    "412": {"EEXIST", "ENOTEMPTY", "ESTALE", "EIO"},
}
"""What else than success a refusal may become; of all others nothing but EIO."""


@pytest.fixture
def faulty(mounts: Mounts, proxy: FaultyProxy) -> Iterator[S3Mount]:
    """A mount through the proxy that gives up soon, believes nothing, and holds a few names."""
    mount = mounts(
        *("--retry-budget", BUDGET, "--read-timeout", 0.3, "--metadata-ttl", 0),
        endpoint=proxy.endpoint,
    )
    prepare(mount)
    yield mount
    proxy.clear()


PREPARE = f"""{TELL}
for folder, folders, files in os.walk(d, topdown=False):
    # A file that could not be saved goes once the kernel has released it: perhaps just now.
    for name in files: assert tell(os.unlink, folder + "/" + name) in ("ok", "ENOENT")
    for name in folders: os.rmdir(folder + "/" + name)
save(d + "/f", b"content")
os.mkdir(d + "/dir"); os.mkdir(d + "/empty")
save(d + "/dir/one", b"1"); save(d + "/dir/two", b"2")
"""


def prepare(mount: S3Mount) -> None:
    python(PREPARE, mount.mountpoint)


def usable(mount: S3Mount) -> None:
    """A round of everything, after which all is as prepared."""
    code = f"{PREPARE}\nanswer = [{', '.join(f'{verb}' for verb in VERBS.values())}]"
    got = python(code, mount.mountpoint, timeout=60)
    alone = ("ok", "content", ["one", "two"], "ENOENT")
    assert all(answer in alone for answer in got), got


TALK = f"""{TELL}
import json
import subprocess
def prepare():
    {PREPARE.removeprefix(TELL).strip().replace(chr(10), chr(10) + "    ")}
def one(name, verb):
    prepare(); print("ready"); sys.stdin.readline(); print(json.dumps([name, verb()]))
    sys.stdin.readline()  # the faults are taken back before the next is prepared
"""
TALK_ALL = "\n".join(f"one({verb!r}, lambda: {code})" for verb, code in VERBS.items())


def talk(
    process: "subprocess.Popen[str]", proxy: FaultyProxy, action: Action
) -> Iterator[tuple[str, Any]]:
    """Each verb's name and answer, while the first request of each method fails."""
    assert process.stdout is not None
    assert process.stdin is not None
    while process.stdout.readline() == "ready\n":
        for method in ("GET", "HEAD|POST", "PUT|DELETE"):
            proxy.add(Rule(action, method=method))
        process.stdin.write("go\n")
        process.stdin.flush()
        verb, got = json.loads(process.stdout.readline())
        proxy.clear()
        process.stdin.write("go on\n")
        process.stdin.flush()
        yield verb, got


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_that_passes(faulty: S3Mount, proxy: FaultyProxy, fault: str) -> None:
    """Each verb, with the first request of each kind failing once. Refusals may be reported."""
    with running(f"{TALK}\n{TALK_ALL}", faulty.mountpoint) as process:
        answers = dict(talk(process, proxy, FAULTS[fault]))
        assert process.wait(30) == 0, process.communicate()[1] + faulty.log.read_text()[-3000:]
    assert answers.keys() == VERBS.keys()
    for verb, got in answers.items():
        if fault in ALLOWED:
            assert got == GOOD[verb] or got in ALLOWED[fault], verb
        else:
            assert got == GOOD[verb], verb
    usable(faulty)


LASTING = ("403", "503", "reset", "silence")


@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_stays(faulty: S3Mount, proxy: FaultyProxy, fault: str) -> None:
    """All verbs at once, each in a thread: all are told, none hangs, nothing acknowledged goes."""
    want = "EACCES" if fault == "403" else "EIO"
    code = f"""{TELL}
from concurrent.futures import ThreadPoolExecutor
verbs = {{
    "stat": lambda: tell(os.stat, d + "/f"), "read": lambda: tell(load, d + "/dir/one"),
    "list": lambda: tell(os.listdir, d + "/dir"), "save": lambda: tell(save, d + "/new", b"new"),
    "mkdir": lambda: tell(os.mkdir, d + "/made"), "unlink": lambda: tell(os.unlink, d + "/dir/two"),
    "chmod": lambda: tell(os.chmod, d + "/f", 0o600),
    "rename": lambda: tell(os.rename, d + "/f", d + "/g"),
}}
with ThreadPoolExecutor(len(verbs)) as pool:
    pending = {{name: pool.submit(verb) for name, verb in verbs.items()}}
    answer = {{name: future.result() for name, future in pending.items()}}
"""
    proxy.add(Rule(FAULTS[fault], times=FOREVER))
    got = python(code, faulty.mountpoint, timeout=60)
    proxy.clear()
    assert got == dict.fromkeys(got, want)
    code = f"""{TELL}
answer = [sorted(os.listdir(d)), load(d + '/f'), load(d + '/dir/one'), load(d + '/dir/two')]"""
    names, *bodies = python(code, faulty.mountpoint)
    assert set(names) >= {"f", "dir", "empty"}
    assert bodies == ["content", "1", "2"]
    usable(faulty)


BIG = 12 << 20


def held(proxy: FaultyProxy, action: Action, **where: Any) -> Rule:
    return proxy.add(Rule(action, times=FOREVER, **where))


@pytest.mark.parametrize(
    ("action", "want"),
    [
        (fp.cut_body(300_000), "ok"),
        (fp.cut_body(300_000, reset=True), "ok"),
        (fp.status(503, "SlowDown"), "ok"),
        (fp.silence, "ok"),
        (fp.status(403, "AccessDenied"), "EACCES"),
        (fp.status(412, "PreconditionFailed"), "ESTALE"),
        (fp.status(404, "NoSuchKey"), "ESTALE"),
    ],
    ids=["cut", "cut and reset", "503", "silence", "403", "412", "404"],
)
def test_reading_a_large_file(
    mounts: Mounts, proxy: FaultyProxy, s3: Any, action: Action, want: str
) -> None:
    """The second part of the file fails, twice or for good: repeated, or said; no other bytes."""
    mount = mounts("--read-timeout", 1, "--retry-budget", 20, endpoint=proxy.endpoint)
    body = bytes(range(251)) * (BIG // 251)
    s3.put_object(Bucket=mount.bucket, Key="data/big", Body=body)
    times = 2 if want == "ok" else FOREVER
    rule = proxy.add(Rule(action, method="GET", path=r"/big($|\?)", nth=2, times=times))
    code = """
import errno, hashlib
digest = hashlib.sha256(); size = 0; answer = "ok"
try:
    with open(args[0] + "/big", "rb", buffering=0) as f:
        while piece := f.read(200_000): digest.update(piece); size += len(piece)
except OSError as error: answer = errno.errorcode[error.errno]
good = hashlib.sha256((bytes(range(251)) * (args[1] // 251))[:size]).hexdigest()
answer = [answer, digest.hexdigest() == good, size]
"""
    got = python(code, mount.mountpoint, BIG, timeout=60)
    if want == "ok":
        assert got == ["ok", True, len(body)]
    else:
        assert got[:2] == [want, True]
    assert rule.seen >= 2
    proxy.clear()
    assert python(code, mount.mountpoint, BIG, timeout=60) == ["ok", True, len(body)]


@pytest.mark.parametrize(
    ("fault", "size"), [("403", 100), ("500", 100), ("403", BIG), ("silence", BIG)]
)
def test_a_file_that_cannot_be_uploaded_is_rescued(
    faulty: S3Mount, proxy: FaultyProxy, s3: Any, fault: str, size: int
) -> None:
    code = f"""{TELL}
body = bytes(range(251)) * (args[1] // 251 + 1)
fd = os.open(d + "/lost", os.O_WRONLY | os.O_CREAT)
answer = []
view = memoryview(body)[:args[1]]
while view: view = view[os.write(fd, view[:1 << 20]):]
answer.append(tell(os.close, fd))
answer.append(tell(os.stat, d + "/lost"))
"""
    held(proxy, FAULTS[fault], method="PUT|POST", path="lost")
    want = "EACCES" if fault == "403" else "EIO"
    got = python(code, faulty.mountpoint, size, timeout=90)
    assert got[0] == want
    proxy.clear()
    (note,) = eventually(faulty.rescued, 60.0, "the rescue")
    told = json.loads(note.read_text())
    assert (told["key"], told["size"], told["complete"]) == ("data/lost", size, True)
    assert told["bucket"] == faulty.bucket
    assert told["reason"]
    kept = note.with_suffix("").read_bytes()
    assert kept == (bytes(range(251)) * (size // 251 + 1))[:size]
    eventually(lambda: faulty.logged(str(note.with_suffix(""))), what="the line in the log")
    shown = python(f"{TELL}\nanswer = tell(os.stat, d + '/lost')", faulty.mountpoint)
    assert shown == "ENOENT"
    usable(faulty)
    assert faulty.terminate() == 0


def test_fsync_reports_and_a_later_close_saves(
    faulty: S3Mount, proxy: FaultyProxy, s3: Any
) -> None:
    """The program is told, keeps the file open, and what it wrote is stored when S3 is back."""
    code = """
import errno
fd = os.open(args[0] + "/f", os.O_RDWR)
os.pwrite(fd, b"CON", 0)
try: os.fsync(fd); print("ok")
except OSError as error: print(errno.errorcode[error.errno])
sys.stdin.readline()
os.pwrite(fd, b"TENT", 3)
os.fsync(fd); os.close(fd)
print("closed")
"""
    held(proxy, fp.status(500, "InternalError"), method="PUT")
    with running(code, faulty.mountpoint) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "EIO\n"
        old = s3.get_object(Bucket=faulty.bucket, Key="data/f")["Body"].read()
        assert old == b"content"
        proxy.clear()
        out, err = process.communicate("go\n", timeout=30)
        assert out == "closed\n", err
    assert s3.get_object(Bucket=faulty.bucket, Key="data/f")["Body"].read() == b"CONTENT"
    assert faulty.rescued() == []


def test_a_slow_store_is_waited_for(faulty: S3Mount, proxy: FaultyProxy) -> None:
    """Slow is not silent: an answer that takes long but comes within the time is taken."""
    pause = threading.Event()

    def slow(exchange: fp.Exchange) -> bool:
        answer = exchange.forward()
        for start in range(0, len(answer), max(1, len(answer) // 4)):
            pause.wait(0.02)
            exchange.client.sendall(answer[start : start + max(1, len(answer) // 4)])
        return True

    held(proxy, slow)
    code = f"""{TELL}
save(d + "/f", b"slowly"); os.rename(d + "/f", d + "/g")
answer = [load(d + "/g"), tell(os.listdir, d + "/dir")]"""
    assert python(code, faulty.mountpoint, timeout=60) == ["slowly", ["one", "two"]]
