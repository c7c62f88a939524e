"""Several processes at one file or one directory."""

import contextlib
from pathlib import Path

from tests.mount.program import python, running, shell


def finish(*processes: object, timeout: float = 60.0) -> list[str]:
    """What each of the processes printed at last; they must end well."""
    said = []
    for process in processes:
        out, err = process.communicate(timeout=timeout)  # type: ignore[attr-defined]
        assert process.returncode == 0, err  # type: ignore[attr-defined]
        said.append(out.strip())
    return said


def test_blocks_are_never_torn(folder: Path) -> None:
    """Writers rewrite aligned blocks with one byte each; no reader sees a mixed block."""
    python("open(args[0] + '/f', 'wb').write(bytes(64 * 4096))", folder)
    writer = """
import random
fd = os.open(args[0] + "/f", os.O_RDWR)
for n in range(400):
    byte = random.randrange(256)
    os.pwrite(fd, bytes([byte]) * 4096, random.randrange(64) * 4096)
    if n % 50 == 0: os.fsync(fd)
os.close(fd)
"""
    reader = """
import random
torn = 0
for n in range(40):
    fd = os.open(args[0] + "/f", os.O_RDONLY | (os.O_DIRECT if args[1] == "direct" else 0))
    import mmap
    block = mmap.mmap(-1, 4096)
    for m in range(30):
        assert os.preadv(fd, [block], random.randrange(64) * 4096) == 4096
        torn += len(set(block[:])) != 1
    os.close(fd)
print(torn)
"""
    with contextlib.ExitStack() as stack:
        work = [stack.enter_context(running(writer, folder)) for _ in range(2)]
        look = [stack.enter_context(running(reader, folder, how)) for how in ("cached", "direct")]
        finish(*work)
        assert finish(*look) == ["0", "0"]
    code = """
body = open(args[0] + "/f", "rb").read()
answer = [len(body), sum(len(set(body[n:n + 4096])) != 1 for n in range(0, len(body), 4096))]
"""
    assert python(code, folder) == [64 * 4096, 0]


def test_appending_processes_lose_no_line(folder: Path) -> None:
    code = """
fd = os.open(args[0] + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for n in range(500):
    line = f"{args[1]} {n} {'.' * (n % 90)}\\n".encode()
    assert os.write(fd, line) == len(line)
    if n % 200 == 0: os.fsync(fd)
os.close(fd)
"""
    with contextlib.ExitStack() as stack:
        finish(*[stack.enter_context(running(code, folder, who)) for who in "abc"])
    code = "answer = open(args[0] + '/log').read().splitlines()"
    lines = python(code, folder)
    assert len(lines) == 1500
    for who in "abc":
        mine = [line for line in lines if line.startswith(who)]
        assert mine == [f"{who} {n} {'.' * (n % 90)}" for n in range(500)]


def test_appending_with_opening_and_closing_each_time(folder: Path) -> None:
    """As shells do it: ``echo >> log`` from several at once."""
    script = 'for n in $(seq 40); do echo "$2 $n" >> "$1/log"; done'
    code = (
        f"import subprocess; subprocess.run(['bash', '-ec', {script!r}, 'sh', *args], check=True)"
    )
    with contextlib.ExitStack() as stack:
        finish(*[stack.enter_context(running(code, folder, who)) for who in "abc"])
    said = shell('sort "$1/log" | uniq | wc -l; wc -l < "$1/log"', folder)
    assert said.split() == ["120", "120"]


def test_locks_between_processes(folder: Path) -> None:
    holder = """
import fcntl
fd = os.open(args[0] + "/lock", os.O_RDWR | os.O_CREAT)
if args[1] == "flock": fcntl.flock(fd, fcntl.LOCK_EX)
else: fcntl.lockf(fd, fcntl.LOCK_EX, 10, 5)
print("held"); sys.stdin.readline()
"""
    other = """
import errno, fcntl
fd = os.open(args[0] + "/lock", os.O_RDWR)
def tell(verb, *words):
    try: verb(*words)
    except OSError as error: return errno.errorcode[error.errno]
    return "ok"
E = fcntl.LOCK_EX | fcntl.LOCK_NB
answer = [tell(fcntl.flock, fd, E)] if args[1] == "flock" else [
    tell(fcntl.lockf, fd, E, 10, 5), tell(fcntl.lockf, fd, E, 1, 14),
    tell(fcntl.lockf, fd, E, 5, 0), tell(fcntl.lockf, fd, E, 0, 15),
    tell(fcntl.lockf, fd, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, 5)]
"""
    for kind, held, free in (
        ("flock", ["EAGAIN"], ["ok"]),
        ("fcntl", ["EAGAIN", "EAGAIN", "ok", "ok", "EAGAIN"], ["ok"] * 5),
    ):
        with running(holder, folder, kind) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            assert python(other, folder, kind) == held
        assert python(other, folder, kind) == free


