"""``yas3fsctl rescue``: files that S3 did not take, and what becomes of them."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yas3fs.cli.command import FAILED, OK, Command
from yas3fs.cli.processes import declare_mount, declare_process, results
from yas3fs.cli.table import declare_json, show, size
from yas3fs.config.resolve import state_folder
from yas3fs.control.sockets import ask, served_sockets
from yas3fs.errors import ConfigError, ControlFailed
from yas3fs.writeback.rescue import Rescued, RescueFolder

_COLUMNS = {
    "name": "NAME",
    "mount": "MOUNT",
    "shown_size": "SIZE",
    "missing": "MISSING",
    "rescued": "WHEN",
    "target": "FOR",
    "reason": "WHY",
}
ALL = "all"


@dataclass(frozen=True, slots=True)
class _Found:
    """``mount`` is empty when no process serves it now."""

    mount: str
    rescued: Rescued


def _declare(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--get", nargs=2, metavar=("NAME", "FILE"), help="copy one into a local file or folder"
    )
    what.add_argument(
        "--retry", metavar="NAME", help="upload one to where it belongs (all: each of them)"
    )
    what.add_argument("--delete", metavar="NAME", help="drop one for good (all: each of them)")
    parser.add_argument("--yes", action="store_true", help="with --delete: do it")
    parser.add_argument(
        "--force",
        action="store_true",
        help="with --retry: replace what others have stored meanwhile; with --get: also where "
        "bytes are missing, which read as zeros then",
    )
    parser.add_argument(
        "--state-path",
        metavar="FOLDER",
        default=state_folder(),
        help="where to look for rescued files of mounts that are not served now "
        "(default: %(default)s)",
    )
    declare_json(parser)
    declare_mount(parser)
    declare_process(parser)


def _run(arguments: argparse.Namespace) -> int:
    try:
        found = list(_survey(arguments))
        if arguments.get:
            return _get(_chosen(found, arguments.get[0]), Path(arguments.get[1]), arguments.force)
        if arguments.retry:
            return _retry(arguments, found)
        if arguments.delete:
            return _delete(_chosen(found, arguments.delete), sure=arguments.yes)
    except OSError as error:
        raise ControlFailed(f"{error.filename}: {error.strerror}") from None
    rows = [_row(one) for one in found]
    if arguments.json:
        print(show(rows, _COLUMNS, as_json=True))
    else:
        print(show(rows, _COLUMNS, as_json=False) if rows else "nothing had to be rescued")
    return OK


def _survey(arguments: argparse.Namespace) -> Iterator[_Found]:
    """Those of mounts that are served, and those in the folder of mounts that are not."""
    folders: dict[Path, str] = {}
    if arguments.pid is not None or served_sockets(arguments.runtime_path):
        for process in results(arguments, "status"):
            for mount in process["mounts"]:
                if mount.get("rescue_folder"):
                    folders[Path(mount["rescue_folder"])] = mount["name"]
    if not arguments.mount:
        for folder in sorted(Path(arguments.state_path).glob("*/rescue")):
            folders.setdefault(folder, "")
    for folder, name in folders.items():
        if arguments.mount in ("", name):
            for rescued in RescueFolder(folder).all():
                yield _Found(name, rescued)


def _chosen(found: list[_Found], name: str) -> list[_Found]:
    chosen = [one for one in found if name in (ALL, one.rescued.identity, one.rescued.path.name)]
    if not chosen and name != ALL:
        raise ConfigError(f"there is no rescued file {name!r}: yas3fsctl rescue shows them")
    return chosen


def _row(one: _Found) -> dict[str, object]:
    rescued = one.rescued
    return {
        "name": rescued.identity,
        "mount": one.mount,
        "shown_size": size(rescued.size),
        "size": rescued.size,
        "missing": rescued.missing,
        "rescued": rescued.rescued,
        "target": f"s3://{rescued.bucket}/{rescued.key}" if rescued.bucket else "",
        "reason": rescued.unreadable or rescued.reason,
        "file": str(rescued.path),
    }


# -- what becomes of them ----------------------------------------------------------------------


def _get(chosen: list[_Found], target: Path, force: bool) -> int:
    if len(chosen) != 1:
        raise ConfigError("--get copies one file: name it")
    rescued = chosen[0].rescued
    if rescued.missing and not force:
        raise ControlFailed(
            f"{rescued.missing} of {rescued.size} bytes are missing: they were to come from the "
            "version that was replaced. Give --force for a copy that has zeros there"
        )
    if target.is_dir():
        target /= rescued.key.rsplit("/", 1)[-1] or rescued.path.name
    with (
        open(rescued.path, "rb") as source,
        open(target, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as copy,
    ):
        try:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    print(f"{target}: {size(rescued.size)}; the rescued file stays until it is deleted")
    return OK


def _retry(arguments: argparse.Namespace, found: list[_Found]) -> int:
    chosen = _chosen(found, arguments.retry)
    failed = [
        f"{one.rescued.identity}: its mount is not served now; start it first"
        for one in chosen
        if not one.mount
    ]
    stored: list[str] = []
    if any(one.mount for one in chosen):
        for path in served_sockets(arguments.runtime_path):
            words = {"mount": arguments.mount, "file": arguments.retry, "force": arguments.force}
            for said in ask(path, "rescue", **words):
                stored += said["stored"]
                failed += said["failed"]
    for line in stored:
        print(f"{line}: uploaded")
    for line in failed:
        print(f"yas3fsctl: {line}", file=sys.stderr)
    return FAILED if failed else OK


def _delete(chosen: list[_Found], *, sure: bool) -> int:
    for one in chosen:
        if sure:
            one.rescued.remove()
        print(f"{one.rescued.path}: {'deleted' if sure else 'would be deleted'}")
    if chosen and not sure:
        print("yas3fsctl: nothing was deleted: give --yes to delete", file=sys.stderr)
        return FAILED
    return OK


RESCUE = Command(
    "rescue", "show files that S3 did not take; get, upload or delete them", _declare, _run
)
