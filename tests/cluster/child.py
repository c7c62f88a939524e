"""Makes system calls in a mount for the tests: one JSON line in, one out."""

import errno
import json
import os
import shutil
import stat
import sys
import traceback
from typing import Any

ROOT = sys.argv[1]


def at(name: str) -> str:
    """The path of a name in the mount."""
    return os.path.join(ROOT, name) if name else ROOT


def read(name: str) -> str:
    """A file's content."""
    with open(at(name), "rb") as file:
        return file.read().decode("latin-1")


def write(name: str, text: str, how: str = "wb") -> None:
    """Store content."""
    with open(at(name), how) as file:
        file.write(text.encode("latin-1"))


def exists(name: str) -> bool:
    """Whether there is such a name, be it a broken link."""
    return os.path.lexists(at(name))


def tree(name: str = "") -> dict[str, Any]:
    """Everything below: directories as dicts, files as [mode, content], links as text."""
    found: dict[str, Any] = {}
    for entry in sorted(os.listdir(at(name))):
        below = os.path.join(name, entry)
        try:
            mode = os.lstat(at(below)).st_mode
            if stat.S_ISDIR(mode):
                found[entry] = tree(below)
            elif stat.S_ISLNK(mode):
                found[entry] = os.readlink(at(below))
            else:
                found[entry] = [stat.S_IMODE(mode), read(below)]
        except OSError as error:  # it changes while it is looked at
            found[entry] = errno.errorcode[error.errno or 0]
    return found


def main() -> None:
    """Answer until the pipe is closed."""
    names: dict[str, Any] = {
        **{"at": at, "read": read, "write": write, "exists": exists, "tree": tree},
        **{"os": os, "stat": stat, "shutil": shutil, "errno": errno},
    }
    for line in sys.stdin:
        code, names["args"] = json.loads(line)
        names["answer"] = None
        outcome: dict[str, Any] = {}
        try:
            exec(code, names)
            outcome["answer"] = names["answer"]
        except OSError as error:
            outcome["answer"] = errno.errorcode.get(error.errno or 0, str(error))
        except BaseException:
            outcome["failed"] = traceback.format_exc()
        print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    main()
