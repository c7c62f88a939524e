"""What an EC2 instance knows of itself, by version 2 of the instance metadata service (IMDSv2).

Version 1 is not asked: whoever can make this machine fetch a URL could ask it too. The usual
variables hold: AWS_EC2_METADATA_SERVICE_ENDPOINT is another address, and with
AWS_EC2_METADATA_DISABLED=true there is no service.
"""

import os
import urllib.error
import urllib.request
from collections.abc import Mapping

from yas3fs.errors import MetadataUnavailable

ENDPOINT = "http://169.254.169.254"
_TIMEOUT = 2.0
"""Seconds; the service answers within milliseconds or is not there."""
_LIFETIME = 300
"""Seconds that a token is good for; it is asked for anew when it has expired."""
_LONGEST = 1024 * 1024
"""User data has 16 KiB at most; more than this is no answer of the service."""


class InstanceMetadata:
    """Asks the service; ``endpoint`` is its base URL, ``timeout`` seconds for each answer."""

    def __init__(self, endpoint: str = ENDPOINT, timeout: float = _TIMEOUT) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._timeout = timeout
        self._token = ""
        # The service is on this machine: a proxy of the environment does not lead there.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "InstanceMetadata":
        """As the environment says; MetadataUnavailable where it is disabled."""
        if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            raise MetadataUnavailable("AWS_EC2_METADATA_DISABLED is set")
        return cls(environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or ENDPOINT)

    def get(self, path: str) -> bytes | None:
        """What is at ``path`` (``meta-data/instance-id``), None where there is nothing.

        Raises MetadataUnavailable when the service does not answer.
        """
        try:
            try:
                return self._get(path)
            except urllib.error.HTTPError as error:
                if error.code != 401:
                    raise
            self._token = ""  # it has expired
            return self._get(path)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise MetadataUnavailable(f"HTTP {error.code} for {path}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise MetadataUnavailable(" ".join(str(reason).split())) from error

    def text(self, path: str) -> str:
        """As :meth:`get`, one line of text; empty where there is nothing."""
        return (self.get(path) or b"").decode("utf-8", "replace").strip()

    def _get(self, path: str) -> bytes:
        if not self._token:
            seconds = {"X-aws-ec2-metadata-token-ttl-seconds": str(_LIFETIME)}
            self._token = self._ask("PUT", "api/token", seconds).decode("ascii").strip()
        return self._ask("GET", path, {"X-aws-ec2-metadata-token": self._token})

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> bytes:
        url = f"{self._endpoint}/latest/{path}"
        request = urllib.request.Request(url, method=method, headers=headers)  # noqa: S310 - a fixed address
        with self._opener.open(request, timeout=self._timeout) as answer:
            return bytes(answer.read(_LONGEST))
