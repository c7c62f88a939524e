"""The public host name of an EC2 instance, where SNS finds it."""

from yas3fs.errors import ConfigError, MetadataUnavailable
from yas3fs.runtime.imds import ENDPOINT, InstanceMetadata

_LONGEST = 255


def public_hostname(endpoint: str = ENDPOINT, timeout: float = 2.0) -> str:
    """The instance's public host name. ConfigError with one line when there is none."""
    try:
        name = InstanceMetadata(endpoint, timeout).text("meta-data/public-hostname")
    except MetadataUnavailable as error:
        raise ConfigError(
            f"--ec2-hostname: this instance does not tell its public host name: {error}"
        ) from error
    if not name or len(name) > _LONGEST or not name.replace("-", "").replace(".", "").isalnum():
        raise ConfigError("--ec2-hostname: this instance has no public host name")
    return name
