"""The errno that each failure becomes: the only such table of the project.

A store that did not do what was asked is EIO unless the truth has a name of its own. A file whose
object was replaced under an open reader is ESTALE; a quota is EDQUOT. Exceptions that are no
member of :mod:`yas3fs.errors` are defects: the program sees EIO, the log a traceback.
"""

import errno
import logging
import threading
import time
from collections.abc import Callable

from yas3fs import errors

log = logging.getLogger(__name__)

ENODATA = getattr(errno, "ENOATTR", errno.ENODATA)
"""What getxattr(2) says of a missing attribute: ENOATTR on macOS, ENODATA elsewhere."""

ERRNO: dict[type[BaseException], int] = {
    errors.Yas3fsError: errno.EIO,
    errors.ConfigError: errno.EIO,
    errors.MountError: errno.EIO,
    errors.MetadataUnavailable: errno.EIO,
    errors.ControlFailed: errno.EIO,
    errors.StoreError: errno.EIO,
    errors.NotFound: errno.ENOENT,
    errors.NoSuchBucket: errno.EIO,
    errors.WrongRegion: errno.EIO,
    errors.AccessDenied: errno.EACCES,
    errors.BadCredentials: errno.EACCES,
    errors.PreconditionFailed: errno.ESTALE,
    errors.RangeNotSatisfiable: errno.EIO,
    errors.InvalidRequest: errno.EIO,
    errors.TooLarge: errno.EFBIG,
    errors.QuotaExceeded: errno.EDQUOT,
    errors.NotSupported: errno.ENOTSUP,
    errors.Transient: errno.EIO,
    errors.Throttled: errno.EIO,
    errors.ServerFailed: errno.EIO,
    errors.ConnectionFailed: errno.EIO,
    errors.TimedOut: errno.EIO,
    errors.BodyCorrupted: errno.EIO,
    errors.Interrupted: errno.EINTR,
    errors.FileError: errno.EIO,
    errors.NoEntry: errno.ENOENT,
    errors.Exists: errno.EEXIST,
    errors.NotADirectory: errno.ENOTDIR,
    errors.IsADirectory: errno.EISDIR,
    errors.NotEmpty: errno.ENOTEMPTY,
    errors.NotPermitted: errno.EPERM,
    errors.AccessRefused: errno.EACCES,
    errors.ReadOnly: errno.EROFS,
    errors.Busy: errno.EBUSY,
    errors.InvalidArgument: errno.EINVAL,
    errors.NameTooLong: errno.ENAMETOOLONG,
    errors.TooManyLinks: errno.ELOOP,
    errors.NoSpace: errno.ENOSPC,
    errors.FileTooLarge: errno.EFBIG,
    errors.NoAttribute: ENODATA,
    errors.RangeTooSmall: errno.ERANGE,
    errors.AttributeTooLarge: errno.E2BIG,
    errors.Unsupported: errno.ENOTSUP,
    errors.CrossMount: errno.EXDEV,
    errors.StaleHandle: errno.ESTALE,
    errors.Conflict: errno.ESTALE,
    errors.BadHandle: errno.EBADF,
    errors.InputOutput: errno.EIO,
}

_LOCAL_DISK = (errno.ENOSPC, errno.EDQUOT)
"""What the disk below the caches may say to a program; its other complaints are ours: EIO."""

REPEAT_SECONDS = 60.0
"""A defect that is hit by every call would fill the log: one line a minute for each kind."""

REPORT_SECONDS = 1.0
"""The store's refusals are news each time, but not a thousand times a second."""


class FailureLog:
    """Logs stray exceptions: with a traceback at first, then at most once per interval."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, type], tuple[float, int]] = {}

    def record(self, verb: str, error: BaseException) -> None:
        last, quiet, unsaid = self._count((verb, type(error)), REPEAT_SECONDS)
        if last is None:
            log.error("%s failed unexpectedly, answered EIO: %r", verb, error, exc_info=error)
        elif not quiet:
            log.error("%s failed unexpectedly, %d more times: %r", verb, unsaid + 1, error)

    def _count(self, kind: tuple[str, type], interval: float) -> tuple[float | None, bool, int]:
        """When this kind was logged last, whether to be quiet now, how many were not logged."""
        now = self._now()
        with self._lock:
            last, unsaid = self._seen.get(kind, (None, 0))
            quiet = last is not None and now - last < interval
            self._seen[kind] = (last, unsaid + 1) if quiet and last is not None else (now, 0)
        return last, quiet, unsaid

    def report(self, verb: str, error: errors.StoreError) -> None:
        """What the store answered, which an errno cannot say."""
        _, quiet, unsaid = self._count((verb, type(error)), REPORT_SECONDS)
        if not quiet:
            more = f" ({unsaid} more like it)" if unsaid else ""
            log.warning("%s failed: %s%s", verb, error, more)


_failures = FailureLog()


def negative_errno(verb: str, error: BaseException) -> int:
    """What the callback ``verb`` returns to libfuse for ``error``."""
    known = ERRNO.get(type(error))
    if known is not None:
        if isinstance(error, errors.StoreError):
            _failures.report(verb, error)
        return -known
    if isinstance(error, OSError) and error.errno in _LOCAL_DISK:
        return -error.errno
    _failures.record(verb, error)
    return -errno.EIO
