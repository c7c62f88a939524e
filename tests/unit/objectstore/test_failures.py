"""Every error code of S3 has a place in the tree."""

import pytest

from yas3fs import errors
from yas3fs.objectstore.failures import CODES, Answer, kind_of, one_line, shorten, translate

# The codes of "Error responses" in S3's API reference, with their statuses, as far as requests of
# the object path can meet them; then those of conditional writes, KMS, and S3-compatible stores.
KNOWN: dict[str, tuple[int, type[errors.StoreError]]] = {
    "AccessDenied": (403, errors.AccessDenied),
    "AccountProblem": (403, errors.AccessDenied),
    "AllAccessDisabled": (403, errors.AccessDenied),
    "AuthorizationHeaderMalformed": (400, errors.WrongRegion),
    "BadDigest": (400, errors.BodyCorrupted),
    "BandwidthLimitExceeded": (503, errors.Throttled),
    "ConditionalRequestConflict": (409, errors.PreconditionFailed),
    "CredentialsNotSupported": (400, errors.BadCredentials),
    "EntityTooLarge": (400, errors.TooLarge),
    "EntityTooSmall": (400, errors.InvalidRequest),
    "ExpiredToken": (400, errors.BadCredentials),
    "IllegalLocationConstraintException": (400, errors.WrongRegion),
    "IncompleteBody": (400, errors.BodyCorrupted),
    "InternalError": (500, errors.ServerFailed),
    "InvalidAccessKeyId": (403, errors.BadCredentials),
    "InvalidArgument": (400, errors.InvalidRequest),
    "InvalidBucketName": (400, errors.InvalidRequest),
    "InvalidDigest": (400, errors.InvalidRequest),
    "InvalidEncryptionAlgorithmError": (400, errors.InvalidRequest),
    "InvalidObjectState": (403, errors.AccessDenied),
    "InvalidPart": (400, errors.InvalidRequest),
    "InvalidPartOrder": (400, errors.InvalidRequest),
    "InvalidPayer": (403, errors.AccessDenied),
    "InvalidRange": (416, errors.RangeNotSatisfiable),
    "InvalidRequest": (400, errors.InvalidRequest),
    "InvalidSecurity": (403, errors.BadCredentials),
    "InvalidStorageClass": (400, errors.InvalidRequest),
    "InvalidToken": (400, errors.BadCredentials),
    "InvalidURI": (400, errors.InvalidRequest),
    "KeyTooLongError": (400, errors.TooLarge),
    "MalformedXML": (400, errors.InvalidRequest),
    "MaxMessageLengthExceeded": (400, errors.TooLarge),
    "MetadataTooLarge": (400, errors.TooLarge),
    "MethodNotAllowed": (405, errors.AccessDenied),
    "MissingContentLength": (411, errors.InvalidRequest),
    "MissingSecurityHeader": (400, errors.BadCredentials),
    "NoSuchBucket": (404, errors.NoSuchBucket),
    "NoSuchKey": (404, errors.NotFound),
    "NoSuchUpload": (404, errors.NotFound),
    "NoSuchVersion": (404, errors.NotFound),
    "NotImplemented": (501, errors.NotSupported),
    "NotSignedUp": (403, errors.AccessDenied),
    "OperationAborted": (409, errors.ServerFailed),
    "PermanentRedirect": (301, errors.WrongRegion),
    "PreconditionFailed": (412, errors.PreconditionFailed),
    "Redirect": (307, errors.WrongRegion),
    "RequestHeaderSectionTooLarge": (400, errors.TooLarge),
    "RequestTimeout": (400, errors.TimedOut),
    "RequestTimeTooSkewed": (403, errors.BadCredentials),
    "ServiceUnavailable": (503, errors.Throttled),
    "SignatureDoesNotMatch": (403, errors.BadCredentials),
    "SlowDown": (503, errors.Throttled),
    "TemporaryRedirect": (307, errors.WrongRegion),
    "Throttling": (400, errors.Throttled),
    "TokenRefreshRequired": (400, errors.BadCredentials),
    "UnauthorizedAccess": (403, errors.AccessDenied),
    "UnexpectedContent": (400, errors.InvalidRequest),
    "XAmzContentSHA256Mismatch": (400, errors.BodyCorrupted),
    "KMS.DisabledException": (400, errors.AccessDenied),
    "KMS.NotFoundException": (400, errors.AccessDenied),
    "KMS.ThrottlingException": (400, errors.Throttled),
    "QuotaExceeded": (403, errors.QuotaExceeded),
    "XMinioAdminBucketQuotaExceeded": (400, errors.QuotaExceeded),
    "XMinioStorageFull": (507, errors.QuotaExceeded),
    "SlowDownRead": (503, errors.Throttled),
}


@pytest.mark.parametrize("code", sorted(KNOWN))
def test_known_codes(code: str) -> None:
    status, kind = KNOWN[code]
    error = translate(Answer(status, code, "text"), "GET", "key")
    assert type(error) is kind
    assert (error.code, error.status) == (code, status)


def test_every_code_has_one_class_and_every_class_of_the_store_has_a_code() -> None:
    leaves = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.StoreError)
    } - {errors.StoreError, errors.Transient, errors.ConnectionFailed}
    assert set(CODES.values()) == leaves
    assert set(KNOWN) <= set(CODES)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, errors.WrongRegion),
        (400, errors.InvalidRequest),
        (401, errors.BadCredentials),
        (403, errors.AccessDenied),
        (404, errors.NotFound),
        (409, errors.PreconditionFailed),
        (412, errors.PreconditionFailed),
        (413, errors.TooLarge),
        (416, errors.RangeNotSatisfiable),
        (418, errors.InvalidRequest),
        (429, errors.Throttled),
        (500, errors.ServerFailed),
        (501, errors.NotSupported),
        (502, errors.ServerFailed),
        (503, errors.Throttled),
        (504, errors.TimedOut),
        (507, errors.QuotaExceeded),
        (599, errors.ServerFailed),
    ],
)
def test_unknown_codes_go_by_the_status(status: int, kind: type[errors.StoreError]) -> None:
    assert kind_of(status, "") is kind
    assert kind_of(status, "NeverHeardOf") is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SomeVendorsQuotaReached", errors.QuotaExceeded),
        ("VendorThrottled", errors.Throttled),
    ],
)
def test_telling_names_of_unknown_codes(code: str, kind: type[errors.StoreError]) -> None:
    assert kind_of(400, code) is kind


def test_messages_are_one_line() -> None:
    error = translate(Answer(403, "AccessDenied", "no\nway\x1b[0m\r\n"), "PUT", "a\nb" * 100)
    assert len(str(error).splitlines()) == 1
    assert "\x1b" not in str(error)
    assert str(error).startswith("PUT 'a\\nb")
    assert len(str(error)) < 700


def test_archived_objects_are_named_as_such() -> None:
    error = translate(Answer(403, "InvalidObjectState", "The operation is not valid"), "GET", "k")
    assert "archive" in str(error)


def test_what_errors_carry() -> None:
    wrong = translate(Answer(301, "PermanentRedirect", region="eu-west-1"), "GET", "k")
    assert isinstance(wrong, errors.WrongRegion)
    assert wrong.region == "eu-west-1"
    slow = translate(Answer(503, "SlowDown", retry_after=3.0), "GET", "k")
    assert isinstance(slow, errors.Throttled)
    assert slow.retry_after == 3.0


def test_long_texts_are_shortened() -> None:
    assert len(shorten("k" * 1000)) < 140
    assert len(one_line("x" * 1000)) < 310
