"""The one table of options: flags, environment, ``-o`` and the reference are all made from it.

Options of the first release keep their names, units and meaning; those of 2.x either mean what they
meant, as an option, a further spelling or a shorthand, or stand in :mod:`yas3fs.config.earlier`
with the name of what took their place.
"""

from yas3fs.config.earlier import RETIRED_OPTIONS
from yas3fs.config.notify_options import NOTIFICATION_OPTIONS
from yas3fs.config.option import GIB, KIB, MIB, TIB, Group, Kind, Option, Shorthand
from yas3fs.config.store_options import CREDENTIALS_OPTIONS, PLACEMENT_OPTIONS, STORE_OPTIONS

_MOUNT = (
    Option(
        "url",
        Group.MOUNT,
        Kind.TEXT,
        "what to mount; PATH may be empty or nested, and is created on the first mount",
        metavar="s3://BUCKET/PATH",
    ),
    Option(
        "mkdir",
        Group.MOUNT,
        Kind.SWITCH,
        "create the mount point, and its parents, if it is missing",
        default=False,
    ),
    Option(
        "nonempty",
        Group.MOUNT,
        Kind.SWITCH,
        "mount over a directory that is not empty or is a mount point already",
        default=False,
    ),
    Option(
        "read_only",
        Group.MOUNT,
        Kind.SWITCH,
        "mount read-only; nothing is ever written to the bucket",
        default=False,
    ),
    Option(
        "id",
        Group.MOUNT,
        Kind.TEXT,
        "name of this node, unique among the nodes that share a bucket",
        metavar="ID",
        default_text="the host name",
    ),
)

_CACHE = (
    Option(
        "cache_entries",
        Group.CACHE,
        Kind.INTEGER,
        "names and attributes to keep in memory, least recently used leave first",
        default=1_000_000,
        low=1,
        high=1_000_000_000,
        metavar="N",
    ),
    Option(
        "cache_size",
        Group.CACHE,
        Kind.SIZE,
        "file content to keep in memory, least recently used leaves first",
        flags=("--cache-size", "--cache-mem-size"),
        default=1024 * MIB,
        unit="MB",
        low=MIB,
        high=16 * TIB,
        metavar="MB",
    ),
    Option(
        "cache_check",
        Group.CACHE,
        Kind.SECONDS,
        "accepted for the first release's sake: the bounds hold at all times",
        default=10.0,
        low=0,
        high=86400,
        metavar="SECONDS",
    ),
    Option(
        "metadata_ttl",
        Group.CACHE,
        Kind.SECONDS,
        "how long names and attributes are believed before S3 is asked again",
        default=60.0,
        low=0,
        high=31_536_000,
        metavar="SECONDS",
    ),
    Option(
        "cache_path",
        Group.CACHE,
        Kind.PATH,
        "folder for files that are being written, until they are uploaded",
        metavar="FOLDER",
        default_text="/var/cache/yas3fs, for users XDG_CACHE_HOME/yas3fs",
    ),
    Option(
        "state_path",
        Group.CACHE,
        Kind.PATH,
        "folder for what must survive a restart: files that could not be uploaded are kept in "
        "its subfolder rescue",
        metavar="FOLDER",
        default_text="/var/lib/yas3fs, for users XDG_STATE_HOME/yas3fs",
    ),
)

_READ = (
    Option(
        "buffer_size",
        Group.READ,
        Kind.SIZE,
        "pieces in which a file becomes readable while the rest still arrives; 0 = only when it "
        "is there as a whole",
        default=10240 * KIB,
        unit="KB",
        low=0,
        high=4 * GIB,
        metavar="KB",
    ),
    Option(
        "read_ahead",
        Group.READ,
        Kind.SIZE,
        "how far at most to fetch ahead of a sequential reader; 0 = not at all",
        default=64 * MIB,
        unit="MB",
        low=0,
        high=16 * GIB,
        metavar="MB",
    ),
    Option(
        "prefetch",
        Group.READ,
        Kind.SWITCH,
        "start to download a file as soon as it is discovered",
        default=False,
    ),
    Option(
        "prefetch_num",
        Group.READ,
        Kind.INTEGER,
        "files to prefetch at a time",
        default=2,
        low=1,
        high=256,
        metavar="N",
    ),
)

_WRITE = (
    Option(
        "write_mode",
        Group.WRITE,
        Kind.CHOICE,
        "through: close and fsync return when S3 has the file",
        default="through",
        choices=("through", "back"),
        metavar="MODE",
    ),
    Option(
        "part_size",
        Group.WRITE,
        Kind.SIZE,
        "size of the parts of a multipart upload; grows by itself for files of more than 10,000",
        flags=("--part-size", "--mp-size"),
        default=8 * MIB,
        unit="MB",
        low=5 * MIB,
        high=5 * GIB,
        metavar="MB",
    ),
    Option(
        "multipart_threshold",
        Group.WRITE,
        Kind.SIZE,
        "files larger than this are uploaded in parts",
        unit="MB",
        low=5 * MIB,
        high=5 * GIB,
        metavar="MB",
        default_text="the part size",
    ),
    Option(
        "conflict",
        Group.WRITE,
        Kind.CHOICE,
        "two nodes change a file: overwrite = the last close wins; detect = the later close fails, "
        "and what it would have stored is kept in the subfolder rescue of --state-path",
        default="overwrite",
        choices=("overwrite", "detect"),
        metavar="HOW",
    ),
    Option(
        "no_metadata",
        Group.WRITE,
        Kind.SWITCH,
        "never write attributes or extended attributes into user metadata",
        default=False,
    ),
)

