"""Sub-commands that ask the processes on this machine, through their control sockets."""

import argparse
import json
import sys
import time
from collections.abc import Mapping
from typing import Any

from yas3fs.cli.command import FAILED, OK, Command
from yas3fs.cli.processes import declare_mount, declare_process, place_of, results, sockets
from yas3fs.cli.progress import progress, progress_ended
from yas3fs.cli.table import declare_json, show, size
from yas3fs.control.sockets import ask
from yas3fs.errors import MountError
from yas3fs.fuse import mounts

_WATCH = 2.0
_CLEAR = "\x1b[H\x1b[2J"

_COLUMNS = {
    "name": "MOUNT",
    "state": "STATE",
    "mode": "MODE",
    "shown_pending": "TO UPLOAD",
    "waiting": "TO PUBLISH",
    "rescued": "RESCUED",
    "errors": "S3 ERRORS",
    "hit_rate": "HITS",
    "memory": "MEMORY",
    "names": "NAMES",
    "url": "URL",
    "mountpoint": "ON",
}
_PLACES = {"name": "MOUNT", "state": "STATE", "url": "URL", "mountpoint": "ON", "pid": "PROCESS"}
_FILES = {"mount": "MOUNT", "path": "PATH", "shown_size": "SIZE", "doing": "OPEN", "reason": "WHY"}


# -- looking -----------------------------------------------------------------------------------


def _declare_status(parser: argparse.ArgumentParser) -> None:
    declare_json(parser)
    parser.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=_WATCH,
        metavar="SECONDS",
        help=f"show it again and again, every {_WATCH:g} seconds unless told otherwise",
    )
    declare_process(parser)


def _status(arguments: argparse.Namespace) -> int:
    if arguments.watch is None:
        every = [mount for process in _show_status(arguments) for mount in process["mounts"]]
        return OK if all(mount["state"] == "mounted" for mount in every) else FAILED
    try:
        while True:
            _show_status(arguments)
            time.sleep(max(0.1, arguments.watch))
    except KeyboardInterrupt:
        return OK


def _show_status(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    found = list(results(arguments, "status"))
    if arguments.watch is not None and sys.stdout.isatty():
        print(_CLEAR, end="")
    print(json.dumps(found, indent=2) if arguments.json else _screen(found), flush=True)
    return found


def _screen(processes: list[dict[str, Any]]) -> str:
    mounts = [mount for process in processes for mount in process["mounts"]]
    lines = [show([_row(mount) for mount in mounts], _COLUMNS, as_json=False)]
    for mount in mounts:
        if mount["reason"]:
            lines.append(f"{mount['name']}: {mount['reason']}")
        if mount.get("rescued"):
            lines.append(
                f"{mount['name']}: {mount['rescued']} files could not be uploaded, they are in "
                "the rescue folder"
            )
        if mount.get("mode") == "degraded":
            lines.append(
                f"{mount['name']}: the topic is not heard: names and attributes are asked for anew"
            )
    return "\n".join(lines)


def _row(mount: Mapping[str, Any]) -> dict[str, object]:
    row: dict[str, object] = {name: mount.get(name) for name in _COLUMNS}
    if "cache" in mount:
        cache, pending = mount["cache"], mount["pending"]
        reads = cache["hits"] + cache["misses"]
        row["hit_rate"] = f"{cache['hits'] / reads:.0%}" if reads else "-"
        row["memory"] = f"{size(cache['used'])} of {size(cache['capacity'])}"
        row["shown_pending"] = (
            f"{pending['files']} ({size(pending['bytes'])})" if pending["files"] else "0"
        )
    if "publisher" in mount:
        row["waiting"] = mount["publisher"]["waiting"]
    return row


def _declare_mounts(parser: argparse.ArgumentParser) -> None:
    declare_json(parser)
    declare_process(parser)


def _mounts(arguments: argparse.Namespace) -> int:
    rows = [
        {**{name: mount[name] for name in _PLACES if name != "pid"}, "pid": process["pid"]}
        for process in results(arguments, "status")
        for mount in process["mounts"]
    ]
    print(show(rows, _PLACES, arguments.json))
    return OK


def _declare_files(parser: argparse.ArgumentParser) -> None:
    declare_json(parser)
    declare_mount(parser)
    declare_process(parser)


def _pending(arguments: argparse.Namespace) -> int:
    rows = [
        {
            **file,
            "mount": mount["name"],
            "shown_size": size(file["size"]),
            "doing": "yes" if file["open"] else "no",
        }
        for result in results(arguments, "pending", mount=arguments.mount)
        for mount in result["mounts"]
        for file in mount["files"]
    ]
    if arguments.json:
        keys = ("mount", "path", "size", "open", "reason")
        print(json.dumps([{key: row[key] for key in keys} for row in rows], indent=2))
    else:
        print(show(rows, _FILES, as_json=False) if rows else "everything is uploaded")
    return OK


# -- acting ------------------------------------------------------------------------------------


def _flush(arguments: argparse.Namespace) -> int:
    uploaded, failed = 0, []
    for path in sockets(arguments):
        for said in ask(path, "flush", mount=arguments.mount):
            if "progress" in said:
                progress(said["progress"], said["of"], said["path"])
            else:
                uploaded += said["uploaded"]
                failed += said["failed"]
    progress_ended()
    if arguments.json:
        print(json.dumps({"uploaded": uploaded, "failed": failed}, indent=2))
    else:
        print(f"{uploaded} uploaded, {len(failed)} failed")
        for line in failed:
            print(line, file=sys.stderr)
    return FAILED if failed else OK


def _declare_forget(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default="/", help="path within the mount (default: /)"
    )
    _declare_files(parser)


def _forget(arguments: argparse.Namespace) -> int:
    found = list(results(arguments, "reset", mount=arguments.mount, path=arguments.path))
    names = [name for result in found for name in result["reset"]]
    if arguments.json:
        print(json.dumps({"path": arguments.path, "mounts": names}, indent=2))
    else:
        print(f"{', '.join(names) or 'no mount'}: {arguments.path} is asked for anew")
    return OK


def _declare_warm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path",
        metavar="PATH",
        help="file or directory on a mount; with --mount, a path within that mount",
    )
    _declare_files(parser)


