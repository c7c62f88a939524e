"""From what was given to what holds: defaults < file < environment < flags, parsed and frozen."""

import base64
import binascii
import os
import pwd
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from yas3fs.config.locations import parse_address, parse_endpoint, parse_proxy, parse_url
from yas3fs.config.mount_config import MountConfig, ProcessConfig
from yas3fs.config.option import Kind, Option, Value
from yas3fs.config.options import BY_NAME, OPTIONS
from yas3fs.errors import ConfigError
from yas3fs.notify.aws import parse_topic

FUSE_CONF = "/etc/fuse.conf"


class Given(NamedTuple):
    """One option as it was given: its name in the table, its text, and what to blame."""

    name: str
    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """All that was asked for, ready to act on."""

    mount: MountConfig
    process: ProcessConfig
    warnings: tuple[str, ...]


class Mounter(NamedTuple):
    """Who mounts, as far as defaults depend on it."""

    uid: int
    gid: int
    home: str
    may_allow_other: bool
    umask: int


def current_mounter(environment: Mapping[str, str] = os.environ) -> Mounter:
    """The user this process runs as; HOME may be unset, as under a service manager."""
    uid = os.geteuid()
    home = environment.get("HOME") or pwd.getpwuid(uid).pw_dir
    may = uid == 0 or _user_allow_other()
    return Mounter(uid, os.getegid(), home, may, _current_umask())


class _Chosen(NamedTuple):
    value: Value
    origin: str


def resolve(
    given: Iterable[Given],
    mountpoint: str,
    *,
    name: str = "",
    file: Iterable[Given] = (),
    environment: Mapping[str, str] = os.environ,
    mounter: Mounter | None = None,
    fuse_options: tuple[str, ...] = (),
) -> Resolved:
    """Resolve one mount; ConfigError names the first thing that is wrong.

    ``name`` is what the mount is called, by default its mount point; ``file`` is what a file says.
    """
    chosen, warnings = _choose([*file, *_from_environment(environment), *given])
    values: dict[str, Any] = {option.name: option.default for option in OPTIONS}
    values.update({name: choice.value for name, choice in chosen.items()})
    origins = {name: choice.origin for name, choice in chosen.items()}
    _locate(values, origins, mountpoint)
    values["name"] = name or values["mountpoint"]
    _secure(values, origins)
    _listen(values, origins)
    _decide(values, environment, mounter or current_mounter(environment))
    _write(values)
    values["fuse_options"] = fuse_options
    return Resolved(
        MountConfig(**_only(MountConfig, values)),
        ProcessConfig(**_only(ProcessConfig, values)),
        tuple(warnings),
    )


def _from_environment(environment: Mapping[str, str]) -> Iterable[Given]:
    for option in OPTIONS:
        if option.retired:
            continue
        for variable in option.variables:
            if environment.get(variable):
                yield Given(option.name, environment[variable], f"{variable} (environment)")
                break


def _choose(given: Iterable[Given]) -> tuple[dict[str, _Chosen], list[str]]:
    chosen: dict[str, _Chosen] = {}
    warnings: dict[str, str] = {}
    for name, text, origin in given:
        option = BY_NAME[name]
        if option.retired:
            warnings[name] = f"{origin} has no effect any more: {option.retired}"
            continue
        value = option.parse(text, origin)
        chosen[name] = _Chosen(value, origin)
    return chosen, list(warnings.values())


def _locate(values: dict[str, Any], origins: Mapping[str, str], mountpoint: str) -> None:
    """Turn texts that name places into places; everything relative is made absolute here.

    The process changes its working directory when it detaches, and libfuse does in the foreground.
    """
    if not values["url"]:
        raise ConfigError("no bucket is named: give s3://BUCKET/PATH or --url=s3://BUCKET/PATH")
    place = parse_url(values["url"], origins["url"])
    values["bucket"], values["prefix"] = place
    if not mountpoint:
        raise ConfigError("the mount point is missing")
    values["mountpoint"] = os.path.realpath(mountpoint)
    if values["s3_endpoint"]:
        values["s3_endpoint"] = parse_endpoint(values["s3_endpoint"], origins["s3_endpoint"])
    if values["metrics"]:
        values["metrics"] = parse_address(values["metrics"], origins["metrics"])
    if values["proxy"]:
        values["proxy"] = parse_proxy(values["proxy"], origins["proxy"])
    for option in OPTIONS:
        if option.kind is Kind.PATH and values[option.name]:
            values[option.name] = os.path.abspath(os.path.expanduser(values[option.name]))
    if values["ca_bundle"] and not os.path.isfile(values["ca_bundle"]):
        raise ConfigError(f"{origins['ca_bundle']}: there is no file {values['ca_bundle']}")


def _secure(values: dict[str, Any], origins: Mapping[str, str]) -> None:
    """Credentials and encryption: refuse what contradicts itself."""
    for name in ("profile", "role_arn"):
        if values["no_sign"] and name in origins and not origins[name].endswith("(environment)"):
            raise ConfigError(f"{origins['no_sign']} and {origins[name]} contradict each other")
    if values["sse_kms_key_id"]:
        values["sse"] = values["sse"] or "aws:kms"
        if values["sse"] == "AES256":
            raise ConfigError(f"{origins['sse_kms_key_id']} needs --sse=aws:kms, not AES256")
    values["sse_c_key"] = b""
    if values["sse_c_key_file"]:
        if values["sse"]:
            blamed = origins.get("sse") or origins["sse_kms_key_id"]
            raise ConfigError(f"{origins['sse_c_key_file']} and {blamed} contradict each other")
        values["sse_c_key"] = _read_key(values["sse_c_key_file"], origins["sse_c_key_file"])


