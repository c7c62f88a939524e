"""What an EC2 instance knows of itself: its public host name, by IMDSv2.

Version 1 of the service is not asked: whoever can make this machine fetch a URL could ask it too.
"""

import urllib.error
import urllib.request

from yas3fs.errors import ConfigError
from yas3fs.notify.aws import one_line

ENDPOINT = "http://169.254.169.254"
_TIMEOUT = 2.0
"""Seconds; the service answers within milliseconds or is not there."""
_LONGEST = 255


def public_hostname(endpoint: str = ENDPOINT, timeout: float = _TIMEOUT) -> str:
    """The instance's public host name. ConfigError with one line when there is none."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(endpoint + path, method=method, headers=headers)  # noqa: S310 - a fixed address
        with opener.open(request, timeout=timeout) as answer:
            return str(answer.read(4096).decode("ascii", "replace")).strip()

    try:
        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = ask("PUT", "/latest/api/token", lifetime)
        name = ask("GET", "/latest/meta-data/public-hostname", {"X-aws-ec2-metadata-token": token})
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--ec2-hostname: this instance does not tell its public host name: {one_line(error)}"
        ) from error
    if not name or len(name) > _LONGEST or not name.replace("-", "").replace(".", "").isalnum():
        raise ConfigError("--ec2-hostname: this instance has no public host name")
    return name
