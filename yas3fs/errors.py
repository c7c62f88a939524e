"""The exception tree: every failure that crosses a room's border is one of these.

::

    Yas3fsError
    ├── ConfigError                  the administrator's input is wrong (exit status 2)
    ├── MountError                   a mount could not be made (exit status 1 or 32)
    ├── ControlFailed                a running process refuses a request, or does not answer it
    ├── MetadataUnavailable          the instance metadata service does not answer
    ├── StoreError                   the object store did not do what was asked
    │   ├── NotFound                 no such key, upload or version (404)
    │   ├── NoSuchBucket             the bucket does not exist
    │   ├── WrongRegion              the bucket lives in another region (301, 307, 400)
    │   ├── AccessDenied             403, also for an archived object that was not restored
    │   │   └── BadCredentials       the key id, signature or token is refused, or none was found
    │   ├── PreconditionFailed       412 (409 for a conditional write that lost a race)
    │   ├── RangeNotSatisfiable      416
    │   ├── InvalidRequest           400 and what else the store calls our mistake
    │   ├── TooLarge                 the store refuses the size (metadata, object or key)
    │   ├── QuotaExceeded            the store is full
    │   ├── NotSupported             the store does not implement the call (501)
    │   └── Transient                worth another try
    │       ├── Throttled            503 SlowDown, 429
    │       ├── ServerFailed         500, 502, 504
    │       ├── ConnectionFailed     refused, reset, name not found, TLS failure
    │       ├── TimedOut             no answer in time
    │       └── BodyCorrupted        truncated body or a checksum that does not match
    ├── Interrupted                  the waiting program was interrupted by a signal
    └── FileError                    a file system verb refuses, in POSIX's own terms
        ├── NoEntry  Exists  NotADirectory  IsADirectory  NotEmpty
        ├── NotPermitted  AccessRefused  ReadOnly  Busy
        ├── InvalidArgument  NameTooLong  TooManyLinks  NoSpace  FileTooLarge
        ├── NoAttribute  RangeTooSmall  AttributeTooLarge  Unsupported  CrossMount
        ├── StaleHandle
        │   └── Conflict             somebody else stored another version meanwhile
        └── BadHandle  InputOutput

``fuse/errno.py`` is the only place that turns a member of this tree into an errno.
"""


class Yas3fsError(Exception):
    """Root of everything yas3fs raises on purpose."""


class ConfigError(Yas3fsError):
    """The administrator's input is wrong; the message names what and where."""


class MountError(Yas3fsError):
    """A mount could not be made; the message is one line for the administrator."""


class ControlFailed(Yas3fsError):
    """A running process refuses a request, or does not answer it; the message is one line."""


class MetadataUnavailable(Yas3fsError):
    """The instance metadata service does not answer: this is no EC2 instance, most likely."""


class StoreError(Yas3fsError):
    """The object store did not do what was asked.

    ``code`` is the store's own error code (``SlowDown``), ``status`` the HTTP status (0 when no
    answer arrived), ``request_id`` what support asks for.
    """

    def __init__(
        self, message: str, *, code: str = "", status: int = 0, request_id: str = ""
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id = request_id


class NotFound(StoreError):
    """No such key, upload or version."""


class NoSuchBucket(StoreError):
    """The bucket does not exist."""


class WrongRegion(StoreError):
    """The bucket lives in another region; ``region`` names it when the store said so."""

    region: str = ""


class AccessDenied(StoreError):
    """The credentials are good, the permission is missing."""


class BadCredentials(AccessDenied):
    """The key id, signature or token is refused, or no credentials were found."""


class PreconditionFailed(StoreError):
    """If-Match or If-None-Match did not hold."""


class RangeNotSatisfiable(StoreError):
    """The range lies beyond the object."""


class InvalidRequest(StoreError):
    """The store calls the request malformed."""


class TooLarge(StoreError):
    """The store refuses the size of the metadata, the object or the key."""


class QuotaExceeded(StoreError):
    """The store is full."""


class NotSupported(StoreError):
    """The store does not implement the call."""


class Transient(StoreError):
    """Worth another try."""


class Throttled(Transient):
    """The store asks for fewer requests; ``retry_after`` is its wish in seconds, or 0."""

    retry_after: float = 0.0


class ServerFailed(Transient):
    """The store failed (500, 502, 504)."""


class ConnectionFailed(Transient):
    """The connection was refused or reset, the name not found, or TLS failed."""


class TimedOut(Transient):
    """No answer in time."""


class BodyCorrupted(Transient):
    """A body was cut short, or its checksum does not match."""


class Interrupted(Yas3fsError):
    """The program that waits was interrupted by a signal."""


class FileError(Yas3fsError):
    """A file system verb refuses, in POSIX's own terms."""


class NoEntry(FileError):
    """ENOENT."""


class Exists(FileError):
    """EEXIST."""


class NotADirectory(FileError):
    """ENOTDIR."""


class IsADirectory(FileError):
    """EISDIR."""


class NotEmpty(FileError):
    """ENOTEMPTY."""


class NotPermitted(FileError):
    """EPERM."""


class AccessRefused(FileError):
    """EACCES."""


class ReadOnly(FileError):
    """EROFS."""


class Busy(FileError):
    """EBUSY."""


class InvalidArgument(FileError):
    """EINVAL."""


class NameTooLong(FileError):
    """ENAMETOOLONG."""


class TooManyLinks(FileError):
    """ELOOP."""


class NoSpace(FileError):
    """ENOSPC."""


class FileTooLarge(FileError):
    """EFBIG."""


class NoAttribute(FileError):
    """ENODATA."""


class RangeTooSmall(FileError):
    """ERANGE."""


class AttributeTooLarge(FileError):
    """E2BIG."""


class Unsupported(FileError):
    """ENOTSUP."""


class CrossMount(FileError):
    """EXDEV."""


class StaleHandle(FileError):
    """ESTALE: the object an open file was reading no longer exists in that version."""


class Conflict(StaleHandle):
    """ESTALE: somebody else stored, or deleted, the object since this change of it began."""


class BadHandle(FileError):
    """EBADF."""


class InputOutput(FileError):
    """EIO."""
