"""``yas3fsctl cleanup``: deletes what dead nodes left at SNS, SQS and S3."""

import argparse
import os
import sys
import time
from collections.abc import Mapping

from yas3fs.cli.arguments import parse_command
from yas3fs.cli.cluster_commands import declare_wait
from yas3fs.cli.command import FAILED, OK, Command
from yas3fs.cli.table import declare_json, show
from yas3fs.cli.topic_arguments import declare_topic, visitor_of
from yas3fs.config.locations import parse_url
from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import StoreError
from yas3fs.notify.aws import NotifyFailed
from yas3fs.notify.orphans import ORPHAN, Found, Orphans
from yas3fs.objectstore.factory import open_store
from yas3fs.place import store_options

_COLUMNS = {"kind": "KIND", "name": "NAME", "node": "NODE", "age": "AGE", "state": "STATE"}
_AGE = 3600
"""Seconds: as long as a queue of ours keeps messages. A node that is back sooner missed nothing."""
_UPLOAD_AGE = 86_400
"""Seconds: no upload of a living node should take longer."""
_WAIT = 5.0


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="delete orphans (default: only show)")
    parser.add_argument(
        "--age", type=_whole, metavar="SECONDS",
        help=f"leave alone what is younger (default: {_AGE}, of uploads {_UPLOAD_AGE})",
    )  # fmt: skip
    parser.add_argument(
        "--uploads", metavar="s3://BUCKET/PATH",
        help="look for multipart uploads below PATH that nobody completed; without --topic, for "
        "them only",
    )  # fmt: skip
    parser.add_argument(
        "--s3-endpoint", metavar="URL", default="", help="of another store than Amazon's"
    )
    declare_wait(parser, _WAIT, "how long nodes have to answer, and to read their queues")
    declare_json(parser)
    declare_topic(parser)


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("give a number of seconds, 0 or more")
    return value


def _run(arguments: argparse.Namespace) -> int:
    rows: list[Mapping[str, object]] = []
    failed = False
    if arguments.topic or os.environ.get("YAS3FS_TOPIC") or not arguments.uploads:
        failed = _of_topic(arguments, rows)
    if arguments.uploads:
        failed = _of_bucket(arguments, rows) or failed
    shown = rows if arguments.json else [{**row, "age": _seconds_of(row["age"])} for row in rows]
    print(show(shown, _COLUMNS, arguments.json))
    if not arguments.yes and any(row["state"] == ORPHAN for row in rows):
        print("yas3fsctl: nothing was deleted: give --yes to delete orphans", file=sys.stderr)
    return FAILED if failed else OK


def _of_topic(arguments: argparse.Namespace, rows: list[Mapping[str, object]]) -> bool:
    """Add queues and subscriptions to ``rows``; whether something could not be deleted."""
    visitor = visitor_of(arguments)
    answers = visitor.ping(arguments.wait)
    living = {str(answer.status.details.get("endpoint", "")) for answer in answers}
    orphans = Orphans(visitor.clients, visitor.topic_arn, visitor.region, visitor.node_id)
    age = _AGE if arguments.age is None else arguments.age
    found = orphans.survey(living, age, arguments.wait)
    failed = False
    for one in found:
        state = one.verdict
        if arguments.yes and one.verdict == ORPHAN:
            try:
                orphans.remove(one)
                state = "deleted"
            except NotifyFailed as error:
                print(f"yas3fsctl: {error}", file=sys.stderr)
                failed = True
        rows.append(_row(one, state))
    return failed


def _of_bucket(arguments: argparse.Namespace, rows: list[Mapping[str, object]]) -> bool:
    """As :func:`_of_topic`, for multipart uploads: whose they are S3 does not tell, only when
    they were begun, by its own clock or ours."""
    config = _config_of(arguments)
    store = open_store(store_options(config))
    oldest = _UPLOAD_AGE if arguments.age is None else arguments.age
    failed = False
    try:
        for upload in store.list_multipart(f"{config.prefix}/" if config.prefix else ""):
            age = max(0, round(time.time() - upload.initiated))
            state = ORPHAN if age >= oldest else "is young"
            if arguments.yes and state == ORPHAN:
                try:
                    store.abort_multipart(upload.key, upload.upload_id)
                    state = "deleted"
                except StoreError as error:
                    print(f"yas3fsctl: {error}", file=sys.stderr)
                    failed = True
            rows.append({"kind": "upload", "name": upload.key, "node": "", "age": age,
                         "state": state})  # fmt: skip
    except StoreError as error:
        error.args = (f"{arguments.uploads}: {error}",)
        raise
    finally:
        store.close()
    return failed


def _config_of(arguments: argparse.Namespace) -> MountConfig:
    """What a mount with these flags would be; ConfigError."""
    parse_url(arguments.uploads, "--uploads")
    words = [arguments.uploads, "/"]
    for flag in ("s3_endpoint", "profile", "role_arn", "ca_bundle", "proxy"):
        if value := getattr(arguments, flag):
            words.append(f"--{flag.replace('_', '-')}={value}")
    return parse_command(words).service.mounts[0]


def _row(found: Found, state: str) -> Mapping[str, object]:
    return {
        "kind": found.kind,
        "name": found.name,
        "node": found.node,
        "age": None if found.age is None else round(found.age),
        "state": state,
    }


def _seconds_of(age: object) -> str:
    return "" if age is None else f"{age} s"


CLEANUP = Command(
    "cleanup", "find queues, subscriptions and uploads of dead nodes, and delete them with --yes",
    _declare, _run,
)  # fmt: skip
