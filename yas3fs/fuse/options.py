"""What a session is told, and the option string that libfuse and mount(2) get from it."""

import os
import sys
from dataclasses import dataclass

MAX_REQUEST = 1 << 20
"""Largest read or write request, the most that Linux grants unless fs.fuse.max_pages_limit is
raised; 128 KiB requests moved a third less."""

FUSE_CONF = "/etc/fuse.conf"


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How one file system appears to the kernel. Timeouts are seconds.

    ``allow_other`` None means: yes for root, and for others when the administrator allows it.
    ``pushed``: other nodes' changes are told by invalidations, so that timeouts may be long.
    """

    fsname: str = "yas3fs"
    subtype: str = "yas3fs"
    read_only: bool = False
    allow_other: bool | None = None
    default_permissions: bool = True
    entry_timeout: float = 60.0
    attribute_timeout: float = 60.0
    negative_timeout: float = 0.0
    pushed: bool = False
    max_threads: int = 64
    nonempty: bool = False
    extra: tuple[str, ...] = ()
    debug: bool = False


def user_allow_other(path: str = FUSE_CONF) -> bool:
    """Whether the administrator lets ordinary users share their mounts."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            return any(line.strip() == "user_allow_other" for line in lines)
    except OSError:
        return False


def _escaped(value: str) -> str:
    """libfuse splits at commas; a backslash takes the next character as it is."""
    return value.replace("\\", "\\\\").replace(",", "\\,")


def mount_options(options: SessionOptions) -> str:
    """The value of ``-o``."""
    shared = options.allow_other
    if shared is None:
        shared = os.geteuid() == 0 or user_allow_other()
    words = [f"fsname={_escaped(options.fsname)}", f"max_read={MAX_REQUEST}"]
    if sys.platform.startswith("linux"):
        words.append(f"subtype={_escaped(options.subtype)}")
    words.extend(
        word
        for word, wanted in (
            ("ro", options.read_only),
            ("allow_other", shared),
            ("default_permissions", options.default_permissions),
            ("debug", options.debug),
        )
        if wanted
    )
    words.extend(options.extra)
    return ",".join(words)
