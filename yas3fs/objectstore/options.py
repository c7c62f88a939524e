"""What the administrator may say about the bucket and the way to it."""

from dataclasses import dataclass, field

CHECKSUMS = ("crc64nvme", "crc32c", "none")
"""Values of :attr:`S3Options.checksum`."""


@dataclass(frozen=True, slots=True)
class S3Options:
    """Everything :func:`yas3fs.objectstore.factory.open_store` needs; times are seconds.

    ``bucket`` is a name, an access point's alias or its ARN. ``endpoint`` is a URL, empty for AWS.
    ``region`` empty means: what botocore's chain says, and in the end the bucket's own.
    ``path_style`` None decides by the endpoint and the bucket's name. Secrets stay out of repr.
    """

    bucket: str
    endpoint: str = ""
    region: str = ""
    path_style: bool | None = None
    profile: str = ""
    role_arn: str = ""
    anonymous: bool = False
    key_id: str = ""
    secret: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    sse: str = ""
    """``AES256``, ``aws:kms`` or ``aws:kms:dsse``; empty leaves it to the bucket's default."""
    sse_kms_key_id: str = ""
    sse_customer_key: bytes = field(default=b"", repr=False)
    """32 bytes: SSE-C."""
    storage_class: str = ""
    acl: str = ""
    requester_pays: bool = False
    checksum: str = "crc64nvme"
    """What uploads carry, one of :data:`CHECKSUMS`; a store that refuses it gets less."""
    sign_body: bool = False
    """Put the body's SHA-256 into the signature (about 2 s of CPU per GiB)."""
    ca_bundle: str = ""
    verify: bool = True
    proxy: str = field(default="", repr=False)
    """``http://[user:password@]host:port``; empty means the environment's."""
    max_connections: int = 128
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    """Longest silence of the server."""
    retry_budget: float = 60.0
    """Longest time a call goes on trying."""
