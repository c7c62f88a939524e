"""The frozen result of resolving: everything a mount and its process need to know.

Sizes are bytes and times seconds, whatever unit they were given in; paths are absolute. An empty
text stands for "not given". What must not appear in a log is kept out of ``repr``.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class MountConfig:
    """One mount. Each field but the first four is the option of that name."""

    name: str
    """What logs, status and metrics call it: its name in the file, else its mount point."""
    bucket: str
    prefix: str
    """PATH without outer slashes, case kept; empty when the whole bucket is mounted."""
    mountpoint: str

    mkdir: bool
    nonempty: bool
    read_only: bool
    id: str

    s3_endpoint: str
    """``http://HOST[:PORT]`` or ``https://…`` without a path; empty for Amazon S3."""
    s3_region: str
    addressing: str
    ca_bundle: str
    verify_tls: bool
    proxy: str = field(repr=False)
    connect_timeout: float
    read_timeout: float
    retry_budget: float
    s3_num: int
    requester_pays: bool

    profile: str
    role_arn: str
    no_sign: bool

    sse: str
    sse_kms_key_id: str
    sse_c_key: bytes = field(repr=False)
    """The 32 bytes read from ``sse_c_key_file``; empty without SSE-C."""
    storage_class: str
    acl: str

    cache_entries: int
    cache_size: int
    metadata_ttl: float
    cache_path: str
    state_path: str

    buffer_size: int
    read_ahead: int
    prefetch: bool
    prefetch_num: int

    write_mode: str
    part_size: int
    multipart_threshold: int
    conflict: str
    no_metadata: bool

    uid: int
    gid: int
    umask: int
    st_blksize: int
    expiration: int

    allow_other: bool
    default_permissions: bool
    max_threads: int
    fuse_options: tuple[str, ...]
    """Options of ``-o`` that the kernel or libfuse understands, as ``name`` or ``name=value``."""

    topic: str
    region: str
    queue: str
    new_queue: bool
    queue_wait: float
    queue_polling: float
    hostname: str
    ec2_hostname: bool
    port: int | None
    tls_certificate: str
    tls_key: str
    listener_timeout: float
    remote_control: str
    notify_endpoint: str

    debug: bool

    @property
    def listens(self) -> bool:
        """Whether the mount hears its topic, and does not only speak to it."""
        return self.new_queue or bool(self.queue) or self.port is not None

    @property
    def url(self) -> str:
        """What is mounted, as one would write it."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def path_style(self) -> bool:
        """Whether the bucket's name goes into the path of requests.

        Hardly any server but Amazon's has a DNS name for each bucket, and no address has; a dot in
        the name does not match the certificate of ``*.s3.amazonaws.com``.
        """
        if self.addressing != "auto":
            return self.addressing == "path"
        host = urlsplit(self.s3_endpoint).hostname or ""
        foreign = bool(host) and not host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
        plain = self.bucket == self.bucket.lower() and not set("._") & set(self.bucket)
        return foreign or not plain


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessConfig:
    """The process around the mounts: where it runs and where it says what it does."""

    foreground: bool
    debug: bool
    log: str
    """Absolute path of the log file; empty for stderr or syslog."""
    log_mb_size: int
    log_backup_count: int
    log_backup_gzip: bool
    pid_file: str
    runtime_path: str
    """Folder of the control socket."""
    metrics: str
    """``HOST:PORT`` of the HTTP server for /metrics and /healthz; empty for none."""
    drain_on_termination: bool
    cpu_affinity: str
    """``auto``, or ``none`` for threads that run on any processor."""
    cache_total: int | None
    """Bytes of content that all mounts keep in memory together; None lets the machine decide."""
