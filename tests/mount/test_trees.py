"""Real trees through real programs: cp, rsync, tar, git; compared after a remount."""

import shutil
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.faulty_proxy import FaultyProxy, Rule, status
from tests.mount.program import Mounts, eventually, python, shell

SOURCES = Path(sysconfig.get_paths()["stdlib"])
PARTS = ("asyncio", "email", "json", "concurrent", "importlib", "unittest", "xml", "wsgiref")

SNAPSHOT = """
import hashlib, stat
def snapshot(root):
    "Every name below root with what lstat, readlink, the bytes and listxattr say of it."
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files, "."]:
            path = os.path.join(folder, name)
            s = os.lstat(path)
            what = [s.st_mode, s.st_uid, s.st_gid]
            if not stat.S_ISDIR(s.st_mode):
                what += [s.st_size, s.st_mtime_ns, s.st_rdev]
            elif name != ".":
                what += [s.st_mtime_ns] if args[-1] == "times" else []
            if stat.S_ISLNK(s.st_mode):
                what.append(os.readlink(path))
            if stat.S_ISREG(s.st_mode):
                what.append(hashlib.sha256(open(path, "rb").read()).hexdigest())
                what.append({k: os.getxattr(path, k).hex() for k in os.listxattr(path)})
            found[os.path.relpath(path, root)] = what
    return found
def differences(one, other):
    one, other = snapshot(one), snapshot(other)
    return {n: [one.get(n), other.get(n)] for n in one.keys() | other.keys()
            if one.get(n) != other.get(n)}
"""


def differences(one: Path, other: Path, *, times: bool = False) -> dict[str, object]:
    """What differs between two trees, name by name."""
    code = f"{SNAPSHOT}\nanswer = differences(args[0], args[1])"
    found: dict[str, object] = python(code, one, other, "times" if times else "", timeout=120)
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few hundred real files, deep folders, links, odd modes, owners and times."""
    root = tmp_path_factory.mktemp("tree") / "library"
    root.mkdir()
    for part in PARTS:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCES / part, root / part, ignore=skip, symlinks=True)
    deep = root.joinpath(*(f"level {n}" for n in range(20)))
    deep.mkdir(parents=True)
    (deep / "leaf").write_bytes(b"deep")
    (root / "empty").mkdir()
    (root / "nothing").write_bytes(b"")
    (root / "link").symlink_to("json/decoder.py")
    (root / "dangling").symlink_to("/no/such/thing")
    script = """
        cd "$1"; chmod 4755 json/decoder.py; chmod 000 json/encoder.py; chmod 2770 email
        chmod 1777 empty
        chown 1234:5678 json/tool.py asyncio; chown -h 12:34 link; mkfifo pipe; mknod null c 1 3
        touch -d '1999-12-31 23:59:59.123456789' json/__init__.py; touch -h -d '2001-01-01' link
        setfattr -n user.note -v 'kept' json/scanner.py 2>/dev/null || true
        touch -d '2005-05-05 05:05:05.5' email xml"""
    shell(script, root)
    return root


def test_a_library_copied_in_is_the_same_after_a_remount(mounts: Mounts, tree: Path) -> None:
    first = mounts()
    there = first.mountpoint / "library"
    shell('cp -a "$1" "$2"', tree, there, timeout=120)
    assert differences(tree, there, times=True) == {}
    shell('diff -r --no-dereference -x pipe -x null "$1" "$2"', tree, there)
    assert first.unmount()
    assert first.wait_exit() == 0

    second = mounts(name="again")
    assert differences(tree, second.mountpoint / "library") == {}
    shell('rm -r "$1"', second.mountpoint / "library", timeout=120)
    assert shell('ls -A "$1"', second.mountpoint) == ""


FILLED = """
import threading
root = args[0]
os.makedirs(root + "/tree/sub")
def fill(n):
    for m in range(n, 200, 8):
        open(f"{root}/tree/{m}", "w").write("x"); open(f"{root}/tree/sub/{m}", "w").write("y")
