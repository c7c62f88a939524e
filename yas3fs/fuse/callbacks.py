"""The table of callbacks that libfuse gets, and the guard around each.

Prototypes take addresses as integers where mfusepy's build pointer objects: that costs less, and
the verbs need only addresses. An exception must never leave a callback: ctypes would print it and
answer 0, which libfuse takes for success.
"""

import ctypes
from collections.abc import Callable
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_uint, c_void_p
from typing import Any

from yas3fs.fuse.attributes import NameCallbacks
from yas3fs.fuse.binding import Binding
from yas3fs.fuse.data import FileCallbacks
from yas3fs.fuse.directories import DirectoryCallbacks
from yas3fs.fuse.errno import negative_errno
from yas3fs.fuse.served import ServedFile, ServedFilesystem
from yas3fs.fuse.table import HandleTable
from yas3fs.fuse.threads import WorkerThreads
from yas3fs.runtime import naming

Verb = Callable[..., int]


def _guard2(verb: str, call: Verb, threads: WorkerThreads) -> Verb:
    def guarded(a: Any, b: Any) -> int:
        try:
            threads.adopted  # noqa: B018 - reading it adopts a new thread
            return call(a, b)
        except BaseException as error:  # noqa: BLE001
            return negative_errno(verb, error)

    return guarded


def _guard3(verb: str, call: Verb, threads: WorkerThreads) -> Verb:
    def guarded(a: Any, b: Any, c: Any) -> int:
        try:
            threads.adopted  # noqa: B018
            return call(a, b, c)
        except BaseException as error:  # noqa: BLE001
            return negative_errno(verb, error)

    return guarded


def _guard4(verb: str, call: Verb, threads: WorkerThreads) -> Verb:
    def guarded(a: Any, b: Any, c: Any, d: Any) -> int:
        try:
            threads.adopted  # noqa: B018
            return call(a, b, c, d)
        except BaseException as error:  # noqa: BLE001
            return negative_errno(verb, error)

    return guarded


def _guard5(verb: str, call: Verb, threads: WorkerThreads) -> Verb:
    def guarded(a: Any, b: Any, c: Any, d: Any, e: Any) -> int:
        try:
            threads.adopted  # noqa: B018
            return call(a, b, c, d, e)
        except BaseException as error:  # noqa: BLE001
            return negative_errno(verb, error)

    return guarded


def _guard(verb: str, call: Verb, threads: WorkerThreads) -> Verb:
    def guarded(*arguments: Any) -> int:
        try:
            threads.adopted  # noqa: B018
            return call(*arguments)
        except BaseException as error:  # noqa: BLE001
            return negative_errno(verb, error)

    return guarded


_GUARDS = {2: _guard2, 3: _guard3, 4: _guard4, 5: _guard5}
"""One for each count of arguments: packing them into a tuple and out again costs as much as a
simple verb."""


def prototypes(binding: Binding) -> dict[str, Any]:
    """The C type of each callback that is served."""
    mode, dev, uid, gid = binding.mode_t, binding.dev_t, binding.uid_t, binding.gid_t
    path, address, info = c_char_p, c_void_p, c_void_p

    def returns_int(*arguments: Any) -> Any:
        return ctypes.CFUNCTYPE(c_int, *arguments)

    return {
        "getattr": returns_int(path, address, info),
        "readlink": returns_int(path, address, c_size_t),
        "mknod": returns_int(path, mode, dev),
        "mkdir": returns_int(path, mode),
        "unlink": returns_int(path),
        "rmdir": returns_int(path),
        "symlink": returns_int(path, path),
        "rename": returns_int(path, path, c_uint),
        "link": returns_int(path, path),
        "chmod": returns_int(path, mode, info),
        "chown": returns_int(path, uid, gid, info),
        "truncate": returns_int(path, c_int64, info),
        "open": returns_int(path, info),
        "read": returns_int(address, address, c_size_t, c_int64, info),
        "write": returns_int(address, address, c_size_t, c_int64, info),
        "statfs": returns_int(path, address),
        "flush": returns_int(address, info),
        "release": returns_int(address, info),
        "fsync": returns_int(address, c_int, info),
        "setxattr": returns_int(path, c_char_p, address, c_size_t, c_int),
        "getxattr": returns_int(path, c_char_p, address, c_size_t),
        "listxattr": returns_int(path, address, c_size_t),
        "removexattr": returns_int(path, c_char_p),
        "opendir": returns_int(path, info),
        "readdir": returns_int(address, address, address, c_int64, info, c_int),
        "releasedir": returns_int(address, info),
        "fsyncdir": returns_int(address, c_int, info),
        "create": returns_int(path, mode, info),
        "utimens": returns_int(path, address, info),
        "fallocate": returns_int(address, c_int, c_int64, c_int64, info),
    }


class Callbacks:
    """Owns the callbacks of one session; must live as long as libfuse may call them.

    Not served on purpose: ``access`` (the kernel decides, with ``default_permissions``), ``lock``
    and ``flock`` (the kernel keeps locks on this node), ``lseek`` and ``copy_file_range`` (the
    kernel has fallbacks), ``read_buf`` and ``write_buf`` (splicing brought nothing).
    """

    def __init__(
        self, binding: Binding, filesystem: ServedFilesystem, initialise: Callable[[int, int], int]
    ) -> None:
        files: HandleTable[ServedFile] = HandleTable()
        groups = (
            NameCallbacks(binding, filesystem, files),
            FileCallbacks(binding, filesystem, files),
            DirectoryCallbacks(binding, filesystem),
        )
        threads = WorkerThreads(binding.interrupted, naming.current())
        self.structure = binding.operations()
        self._kept: list[Any] = []
        for verb, prototype in prototypes(binding).items():
            call = next(getattr(group, verb) for group in groups if hasattr(group, verb))
            guard = _GUARDS.get(len(prototype._argtypes_), _guard)
            self._install(binding, verb, prototype(guard(verb, call, threads)))
        init = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p)
        self._install(binding, "init", init(initialise))

    def _install(self, binding: Binding, verb: str, callback: Any) -> None:
        self._kept.append(callback)
        place = ctypes.addressof(self.structure) + getattr(binding.operations, verb).offset
        c_void_p.from_address(place).value = ctypes.cast(callback, c_void_p).value
