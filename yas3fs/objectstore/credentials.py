"""Credentials from botocore's chain, with a refresh that may fail while the old ones live."""

import logging
import threading
from typing import Any

from yas3fs.errors import BadCredentials, ConfigError
from yas3fs.objectstore.failures import one_line
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.sign import Credentials
from yas3fs.runtime.clock import Clock, SystemClock

log = logging.getLogger(__name__)

_ASK_PAUSE = 1.0
"""Seconds for which the chain is not asked again: it takes locks, and renews minutes ahead."""
_REFRESH_PAUSE = 15.0
"""Seconds after a failed refresh in which the old credentials are used without asking again."""


class CredentialSource:
    """Frozen credentials per request, None for anonymous requests."""

    def __init__(self, options: S3Options, clock: Clock = SystemClock()) -> None:
        self._options = options
        self._clock = clock
        self._lock = threading.Lock()
        self._chain: Any = None
        self._fixed = Credentials(options.key_id, options.secret, options.session_token)
        self._last: Credentials | None = None
        self._ask_after = 0.0

    def current(self) -> Credentials | None:
        """Credentials to sign with; BadCredentials with one line when there are none."""
        if self._options.anonymous:
            return None
        if self._fixed.key_id:
            return self._fixed
        last = self._last
        if last is not None and self._clock.monotonic() < self._ask_after:
            return last
        try:
            frozen = self._chained().get_frozen_credentials()
        except (BadCredentials, ConfigError):
            raise
        except Exception as error:  # each provider of the chain raises its own
            told = one_line(str(error))
            if last is None:
                raise BadCredentials(f"cannot obtain credentials: {told}") from error
            log.warning("credentials could not be refreshed, keeping the old ones: %s", told)
            self._ask_after = self._clock.monotonic() + _REFRESH_PAUSE
            return last
        found = Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")
        self._last, self._ask_after = found, self._clock.monotonic() + _ASK_PAUSE
        return found

    def renew(self, refused: Credentials | None) -> bool:
        """Ask the whole chain again after the store called ``refused`` expired.

        True when there are other credentials now.
        """
        if self._options.anonymous or self._fixed.key_id:
            return False
        with self._lock:
            if self._last == refused:
                self._chain = None
                self._ask_after = 0.0
        return self.current() != refused

    def _chained(self) -> Any:
        with self._lock:
            if self._chain is None:
                self._chain = _open_chain(self._options)
            return self._chain


def default_region(options: S3Options) -> str:
    """The region botocore's chain names (environment, profile), or the empty string."""
    return _session(options).get_config_variable("region") or ""


def _session(options: S3Options) -> Any:
    from botocore.exceptions import ProfileNotFound
    from botocore.session import Session

    try:
        session = Session(profile=options.profile or None)
        session.get_scoped_config()
    except ProfileNotFound as error:
        raise ConfigError(one_line(str(error))) from error
    return session


def _open_chain(options: S3Options) -> Any:
    session = _session(options)
    found = session.get_credentials()
    if found is None:
        raise BadCredentials(
            "no AWS credentials found: neither in the environment, nor in ~/.aws, nor from the "
            "machine's role"
        )
    if not options.role_arn:
        return found
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials

    if not session.get_config_variable("region"):
        session.set_config_variable("region", options.region or "us-east-1")
    fetcher = AssumeRoleCredentialFetcher(
        session.create_client,
        found,
        options.role_arn,
        extra_args={"RoleSessionName": "yas3fs"},
    )
    return DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
