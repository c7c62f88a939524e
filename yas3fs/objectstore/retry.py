"""Trying again: exponential back-off with full jitter, inside a time budget.

Every call of the protocol may be repeated, but not every refusal of a repetition is to be
believed. When the answer to a conditional write was lost, the write may have happened, and then
the repetition is refused because of ourselves. So a refusal that follows a failure of unknown
outcome is checked against what the store holds now, and counts as success when that is ours.
"""

import hashlib
import logging
import random
import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from yas3fs.errors import NotFound, PreconditionFailed, Throttled, Transient
from yas3fs.objectstore.failures import SHORTER, shorten
from yas3fs.objectstore.protocol import (
    Buffer,
    Headers,
    ObjectInfo,
    ObjectStore,
    Part,
    Written,
)
from yas3fs.objectstore.wrapping import StoreWrapper
from yas3fs.runtime import interrupts
from yas3fs.runtime.clock import Clock, SystemClock

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
_CLOCK_TOLERANCE = 900.0
"""Seconds that this machine's clock may differ from S3's (which refuses more)."""
_MD5 = re.compile(r"[0-9a-f]{32}\Z")


class RetryingStore(StoreWrapper):
    """Repeats calls that failed for a while, for ``budget`` seconds from the first try.

    The last failure is raised when the budget would be exceeded; pauses raise Interrupted.
    ``draw`` returns a number from 0 to 1 and is there for tests.
    """

    def __init__(
        self,
        inner: ObjectStore,
        *,
        budget: float = 60.0,
        clock: Clock = SystemClock(),
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(inner)
        self._budget = budget
        self._clock = clock
        self._draw = draw

    def _run(self, operation: str, key: str, call: Callable[[], T]) -> T:
        return self._persist(operation, key, lambda _: call())

    def _persist(self, operation: str, key: str, attempt: Callable[[bool], T]) -> T:
        """Call ``attempt(unsure)`` until it succeeds; unsure: an earlier one may have succeeded."""
        began = self._clock.monotonic()
        tries = 0
        while True:
            try:
                return attempt(tries > 0)
            except Transient as error:
                tries += 1
                if error.code == SHORTER:
                    raise
                delay = self._delay(tries, error)
                spent = self._clock.monotonic() - began
                if spent + delay > self._budget:
                    log.warning(
                        "%s %s failed for good after %d tries in %.1f s: %s",
                        operation,
                        shorten(key),
                        tries,
                        spent,
                        error,
                    )
                    raise
                log.info(
                    "%s %s failed, trying again in %.2f s: %s",
                    operation,
                    shorten(key),
                    delay,
                    error,
                )
            self._pause(delay)

    def _delay(self, tries: int, error: Transient) -> float:
        ceiling = min(_LONGEST_DELAY, _FIRST_DELAY * 2.0 ** min(tries - 1, 16))
        delay = self._draw() * ceiling
        if isinstance(error, Throttled):
            delay = max(delay, error.retry_after)
        return delay

    def _pause(self, seconds: float) -> None:
        until = self._clock.monotonic() + seconds
        interrupts.check()
        while (rest := until - self._clock.monotonic()) > 0:
            self._clock.sleep(min(rest, interrupts.SLICE))
            interrupts.check()

    def get(
        self,
        key: str,
        into: memoryview,
        *,
        offset: int = 0,
        etag: str = "",
        whole: bool = False,
        arrived: Callable[[int], None] | None = None,
    ) -> ObjectInfo:
        """Resumes behind what has arrived when ``etag`` pins the version.

        Without ``etag`` a repetition may meet another version, so nothing is announced before
        all of it is there.
        """
        done = 0

        def attempt(_: bool) -> ObjectInfo:
            start = done

            def note(count: int) -> None:
                nonlocal done
                done = start + count
                if arrived is not None:
                    arrived(done)

            return self.inner.get(
                key,
                into[start:],
                offset=offset + start,
                etag=etag,
                whole=whole and start == 0,
                arrived=note if etag else None,
            )

        info = self._persist("get", key, attempt)
        if arrived is not None and not etag:
            arrived(len(into))
        return info

    def put(
        self,
        key: str,
        body: Buffer,
        headers: Headers,
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        def attempt(unsure: bool) -> Written:
            try:
                return self.inner.put(
                    key, body, headers, if_match=if_match, if_none_match=if_none_match
                )
            except PreconditionFailed:
                found = self._present(key) if unsure else None
                if found is None or not _is_put(found, body, headers):
                    raise
                log.info("put %s had succeeded: only its answer was lost", shorten(key))
                return Written(found.etag, found.last_modified)

        return self._persist("put", key, attempt)

    def complete_multipart(
        self,
        key: str,
        upload_id: str,
        parts: Sequence[Part],
        *,
        if_match: str = "",
        if_none_match: bool = False,
    ) -> Written:
        began = self._clock.time()

        def attempt(unsure: bool) -> Written:
            try:
                return self.inner.complete_multipart(
                    key, upload_id, parts, if_match=if_match, if_none_match=if_none_match
                )
            except (NotFound, PreconditionFailed):
                found = self._present(key) if unsure else None
                if found is None or not _is_multipart(found, parts, began):
                    raise
                log.info("completing %s had succeeded: only its answer was lost", shorten(key))
                return Written(found.etag, found.last_modified)

        return self._persist("complete_multipart", key, attempt)

    def copy(
        self,
        source: str,
        target: str,
        *,
        headers: Headers | None = None,
        source_etag: str = "",
    ) -> Written:
        def attempt(unsure: bool) -> Written:
            try:
                return self.inner.copy(source, target, headers=headers, source_etag=source_etag)
            except PreconditionFailed:
                # A copy onto itself makes a version that may have another ETag.
                found = self._present(target) if unsure and source == target else None
                if found is None or headers is None or not _has_headers(found, headers):
                    raise
                log.info("copying %s had succeeded: only its answer was lost", shorten(target))
                return Written(found.etag, found.last_modified)

        return self._persist("copy", target, attempt)

    def delete(self, key: str, *, if_match: str = "") -> None:
        def attempt(unsure: bool) -> None:
            try:
                self.inner.delete(key, if_match=if_match)
            except PreconditionFailed:
                if not unsure or self._present(key) is not None:
                    raise
                log.info("deleting %s had succeeded: only its answer was lost", shorten(key))

        self._persist("delete", key, attempt)

    def delete_many(self, keys: Sequence[str]) -> Sequence[tuple[str, Exception]]:
        """Repeats for the keys that failed for a while, too."""
        left = list(keys)
        refused: list[tuple[str, Exception]] = []

        def attempt(_: bool) -> None:
            failed = self.inner.delete_many(left)
            refused.extend(pair for pair in failed if not isinstance(pair[1], Transient))
            passing = [pair for pair in failed if isinstance(pair[1], Transient)]
            left[:] = [key for key, _ in passing]
            if passing:
                error = passing[0][1]
                assert isinstance(error, Transient)
                raise error

        try:
            self._persist("delete_many", keys[0] if keys else "", attempt)
        except Transient as error:
            refused.extend((key, error) for key in left)
        return refused

    def _present(self, key: str) -> ObjectInfo | None:
        try:
            return self.inner.head(key)
        except NotFound:
            return None


def _has_headers(found: ObjectInfo, headers: Headers) -> bool:
    return dict(found.headers.metadata) == dict(headers.metadata) and (
        not headers.content_type or found.headers.content_type == headers.content_type
    )


def _is_put(found: ObjectInfo, body: Buffer, headers: Headers) -> bool:
    """Whether ``found`` is what a PUT of ``body`` and ``headers`` makes."""
    if found.size != len(body) or not _has_headers(found, headers):
        return False
    if found.etag == hashlib.md5(body, usedforsecurity=False).hexdigest():
        return True
    # Encrypted objects have other ETags; then our metadata (owner, times to the nanosecond) is
    # the mark. Without any there is no telling, and a refusal is the safe answer.
    return bool(headers.metadata)


def _is_multipart(found: ObjectInfo, parts: Sequence[Part], began: float) -> bool:
    """Whether ``found`` is what completing ``parts`` makes."""
    expected = multipart_etag(parts)
    if found.etag == expected:
        return True
    size = sum(part.size for part in parts)
    return (
        found.etag.endswith(f"-{len(parts)}")
        and all(part.size for part in parts)
        and found.size == size
        and found.last_modified > began - _CLOCK_TOLERANCE
    )


def multipart_etag(parts: Sequence[Part]) -> str:
    """The ETag S3 gives an unencrypted object of these parts; empty when it cannot be told."""
    if not all(_MD5.match(part.etag) for part in parts):
        return ""
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"