def test_direct_and_synchronous_writes(folder: Path) -> None:
    code = """
import mmap
path = args[0] + "/f"
block = mmap.mmap(-1, 1 << 20)
block[:] = bytes(range(256)) * 4096
fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o644)
answer = [os.writev(fd, [block]), os.pwritev(fd, [memoryview(block)[:4096]], 5 << 20)]
back = mmap.mmap(-1, 1 << 20)
answer += [os.preadv(fd, [back], 0), back[:] == block[:], os.preadv(fd, [back], (5 << 20) - 4096)]
answer += [back[:4096] == bytes(4096), back[4096:8192] == block[:4096]]
os.close(fd)
fd = os.open(path, os.O_WRONLY | os.O_SYNC)
answer += [os.pwrite(fd, b"sync", 1), os.fstat(fd).st_size]
os.close(fd)
fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
answer += [os.preadv(fd, [back], 0), back[:6].hex()]
"""
    mib = 1 << 20
    size = 5 * mib + 4096
    good = [mib, 4096, mib, True, 8192, True, True, 4, size, mib, "00" + b"sync".hex() + "05"]
    assert python(code, folder) == good


def test_truncating_and_growing_again_reads_zeros(folder: Path) -> None:
    code = """
path = args[0] + "/f"
answer = []
def look():
    body = open(path, "rb").read()
    answer.append([len(body), body.count(b"x"), body.count(b"\\0"), body.count(b"y")])
open(path, "wb").write(b"x" * 300_000)
os.truncate(path, 100_000); os.truncate(path, 200_000); look()
with open(path, "r+b") as f:
    f.truncate(50_001); f.seek(150_000); f.write(b"y" * 10); f.truncate(160_000)
look()
fd = os.open(path, os.O_RDWR)
os.ftruncate(fd, 10); os.ftruncate(fd, 20); answer.append(os.pread(fd, 99, 0).hex())
os.ftruncate(fd, 0); os.pwrite(fd, b"y", 4096); answer.append([os.fstat(fd).st_size])
os.close(fd); look()
"""
    assert python(code, folder) == [
        [200_000, 100_000, 100_000, 0],
        [160_000, 50_001, 109_989, 10],
        "78" * 10 + "00" * 10,
        [4097],
        [4097, 0, 4096, 1],
    ]


def test_listing_while_names_change(folder: Path) -> None:
    """Every name that is there all the time is listed exactly once, whatever happens beside."""
    code = """
for n in range(300): open(f"{args[0]}/stays-{n}", "w").close()
"""
    python(code, folder)
    churn = """
print("go")
n = 0
while not os.path.exists(args[0] + "/stop"):
    name = f"{args[0]}/churn-{n % 17}"
    open(name, "w").close()
    os.rename(name, name + ".moved") if n % 2 else os.unlink(name)
    n += 1
"""
    with running(churn, folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n"
        code = """
answer = set()
for _ in range(40):
    names = os.listdir(args[0])
    stays = [name for name in names if name.startswith("stays")]
    answer.add((len(stays), len(set(stays)), len(names) - len(set(names))))
open(args[0] + "/stop", "w").close()
answer = sorted(answer)
"""
        assert python(code, folder) == [[300, 300, 0]]
        finish(process)


def test_making_and_removing_the_same_names_from_many_processes(folder: Path) -> None:
    """O_EXCL, mkdir and rename decide for one winner each time."""
    code = """
wins = 0
for n in range(60):
    path = f"{args[0]}/{args[1]}-{n}"
    try:
        if args[1] == "file": os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        elif args[1] == "folder": os.mkdir(path)
        else: os.symlink("t", path)
        wins += 1
    except FileExistsError: pass
print(wins)
"""
    for kind in ("file", "folder", "link"):
        with contextlib.ExitStack() as stack:
            said = finish(*[stack.enter_context(running(code, folder, kind)) for _ in range(3)])
        assert sum(map(int, said)) == 60
    shell('rm -r "$1"', folder)
