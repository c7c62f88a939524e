"""The table of callbacks that libfuse gets, and the guard around each.

Prototypes take addresses as integers where ctypes could build pointer objects: that costs less, and
the verbs need only addresses. An exception must never leave a callback: ctypes would print it, and
the program would wait for an answer for ever.
"""

import ctypes
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from yas3fs.fuse.attributes import NameCallbacks
from yas3fs.fuse.binding import Binding
from yas3fs.fuse.data import FileCallbacks
from yas3fs.fuse.directories import DirectoryCallbacks, OpenDirectory
from yas3fs.fuse.errno import negative_errno
from yas3fs.fuse.missing import MissingNames
from yas3fs.fuse.nodes import Node, NodeTable, path_of
from yas3fs.fuse.replies import Replies, Timeouts
from yas3fs.fuse.served import ServedFile, ServedFilesystem
from yas3fs.fuse.table import HandleTable
from yas3fs.fuse.targets import Vanished
from yas3fs.fuse.threads import WorkerThreads
from yas3fs.runtime import naming

Verb = Callable[..., int | None]

ORDER = (
    *("init", "destroy", "lookup", "forget", "getattr", "setattr", "readlink", "mknod", "mkdir"),
    *("unlink", "rmdir", "symlink", "rename", "link", "open", "read", "write", "flush", "release"),
    *("fsync", "opendir", "readdir", "releasedir", "fsyncdir", "statfs", "setxattr", "getxattr"),
    *("listxattr", "removexattr", "access", "create", "getlk", "setlk", "bmap", "ioctl", "poll"),
    *("write_buf", "retrieve_reply", "forget_multi", "flock", "fallocate", "readdirplus"),
    *("copy_file_range", "lseek"),
)
"""The members of ``struct fuse_lowlevel_ops`` up to libfuse 3.8; later ones were appended."""


MOVING = ("read", "write")
"""Verbs that know how much they move; see :meth:`WorkerThreads.move`."""


class Operations(ctypes.Structure):
    """``struct fuse_lowlevel_ops``."""

    _fields_ = [(name, c_void_p) for name in ORDER]


def guard(
    verb: str,
    call: Verb,
    threads: WorkerThreads,
    fail: Callable[[int, int], int],
    vanished: Callable[[int, Node], int],
) -> Callable[..., None]:
    """The callback around a verb: it answers with an errno where the verb has not answered."""

    moves = verb in MOVING

    def guarded(request: int, *arguments: Any) -> None:
        try:
            threads.request = request  # adopts a new thread
            if threads.free and not moves:
                threads.confine()
            code = call(request, *arguments)
        except Vanished as gone:
            code = vanished(request, gone.node)
        except BaseException as error:  # noqa: BLE001
            code = -negative_errno(verb, error)
        threads.request = 0
        if code is not None:
            fail(request, code)

    return guarded


def prototypes(binding: Binding) -> dict[str, Any]:
    """The C type of each callback that is served; all begin with the request."""
    mode, dev = binding.mode_t, binding.dev_t
    inode, name, address, info = c_uint64, c_char_p, c_void_p, c_void_p

    def request(*arguments: Any) -> Any:
        return ctypes.CFUNCTYPE(None, c_void_p, *arguments)

    return {
        "lookup": request(inode, name),
        "forget": request(inode, c_uint64),
        "forget_multi": request(c_size_t, address),
        "getattr": request(inode, info),
        "setattr": request(inode, address, c_int, info),
        "readlink": request(inode),
        "mknod": request(inode, name, mode, dev),
        "mkdir": request(inode, name, mode),
        "unlink": request(inode, name),
        "rmdir": request(inode, name),
        "symlink": request(name, inode, name),
        "rename": request(inode, name, inode, name, c_uint),
        "link": request(inode, inode, name),
        "open": request(inode, info),
        "create": request(inode, name, mode, info),
        "read": request(inode, c_size_t, c_int64, info),
        "write": request(inode, address, c_size_t, c_int64, info),
        "flush": request(inode, info),
        "release": request(inode, info),
        "fsync": request(inode, c_int, info),
        "fallocate": request(inode, c_int, c_int64, c_int64, info),
        "opendir": request(inode, info),
        "readdir": request(inode, c_size_t, c_int64, info),
        "readdirplus": request(inode, c_size_t, c_int64, info),
        "releasedir": request(inode, info),
        "fsyncdir": request(inode, c_int, info),
        "statfs": request(inode),
        "setxattr": request(inode, name, address, c_size_t, c_int),
        "getxattr": request(inode, name, c_size_t),
        "listxattr": request(inode, c_size_t),
        "removexattr": request(inode, name),
    }


class Callbacks:
    """Owns the callbacks of one session; must live as long as libfuse may call them.

    ``forget`` has the kernel forget a path; it returns at once.

    Not served on purpose: ``access`` (the kernel decides, with ``default_permissions``), ``setlk``
    and ``flock`` (the kernel keeps locks on this node), ``lseek`` and ``copy_file_range`` (the
    kernel has fallbacks), ``write_buf`` (splicing brought nothing).
    """

    def __init__(
        self,
        binding: Binding,
        filesystem: ServedFilesystem,
        timeouts: Timeouts,
        initialise: Callable[[int, int], None],
        forget: Callable[[str], None],
    ) -> None:
        self.nodes = NodeTable()
        self.missing = MissingNames()
        self.files: HandleTable[ServedFile] = HandleTable()
        self.directories: HandleTable[OpenDirectory] = HandleTable()
        threads = WorkerThreads(binding.interrupted, naming.current())
        replies = Replies(binding, self.nodes, self.missing, timeouts, filesystem.block_size)
        shared = (binding, filesystem, self.nodes)

        def appeared(directory: Node, name: str) -> None:
            forget(path_of((directory, name)))

        groups = (
            NameCallbacks(*shared, self.missing, replies, self.files, self.directories),
            FileCallbacks(*shared, replies, self.files, threads),
            DirectoryCallbacks(*shared, self.missing, replies, self.directories, threads, appeared),
        )
        self.structure = Operations()
        self._kept: list[Any] = []
        for verb, prototype in prototypes(binding).items():
            call: Verb = next(getattr(group, verb) for group in groups if hasattr(group, verb))
            guarded = guard(verb, call, threads, binding.reply_error, replies.vanished)
            self._install(verb, prototype(guarded))
        self._install("init", ctypes.CFUNCTYPE(None, c_void_p, c_void_p)(initialise))

    def _install(self, verb: str, callback: Any) -> None:
        self._kept.append(callback)
        setattr(self.structure, verb, ctypes.cast(callback, c_void_p))
