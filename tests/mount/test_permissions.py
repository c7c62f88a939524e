"""Permissions, as users without privileges meet them. The kernel checks what we store."""

import subprocess
from pathlib import Path

import pytest

from tests.mount.program import NOBODY, as_user, python, shell

USER, GROUP, OTHER_GROUP = NOBODY, NOBODY, 4242


@pytest.fixture
def home(folder: Path) -> Path:
    """A folder that belongs to the user."""
    shell('chown "$2:$3" "$1"', folder, USER, GROUP)
    return folder


def test_modes_are_obeyed(folder: Path) -> None:
    shell(
        """cd "$1"; echo hi > mine; chown "$2" mine; chmod 400 mine; echo hi > none; chmod 600 none
        echo hi > group; chown :"$3" group; chmod 640 group; mkdir closed open; chmod 711 closed
        echo hi > closed/f; chmod 644 closed/f; mkdir dark; echo hi > dark/f; chmod 700 dark
        echo '#!/bin/sh' > script; chmod 744 script""",
        folder,
        USER,
        OTHER_GROUP,
    )
    code = """
d = args[0]
answer = {
    "read mine": tell(open, d + "/mine"), "write mine": tell(open, d + "/mine", "r+"),
    "read none": tell(open, d + "/none"), "read group": tell(open, d + "/group"),
    "write group": tell(open, d + "/group", "a"),
    "list closed": tell(os.listdir, d + "/closed"), "through closed": tell(open, d + "/closed/f"),
    "stat in dark": tell(os.stat, d + "/dark/f"), "create": tell(open, d + "/new", "w"),
    "unlink": tell(os.unlink, d + "/mine"), "mkdir": tell(os.mkdir, d + "/m"),
    "rename": tell(os.rename, d + "/mine", d + "/m"), "execute": os.access(d + "/script", os.X_OK),
    "truncate": tell(os.truncate, d + "/none", 0), "rmdir": tell(os.rmdir, d + "/open"),
}
"""
    denied = "EACCES"
    expected = {
        "read mine": "ok", "write mine": denied, "read none": denied, "read group": denied,
        "write group": denied, "list closed": denied, "through closed": "ok",
        "stat in dark": denied, "create": denied, "unlink": denied, "mkdir": denied,
        "rename": denied, "execute": False, "truncate": denied, "rmdir": denied,
    }  # fmt: skip
    assert as_user(code, folder) == expected
    member = as_user(code, folder, groups=(GROUP, OTHER_GROUP))
    assert member == expected | {"read group": "ok"}


def test_only_the_owner_changes_attributes(home: Path) -> None:
    shell('cd "$1"; echo hi > roots; chmod 666 roots; chmod 777 .', home)
    code = """
import time
d = args[0]
f = d + "/mine"
open(f, "w").close()
answer = {
    "chmod mine": tell(os.chmod, f, 0o600), "chmod root's": tell(os.chmod, d + "/roots", 0o600),
    "give away": tell(os.chown, f, 0, -1),
    "chown root's": tell(os.chown, d + "/roots", args[1], -1),
    "to a foreign group": tell(os.chown, f, -1, 77), "to my group": tell(os.chown, f, -1, args[2]),
    "to nobody else": tell(os.chown, f, args[1], -1),
    "utime root's": tell(os.utime, d + "/roots", (1, 1)),
    "touch root's": tell(os.utime, d + "/roots"),
    "utime mine": tell(os.utime, f, (1, 1)),
    "setxattr root's": tell(os.setxattr, d + "/roots", "user.a", b"b"),
}
s = os.stat(f)
answer["end"] = [s.st_uid, s.st_gid, s.st_mode & 0o7777]
"""
    answer = as_user(code, home, USER, OTHER_GROUP, groups=(GROUP, OTHER_GROUP))
    assert answer == {
        "chmod mine": "ok", "chmod root's": "EPERM", "give away": "EPERM", "chown root's": "EPERM",
        "to a foreign group": "EPERM", "to my group": "ok", "to nobody else": "ok",
        "utime root's": "EPERM", "touch root's": "ok", "utime mine": "ok", "setxattr root's": "ok",
        "end": [USER, OTHER_GROUP, 0o600],
    }  # fmt: skip


def test_new_files_belong_to_who_makes_them(home: Path) -> None:
    code = """
d = args[0]
os.umask(0o027)
open(d + "/f", "w").close(); os.mkdir(d + "/d"); os.symlink("f", d + "/l"); os.mkfifo(d + "/p")
answer = {n: [s.st_uid, s.st_gid, oct(s.st_mode & 0o7777)] for n in "fdlp"
          for s in [os.lstat(d + "/" + n)]}
"""
    assert as_user(code, home) == {
        "f": [USER, GROUP, "0o640"],
        "d": [USER, GROUP, "0o750"],
        "l": [USER, GROUP, "0o777"],
        "p": [USER, GROUP, "0o640"],
    }


