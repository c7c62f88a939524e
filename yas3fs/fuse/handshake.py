"""The answer to FUSE_INIT, with what libfuse forgets to say.

libfuse before 3.17 takes note that a file system can look up and read names of one directory side
by side, and does not tell the kernel (its pull request 861), which then sends one request after the
other for each directory: 16 programs that look for 16 files wait for 16 round trips. So libfuse's
answer goes through a pipe, and on to the kernel with the flag set.

Offsets are those of ``struct fuse_in_header``, ``fuse_init_in``, ``fuse_out_header`` and
``fuse_init_out`` in the kernel's ``fuse.h``; the protocol never moves them.
"""

import os
import struct
from collections.abc import Callable

PARALLEL_DIROPS = 1 << 18
"""FUSE_PARALLEL_DIROPS."""
OPCODE, INIT = 4, 26
"""Where a request says what it is, and FUSE_INIT."""
ASKED_FLAGS = 40 + 12
"""After the request's header: major, minor, max_readahead."""
ERROR, FLAGS = 4, 16 + 12
"""Where the answer has its error, and after its header the flags."""
_U32 = struct.Struct("=I")
_LONGEST = 4096


def answer_init(descriptor: int, request: bytes, process: Callable[[], None]) -> None:
    """Let ``process`` answer ``request``, and pass on what it writes to ``descriptor``.

    Nobody else may use the descriptor meanwhile. Raises OSError.
    """
    if not _may(request):
        process()
        return
    reader, writer = os.pipe()
    kernel = os.dup(descriptor)
    try:
        os.set_blocking(reader, False)
        os.dup2(writer, descriptor, inheritable=False)
        try:
            process()
        finally:
            os.dup2(kernel, descriptor, inheritable=False)
        try:
            answer = os.read(reader, _LONGEST)
        except BlockingIOError:
            return  # it did not answer, and has said why
        os.write(kernel, with_flag(answer))
    finally:
        for one in (reader, writer, kernel):
            os.close(one)


def _may(request: bytes) -> bool:
    """Whether this is a FUSE_INIT by a kernel that knows the flag."""
    return (
        len(request) >= ASKED_FLAGS + 4
        and _U32.unpack_from(request, OPCODE)[0] == INIT
        and bool(_U32.unpack_from(request, ASKED_FLAGS)[0] & PARALLEL_DIROPS)
    )


def with_flag(answer: bytes) -> bytes:
    """The answer to FUSE_INIT with the flag; as it was when it is a refusal."""
    if len(answer) < FLAGS + 4 or _U32.unpack_from(answer, ERROR)[0]:
        return answer
    changed = bytearray(answer)
    _U32.pack_into(changed, FLAGS, _U32.unpack_from(answer, FLAGS)[0] | PARALLEL_DIROPS)
    return bytes(changed)
