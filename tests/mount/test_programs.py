"""What real programs do to files: databases, editors, mappings, files without names."""

import contextlib
import shutil
from pathlib import Path

import pytest

from tests.mount.program import Mounts, python, running, shell

SQLITE = """
import sqlite3
path = args[0] + "/data.db"
def connect():
    db = sqlite3.connect(path, timeout=20, isolation_level=None)
    got = db.execute(f"pragma journal_mode={args[1]}").fetchone()[0]
    assert got == args[1], got
    return db
"""


@pytest.mark.parametrize("journal", ["delete", "truncate", "wal"])
def test_sqlite(mounts: Mounts, journal: str) -> None:
    first = mounts()
    code = f"""{SQLITE}
db = connect()
db.execute("create table t (n integer primary key, body text)")
for batch in range(10):
    db.execute("begin")
    db.executemany("insert into t values (?, ?)",
                   [(batch * 100 + n, str(n) * 50) for n in range(100)])
    db.execute("rollback" if batch % 3 == 2 else "commit")
db.execute("delete from t where n % 2")
db.execute("create index i on t (body)")
answer = [db.execute("pragma integrity_check").fetchall(),
          db.execute("select count(*), sum(n) from t").fetchall()]
db.execute("vacuum")
db.close()
"""
    kept = [n for n in range(1000) if n // 100 % 3 != 2 and n % 2 == 0]
    good = [[["ok"]], [[len(kept), sum(kept)]]]
    assert python(code, first.mountpoint, journal) == good
    assert first.unmount()
    assert first.wait_exit() == 0
    second = mounts(name="again")
    code = f"""{SQLITE}
db = connect()
answer = [db.execute("pragma integrity_check").fetchall(),
          db.execute("select count(*), sum(n) from t").fetchall()]
"""
    assert python(code, second.mountpoint, journal) == good


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_two_processes_use_one_database(folder: Path, journal: str) -> None:
    """Locks keep them apart, and each sees what the other committed.

    The second opens when the first has: two that switch a new database to WAL at once get "database
    is locked" without any waiting, on any file system.
    """
    writer = f"""
args = args[0], args[1]
{SQLITE}
db = connect()
db.execute("create table if not exists t (who, n)")
print("open"); sys.stdin.readline()
for n in range(25):
    db.execute("begin immediate")
    count = db.execute("select count(*) from t").fetchone()[0]
    db.execute("insert into t values (?, ?)", (os.getpid(), count))
    db.execute("commit")
print("done")
"""
    with contextlib.ExitStack() as stack:
        pair = []
        for _ in range(2):
            process = stack.enter_context(running(writer, folder, journal))
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n", process.communicate()
            pair.append(process)
        for process in pair:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in pair:
            out, err = process.communicate(timeout=60)
            assert out == "done\n", err
    code = f"""{SQLITE}
answer = [n for n, in connect().execute("select n from t order by n")]
"""
    assert python(code, folder, journal) == list(range(50))


READER = """
import errno
path = args[0] + "/text"
print("reading")
seen = set()
while not os.path.exists(args[0] + "/stop"):
    try:
        with open(path, "rb", buffering=0) as file:
            body = file.read(4096)
            # Who rewrites in place may do so between two reads, as on a local disk.
            if args[1] != "may be empty": body += file.readall()
    except OSError as error:
        if error.errno != errno.ENOENT or args[1] != "may be missing":
            print("FAILED", error); break
        continue
    seen.add(len(body))
    if args[1] != "may be empty" or body:
        if len(set(body)) != 1 or len(body) != 1000 + body[0]:
            print("TORN", len(body), sorted(set(body))); break
print("end", len(seen) > 0)
"""

SAVES = {
    "temp and rename": (
        "never missing",
        "tmp = path + '.tmp'\nf = open(tmp, 'wb'); f.write(body); f.flush(); os.fsync(f.fileno())"
        "\nf.close()"
        "\nos.rename(tmp, path)",
    ),
    "temp and rename without fsync": (
        "never missing",
        "tmp = path + '.swp'\nwith open(tmp, 'wb') as f: f.write(body)\nos.replace(tmp, path)",
    ),
    "backup and rename": (
        "may be missing",
        "os.rename(path, path + '~')\nwith open(path + '.new', 'wb') as f: f.write(body)"
        "\nos.rename(path + '.new', path)\nos.unlink(path + '~')",
    ),
    "unlink and rename": (
        "may be missing",
        "with open(path + '.new', 'wb') as f: f.write(body)"
        "\nos.unlink(path)\nos.rename(path + '.new', path)",
    ),
    "truncate and write": (
        "may be empty",
        "fd = os.open(path, os.O_WRONLY | os.O_TRUNC); os.write(fd, body); os.close(fd)",
    ),
}


@pytest.mark.parametrize("name", SAVES)
def test_a_reader_never_sees_half_of_what_an_editor_saves(folder: Path, name: str) -> None:
    expect, save = SAVES[name]
    body = "\n    ".join(save.split("\n"))
    code = f"""
path = args[0] + "/text"
for n in range(40):
    body = bytes([n]) * (1000 + n)
    {body}
open(args[0] + "/stop", "w").close()
answer = [len(open(path, "rb").read()), sorted(os.listdir(args[0]))]
"""
    start = "open(args[0] + '/text', 'wb').write(bytes([9]) * 1009)"
    python(start, folder)
    with running(READER, folder, expect) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "reading\n"
        assert python(code, folder) == [1039, ["stop", "text"]]
        out, err = reader.communicate(timeout=30)
        assert out == "end True\n", err


def test_shared_and_private_mappings(mounts: Mounts) -> None:
    first = mounts()
    code = """
import mmap
path = args[0] + "/mapped"
size = 3 * 1024 * 1024 + 17
with open(path, "wb") as f: f.write(bytes(range(256)) * (size // 256 + 1)); f.truncate(size)
with open(path, "r+b") as f, mmap.mmap(f.fileno(), 0) as shared:
    assert shared[:256] == bytes(range(256))
    shared[0:5] = b"first"; shared[1_500_000:1_500_006] = b"middle"; shared[size - 4:size] = b"last"
    seen = open(path, "rb").read()[:5]
    shared.flush()
with open(path, "r+b") as f:
    private = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    private[0:5] = b"MINE!"
    private.close()
body = open(path, "rb").read()
answer = [seen.decode(), len(body), body[:5].decode(), body[1_500_000:1_500_006].decode(),
          body[-4:].decode()]
"""
    good = ["first", 3 * 1024 * 1024 + 17, "first", "middle", "last"]
    assert python(code, first.mountpoint) == good
    assert first.unmount()
    assert first.wait_exit() == 0
    second = mounts(name="again")
    code = """
import mmap
with open(args[0] + "/mapped", "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
    answer = ["first", len(m), m[:5].decode(), m[1_500_000:1_500_006].decode(), m[-4:].decode()]
"""
    assert python(code, second.mountpoint) == good


def test_a_mapping_written_after_the_file_was_closed(folder: Path) -> None:
    """munmap writes what is dirty although no descriptor is left."""
    code = """
import mmap
path = args[0] + "/mapped"
with open(path, "wb") as f: f.write(b"." * 10000)
f = open(path, "r+b")
m = mmap.mmap(f.fileno(), 0)
f.close()
m[5000:5004] = b"late"
m.close()
answer = open(path, "rb").read()[4999:5005].decode()
"""
    assert python(code, folder) == ".late."


def test_an_unlinked_file_lives_until_it_is_closed(folder: Path) -> None:
    code = """
path = args[0] + "/f"
big = os.urandom(1 << 20)
with open(path, "wb") as f: f.write(big)
f = open(path, "r+b")
os.unlink(path)
answer = [os.listdir(args[0]), os.fstat(f.fileno()).st_nlink, f.read() == big]
f.seek(100); f.write(b"changed"); f.flush(); f.seek(100)
answer += [f.read(7).decode(), os.fstat(f.fileno()).st_size]
os.fsync(f.fileno()); f.truncate(10)
answer.append(os.fstat(f.fileno()).st_size)
with open(path, "w") as new: new.write("another")
f.seek(0)
answer.append(f.read() == big[:10])
f.close()
answer += [open(path).read(), os.listdir(args[0])]
os.unlink(path); os.rmdir(args[0])
"""
    good = [[], 0, True, "changed", 1 << 20, 10, True, "another", ["f"]]
    assert python(code, folder) == good


def test_a_replaced_file_lives_until_it_is_closed(folder: Path) -> None:
    code = """
a, b = args[0] + "/a", args[0] + "/b"
open(a, "w").write("old" * 1000); open(b, "w").write("new")
f = open(a)
os.rename(b, a)
answer = [open(a).read(), f.read() == "old" * 1000, os.fstat(f.fileno()).st_nlink]
f.close()
answer.append(os.listdir(args[0]))
"""
    assert python(code, folder) == ["new", True, 0, ["a"]]


def test_tools_that_rewrite_in_place(folder: Path) -> None:
    script = """
        cd "$1"; seq 1 20000 > numbers; sed -i 's/^1$/one/' numbers; head -1 numbers
        sort -r numbers -o numbers; wc -l < numbers
        dd if=/dev/zero of=numbers bs=1 count=3 seek=4 conv=notrunc status=none
        split -b 10k numbers part.; cat part.* | cmp - numbers
        gzip -k numbers; gunzip -c numbers.gz | cmp - numbers; install -m 750 -o 1 numbers copy
        stat -c '%a %u' copy; truncate -s 5 copy; stat -c %s copy; : > copy; stat -c %s copy"""
    assert shell(script, folder).split() == ["one", "20000", "750", "1", "5", "0"]


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="no sqlite3 command here")
def test_sqlite_dumped_and_loaded(folder: Path) -> None:
    script = """
        cd "$1"; sqlite3 a.db 'create table t(x); insert into t values(1),(2)'
        sqlite3 a.db .dump > dump; sqlite3 b.db < dump; sqlite3 b.db .dump | cmp - dump
        sqlite3 b.db 'select sum(x) from t'"""
    assert shell(script, folder) == "3\n"
