"""The one place where a store's answer becomes a member of the error tree."""

from collections.abc import Mapping
from dataclasses import dataclass

from yas3fs.errors import (
    AccessDenied,
    BadCredentials,
    BodyCorrupted,
    InvalidRequest,
    NoSuchBucket,
    NotFound,
    NotSupported,
    PreconditionFailed,
    QuotaExceeded,
    RangeNotSatisfiable,
    ServerFailed,
    StoreError,
    Throttled,
    TimedOut,
    TooLarge,
    WrongRegion,
)

_KINDS: dict[type[StoreError], str] = {
    NotFound: "NoSuchKey NoSuchUpload NoSuchVersion NotFound",
    NoSuchBucket: "NoSuchBucket NoSuchAccessPoint",
    WrongRegion: (
        "PermanentRedirect TemporaryRedirect AuthorizationHeaderMalformed Redirect "
        "IncorrectEndpoint IllegalLocationConstraintException"
    ),
    AccessDenied: (
        "AccessDenied AccountProblem AllAccessDisabled InvalidObjectState InvalidPayer "
        "CrossLocationLoggingProhibited UnauthorizedAccess UnauthorizedAccessError "
        "AccessControlListNotSupported ObjectLocked AccessPointAlreadyOwnedByYou NotSignedUp "
        "MethodNotAllowed InvalidAccessPoint KMS.DisabledException KMS.InvalidStateException "
        "KMS.KMSInvalidStateException KMS.NotFoundException KMS.AccessDeniedException"
    ),
    BadCredentials: (
        "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken InvalidToken InvalidSecurity "
        "RequestTimeTooSkewed RequestExpired TokenRefreshRequired MissingSecurityHeader "
        "MissingAuthenticationToken TokenCodeInvalidError CredentialsNotSupported "
        "UnrecognizedClientException InvalidClientTokenId ExpiredTokenException "
        "MissingSecurityElement AuthFailure XAdminUserNotFound"
    ),
    PreconditionFailed: "PreconditionFailed ConditionalRequestConflict NotModified",
    RangeNotSatisfiable: "InvalidRange InvalidPartNumber",
    InvalidRequest: (
        "InvalidRequest InvalidArgument InvalidPart InvalidPartOrder MalformedXML "
        "MalformedPOSTRequest MalformedPolicy MalformedACLError BadRequest InvalidURI "
        "InvalidDigest InvalidEncryptionAlgorithmError InvalidStorageClass EntityTooSmall "
        "InvalidBucketName InvalidBucketState InvalidTag MissingContentLength "
        "MissingRequestBodyError MissingAttachment UnexpectedContent UserKeyMustBeSpecified "
        "UnresolvableGrantByEmailAddress KMS.InvalidKeyUsageException InvalidSOAPRequest "
        "ServerSideEncryptionConfigurationNotFoundError RequestIsNotMultiPartContent "
        "AmbiguousGrantByEmailAddress IncorrectNumberOfFilesInPostRequest NoLoggingStatusForKey "
        "InvalidLocationConstraint "
        "InvalidPolicyDocument InvalidTargetBucketForLogging KeyMustBeSpecified BucketNotEmpty "
        "BucketAlreadyExists BucketAlreadyOwnedByYou TooManyBuckets NoSuchLifecycleConfiguration "
        "NoSuchBucketPolicy NoSuchTagSet InvalidAddressingHeader RestoreAlreadyInProgress "
        "InlineDataTooLarge MissingRequiredParameter InvalidSessionException"
    ),
    TooLarge: (
        "EntityTooLarge KeyTooLongError KeyTooLong MetadataTooLarge MaxMessageLengthExceeded "
        "MaxPostPreDataLengthExceededError RequestHeaderSectionTooLarge RequestEntityTooLarge"
    ),
    QuotaExceeded: (
        "QuotaExceeded XMinioAdminBucketQuotaExceeded XMinioStorageFull InsufficientStorage "
        "InsufficientStorageSpace StorageFull TooManyParts ServiceQuotaExceededException "
        "BucketQuotaExceeded AccountQuotaExceeded"
    ),
    NotSupported: (
        "NotImplemented NotSupported UnsupportedOperation UnsupportedArgument "
        "XNotImplemented UnsupportedSignature"
    ),
    Throttled: (
        "SlowDown ServiceUnavailable Throttling ThrottlingException RequestLimitExceeded "
        "BandwidthLimitExceeded TooManyRequests RequestThrottled RequestThrottledException "
        "Busy SlowDownRead SlowDownWrite KMS.ThrottlingException ThrottledException"
    ),
    ServerFailed: (
        "InternalError InternalServerError OperationAborted InternalFailure "
        "XMinioServerNotInitialized ServerNotInitialized BadGateway"
    ),
    TimedOut: "RequestTimeout RequestTimeoutException GatewayTimeout",
    BodyCorrupted: (
        "BadDigest IncompleteBody XAmzContentSHA256Mismatch XAmzContentChecksumMismatch "
        "InvalidChecksum ContentSHA256Mismatch"
    ),
}
CODES: Mapping[str, type[StoreError]] = {
    code: kind for kind, codes in _KINDS.items() for code in codes.split()
}
"""S3's error codes, and those of well-known compatible stores."""

