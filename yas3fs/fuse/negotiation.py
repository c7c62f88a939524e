"""What the kernel and libfuse agree on when a session begins (FUSE_INIT).

Capability bits are those of libfuse's ``fuse_common.h``; each is wanted only when the kernel
offers it, because libfuse ends a session that wants more.
"""

from typing import NamedTuple

from yas3fs.fuse.binding import Binding
from yas3fs.fuse.options import MAX_REQUEST

ASYNC_READ = 1 << 0
POSIX_LOCKS = 1 << 1
ATOMIC_O_TRUNC = 1 << 3
SPLICE_WRITE = 1 << 7
SPLICE_MOVE = 1 << 8
SPLICE_READ = 1 << 9
FLOCK_LOCKS = 1 << 10
AUTO_INVAL_DATA = 1 << 12
READDIRPLUS = 1 << 13
READDIRPLUS_AUTO = 1 << 14
ASYNC_DIO = 1 << 15
WRITEBACK_CACHE = 1 << 16
PARALLEL_DIROPS = 1 << 18
EXPLICIT_INVAL_DATA = 1 << 25

WANTED = (
    ASYNC_READ | ATOMIC_O_TRUNC | READDIRPLUS | ASYNC_DIO | PARALLEL_DIROPS | EXPLICIT_INVAL_DATA
)
"""EXPLICIT_INVAL_DATA: the pages of a file are dropped when we say so. Its opposite drops them
whenever the modification time moves, which every write of our own makes it do."""

UNWANTED = (
    AUTO_INVAL_DATA
    | WRITEBACK_CACHE
    | POSIX_LOCKS
    | FLOCK_LOCKS
    | READDIRPLUS_AUTO
    | SPLICE_READ
    | SPLICE_WRITE
    | SPLICE_MOVE
)
"""Locks: without these bits the kernel keeps them on this node, at no cost. Splicing: libfuse
would move every request through a pipe first, and then copy it to the memory that callbacks need.
WRITEBACK_CACHE: the kernel would keep its own idea of size and times against news from others.
READDIRPLUS_AUTO: programs that read all names before they look at them (find, du, everything built
on fts) got attributes for the first buffer only, and 13,770 requests for 20,000 files after it; to
deliver attributes that nobody looks at costs a few microseconds a name."""

MAX_READAHEAD = 16 << 20
MAX_BACKGROUND = 64
"""Requests that nobody waits for (read-ahead) in flight; the default of 12 starves fast links."""


class Negotiated(NamedTuple):
    """What the kernel offered, and what was taken of it."""

    capable: int
    wanted: int


def negotiate(binding: Binding, connection_address: int) -> Negotiated:
    """Fill in libfuse's connection; called in its ``init`` callback."""
    connection = binding.connection.from_address(connection_address)
    connection.want = (connection.want | (WANTED & connection.capable)) & ~UNWANTED
    connection.max_write = MAX_REQUEST
    connection.max_read = MAX_REQUEST
    connection.max_readahead = MAX_READAHEAD
    connection.max_background = MAX_BACKGROUND
    connection.congestion_threshold = MAX_BACKGROUND * 3 // 4
    return Negotiated(connection.capable, connection.want)
