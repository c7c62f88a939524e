"""The rows of the options table that do not act in this release.

Notification options are refused, because a mount that would not hear the other nodes must not look
like one that does. Retired options of 2.x are accepted with one warning that names what took their
place, so that units and scripts in use keep working.
"""

from yas3fs.config.option import Group, Kind, Option


def _notification(name: str, kind: Kind, text: str, **more: object) -> Option:
    return Option(name, Group.NOTIFICATIONS, kind, text, available=False, **more)  # type: ignore[arg-type]


def _retired(name: str, successor: str, kind: Kind = Kind.TEXT) -> Option:
    metavar = "" if kind is Kind.SWITCH else "VALUE"
    text = successor
    return Option(name, Group.EARLIER, kind, text, metavar=metavar, retired=successor)


NOTIFICATION_OPTIONS = (
    Option(
        "region",
        Group.NOTIFICATIONS,
        Kind.TEXT,
        "region of SNS and SQS; the bucket's own region is found by itself",
        default="us-east-1",
        metavar="REGION",
    ),
    _notification(
        "topic",
        Kind.TEXT,
        "SNS topic that carries news between nodes; without it the mount stands alone",
        metavar="ARN",
        default_text="none",
    ),
    _notification(
        "hostname",
        Kind.TEXT,
        "name under which SNS reaches the HTTP listener",
        metavar="HOST",
        default_text="none",
    ),
    _notification(
        "ec2_hostname",
        Kind.SWITCH,
        "ask the instance's metadata for the public host name; wins over --hostname",
        flags=("--ec2-hostname", "--use-ec2-hostname"),
        default=False,
    ),
    _notification(
        "port",
        Kind.INTEGER,
        "TCP port of the HTTP listener",
        metavar="PORT",
        low=1,
        high=65535,
        default_text="none",
    ),
    _notification(
        "queue",
        Kind.TEXT,
        "SQS queue to listen to; created if it is missing, and kept",
        metavar="NAME",
        default_text="none",
    ),
    _notification(
        "new_queue",
        Kind.SWITCH,
        "listen to a new SQS queue that is deleted on unmount; wins over --queue",
        default=False,
    ),
    _notification(
        "new_queue_with_hostname",
        Kind.SWITCH,
        "--new-queue with the host name in the queue's name",
        default=False,
    ),
    _notification(
        "queue_wait",
        Kind.SECONDS,
        "how long one long poll waits; 0 = no long polling",
        metavar="SECONDS",
        default=20.0,
        low=0,
        high=20,
    ),
    _notification(
        "queue_polling",
        Kind.SECONDS,
        "pause between polls when long polling is off",
        metavar="SECONDS",
        default=1.0,
        low=0,
        high=86400,
    ),
)

_BUDGET = "use --retry-budget, the time a failing request is tried again in all"
_NUM = "use --s3-num, the number of requests under way at a time"
_DISK = "content is cached in memory, bounded by --cache-size, and by the kernel"
_PLUGIN = "a file that cannot be uploaded is kept in the folder rescue below --state-path"

RETIRED_OPTIONS = (
    _retired("cache_disk_size", _DISK),
    _retired("cache_on_disk", _DISK),
    _retired("recheck_s3", "use --metadata-ttl, which also bounds what is missing", Kind.SWITCH),
    _retired("s3_retries", _BUDGET),
    _retired("s3_retries_sleep", _BUDGET),
    _retired("s3_use_sigv4", "every request is signed so; see also --s3-region", Kind.SWITCH),
    _retired("download_num", _NUM),
    _retired("download_retries_num", _BUDGET),
    _retired("download_retries_sleep", _BUDGET),
    _retired("read_retries_num", _BUDGET),
    _retired("read_retries_sleep", _BUDGET),
    _retired("buffer_prefetch", "use --read-ahead, how far to fetch ahead of a reader"),
    _retired("mp_num", _NUM),
    _retired("mp_retries", _BUDGET),
    _retired("with_plugin_file", _PLUGIN),
    _retired("with_plugin_class", _PLUGIN),
)
