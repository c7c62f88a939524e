"""Clients of SNS and SQS, and what goes wrong with them, in one line.

A client never repeats a call by itself: every caller here has its own way of going on, and its own
back-off.
"""

import random
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from yas3fs.errors import ConfigError, Yas3fsError

Client = Any
"""A client of boto3, or a double with the methods that are called."""

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):sns:(?P<region>[a-z0-9-]{1,40}):(?P<account>[0-9]{12})"
    r":(?P<name>[A-Za-z0-9_-]{1,256})"
)


class NotifyFailed(Yas3fsError):
    """SNS or SQS did not do what was asked; ``code`` is their error code, or empty."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Topic:
    """The parts of a topic's ARN."""

    arn: str
    partition: str
    region: str
    account: str
    name: str


def parse_topic(arn: str) -> Topic:
    """The parts of ``arn``; ConfigError when it is no ARN of a standard topic."""
    match = _ARN.fullmatch(arn)
    if match is None:
        raise ConfigError(f"{arn!r} is not the ARN of an SNS topic (arn:aws:sns:REGION:ID:NAME)")
    return Topic(arn, *match.group("partition", "region", "account", "name"))


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """How SNS and SQS are reached. Empty texts: what botocore's chain says. Secrets stay out of
    repr. ``endpoint`` is a URL for both services, empty for AWS."""

    endpoint: str = ""
    profile: str = ""
    role_arn: str = ""
    key_id: str = ""
    secret: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    ca_bundle: str = ""
    verify: bool = True
    proxy: str = field(default="", repr=False)
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    """Seconds; a long poll's must exceed its wait of at most 20."""


class Clients:
    """One client per service and region, made when first asked for. Thread-safe."""

    def __init__(self, access: AwsAccess) -> None:
        self.access = access
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str], Client] = {}

    def sns(self, region: str) -> Client:
        """The client of SNS in ``region``; ConfigError or NotifyFailed with one line."""
        return self._client("sns", region)

    def sqs(self, region: str) -> Client:
        """The client of SQS in ``region``; ConfigError or NotifyFailed with one line."""
        return self._client("sqs", region)

    def close(self) -> None:
        """Close the connections of all clients."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def signed_headers(self, service: str, region: str, url: str) -> dict[str, str]:
        """Headers that sign a GET of ``url``; NotifyFailed when there are no credentials."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        with self._lock:
            if self._session is None:
                self._session = _open_session(self.access, region)
            found = self._session.get_credentials()
        if found is None:
            raise NotifyFailed("no AWS credentials found")
        request = AWSRequest("GET", url)
        SigV4Auth(found.get_frozen_credentials(), service, region).add_auth(request)
        return {name: str(value) for name, value in request.headers.items()}

    def _client(self, service: str, region: str) -> Client:
        with self._lock:
            found = self._clients.get((service, region))
            if found is None:
                found = self._clients[service, region] = self._open(service, region)
            return found

    def _open(self, service: str, region: str) -> Client:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        access = self.access
        config = Config(
            connect_timeout=access.connect_timeout,
            read_timeout=access.read_timeout,
            retries={"total_max_attempts": 1},
            max_pool_connections=10,
            parameter_validation=False,  # a sixth of a call's CPU, and nothing here is user input
            tcp_keepalive=True,
            proxies={"http": access.proxy, "https": access.proxy} if access.proxy else None,
        )
        try:
            if self._session is None:
                self._session = _open_session(access, region)
            return self._session.client(
                service,
                region_name=region,
                endpoint_url=access.endpoint or None,
                verify=(access.ca_bundle or True) if access.verify else False,
                config=config,
            )
        except (BotoCoreError, ValueError) as error:
            raise NotifyFailed(f"{service.upper()} in {region}: {one_line(error)}") from error


def _open_session(access: AwsAccess, region: str) -> Any:
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.exceptions import ProfileNotFound
    from botocore.session import Session

    try:
        inner = Session(profile=access.profile or None)
        inner.get_scoped_config()
    except ProfileNotFound as error:
        raise ConfigError(one_line(error)) from error
    if access.key_id:
        inner.set_credentials(access.key_id, access.secret, access.session_token or None)
    elif access.role_arn:
        inner.set_config_variable("region", inner.get_config_variable("region") or region)
        fetcher = AssumeRoleCredentialFetcher(
            inner.create_client,
            inner.get_credentials(),
            access.role_arn,
            extra_args={"RoleSessionName": "yas3fs"},
        )
        assumed = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")
        inner = Session(profile=access.profile or None)
        inner._credentials = assumed  # botocore has no public way to set refreshable credentials
    return boto3.Session(botocore_session=inner)


def error_code(error: BaseException) -> str:
    """The service's own code (``NotFound``), or the name of the exception's class."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        code = response.get("Error", {}).get("Code")
        if isinstance(code, str) and code:
            return code
    return type(error).__name__


def one_line(error: BaseException) -> str:
    """What ``error`` says, without line breaks, in at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__


class Backoff:
    """Pauses between attempts, in seconds: doubling, with jitter so that nodes do not march in
    step. ``jitter`` gives numbers from 0 to 1."""

    def __init__(self, first: float = 0.2, most: float = 30.0, jitter: Any = random.random) -> None:
        self._first = first
        self._most = most
        self._jitter = jitter
        self._failures = 0

    def next(self) -> float:
        """The pause after one more failure: half to all of first, 2 first, 4 first ... most."""
        whole = min(self._most, self._first * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return float(whole * (0.5 + 0.5 * self._jitter()))

    def reset(self) -> None:
        """Something succeeded."""
        self._failures = 0