_STATUSES: Mapping[int, type[StoreError]] = {
    301: WrongRegion,
    302: WrongRegion,
    304: PreconditionFailed,
    307: WrongRegion,
    308: WrongRegion,
    401: BadCredentials,
    403: AccessDenied,
    404: NotFound,
    405: AccessDenied,
    407: AccessDenied,
    408: TimedOut,
    409: PreconditionFailed,
    411: InvalidRequest,
    412: PreconditionFailed,
    413: TooLarge,
    414: TooLarge,
    416: RangeNotSatisfiable,
    429: Throttled,
    431: TooLarge,
    501: NotSupported,
    503: Throttled,
    504: TimedOut,
    507: QuotaExceeded,
}

SHORTER = "ShorterThanAsked"
"""Code of the BodyCorrupted that trying again cannot cure: the object itself is too short."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a refusal. ``code`` and ``message`` are empty when there was no body."""

    status: int
    code: str = ""
    message: str = ""
    request_id: str = ""
    region: str = ""
    retry_after: float = 0.0


def kind_of(status: int, code: str) -> type[StoreError]:
    """The class for an answer; the code decides, and the status when the code is not known."""
    known = CODES.get(code)
    if known is not None:
        return known
    lowered = code.lower()
    if "quota" in lowered or "storagefull" in lowered:
        return QuotaExceeded
    if "throttl" in lowered or "slowdown" in lowered:
        return Throttled
    by_status = _STATUSES.get(status)
    if by_status is not None:
        return by_status
    if 400 <= status < 500:
        return InvalidRequest
    return ServerFailed


def translate(answer: Answer, operation: str, key: str) -> StoreError:
    """The exception for ``answer``; its message is one line."""
    kind = kind_of(answer.status, answer.code)
    what = answer.code or f"HTTP status {answer.status}"
    text = f"{operation} {shorten(key)}: {what}"
    if answer.message:
        text += f": {one_line(answer.message)}"
    if answer.code == "InvalidObjectState":
        text += " (the object is archived: restore it first)"
    error = kind(text, code=answer.code, status=answer.status, request_id=answer.request_id)
    if isinstance(error, WrongRegion):
        error.region = answer.region
    if isinstance(error, Throttled):
        error.retry_after = answer.retry_after
    return error


def shorten(key: str, limit: int = 120) -> str:
    """The key's repr, short enough for a line of the log."""
    return repr(key) if len(key) <= limit else f"{key[:limit]!r}..."


def one_line(text: str, limit: int = 300) -> str:
    """``text`` without line breaks and control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[:limit] + "..."
