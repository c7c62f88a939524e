"""``yas3fsctl cleanup``: deletes what dead nodes left at SNS and SQS, nothing of living ones."""

import argparse
import sys
from collections.abc import Mapping

from yas3fs.cli.cluster_commands import declare_wait
from yas3fs.cli.command import FAILED, OK, Command
from yas3fs.cli.table import declare_json, show
from yas3fs.cli.topic_arguments import declare_topic, visitor_of
from yas3fs.notify.aws import NotifyFailed
from yas3fs.notify.orphans import ORPHAN, Found, Orphans

_COLUMNS = {"kind": "KIND", "name": "NAME", "node": "NODE", "age": "AGE", "state": "STATE"}
_AGE = 3600
"""Seconds: as long as a queue of ours keeps messages. A node that is back sooner missed nothing."""
_WAIT = 5.0


def _declare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="delete orphans (default: only show)")
    parser.add_argument(
        "--age", type=_whole, default=_AGE, metavar="SECONDS",
        help=f"leave alone what is younger (default: {_AGE})",
    )  # fmt: skip
    declare_wait(parser, _WAIT, "how long nodes have to answer, and to read their queues")
    declare_json(parser)
    declare_topic(parser)


def _whole(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("give a number of seconds, 0 or more")
    return value


def _run(arguments: argparse.Namespace) -> int:
    visitor = visitor_of(arguments)
    answers = visitor.ping(arguments.wait)
    living = {str(answer.status.details.get("endpoint", "")) for answer in answers}
    orphans = Orphans(visitor.clients, visitor.topic_arn, visitor.region, visitor.node_id)
    found = orphans.survey(living, arguments.age, arguments.wait)
    failed = False
    rows = []
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
    shown = rows if arguments.json else [{**row, "age": _seconds_of(row["age"])} for row in rows]
    print(show(shown, _COLUMNS, arguments.json))
    if not arguments.yes and any(row["state"] == ORPHAN for row in rows):
        print("yas3fsctl: nothing was deleted: give --yes to delete orphans", file=sys.stderr)
    return FAILED if failed else OK


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
    "cleanup", "find queues and subscriptions of dead nodes, and delete them with --yes",
    _declare, _run,
)  # fmt: skip
