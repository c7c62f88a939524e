"""``yas3fsctl check-config``: is the file correct, and would it work?"""

import argparse
import json
from typing import Any

from yas3fs.cli.command import FAILED, OK, Command
from yas3fs.cli.table import declare_json
from yas3fs.config.mount_config import MountConfig
from yas3fs.config.service import load_service
from yas3fs.config.source import DEFAULT_FILE, USER_DATA


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        default=DEFAULT_FILE,
        help=f"file to check, or {USER_DATA} (default: %(default)s)",
    )
    parser.add_argument(
        "--mount", action="append", default=[], metavar="NAME", help="check only this mount"
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="also try credentials, bucket, topic, folders and mount point of every mount",
    )
    declare_json(parser)


def _check(arguments: argparse.Namespace) -> int:
    service = load_service(arguments.file, only=arguments.mount)
    results = [_check_one(mount, live=arguments.live) for mount in service.mounts]
    failed = any(tried["reason"] for mount in results for tried in mount["tried"])
    if arguments.json:
        found = {"file": arguments.file, "warnings": service.warnings, "mounts": results}
        print(json.dumps(found, indent=2))
        return FAILED if failed else OK
    for warning in service.warnings:
        print(f"warning: {warning}")
    for mount in results:
        print(f"{mount['name']}: {mount['url']} on {mount['mountpoint']}")
        for tried in mount["tried"]:
            print(f"  {tried['what']}: {tried['reason'] or 'ok'}")
    print(f"{arguments.file} is " + ("correct, but does not work" if failed else "correct"))
    return FAILED if failed else OK


def _check_one(mount: MountConfig, *, live: bool) -> dict[str, Any]:
    tried = []
    if live:
        from yas3fs.checks import check_mount  # what mounts is large to load

        tried = [{"what": what, "reason": reason} for what, reason in check_mount(mount)]
    return {
        "name": mount.name,
        "url": mount.url,
        "mountpoint": mount.mountpoint,
        "tried": tried,
    }


CHECK_COMMANDS: tuple[Command, ...] = (
    Command("check-config", "check the configuration file", _declare, _check),
)
