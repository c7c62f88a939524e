"""The rows of the options table that have no effect any more.

Retired options of 2.x are accepted with one warning that names what took their place, so that units
and scripts in use keep working.
"""

from yas3fs.config.option import Group, Kind, Option


def _retired(name: str, successor: str, kind: Kind = Kind.TEXT) -> Option:
    metavar = "" if kind is Kind.SWITCH else "VALUE"
    text = successor
    return Option(name, Group.EARLIER, kind, text, metavar=metavar, retired=successor)


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
