"""From options to a store, and the proof before a mount that it can be used."""

from typing import NoReturn

from yas3fs.errors import (
    AccessDenied,
    BadCredentials,
    ConfigError,
    ConnectionFailed,
    NoSuchBucket,
    NotFound,
    StoreError,
    TimedOut,
    WrongRegion,
)
from yas3fs.objectstore.limit import LimitedStore
from yas3fs.objectstore.metrics import MeteredStore
from yas3fs.objectstore.options import CHECKSUMS, S3Options
from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.objectstore.retry import RetryingStore
from yas3fs.objectstore.s3 import S3Store
from yas3fs.objectstore.wrapping import StoreWrapper

_PROOF_BUDGET = 5.0
"""Seconds for which :func:`check_access` goes on trying: an administrator waits for it."""


def open_store(options: S3Options) -> MeteredStore:
    """The bucket with limits, retries and metrics; no request is made yet.

    The limit is innermost, so that a call that pauses before another try occupies nobody's place.
    Raises ConfigError for options that cannot work.
    """
    if options.checksum not in CHECKSUMS:
        raise ConfigError(
            f"the checksum {options.checksum!r} is unknown: use one of {', '.join(CHECKSUMS)}"
        )
    if options.max_connections < 1:
        raise ConfigError("the number of connections must be at least 1")
    limited = LimitedStore(S3Store(options), options.max_connections)
    return MeteredStore(RetryingStore(limited, budget=options.retry_budget))


def check_access(store: ObjectStore, prefix: str = "") -> None:
    """Prove that the bucket can be listed below ``prefix``.

    Raises the StoreError of what is wrong, with one line that names it and quotes the answer.
    Stores that are not S3 are only listed.
    """
    engine = store
    while isinstance(engine, StoreWrapper):
        engine = engine.inner
    try:
        RetryingStore(engine, budget=_PROOF_BUDGET).list_page(prefix, limit=1)
    except StoreError as error:
        if isinstance(engine, S3Store):
            _accuse(engine, error)
        raise


def _accuse(engine: S3Store, error: StoreError) -> NoReturn:
    """Raise ``error`` again, its message saying whose fault it is."""
    error.args = (f"{_accusation(engine, error)} ({error})",)
    raise error


def _accusation(engine: S3Store, error: StoreError) -> str:
    where = f"bucket {engine.bucket!r} at {engine.url}"
    key_id = engine.key_id
    match error:
        case NoSuchBucket():
            return f"wrong bucket: there is no {where}"
        case WrongRegion():
            told = f", it is in {error.region}" if error.region else ""
            return f"wrong region: {where} is not in {engine.region}{told}"
        case BadCredentials(code="SignatureDoesNotMatch"):
            return f"wrong secret: it does not belong to the key id {key_id}, says {engine.url}"
        case BadCredentials(code="InvalidAccessKeyId" | "XAdminUserNotFound"):
            return f"wrong key id: {engine.url} does not know {key_id}"
        case BadCredentials(code="ExpiredToken" | "ExpiredTokenException"):
            return f"expired credentials: {engine.url} no longer accepts the key id {key_id}"
        case BadCredentials(status=0):
            return f"no credentials for {where}"
        case BadCredentials():
            return f"wrong credentials: {engine.url} refuses the key id {key_id}"
        case AccessDenied():
            who = f"the key id {key_id}" if key_id else "anonymous access"
            return f"no permission: {who} may not list {where}"
        case ConnectionFailed() | TimedOut() if not error.status:
            return f"wrong endpoint, or network down: no connection to {engine.url}"
        case NotFound():
            return f"wrong endpoint or bucket: nothing is found for {where}"
        case _:
            return f"{engine.url} does not answer as S3 should for {where}"
