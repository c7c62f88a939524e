"""Ctrl-C ends a program that waits for a silent S3, whatever it waits for."""

import signal
import subprocess
import threading
import time

import pytest

from tests.doubles.faulty_proxy import Exchange, FaultyProxy, Rule
from tests.mount.program import Mounts, eventually, python, running, shell

WRITE = "fd = os.open(d + '/new', os.O_WRONLY | os.O_CREAT); os.write(fd, b'x')"
VERBS = {
    "open": ("open(d + '/unknown/f')", ""),
    "stat": ("os.stat(d + '/unknown')", ""),
    "listing": ("os.listdir(d + '/dir')", ""),
    "read": ("f.read()", "f = open(d + '/big', 'rb')"),
    "close": ("os.close(fd)", WRITE),
    "fsync": ("os.fsync(fd)", WRITE),
    "mkdir": ("os.mkdir(d + '/made')", ""),
    "unlink": ("os.unlink(d + '/dir/one')", "os.stat(d + '/dir/one')"),
    "rename": ("os.rename(d + '/dir', d + '/other')", "os.listdir(d + '/dir')"),
}


@pytest.mark.parametrize("verb", VERBS)
def test_ctrl_c(mounts: Mounts, proxy: FaultyProxy, verb: str) -> None:
    call, before = VERBS[verb]
    gate = threading.Event()

    def silent(exchange: Exchange) -> bool:
        exchange.proxy.wait(gate)
        return False

    first = mounts(name="first")
    script = 'cd "$1"; mkdir dir; echo 1 > dir/one; head -c 9000000 /dev/zero > big'
    shell(script, first.mountpoint)
    mount = mounts("--read-timeout", 60, "--retry-budget", 60, endpoint=proxy.endpoint)
    code = f"""
import signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
d = args[0]
{before}
print("ready"); sys.stdin.readline()
print("calling")
{call}
print("returned")
"""
    with running(code, mount.mountpoint) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        rule = proxy.add(Rule(silent, times=1_000_000))
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stdout.readline() == "calling\n"
        eventually(lambda: rule.seen, what="a request")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        try:
            status = process.wait(10)
        except subprocess.TimeoutExpired:
            pytest.fail("the program is still there 10 s after Ctrl-C")
        assert status == -signal.SIGINT
        assert time.monotonic() - began < 2.0, "the promise is 2 s"
    proxy.clear()
    gate.set()
    good = "answer = [sorted(os.listdir(args[0] + '/dir')), os.path.getsize(args[0] + '/big')]"
    names, size = python(good, mount.mountpoint, timeout=90)
    assert names in (["one"], []) if verb == "unlink" else names == ["one"]
    assert size == 9_000_000
