"""``python -m yas3fs.demo``: an S3 and an SNS on this machine, and two nodes that share a bucket.

The mounts stay to play with, until ``python -m yas3fs.demo --stop``. All that the demo makes lies
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
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from yas3fs.demo import server
from yas3fs.fuse.mounts import mount_at

BUCKET = "demo"
NODES = ("one", "two")
SEEN_WITHIN = 20.0
"""Seconds; a tenth of one is the rule, on a machine that is busy it may be more."""
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
NEWS = (
    ("one", "echo 'A file that node one made' > note.txt", "note.txt", "node one made"),
    ("two", "echo 'and a line that node two added' >> note.txt", "note.txt", "node two added"),
    ("one", "mv note.txt renamed.txt", "renamed.txt", "node two added"),
)
"""Who does what, and where the other node is to find what."""


class DemoFailed(Exception):
    """One line for whoever tries the demo."""


class Places(NamedTuple):
    """Where the demo keeps what."""

    folder: Path

    def files(self, node: str) -> Path:
        """A node's mount point."""
        return self.folder / node

    def log(self, node: str) -> Path:
        """A node's log."""
        return self.folder / f"{node}.log"

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
    print("Starting S3, SNS and SQS on this machine (moto, in memory) ...", flush=True)
    pid = server.start(port, places.folder / "moto.log")
    places.note.write_text(json.dumps({"pid": pid, "port": port}))
    try:
        server.create_bucket(port, BUCKET)
        topic = server.create_topic(port, "demo-news")
        _mount(places, "one", port, topic)
        _run(places.files("one"), TOUR)
        print("\nUnmount, and mount again: everything comes back from the bucket.")
        _unmount(places, "one")
        _mount(places, "one", port, topic)
        _run(places.files("one"), AFTERWARDS)
        print("\nA second node mounts the same bucket, and each hears what the other does.")
        _mount(places, "two", port, topic)
        _show_news(places)
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
    running = "pid" in note and server.is_running(note["pid"])
    return running and all(_is_mounted(places, node) for node in NODES)


def _note(places: Places) -> dict[str, int]:
    try:
        noted: dict[str, int] = json.loads(places.note.read_text())
    except (OSError, ValueError):
        return {}
    return noted


def _is_mounted(places: Places, node: str) -> bool:
    return mount_at(str(places.files(node))) is not None


def _mount(places: Places, node: str, port: int, topic: str) -> None:
    endpoint = f"http://127.0.0.1:{port}"
    command = [
        *("yas3fs", f"s3://{BUCKET}/home", str(places.files(node)), "--mkdir"),
        *("--id", node, "--topic", topic, "--new-queue"),
        *("--s3-endpoint", endpoint, "--notify-endpoint", endpoint),
        *("--log", str(places.log(node))),
        *("--cache-path", str(places.folder / "cache" / node)),
        *("--state-path", str(places.folder / "state" / node)),
    ]
    print(f"\n$ {shlex.join(command)}", flush=True)
    mounting = subprocess.run(
        [sys.executable, "-m", *command], env=_environment(), stdin=subprocess.DEVNULL, check=False
    )
    if mounting.returncode:
        raise DemoFailed(f"the mount failed; the log is {places.log(node)}")


def _environment() -> dict[str, str]:
    """Ours, without what an account on this machine may have set, and with keys moto takes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "YAS3FS_"))
    }
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    keys = {"AWS_ACCESS_KEY_ID": server.KEY, "AWS_SECRET_ACCESS_KEY": server.KEY}
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


def _show_news(places: Places) -> None:
    """Do something on one node, and look for it on the other."""
    for node, line, name, text in NEWS:
        other = NODES[1 - NODES.index(node)]
        began = time.monotonic()
        _run(places.files(node), [line])
        path = places.files(other) / name
        while not _holds(path, text):
            if time.monotonic() - began > SEEN_WITHIN:
                raise DemoFailed(f"node {other} did not hear of it; its log is {places.log(other)}")
            time.sleep(0.005)
        took = (time.monotonic() - began) * 1000
        print(f"Node {other} sees it {took:.0f} ms later:")
        _run(places.files(other), [f"cat {name}"])


def _holds(path: Path, text: str) -> bool:
    try:
        return text in path.read_text()
    except OSError:
        return False


def _unmount(places: Places, node: str) -> None:
    files = places.files(node)
    command = ["umount"] if os.geteuid() == 0 else ["fusermount3", "-u"]
    print(f"$ {shlex.join([*command, str(files)])}", flush=True)
    if subprocess.run([*command, str(files)], check=False).returncode:
        raise DemoFailed(f"{files} is in use: leave it (cd), then {START} --stop")
    server.wait_until_unserved(files)


def _clear(places: Places, *, keep_logs: bool = False) -> None:
    """Take everything down that runs, and what a demo before has left."""
    for node in NODES:
        if _is_mounted(places, node):
            _unmount(places, node)
    note = _note(places)
    if "pid" in note:
        server.stop(note["pid"])
    if keep_logs:
        places.note.write_text("{}")
    elif places.note.exists():
        places.note.unlink()
        for name in ("cache", "state"):
            shutil.rmtree(places.folder / name, ignore_errors=True)
        for pattern in ("moto.log", *(f"{node}.log*" for node in NODES)):
            for path in places.folder.glob(pattern):
                path.unlink()
        for folder in (*(places.files(node) for node in NODES), places.folder):
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()


def _say_how_to_go_on(places: Places) -> None:
    python = sys.executable.removeprefix(os.getcwd() + os.sep)
    folder = [] if places == default_places() else ["--folder", str(places.folder)]
    stop = shlex.join([python, "-m", "yas3fs.demo", *folder, "--stop"])
    print(
        f"Both stay mounted: look around in {places.files('one')} and {places.files('two')}\n"
        f"Their logs are {places.log('one')} and {places.log('two')}\n"
        f"Stop it with:  {stop}"
    )


if __name__ == "__main__":
    sys.exit(main())
