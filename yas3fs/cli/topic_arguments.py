"""How a sub-command reaches a topic: by flags, by variables, and by the file of this machine."""

import argparse
import os
from collections.abc import Mapping

from yas3fs.config.locations import parse_endpoint
from yas3fs.config.mount_config import MountConfig
from yas3fs.config.option import Kind
from yas3fs.config.options import BY_NAME
from yas3fs.config.service import load_service
from yas3fs.config.source import DEFAULT_FILE
from yas3fs.errors import ConfigError
from yas3fs.notify.aws import AwsAccess, Clients
from yas3fs.notify.visitor import Visitor

_HELP = {"topic": "SNS topic of the nodes", "region": "region of SQS (default: the topic's)"}
_NAMES = (
    "topic",
    "region",
    "notify_endpoint",
    "profile",
    "role_arn",
    "ca_bundle",
    "verify_tls",
    "proxy",
    "connect_timeout",
)


def declare_topic(parser: argparse.ArgumentParser) -> None:
    """Add what names the topic and how it is reached."""
    section = parser.add_argument_group(
        "the topic",
        "also by the environment, as YAS3FS_TOPIC; where neither names it, the one of the file",
    )
    section.add_argument(
        "--config", default=DEFAULT_FILE, metavar="FILE",
        help="file whose mounts have the topic, as far as nothing else is said "
        "(default: %(default)s)",
    )  # fmt: skip
    for name in _NAMES:
        option = BY_NAME[name]
        text = (_HELP.get(name) or option.help).replace("%", "%%")
        if option.kind is Kind.SWITCH:
            for short in option.shorthands:
                section.add_argument(
                    short.flag, dest=name, action="store_const", const=short.value, help=short.help
                )
        else:
            section.add_argument(option.flag, dest=name, metavar=option.metavar, help=text)


def visitor_of(
    arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ
) -> Visitor:
    """Whoever speaks to the topic that the arguments and the environment name; ConfigError."""
    values: dict[str, object] = {}
    unsaid: list[str] = []
    for name in _NAMES:
        option = BY_NAME[name]
        text, origin = getattr(arguments, name), option.flag
        if text is None:
            origin = next((word for word in option.variables if environment.get(word)), "")
            text = environment[origin] if origin else None
        values[name] = option.default if text is None else option.parse(text, origin)
        if text is None:
            unsaid.append(name)
    if "topic" in unsaid:
        mount = _from_file(arguments.config)
        values |= {name: getattr(mount, name) for name in unsaid}
    endpoint = str(values["notify_endpoint"] or "")
    access = AwsAccess(
        endpoint=parse_endpoint(endpoint, "--notify-endpoint") if endpoint else "",
        profile=str(values["profile"] or ""),
        role_arn=str(values["role_arn"] or ""),
        ca_bundle=str(values["ca_bundle"] or ""),
        verify=values["verify_tls"] is not False,
        proxy=str(values["proxy"] or ""),
        connect_timeout=float(str(values["connect_timeout"])),
    )
    return Visitor(Clients(access), str(values["topic"]), str(values["region"] or ""))


def _from_file(source: str) -> MountConfig:
    """A mount of the file that has a topic; ConfigError unless there is just one topic."""
    missing = "no topic is named: give --topic ARN or set YAS3FS_TOPIC"
    if not os.path.exists(source):
        raise ConfigError(f"{missing} (there is no {source} to look into either)")
    mounts = [mount for mount in load_service(source).mounts if mount.topic]
    if not mounts:
        raise ConfigError(f"{missing} (no mount of {source} has one either)")
    topics = sorted({mount.topic for mount in mounts})
    if len(topics) > 1:
        raise ConfigError(f"{source} has several topics, give one: --topic {' or '.join(topics)}")
    return mounts[0]