def _warm(arguments: argparse.Namespace) -> int:
    socket, mount, path = place_of(arguments)
    warmth: dict[str, Any] = {}
    for said in ask(socket, "warm", mount=mount, path=path):
        warmth = said.get("progress", said)
        done, files = warmth["warm_files"] + warmth["failures"], warmth["files"]
        told = f"{size(warmth['warm_bytes'])} of {size(warmth['bytes'])}"
        progress(done, files, f"{told}, {warmth['failures']} failed")
    progress_ended()
    if arguments.json:
        print(json.dumps(warmth, indent=2))
    else:
        print(
            f"{'cache full: ' if warmth['full'] else ''}"
            f"{warmth['warm_files']} of {warmth['files']} files, "
            f"{size(warmth['warm_bytes'])} of {size(warmth['bytes'])}"
        )
    for line in warmth["failed"]:
        print(line, file=sys.stderr)
    if warmth["failures"] > len(warmth["failed"]):
        print(f"and {warmth['failures'] - len(warmth['failed'])} more", file=sys.stderr)
    return FAILED if warmth["full"] or warmth["failures"] else OK


def _reload(arguments: argparse.Namespace) -> int:
    found = list(results(arguments, "reload"))
    if arguments.json:
        print(json.dumps(found, indent=2))
    else:
        for result in found:
            for what, names in result.items():
                if names:
                    print(f"{what}: {', '.join(names)}")
    return OK


def _declare_nothing(_parser: argparse.ArgumentParser) -> None:
    """It has no arguments."""


def _clear_dead(_arguments: argparse.Namespace) -> int:
    """What killed processes left: the mounts that nobody serves any more."""
    status = OK
    for mount in mounts.mounts():
        if mount.fstype != mounts.FUSE_TYPE or not mounts.is_dead(mount.path):
            continue
        try:
            mounts.unmount(mount.path, lazy=True)
            print(f"{mount.path}: unmounted, nobody served it any more")
        except MountError as error:
            print(error, file=sys.stderr)
            status = FAILED
    return status


SERVICE_COMMANDS: tuple[Command, ...] = (
    Command("status", "show how the mounts of this machine are", _declare_status, _status),
    Command("mounts", "list what is mounted where", _declare_mounts, _mounts),
    Command("pending", "list files that S3 does not have yet", _declare_files, _pending),
    Command("flush", "upload them now, and wait for it", _declare_files, _flush),
    Command("forget", "have this machine look again at PATH", _declare_forget, _forget),
    Command("warm", "fetch what is at and below PATH into memory", _declare_warm, _warm),
    Command("clear-dead", "unmount what killed processes left", _declare_nothing, _clear_dead),
    Command("reload", "follow changes of the configuration file", _declare_mounts, _reload),
)