threads = [threading.Thread(target=fill, args=(n,)) for n in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = len(os.listdir(root + "/tree"))
"""


@pytest.mark.parametrize(
    "how", ['rm -rf "$1/tree"', 'find "$1/tree" -delete', 'rm -r "$1"/tree/*; rmdir "$1/tree"']
)
def test_a_tree_that_was_removed_is_gone_from_the_bucket(mounts: Mounts, s3: Any, how: str) -> None:
    mount = mounts()
    assert python(FILLED, mount.mountpoint) == 201
    shell(how, mount.mountpoint)
    listed = s3.list_objects_v2(Bucket=mount.bucket, Prefix="data/tree")
    assert listed["KeyCount"] == 0


def test_a_tree_that_s3_keeps_is_there_again_and_rm_says_why(
    mounts: Mounts, proxy: FaultyProxy
) -> None:
    mount = mounts("--retry-budget", 2, endpoint=proxy.endpoint)
    assert python(FILLED, mount.mountpoint) == 201
    proxy.add(Rule(status(403, "AccessDenied"), method="POST", times=100))
    said = shell('rm -rf "$1/tree" 2>&1 || true', mount.mountpoint)
    assert "tree/sub': Permission denied" in said
    count = 'ls "$1/tree" "$1/tree/sub" | grep -c "[0-9]$"'
    eventually(lambda: int(shell(count, mount.mountpoint)) == 398 or None, what="398 names")
    proxy.clear()
    shell('rm -r "$1/tree"; [ ! -e "$1/tree" ]', mount.mountpoint)


def test_rsync_transfers_nothing_the_second_time(mounts: Mounts, tree: Path) -> None:
    first = mounts()
    sync = 'rsync -aX --stats "$1/" "$2/" | grep -E "files transferred|files: "'
    there = first.mountpoint / "copy"
    shell(sync, tree, there, timeout=120)
    same = 'rsync -aX --omit-dir-times --itemize-changes {} "$1/" "$2/"'
    assert shell(same.format(""), tree, there, timeout=120) == ""
    assert shell(same.format("--checksum"), tree, there, timeout=120) == ""
    assert first.unmount()
    assert first.wait_exit() == 0

    second = mounts(name="again")
    there = second.mountpoint / "copy"
    assert shell(same.format("-n"), tree, there, timeout=120) == ""
    script = """
        cp -a "$1" "$3/changed"; echo more >> "$3/changed/json/tool.py"; rm "$3/changed/nothing"
        rsync -a --delete --itemize-changes "$3/changed/" "$2/" | sort; rm -r "$3/changed" """
    said = shell(script, tree, there, second.folder, timeout=120)
    assert "*deleting   nothing" in said
    assert [line.split()[1] for line in said.splitlines() if line.startswith(">f")] == [
        "json/tool.py"
    ]


def test_tar_and_untar(mounts: Mounts, tree: Path) -> None:
    first = mounts()
    script = """
        cd "$2"; make="tar --format=posix --xattrs -cf"; take="tar --xattrs --same-owner -xpf"
        $make library.tar -C "$(dirname "$1")" library; $take library.tar; tar -df library.tar
        $make back.tar library; mkdir second; $take back.tar -C second"""
    shell(script, tree, first.mountpoint, timeout=200)
    assert first.unmount()
    assert first.wait_exit() == 0
    second = mounts(name="again")
    assert differences(tree, second.mountpoint / "library") == {}
    assert differences(tree, second.mountpoint / "second" / "library") == {}


def test_git(mounts: Mounts, tree: Path) -> None:
    first = mounts()
    script = """
        export HOME="$2" GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_COUNT=3 GIT_CONFIG_KEY_0=user.name \
          GIT_CONFIG_VALUE_0=tester GIT_CONFIG_KEY_1=user.email GIT_CONFIG_VALUE_1=t@example.com \
          GIT_CONFIG_KEY_2=safe.directory GIT_CONFIG_VALUE_2='*'
        cd "$2"; git init -q -b main copy; cd copy; cp -r "$1"/json "$1"/email .
        git add -A; git commit -qm one; echo change >> json/tool.py; git commit -qam two
        git checkout -qb side HEAD~1; echo other > email/other; git add -A; git commit -qm three
        git checkout -q main; git merge -q -m merged side; git gc -q; git fsck --strict
        git status --porcelain; cd ..; git clone -q copy clone; cd clone; git fsck --strict
        git log --oneline | wc -l; cmp json/tool.py ../copy/json/tool.py"""
    said = shell(script, tree, first.mountpoint, timeout=200)
    assert said.split() == ["4"]
    assert first.unmount()
    assert first.wait_exit() == 0
    second = mounts(name="again")
    script = """
        export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'
        for it in copy clone; do cd "$1/$it"; git fsck --strict; git status --porcelain; done"""
    assert shell(script, second.mountpoint, timeout=100) == ""


def test_a_tree_is_removed_although_nothing_is_believed(mounts: Mounts) -> None:
    """Programs compare inode numbers from look to look, with --metadata-ttl 0 as well."""
    mount = mounts("--metadata-ttl", 0)
    code = """
import shutil
root = args[0] + "/tree"
for n in range(5):
    os.makedirs(f"{root}/{n}/deep")
    open(f"{root}/{n}/deep/file", "w").close()
shutil.rmtree(root)
answer = os.listdir(args[0])
"""
    assert python(code, mount.mountpoint) == []
