"""Sub-commands that speak to all nodes of a topic: ``ping`` asks, the others tell.

A command that tells ends when SNS has the message; ``ping`` shows afterwards what came of it.
"""

import argparse
import json
from collections.abc import Callable, Mapping

from yas3fs.cli.command import FAILED, OK, Command
from yas3fs.cli.table import declare_json, show, size
from yas3fs.cli.topic_arguments import declare_topic, visitor_of
from yas3fs.errors import ConfigError
from yas3fs.events import Event, MalformedMessage, read_array
from yas3fs.notify.visitor import Answer

_WAIT = 3.0

_COLUMNS = {
    "host": "NODE",
    "version": "VERSION",
    "mode": "MODE",
    "url": "URL",
    "mount": "MOUNT",
    "entries": "ENTRIES",
    "shown_memory": "MEMORY",
    "queues": "QUEUES",
    "shown_lag": "LAG",
}


# -- asking ----------------------------------------------------------------------------------


def declare_wait(parser: argparse.ArgumentParser, seconds: float, text: str) -> None:
    """Add --wait."""
    parser.add_argument(
        "--wait", type=_seconds, default=seconds, metavar="SECONDS",
        help=f"{text} (default: {seconds:g})",
    )  # fmt: skip


def _declare_ping(parser: argparse.ArgumentParser) -> None:
    declare_wait(parser, _WAIT, "how long to wait for answers")
    declare_json(parser)
    declare_topic(parser)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 3600:
        raise argparse.ArgumentTypeError("give a number of seconds, more than 0 and at most 3600")
    return value


def _ping(arguments: argparse.Namespace) -> int:
    answers = visitor_of(arguments).ping(arguments.wait)
    rows = [_row(answer, plain=arguments.json) for answer in answers]
    print(show(rows, _COLUMNS, arguments.json))
    return OK if answers else FAILED


def _row(answer: Answer, *, plain: bool) -> Mapping[str, object]:
    status = answer.status
    found: dict[str, object] = {
        "id": answer.node_id,
        "host": status.host,
        "entries": status.entries,
        "memory": status.memory,
        "disk": status.disk,
        "downloads": status.downloads,
        "prefetches": status.prefetches,
        "uploads": status.uploads,
        "lag": round(answer.lag, 3),
    }
    if plain:
        return {**found, "details": dict(status.details)}
    known = {name: status.details.get(name) for name in ("version", "mode", "url", "mount")}
    return {
        **found,
        **known,
        "shown_memory": size(status.memory),
        "queues": f"{status.downloads}/{status.prefetches}/{status.uploads}",
        "shown_lag": f"{answer.lag * 1000:.0f} ms",
    }


# -- telling ---------------------------------------------------------------------------------


def _tell(name: str, text: str, declare: Callable[[argparse.ArgumentParser], None],
          message: Callable[[argparse.Namespace], list[object]]) -> Command:  # fmt: skip
    def declare_all(parser: argparse.ArgumentParser) -> None:
        declare(parser)
        declare_json(parser)
        declare_topic(parser)

    def run(arguments: argparse.Namespace) -> int:
        elements = message(arguments)
        event = _event(elements)
        visitor = visitor_of(arguments)
        visitor.publish(event)
        if arguments.json:
            print(json.dumps({"topic": visitor.topic_arn, "message": elements}))
        else:
            print(f"told {visitor.topic_arn}: {' '.join(map(str, elements))}")
        return OK

    return Command(name, text, declare_all, run)


def _event(elements: list[object]) -> Event:
    """The event of a message's elements, checked as a node that hears it does. ConfigError."""
    try:
        return read_array(["yas3fsctl", *elements])[1]
    except MalformedMessage as error:
        raise ConfigError(f"{' '.join(map(str, elements))}: {error}") from error


def _declare_path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="path within the mounts, as /folder/file")


def _declare_top(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "path", metavar="PATH", nargs="?", default="/", help="path within the mounts (default: /)"
    )


def _declare_switch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["on", "off"])


def _declare_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="s3://BUCKET/PATH")


def _number(choices: str) -> Callable[[argparse.ArgumentParser], None]:
    def declare(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("what", choices=choices.split())
        parser.add_argument("value", type=int, metavar="N", help="a whole number")

    return declare


CLUSTER_COMMANDS: tuple[Command, ...] = (
    Command("ping", "ask who is there, and how it is", _declare_ping, _ping),
    _tell(
        "reset", "have nodes forget what they know of PATH and below it",
        _declare_top,
        lambda given: ["reset", given.path],
    ),
    _tell(
        "invalidate", "have nodes look again at one file or directory",
        _declare_path,
        lambda given: ["upload", given.path, None],
    ),
    _tell(
        "cache", "bound caches: entries N, mem MB (or size MB), disk MB",
        _number("entries mem size disk"),
        lambda given: ["cache", given.what, given.value],
    ),
    _tell(
        "buffer", "downloads: size KB of one request, prefetch N of them ahead of a reader",
        _number("size prefetch"),
        lambda given: ["buffer", given.what, given.value],
    ),
    _tell(
        "prefetch", "fetch files as soon as they are discovered, or do not",
        _declare_switch,
        lambda given: ["prefetch", given.what],
    ),
    _tell(
        "multipart", "uploads: size KB of a part, num of parts at a time",
        _number("size num retries"),
        lambda given: ["multipart", given.what, given.value],
    ),
    _tell(
        "url", "have nodes mount another bucket or path in place of theirs",
        _declare_url,
        lambda given: ["url", given.url],
    ),
)  # fmt: skip
