"""Names with every odd character, and how they arrive in the bucket."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.doubles import servers
from tests.mount.program import Mounts, new_bucket_name, python, shell

NAMES = [
    " ", "  two  ", "trailing ", ".hidden", "...", "-rf", "~", "a+b", "100%", "%41%2F", "q?x=1&y=2",
    "#frag", "a;b", "a:b", "star*", "[glob]", "{brace}", "$HOME", "`id`", "!bang", "'single'",
    '"double"', "back\\slash", "a|b<c>", "(paren)", "comma,", "@at", "^caret", "=", "ünïcødé",
    unicodedata.normalize("NFC", "é-nfc"), unicodedata.normalize("NFD", "é-nfd"), "日本語", "🎉",
    "\u200bzero", "\u202ertl", "\uf7e9private", "x" * 255, "é" * 127, "con", "NUL", "x.partial",
    "attr", "user.yas3fs.bucket", "\x7f", "\ufffd", "\ue000", "\u00a0",
]  # fmt: skip
CONTROL = {
    "versitygw": ["new\nline", "car\rriage", "tab\t"],  # the rest it lists as U+FFFD
    "moto": ["car\rriage", "tab\t", "\x01", "\x1b[31m", "bell\x07"],  # no newlines
}
RAW = [b"latin-\xe9", b"\xff\xfe", b"cut-\xe2\x82", b"\x80", b"surrogate-\xed\xa0\x80"]


MAKE = """
root = os.fsencode(args[0])
names = [bytes.fromhex(name) for name in args[1]]
for n, name in enumerate(names):
    with open(os.path.join(root, b"files", name), "wb") as file: file.write(b"%d" % n)
    os.mkdir(os.path.join(root, b"folders", name))
    with open(os.path.join(root, b"folders", name, name), "wb") as file: file.write(b"%d" % n)
    os.symlink(name, os.path.join(root, b"links", name))

"""
CHECK = """
root = os.fsencode(args[0])
names = [bytes.fromhex(name) for name in args[1]]
answer = []
for folder in (b"files", b"folders", b"links"):
    found = os.listdir(os.path.join(root, folder))
    if sorted(found) != sorted(names):
        answer.append([repr(set(found) ^ set(names)), len(found), len(names)])
for n, name in enumerate(names):
    if open(os.path.join(root, b"files", name), "rb").read() != b"%d" % n:
        answer.append(["files", repr(name)])
    if open(os.path.join(root, b"folders", name, name), "rb").read() != b"%d" % n:
        answer.append(["folders", repr(name)])
    if os.readlink(os.path.join(root, b"links", name)) != name:
        answer.append(["links", repr(name)])
"""
MOVE = """
root = os.fsencode(args[0])
names = [bytes.fromhex(name) for name in args[1]]
answer = []
for folder in (b"files", b"folders", b"links"):
    for name in names:
        path, aside = os.path.join(root, folder, name), os.path.join(root, b"aside")
        os.rename(path, aside)
        if os.path.lexists(path): answer.append(["still there", repr(path)])
        os.rename(aside, path)
"""
REMOVE = """
import shutil
for folder in ("files", "folders", "links"):
    shutil.rmtree(os.path.join(args[0], folder))
answer = os.listdir(args[0])
"""


@pytest.mark.parametrize("kind", CONTROL)
def test_every_name(kind: str, mounts: Mounts, request: pytest.FixtureRequest) -> None:
    server: servers.Server = request.getfixturevalue(f"{kind}_server")
    where = {"endpoint": server.endpoint, "bucket": new_bucket_name(server)}
    text = NAMES if kind == "versitygw" else NAMES[::6]  # moto is slow
    names = [name.hex() for name in [*(n.encode() for n in text + CONTROL[kind]), *RAW]]
    first = mounts(**where)
    shell('mkdir "$1/files" "$1/folders" "$1/links"', first.mountpoint)
    python(MAKE, first.mountpoint, names, timeout=120)
    assert python(CHECK, first.mountpoint, names, timeout=120) == []
    assert first.unmount()
    assert first.wait_exit() == 0
    second = mounts(name="again", **where)
    assert python(CHECK, second.mountpoint, names, timeout=120) == []
    assert python(MOVE, second.mountpoint, names, timeout=120) == []
    assert python(CHECK, second.mountpoint, names, timeout=120) == []
    assert python(REMOVE, second.mountpoint, timeout=120) == []


def test_the_key_is_the_name(mounts: Mounts, s3: Any) -> None:
    """What other clients see: the name itself, byte for byte."""
    mount = mounts()
    names = [name for name in NAMES if "\uf7e9" not in name]
    code = "for name in args[1]: open(os.path.join(args[0], name), 'w').close()"
    python(code, mount.mountpoint, names, timeout=60)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=mount.bucket, Prefix="data/")
    keys = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
    assert keys - {"data/"} == {f"data/{name}" for name in names}


def test_names_that_are_too_long(folder: Path) -> None:
    code = """
import errno
def tell(verb, *words):
    try: verb(*words)
    except OSError as error: return errno.errorcode[error.errno]
    return "ok"
d = args[0]
long = "x" * 256
answer = [tell(open, f"{d}/{long}", "w"), tell(os.mkdir, f"{d}/{long}"),
          tell(os.stat, f"{d}/{long}"),
          tell(os.symlink, "t", f"{d}/{long}"), tell(os.mkdir, f"{d}/" + "é" * 128)]
path = d
while tell(os.mkdir, path) in ("ok", "EEXIST"): path += "/" + "y" * 200
answer += [tell(os.mkdir, path), tell(open, path, "w"), tell(os.symlink, "t", path),
           tell(os.rename, path.rpartition("/")[0], path), path.count("y" * 200)]
"""
    answer = python(code, folder)
    assert answer[:8] == ["ENAMETOOLONG"] * 8, answer
    assert answer[8] == "EINVAL", "a directory into itself"
    assert answer[9] == 5, answer


@pytest.mark.parametrize("name", [".", "..", ""])
def test_names_that_are_none(folder: Path, name: str) -> None:
    code = """
import errno
answer = []
for verb in (os.mkdir, os.rmdir, os.unlink):
    try: verb(args[0] + "/sub/" + args[1])
    except OSError as error: answer.append(errno.errorcode[error.errno])
"""
    shell('mkdir "$1/sub"; echo > "$1/sub/f"', folder)
    made = {".": "EINVAL", "..": "ENOTEMPTY", "": "ENOTEMPTY"}[name]
    assert python(code, folder, name) == ["EEXIST", made, "EISDIR"]