def _listen(values: dict[str, Any], origins: Mapping[str, str]) -> None:
    """One way to hear a topic at most, and a topic to be heard."""
    values["new_queue"] = values["new_queue"] or values["new_queue_with_hostname"]
    by_queue = values["new_queue"] or bool(values["queue"])
    by_http = values["port"] is not None
    if values["topic"]:
        try:
            parse_topic(values["topic"])
        except ConfigError as error:
            raise ConfigError(f"{origins['topic']}: {error}") from None
    for name in ("new_queue", "queue", "port", "hostname", "ec2_hostname"):
        if values[name] and not values["topic"]:
            raise ConfigError(f"{origins.get(name, '--new-queue')} needs --topic")
    if by_queue and by_http:
        raise ConfigError("--port contradicts --queue and --new-queue: listen one way only")
    if by_http and not (values["hostname"] or values["ec2_hostname"]):
        raise ConfigError("--port needs --hostname or --ec2-hostname, where SNS finds this node")
    if (values["hostname"] or values["ec2_hostname"]) and not by_http:
        raise ConfigError("--hostname and --ec2-hostname need --port")
    if values["tls_certificate"] and not by_http:
        raise ConfigError("--tls-certificate needs --port")
    if values["tls_key"] and not values["tls_certificate"]:
        raise ConfigError("--tls-key needs --tls-certificate")
    if values["notify_endpoint"]:
        values["notify_endpoint"] = parse_endpoint(
            values["notify_endpoint"], origins["notify_endpoint"]
        )


def _read_key(path: str, origin: str) -> bytes:
    try:
        with open(path, "rb") as file:
            raw = file.read(1024)
    except OSError as error:
        raise ConfigError(f"{origin}: cannot read {path}: {error.strerror}") from None
    if len(raw) == 32:
        return raw
    for decode in (bytes.fromhex, lambda text: base64.b64decode(text, validate=True)):
        try:
            key = decode(raw.decode("ascii").strip())
        except (ValueError, binascii.Error):
            continue
        if len(key) == 32:
            return key
    raise ConfigError(f"{origin}: {path} holds no key of 256 bits, raw, in hexadecimal or Base64")


def _decide(values: dict[str, Any], environment: Mapping[str, str], mounter: Mounter) -> None:
    """Fill in the defaults that depend on where we are and who mounts."""
    for name in ("uid", "gid", "umask"):
        values[name] = getattr(mounter, name) if values[name] is None else values[name]
    values["id"] = values["id"] or socket.gethostname()
    cache = "/var/cache"
    if mounter.uid != 0:
        cache = environment.get("XDG_CACHE_HOME") or f"{mounter.home}/.cache"
    values["cache_path"] = values["cache_path"] or f"{cache}/yas3fs"
    values["state_path"] = values["state_path"] or state_folder(environment, mounter)
    values["runtime_path"] = values["runtime_path"] or runtime_folder(environment, mounter.uid)
    if values["allow_other"] is None:
        values["allow_other"] = mounter.may_allow_other
    elif values["allow_other"] and not mounter.may_allow_other:
        raise ConfigError(f"--allow-other: needs the line user_allow_other in {FUSE_CONF}")
    values["s3_num"] = values["s3_num"] or BY_NAME["s3_num"].default
    values["foreground"] = values["foreground"] or values["debug"]


def state_folder(
    environment: Mapping[str, str] = os.environ, mounter: Mounter | None = None
) -> str:
    """Where journals and rescued files are, unless told otherwise."""
    mounter = mounter or current_mounter(environment)
    state = "/var/lib"
    if mounter.uid != 0:
        state = environment.get("XDG_STATE_HOME") or f"{mounter.home}/.local/state"
    return f"{state}/yas3fs"


def runtime_folder(environment: Mapping[str, str] = os.environ, uid: int | None = None) -> str:
    """Where the control sockets are, unless told otherwise."""
    uid = os.geteuid() if uid is None else uid
    if uid == 0:
        return "/run/yas3fs"
    given = environment.get("XDG_RUNTIME_DIR")
    # Right below /tmp, where nobody else can put another folder in its place.
    return f"{given}/yas3fs" if given else f"/tmp/yas3fs-{uid}"  # noqa: S108


def _write(values: dict[str, Any]) -> None:
    if values["write_mode"] == "back":
        raise ConfigError(
            "--write-mode: 'back' is not part of this release yet: give through, or leave it out"
        )
    values["multipart_threshold"] = values["multipart_threshold"] or values["part_size"]


def _current_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _user_allow_other() -> bool:
    try:
        with open(FUSE_CONF, encoding="utf-8", errors="replace") as file:
            return any(line.strip() == "user_allow_other" for line in file)
    except OSError:
        return False


def _only(wanted: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``values`` that ``wanted`` has fields for; a text not given is empty."""
    texts = (Kind.TEXT, Kind.PATH, Kind.CHOICE)
    chosen = {field.name: values[field.name] for field in fields(wanted)}
    for name, value in chosen.items():
        option: Option | None = BY_NAME.get(name)
        if value is None and option is not None and option.kind in texts:
            chosen[name] = ""
    return chosen
