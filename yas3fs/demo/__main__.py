"""``python -m yas3fs.demo``: starts an S3 on this machine, mounts it, shows a few operations.

The mount stays to play with, until ``python -m yas3fs.demo --stop``. All that the demo makes lies
in one folder, which ``--stop`` removes again.
"""

import argparse
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from yas3fs.demo import server
from yas3fs.fuse.mounts import mount_at

BUCKET = "demo"
START = "python -m yas3fs.demo"
TOUR = (
    "echo 'Hello, bucket' > hello.txt",
    "cat hello.txt",
    "mkdir -p letters/2026",
    "mv hello.txt letters/2026/greeting.txt",
    "ln -s letters/2026/greeting.txt latest",
    "seq 1 200000 > numbers.txt",
    "chmod 640 numbers.txt",
    "ls -lR .",
    "stat -c '%n: %s bytes, mode %a, owner %U' numbers.txt",
    "sha256sum numbers.txt",
)
AFTERWARDS = ("cat latest", "stat -c '%n: %s bytes, mode %a, owner %U' numbers.txt",
              "sha256sum numbers.txt")  # fmt: skip


class DemoFailed(Exception):
    """One line for whoever tries the demo."""


class Places(NamedTuple):
    """Where the demo keeps what."""

    folder: Path

    @property
    def files(self) -> Path:
        """The mount point."""
        return self.folder / "files"

    @property
    def note(self) -> Path:
        """What runs: port and process id of the server."""
        return self.folder / "demo.json"


def default_places() -> Places:
    """A folder in the user's home."""
    return Places(Path(os.path.realpath(Path.home() / "yas3fs-demo")))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog=START, description=__doc__.split("\n")[0])
    parser.add_argument("--stop", action="store_true", help="unmount and clear everything away")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where it keeps all (default: ~/yas3fs-demo)"
    )
    options = parser.parse_args(argv)
    folder = options.folder or default_places().folder
    places = Places(Path(os.path.realpath(folder)))
    try:
        if options.stop:
            return _stop(places)
        return _start(places)
    except (DemoFailed, server.ServerFailed) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _start(places: Places) -> int:
    if _runs(places):
        print("The demo is running already.\n")
        _say_how_to_go_on(places)
        return 0
    _check_machine()
    if not places.note.exists() and places.folder.exists() and any(places.folder.iterdir()):
        raise DemoFailed(f"{places.folder} is in use for something else: choose another --folder")
    _clear(places)
    places.folder.mkdir(parents=True, exist_ok=True)
    port = server.free_port()
    print("Starting an S3 server on this machine (moto, in memory) ...", flush=True)
    pid = server.start(port, places.folder / "moto.log")
    places.note.write_text(json.dumps({"pid": pid, "port": port}))
    try:
        server.create_bucket(port, BUCKET)
        _mount(places, port)
        _run(places.files, TOUR)
        print("\nUnmount, and mount again: everything comes back from the bucket.")
        _unmount(places)
        _mount(places, port)
        _run(places.files, AFTERWARDS)
    except BaseException:
        _clear(places, keep_logs=True)
        raise
    print("\nThe bucket holds these objects:")
    print("".join(f"  s3://{BUCKET}/{key}\n" for key in server.keys(port, BUCKET)))
    _say_how_to_go_on(places)
    return 0


def _stop(places: Places) -> int:
    if not places.note.exists():
        print("The demo is not running.")
        return 0
    _clear(places)
    print("The demo is stopped, and its folder removed.")
    return 0


def _check_machine() -> None:
    """Say what is missing before anything is started."""
    if importlib.util.find_spec("moto") is None:
        raise DemoFailed("moto is not installed: pip install '.[demo]'")
    if not os.path.exists("/dev/fuse"):
        raise DemoFailed(
            "there is no /dev/fuse: load the kernel module (modprobe fuse), or start the container "
            "with --device /dev/fuse --cap-add SYS_ADMIN"
        )
    if shutil.which("fusermount3") is None:
        raise DemoFailed("fusermount3 is missing: apt-get install fuse3")


def _runs(places: Places) -> bool:
    note = _note(places)
    return "pid" in note and server.is_running(note["pid"]) and _is_mounted(places)


def _note(places: Places) -> dict[str, int]:
    try:
        noted: dict[str, int] = json.loads(places.note.read_text())
    except (OSError, ValueError):
        return {}
    return noted


def _is_mounted(places: Places) -> bool:
    return mount_at(str(places.files)) is not None


def _mount(places: Places, port: int) -> None:
    command = [
        *("yas3fs", f"s3://{BUCKET}/home", str(places.files), "--mkdir"),
        *("--s3-endpoint", f"http://127.0.0.1:{port}"),
        *("--log", str(places.folder / "yas3fs.log")),
        *("--cache-path", str(places.folder / "cache")),
        *("--state-path", str(places.folder / "state")),
    ]
    print(f"\n$ {shlex.join(command)}", flush=True)
    mounting = subprocess.run(
        [sys.executable, "-m", *command], env=_environment(), stdin=subprocess.DEVNULL, check=False
    )
    if mounting.returncode:
        raise DemoFailed(f"the mount failed; the log is {places.folder / 'yas3fs.log'}")


def _environment() -> dict[str, str]:
    """Ours, without what an account on this machine may have set, and with keys moto takes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "YAS3FS_"))
    }
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    keys = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}
    return {**kept, **nowhere, **keys, "AWS_EC2_METADATA_DISABLED": "true"}


def _run(folder: Path, lines: Sequence[str]) -> None:
    print(f"$ cd {shlex.quote(str(folder))}")
    for line in lines:
        print(f"$ {line}", flush=True)
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=folder, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise DemoFailed(f"this failed: {line}")


def _unmount(places: Places) -> None:
    command = ["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]
    print(f"$ {shlex.join([*command, str(places.files)])}", flush=True)
    if subprocess.run([*command, str(places.files)], check=False).returncode:
        raise DemoFailed(f"{places.files} is in use: leave it (cd), then {START} --stop")
    server.wait_until_unserved(places.files)


def _clear(places: Places, *, keep_logs: bool = False) -> None:
    """Take everything down that runs, and what a demo before has left."""
    if _is_mounted(places):
        _unmount(places)
    note = _note(places)
    if "pid" in note:
        server.stop(note["pid"])
    if keep_logs:
        places.note.write_text("{}")
    elif places.note.exists():
        places.note.unlink()
        for name in ("cache", "state"):
            shutil.rmtree(places.folder / name, ignore_errors=True)
        for pattern in ("moto.log", "yas3fs.log*"):
            for path in places.folder.glob(pattern):
                path.unlink()
        for folder in (places.files, places.folder):
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()


def _say_how_to_go_on(places: Places) -> None:
    python = sys.executable.removeprefix(os.getcwd() + os.sep)
    folder = [] if places == default_places() else ["--folder", str(places.folder)]
    stop = shlex.join([python, "-m", "yas3fs.demo", *folder, "--stop"])
    print(
        f"It stays mounted: look around in {places.files}\n"
        f"Its log is {places.folder / 'yas3fs.log'}\n"
        f"Stop it with:  {stop}"
    )


if __name__ == "__main__":
    sys.exit(main())
