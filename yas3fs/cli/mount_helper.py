"""``mount.yas3fs``: what mount(8) runs for the types yas3fs and fuse.yas3fs.

::

    mount.yas3fs SPEC DIR [-sfnvrw] [-o OPTIONS] [-t TYPE] [-N NAMESPACE]

SPEC is ``s3://BUCKET/PATH``, the name of a mount in /etc/yas3fs.yaml, or ``yas3fs#BUCKET/PATH`` as
in the fstab of earlier releases. It returns when the mount is visible; exit statuses are those of
mount(8).
"""

import argparse
import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from yas3fs import daemon
from yas3fs.config.dash_o import parse_dash_o
from yas3fs.config.resolve import Given, resolve
from yas3fs.config.service import Service, load_service
from yas3fs.config.source import DEFAULT_FILE
from yas3fs.errors import ConfigError, Yas3fsError
from yas3fs.fuse import mounts

OK, WRONG_USE, SYSTEM_ERROR, INTERNAL, INTERRUPTED, FAILED = 0, 1, 2, 4, 8, 32
"""Exit statuses of mount(8)."""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_CLONE_NEWNS = 0x00020000
_EARLIER = re.compile(r"(?:yas3fs|fuse)#(?:s3://)?(.*)", re.DOTALL)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def build_parser() -> argparse.ArgumentParser:
    """The flags that mount(8) gives to a helper."""
    parser = _Parser(
        prog="mount.yas3fs",
        usage="mount.yas3fs SPEC DIR [-sfnvrw] [-o OPTIONS] [-t TYPE] [-N NAMESPACE]",
        description="Mount a bucket; called by mount(8).",
        allow_abbrev=False,
    )
    parser.add_argument("spec", metavar="SPEC", help="s3://BUCKET/PATH, or a name of yas3fs.yaml")
    parser.add_argument("directory", metavar="DIR", help="where to mount it")
    parser.add_argument("-s", dest="sloppy", action="store_true", help="pass over unknown options")
    parser.add_argument("-f", dest="fake", action="store_true", help="do all but mount")
    parser.add_argument("-n", action="store_true", help="accepted: there is no mtab")
    parser.add_argument("-v", dest="verbose", action="store_true", help="say what is done")
    parser.add_argument("-r", dest="read_only", action="store_true", help="as -o ro")
    parser.add_argument("-w", action="store_true", help="as -o rw")
    parser.add_argument("-o", dest="options", action="append", default=[], metavar="OPTIONS",
                        help="as yas3fs -o, and what mount(8) itself acts on")  # fmt: skip
    parser.add_argument("-t", dest="type", metavar="TYPE", help="accepted: yas3fs or fuse.yas3fs")
    parser.add_argument("-N", dest="namespace", metavar="NAMESPACE",
                        help="mount there: a process number or a file")  # fmt: skip
    return parser


def main(argv: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Mount; returns the exit status for mount(8)."""
    os.environ.setdefault("PATH", PATH)
    try:
        arguments = build_parser().parse_intermixed_args(sys.argv[1:] if argv is None else argv)
        words = [word for text in arguments.options for word in text.split(",")]
        if "remount" in words:
            return _remount(arguments)
        service = _service(arguments, environment)
    except ConfigError as error:
        return complain("mount.yas3fs", error, WRONG_USE)
    for warning in service.warnings:
        complain("mount.yas3fs", f"warning: {warning}", OK)
    if arguments.verbose:
        print(f"mount.yas3fs: {service.mounts[0].url} on {service.mounts[0].mountpoint}")
    if arguments.fake:
        return OK
    return _mount(service, arguments.namespace)


def _mount(service: Service, namespace: str | None) -> int:
    try:
        if namespace:
            enter_namespace(namespace)
        place = service.mounts[0].mountpoint
        if mounts.is_mounted(place) and mounts.is_dead(place):
            mounts.unmount(place, lazy=True)
    except OSError as error:
        return complain("mount.yas3fs", f"{namespace}: {error.strerror}", SYSTEM_ERROR)
    except Yas3fsError as error:
        return complain("mount.yas3fs", error, FAILED)
    status = daemon.run(service)
    return {daemon.OK: OK, daemon.WRONG_INPUT: WRONG_USE}.get(status, FAILED)


def _service(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Service:
    given, passed = parse_dash_o(arguments.options, sloppy=arguments.sloppy)
    if arguments.read_only:
        given.append(Given("read_only", "yes", "-r"))
    directory = os.path.abspath(arguments.directory)
    url = url_of(arguments.spec)
    if url:
        given.append(Given("url", url, "the first operand"))
        found = resolve(given, directory, environment=environment, fuse_options=passed)
        return Service((found.mount,), found.process, found.warnings)
    return load_service(
        environment.get("YAS3FS_CONFIG") or DEFAULT_FILE,
        # mount(8) takes a name for a path where there is a folder of that name.
        only=[os.path.basename(arguments.spec)],
        given=given,
        fuse_options=passed,
        mountpoint=directory,
        environment=environment,
    )


def url_of(spec: str) -> str:
    """The URL that ``spec`` stands for; empty when it is the name of a mount."""
    earlier = _EARLIER.fullmatch(spec)
    if earlier is not None:
        return f"s3://{earlier[1]}"
    return spec if spec.lower().startswith("s3://") else ""


def _remount(arguments: argparse.Namespace) -> int:
    """Let the kernel change its own flags; the rest stays as it was mounted."""
    _, passed = parse_dash_o(arguments.options, sloppy=True)
    words = [word for text in arguments.options for word in text.split(",")]
    flags = [word for word in words if word in {"ro", "rw"}]
    flags += [word for word in passed if "=" not in word]
    if not mounts.is_mounted(arguments.directory):
        return complain("mount.yas3fs", f"{arguments.directory} is not mounted", FAILED)
    if arguments.fake:
        return OK
    command = ["mount", "-i", "-o", ",".join(["remount", *flags]), arguments.directory]
    return subprocess.run(command, check=False).returncode


def enter_namespace(namespace: str) -> None:
    """Work in another mount namespace from now on: that of a process, or of a file. OSError."""
    path = f"/proc/{namespace}/ns/mnt" if namespace.isdecimal() else namespace
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, _CLONE_NEWNS) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)


def complain(program: str, reason: object, status: int) -> int:
    """Say why on stderr, line by line; returns ``status``."""
    for line in str(reason).splitlines():
        print(f"{program}: {line}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
