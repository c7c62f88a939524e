"""Where log lines go and what they look like: every line names the mount it is about."""

import gzip
import logging
import logging.handlers
import os
import shutil
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

from yas3fs.config.mount_config import ProcessConfig
from yas3fs.errors import ConfigError
from yas3fs.runtime import naming

SYSLOG_SOCKETS = ("/dev/log", "/var/run/syslog")
_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
_LIBRARIES = ("awscrt", "boto3", "botocore", "s3transfer", "urllib3")
"""Their debug output repeats credentials, and a debug log is what people attach to reports."""


class MountFormatter(logging.Formatter):
    """Puts the mount in front of every line, those of a traceback too.

    ``mount`` is the one that lines of no mount in particular are about, if there is just one.
    ``style`` is ``dated`` for files and terminals, ``syslog``, or ``journal``: the journal knows
    the time and the process by itself, and takes the priority from the line.
    """

    def __init__(self, mount: str, *, style: str) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._mount = mount
        self._form = style

    def format(self, record: logging.LogRecord) -> str:
        mount = naming.current() or self._mount
        about = f"{mount}: " if mount else ""
        if self._form == "journal":
            prefix = f"<{_PRIORITIES.get(record.levelno, 5)}>{about}"
        else:
            prefix = f"yas3fs[{record.process}] {about}"
        if self._form == "dated":
            prefix = f"{self.formatTime(record)} {prefix}"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


class RotatingLog(logging.handlers.RotatingFileHandler):
    """A log file that is moved aside at a size, and compressed then if that is wanted."""

    def __init__(self, path: str, *, size: int, backups: int, compress: bool) -> None:
        super().__init__(path, maxBytes=size, backupCount=backups, encoding="utf-8")
        if compress:
            self.namer = lambda name: name + ".gz"
            self.rotator = _compress

    def doRollover(self) -> None:
        """Move the file aside; without any backup to keep, begin it anew."""
        if self.backupCount == 0 and self.stream is not None:
            self.stream.truncate(0)
            return
        super().doRollover()


def start_log(
    mount: str,
    process: ProcessConfig,
    fallback_folder: str,
    sockets: Sequence[str] = SYSLOG_SOCKETS,
) -> str:
    """Begin to log; returns a remark for the administrator, or nothing.

    ``mount`` names the one mount there is, empty when there are several.

    A detached process without ``--log`` writes to the syslog. Where there is none, as in most
    containers, it writes to a file in ``fallback_folder`` and the remark says so.
    """
    remark = ""
    path = process.log
    syslog = "" if path or process.foreground else _syslog(sockets)
    if not path and not process.foreground and not syslog:
        path = os.path.join(fallback_folder, "yas3fs.log")
        remark = f"there is no syslog here, the log is {path}"
    handler: logging.Handler
    if path:
        handler = _file(path, process)
    elif syslog:
        daemons = logging.handlers.SysLogHandler.LOG_DAEMON
        handler = logging.handlers.SysLogHandler(syslog, facility=daemons)
    else:
        handler = logging.StreamHandler(sys.stderr)
    plain = not path and not syslog
    style = "syslog" if syslog else "journal" if plain and _is_journal(sys.stderr) else "dated"
    handler.setFormatter(MountFormatter(mount, style=style))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if process.debug else logging.INFO)
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    threading.excepthook = _log_thread_failure
    return remark


def _file(path: str, process: ProcessConfig) -> logging.Handler:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return RotatingLog(
            path,
            size=process.log_mb_size,
            backups=process.log_backup_count,
            compress=process.log_backup_gzip,
        )
    except OSError as error:
        raise ConfigError(f"cannot write the log file {path}: {error.strerror}") from None


def _syslog(sockets: Sequence[str]) -> str:
    return next((path for path in sockets if os.path.exists(path)), "")


def _is_journal(stream: TextIO) -> bool:
    """Whether ``stream`` goes straight to the journal, as systemd says in the environment."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _compress(source: str, target: str) -> None:
    with open(source, "rb") as plain, gzip.open(target, "wb") as packed:
        shutil.copyfileobj(plain, packed)
    os.remove(source)


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is None:
        return
    name = failure.thread.name if failure.thread else "a thread"
    logging.getLogger("yas3fs").critical("%s ended", name, exc_info=failure.exc_value)
