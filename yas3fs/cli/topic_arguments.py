"""How a sub-command reaches a topic: flags and variables of the options table."""

import argparse
import os
from collections.abc import Mapping

from yas3fs.config.locations import parse_endpoint
from yas3fs.config.option import Kind
from yas3fs.config.options import BY_NAME
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
    section = parser.add_argument_group("the topic", "also by the environment, as YAS3FS_TOPIC")
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
    for name in _NAMES:
        option = BY_NAME[name]
        text, origin = getattr(arguments, name), option.flag
        if text is None:
            origin = next((word for word in option.variables if environment.get(word)), "")
            text = environment[origin] if origin else None
        values[name] = option.default if text is None else option.parse(text, origin)
    if not values["topic"]:
        raise ConfigError("no topic is named: give --topic ARN or set YAS3FS_TOPIC")
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