_ATTRIBUTES = (
    Option(
        "uid",
        Group.ATTRIBUTES,
        Kind.INTEGER,
        "owner of what has none stored",
        low=0,
        high=2**32 - 2,
        metavar="UID",
        default_text="the mounting user",
    ),
    Option(
        "gid",
        Group.ATTRIBUTES,
        Kind.INTEGER,
        "group of what has none stored",
        low=0,
        high=2**32 - 2,
        metavar="GID",
        default_text="the mounting user's",
    ),
    Option(
        "umask",
        Group.ATTRIBUTES,
        Kind.OCTAL,
        "permission bits taken from 666 (files) and 777 (directories) for what has none stored",
        low=0,
        high=0o777,
        metavar="MASK",
        default_text="the mounting process's",
    ),
    Option(
        "st_blksize",
        Group.ATTRIBUTES,
        Kind.SIZE,
        "preferred size of a read or write, told to programs as st_blksize",
        default=MIB,
        unit="bytes",
        low=512,
        high=GIB,
        metavar="BYTES",
    ),
    Option(
        "expiration",
        Group.ATTRIBUTES,
        Kind.INTEGER,
        "seconds for which a URL from user.yas3fs.signedURL is good; what a signature or the "
        "credentials allow (7 days at most) is never exceeded",
        default=30 * 86400,
        low=1,
        high=2**31 - 1,
        metavar="SECONDS",
    ),
)

_KERNEL = (
    Option(
        "allow_other",
        Group.KERNEL,
        Kind.SWITCH,
        "let other users than the mounting one in",
        shorthands=(Shorthand("--no-allow-other", "no", "only the mounting user gets in"),),
        default_text="yes where the system lets the mounting user",
    ),
    Option(
        "default_permissions",
        Group.KERNEL,
        Kind.SWITCH,
        "let the kernel check owner, group and mode",
        default=True,
        shorthands=(
            Shorthand(
                "--no-default-permissions", "no", "whoever gets in may do everything, as root may"
            ),
        ),
    ),
    Option(
        "max_threads",
        Group.KERNEL,
        Kind.INTEGER,
        "requests of programs served at a time",
        default=64,
        low=1,
        high=4096,
        metavar="N",
    ),
)

_PROCESS = (
    Option(
        "foreground",
        Group.PROCESS,
        Kind.SWITCH,
        "stay in the foreground, log to stderr",
        flags=("-f", "--foreground"),
        default=False,
    ),
    Option(
        "debug",
        Group.PROCESS,
        Kind.SWITCH,
        "log everything; implies -f",
        flags=("-d", "--debug"),
        default=False,
    ),
    Option(
        "log",
        Group.PROCESS,
        Kind.PATH,
        "log file",
        flags=("-l", "--log"),
        metavar="FILE",
        default_text="syslog or journal; stderr in the foreground",
    ),
    Option(
        "log_mb_size",
        Group.PROCESS,
        Kind.SIZE,
        "size at which the log file is rotated; 0 = never",
        default=100 * MIB,
        unit="MB",
        low=0,
        high=TIB,
        metavar="MB",
    ),
    Option(
        "log_backup_count",
        Group.PROCESS,
        Kind.INTEGER,
        "rotated log files to keep",
        default=10,
        low=0,
        high=10_000,
        metavar="N",
    ),
    Option(
        "log_backup_gzip",
        Group.PROCESS,
        Kind.SWITCH,
        "compress rotated log files",
        default=False,
    ),
    Option(
        "pid_file",
        Group.PROCESS,
        Kind.PATH,
        "file to hold the number of the serving process while it lives",
        metavar="FILE",
        default_text="none",
    ),
    Option(
        "runtime_path",
        Group.PROCESS,
        Kind.PATH,
        "folder of the control socket that yas3fsctl talks to",
        metavar="FOLDER",
        default_text="/run/yas3fs, for users XDG_RUNTIME_DIR/yas3fs",
    ),
    Option(
        "metrics",
        Group.PROCESS,
        Kind.TEXT,
        "address at which /metrics (for Prometheus) and /healthz are served by HTTP; PORT alone "
        "stands for this machine only",
        metavar="HOST:PORT",
        default_text="none",
    ),
    Option(
        "drain_on_termination",
        Group.PROCESS,
        Kind.SWITCH,
        "upload what is due and unmount when EC2 announces the end of the instance: by a spot "
        "notice, or through the lifecycle hook of an Auto Scaling group",
        default=False,
    ),
    Option(
        "cpu_affinity",
        Group.PROCESS,
        Kind.CHOICE,
        "auto keeps the threads of the process on one processor, but for those that move much "
        "data, because Python runs one thread at a time; none leaves all of them to the kernel",
        default="auto",
        choices=("auto", "none"),
        metavar="CHOICE",
    ),
    Option(
        "cache_total",
        Group.PROCESS,
        Kind.SIZE,
        "content that all mounts of the process keep in memory together; where the sizes of their "
        "caches sum up to more, each is made smaller in proportion",
        unit="MB",
        low=MIB,
        high=16 * TIB,
        metavar="MB",
        default_text="half of the machine's memory, or the largest cache",
    ),
)

OPTIONS: tuple[Option, ...] = (
    *_MOUNT,
    *STORE_OPTIONS,
    *CREDENTIALS_OPTIONS,
    *PLACEMENT_OPTIONS,
    *_CACHE,
    *_READ,
    *_WRITE,
    *_ATTRIBUTES,
    *_KERNEL,
    *_PROCESS,
    *NOTIFICATION_OPTIONS,
    *RETIRED_OPTIONS,
)

BY_NAME = {option.name: option for option in OPTIONS}