def test_a_setgid_directory_hands_down_its_group(home: Path) -> None:
    shell('cd "$1"; mkdir team; chown "$2:$3" team; chmod 2775 team', home, USER, OTHER_GROUP)
    code = """
d = args[0] + "/team"
os.umask(0o022)
open(d + "/f", "w").close(); os.mkdir(d + "/d"); open(d + "/d/g", "w").close()
answer = {n: [s.st_gid, oct(s.st_mode & 0o7777)] for n in ("f", "d", "d/g")
          for s in [os.lstat(d + "/" + n)]}
"""
    assert as_user(code, home) == {
        "f": [OTHER_GROUP, "0o644"],
        "d": [OTHER_GROUP, "0o2755"],
        "d/g": [OTHER_GROUP, "0o644"],
    }


def test_chmod_drops_setgid_of_a_group_one_is_not_in(home: Path) -> None:
    shell('cd "$1"; echo > f; chown "$2:$3" f; chmod 755 f', home, USER, OTHER_GROUP)
    code = """
os.chmod(args[0] + "/f", 0o2755)
answer = oct(os.stat(args[0] + "/f").st_mode & 0o7777)
"""
    assert as_user(code, home) == "0o755"
    assert as_user(code, home, groups=(GROUP, OTHER_GROUP)) == "0o2755"


def test_the_sticky_bit(home: Path) -> None:
    shell('cd "$1"; mkdir tmp; chmod 1777 tmp; echo > tmp/roots; chmod 666 tmp/roots', home)
    code = """
d = args[0] + "/tmp"
open(d + "/mine", "w").close()
answer = [tell(os.unlink, d + "/roots"), tell(os.rename, d + "/roots", d + "/x"),
          tell(os.rename, d + "/mine", d + "/roots"), tell(open, d + "/roots", "a"),
          tell(os.rename, d + "/mine", d + "/own"), tell(os.unlink, d + "/own")]
"""
    assert as_user(code, home) == ["EPERM", "EPERM", "EPERM", "ok", "ok", "ok"]


CLEAR = {
    "write": "fd = os.open(f, os.O_WRONLY); os.write(fd, b'x'); os.close(fd)",
    "truncate": "os.truncate(f, 1)",
    "open with O_TRUNC": "os.close(os.open(f, os.O_WRONLY | os.O_TRUNC))",
    "chown to the own group": "os.chown(f, -1, args[1])",
}


@pytest.mark.parametrize("verb", CLEAR)
def test_setuid_and_setgid_are_cleared(home: Path, verb: str) -> None:
    script = 'cd "$1"; echo hello > f; chown "$2:$3" f; chmod 6777 f; stat -c %a f'
    assert shell(script, home, USER, GROUP) == "6777\n"
    code = f"""
f = args[0] + "/f"
{CLEAR[verb]}
answer = oct(os.stat(f).st_mode & 0o7777)
"""
    groups = (GROUP, OTHER_GROUP)
    assert as_user(code, home, OTHER_GROUP, groups=groups) == "0o777"
    assert python('answer = oct(os.stat(args[0] + "/f").st_mode & 0o7777)', home) == "0o777"


def test_root_chown_clears_setuid_of_files(folder: Path) -> None:
    script = """
        cd "$1"; echo > f; chmod 6755 f; chown 7:8 f; stat -c '%a %u %g' f
        mkdir d; chmod 2755 d; chown 7:8 d; stat -c '%a %u %g' d"""
    assert shell(script, folder) == "755 7 8\n2755 7 8\n"


def test_access_asks_for_the_real_user(home: Path) -> None:
    shell('cd "$1"; echo > f; chmod 604 f; echo > g; chmod 600 g', home)
    code = """
d = args[0]
answer = [os.access(d + n, how) for n in ("/f", "/g") for how in (os.F_OK, os.R_OK, os.W_OK)]
"""
    assert as_user(code, home) == [True, True, False, True, False, False]


def test_through_setpriv_with_real_tools(home: Path) -> None:
    """The tools of the system, as the user: cp, mv, install, and refusals they report."""
    script = """
        cd "$1"; echo mine > a; cp -p a b; mv b c; mkdir d; mv c d; ls d; cat d/c
        chown 0 a 2>&1 | grep -o 'Operation not permitted'"""
    words = [f"--reuid={USER}", f"--regid={GROUP}", "--clear-groups", "bash", "-c", script]
    done = subprocess.run(
        ["setpriv", *words, "sh", str(home)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == "c\nmine\nOperation not permitted\n", done.stderr
    told = shell("stat -c '%u %g' \"$1\"/d/c", home)
    assert told == f"{USER} {GROUP}\n"
