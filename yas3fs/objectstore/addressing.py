"""Where a bucket is spoken to: host, port and the path in front of its keys."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from yas3fs.errors import ConfigError, InvalidRequest, TooLarge
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.protocol import MAX_KEY_BYTES
from yas3fs.objectstore.sign import encode, encode_path

DEFAULT_REGION = "us-east-1"

_DNS_LABEL = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]\Z")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}\Z")
_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):s3:(?P<region>[a-z0-9-]+):(?P<account>\d{12})"
    r":accesspoint[:/](?P<name>[a-z0-9-]+)\Z"
)
_DOMAINS = (
    ("cn-", "amazonaws.com.cn"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eusc-", "amazonaws.eu"),
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the requests for one bucket go. ``root`` is the encoded path in front of ``/KEY``."""

    scheme: str
    host: str
    port: int
    root: str
    region: str
    copy_root: str
    """What stands before ``/KEY`` in ``x-amz-copy-source``."""

    @property
    def netloc(self) -> str:
        """The Host header: the port only when it is not the scheme's own."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _default_port(self.scheme) else f"{name}:{self.port}"

    def path_of(self, key: str) -> str:
        """The request path of ``key``, or of the bucket itself for the empty key."""
        return f"{self.root}/{encode_path(key)}"


def check_key(key: str) -> None:
    """InvalidRequest or TooLarge for what no store can hold."""
    if not key:
        raise InvalidRequest("a key cannot be empty")
    try:
        length = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"the key {key[:80]!r} is not valid Unicode") from None
    if length > MAX_KEY_BYTES:
        raise TooLarge(
            f"the key {key[:80]!r}... has {length} bytes, a store takes {MAX_KEY_BYTES}",
            code="KeyTooLongError",
        )


def locate(options: S3Options, region: str) -> Address:
    """Where the bucket of ``options`` is spoken to; ConfigError when that cannot be told."""
    bucket = options.bucket
    if bucket.startswith("arn:"):
        return _access_point(options)
    if bucket.endswith("--x-s3"):
        raise ConfigError(
            f"bucket {bucket!r} is a directory bucket (S3 Express One Zone), which yas3fs "
            "does not support: use a general purpose bucket"
        )
    if not _BUCKET.match(bucket):
        raise ConfigError(f"{bucket!r} is not the name of a bucket")
    if not options.endpoint:
        return _on_aws(options, region)
    scheme, host, port, path = _split(options.endpoint)
    if _path_style(options, scheme, host):
        root = f"{path}/{encode(bucket)}"
    else:
        host, root = f"{bucket}.{host}", path
    return Address(scheme, host, port, root, region, f"/{bucket}")


def aws_region(endpoint: str) -> str:
    """The region in the host name of an AWS endpoint, or the empty string."""
    host = urlsplit(endpoint).hostname or ""
    match = re.match(r"s3[.-](?:dualstack\.|fips\.)*([a-z]+-[a-z0-9-]+-\d+)\.amazonaws\.", host)
    return match[1] if match else ""


def _on_aws(options: S3Options, region: str) -> Address:
    host = f"s3.{region}.{_domain(region)}"
    copy_root = f"/{options.bucket}"
    if _path_style(options, "https", host):
        return Address("https", host, 443, f"/{encode(options.bucket)}", region, copy_root)
    return Address("https", f"{options.bucket}.{host}", 443, "", region, copy_root)


def _access_point(options: S3Options) -> Address:
    match = _ARN.match(options.bucket)
    if not match:
        raise ConfigError(
            f"bucket {options.bucket!r}: of ARNs only those of access points "
            "(arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME) can be mounted"
        )
    region = match["region"]
    label = f"{match['name']}-{match['account']}"
    copy_root = f"{options.bucket}/object"
    if options.endpoint:
        scheme, host, port, path = _split(options.endpoint)
        return Address(scheme, f"{label}.{host}", port, path, region, copy_root)
    host = f"{label}.s3-accesspoint.{region}.{_domain(region)}"
    return Address("https", host, 443, "", region, copy_root)


def _domain(region: str) -> str:
    for prefix, domain in _DOMAINS:
        if region.startswith(prefix):
            return domain
    return "amazonaws.com"


def _split(endpoint: str) -> tuple[str, str, int, str]:
    text = endpoint if "://" in endpoint else f"https://{endpoint}"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise ConfigError(f"endpoint {endpoint!r} is not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or url.fragment:
        raise ConfigError(f"endpoint {endpoint!r} is not of the form https://HOST[:PORT][/PATH]")
    if url.username or url.password:
        raise ConfigError("the endpoint must not contain credentials")
    path = encode_path(url.path.rstrip("/"))
    return url.scheme, url.hostname, port or _default_port(url.scheme), path


def _path_style(options: S3Options, scheme: str, host: str) -> bool:
    if options.path_style is not None:
        return options.path_style
    bucket = options.bucket
    if not 3 <= len(bucket) <= 63 or not all(_DNS_LABEL.match(x) for x in bucket.split(".")):
        return True
    if "." in bucket and scheme == "https":  # a wildcard certificate covers one label
        return True
    return "." not in host or _is_address(host) or host.endswith(".localhost")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
