"""Mounting where only the libfuse 2 interface exists: macFUSE on macOS.

mfusepy's own dispatch serves here. It costs more per call, the kernel cannot be told to forget
a path, and a mount error shows only when serving begins; so timeouts are kept short, and Linux
takes the way of :mod:`yas3fs.fuse.session`.
"""

import functools
import importlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from yas3fs.errors import MountError
from yas3fs.fs.types import Attributes, Caller
from yas3fs.fuse.errno import negative_errno
from yas3fs.fuse.options import SessionOptions, mount_options
from yas3fs.fuse.served import ServedDirectory, ServedFile, ServedFilesystem
from yas3fs.fuse.table import HandleTable

LONGEST_TIMEOUT = 1.0
"""Seconds that the kernel may trust an answer which nobody can take back."""


def _guarded(verb: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(verb)
    def call(self: Any, *arguments: Any) -> Any:
        try:
            return verb(self, *arguments)
        except BaseException as error:  # noqa: BLE001
            # mfusepy takes an OSError's number for the answer.
            raise OSError(-negative_errno(verb.__name__, error), "") from None

    return call


class PortableOperations:
    """The core's verbs under the names and signatures of mfusepy's ``Operations``."""

    use_ns = True

    def __init__(self, module: Any, filesystem: ServedFilesystem) -> None:
        self._context = module.fuse_get_context
        self._fs = filesystem
        self._files: HandleTable[ServedFile] = HandleTable()
        self._directories: HandleTable[ServedDirectory] = HandleTable()
        for name in ("readlink", "unlink", "rmdir", "listxattr", "chmod", "chown"):
            setattr(self, name, _plain(getattr(filesystem, name), name))

    def _caller(self) -> Caller:
        uid, gid, _pid = self._context()
        return Caller(uid, gid)

    def _file(self, info: Any) -> ServedFile | None:
        return None if info is None else self._files.open.get(info.fh)

    @_guarded
    def getattr(self, path: str, info: Any = None) -> dict[str, int]:
        handle = self._file(info)
        found = self._fs.getattr(path) if handle is None else handle.getattr()
        return _as_stat(found, self._fs.block_size)

    @_guarded
    def mknod(self, path: str, mode: int, rdev: int) -> None:
        self._fs.mknod(path, mode, rdev, self._caller())

    @_guarded
    def mkdir(self, path: str, mode: int) -> None:
        self._fs.mkdir(path, mode, self._caller())

    @_guarded
    def symlink(self, path: str, target: str) -> None:
        self._fs.symlink(target, path, self._caller())

    @_guarded
    def rename(self, old: str, new: str) -> None:
        self._fs.rename(old, new, 0)

    @_guarded
    def truncate(self, path: str, size: int, info: Any = None) -> None:
        self._fs.truncate(path, size, self._file(info))

    @_guarded
    def utimens(self, path: str, times: tuple[int, int] | None = None) -> None:
        now = self._fs.now_ns()
        atime, mtime = (now, now) if times is None else times
        self._fs.utimens(path, atime, mtime)

    @_guarded
    def statfs(self, _path: str) -> dict[str, int]:
        numbers = self._fs.statfs()
        return {
            "f_bsize": numbers.block_size,
            "f_frsize": numbers.block_size,
            "f_blocks": numbers.blocks,
            "f_bfree": numbers.blocks_free,
            "f_bavail": numbers.blocks_free,
            "f_files": numbers.files,
            "f_ffree": numbers.files_free,
            "f_favail": numbers.files_free,
            "f_namemax": numbers.name_max,
        }

    @_guarded
    def create(self, path: str, mode: int, info: Any) -> int:
        return self._opened(self._fs.create(path, info.flags, mode, self._caller()), info)

    @_guarded
    def open(self, path: str, info: Any) -> int:
        return self._opened(self._fs.open(path, info.flags), info)

    def _opened(self, handle: ServedFile, info: Any) -> int:
        info.fh = self._files.add(handle)
        info.keep_cache = 1 if handle.keep_cache else 0
        return 0

    @_guarded
    def read(self, _path: str, size: int, offset: int, info: Any) -> bytes:
        buffer = bytearray(size)
        count = self._files.open[info.fh].read_into(memoryview(buffer), offset)
        return bytes(memoryview(buffer)[:count])

    @_guarded
    def write(self, _path: str, data: bytes, offset: int, info: Any) -> int:
        return self._files.open[info.fh].write(memoryview(data), offset)

    @_guarded
    def flush(self, _path: str, info: Any) -> None:
        self._files.open[info.fh].flush()

    @_guarded
    def fsync(self, _path: str, _data_only: int, info: Any) -> None:
        self._files.open[info.fh].fsync()

    @_guarded
    def release(self, _path: str, info: Any) -> None:
        handle = self._files.remove(info.fh)
        if handle is not None:
            handle.release()

    @_guarded
    def opendir(self, path: str) -> int:
        return self._directories.add(self._fs.opendir(path))

    def readdir(self, _path: str, number: int) -> Iterator[tuple[str, int, int]]:
        yield ".", 0o040000, 0
        yield "..", 0o040000, 0
        for entry in self._directories.open[number].entries(0):
            yield entry.name, entry.mode, 0

    @_guarded
    def releasedir(self, _path: str, number: int) -> None:
        handle = self._directories.remove(number)
        if handle is not None:
            handle.release()

    @_guarded
    def getxattr(self, path: str, name: str, _position: int = 0) -> bytes:
        return self._fs.getxattr(path, name)

    @_guarded
    def setxattr(self, path: str, name: str, value: bytes, flags: int, _position: int = 0) -> None:
        self._fs.setxattr(path, name, value, flags)

    @_guarded
    def removexattr(self, path: str, name: str) -> None:
        self._fs.removexattr(path, name)


def _plain(verb: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A verb whose signature is mfusepy's already."""

    @functools.wraps(verb)
    def call(*arguments: Any) -> Any:
        try:
            return verb(*arguments)
        except BaseException as error:  # noqa: BLE001
            raise OSError(-negative_errno(name, error), "") from None

    return call


def _as_stat(a: Attributes, block_size: int) -> dict[str, int]:
    return {
        "st_mode": a.mode,
        "st_nlink": a.nlink,
        "st_uid": a.uid,
        "st_gid": a.gid,
        "st_rdev": a.rdev,
        "st_size": a.size,
        "st_blksize": block_size,
        "st_blocks": (a.size + 511) >> 9,
        "st_atime": a.atime_ns,
        "st_mtime": a.mtime_ns,
        "st_ctime": a.ctime_ns,
    }


def serve(filesystem: ServedFilesystem, mountpoint: str, options: SessionOptions) -> None:
    """Mount and serve until the file system is unmounted; raises MountError."""
    try:
        module = importlib.import_module("mfusepy")
    except (ImportError, OSError, AttributeError) as error:
        raise MountError(f"FUSE was not found: install macFUSE ({error})") from error
    words = [word for word in mount_options(options).split(",") if not word.startswith("max_read")]
    words.append(f"entry_timeout={min(options.entry_timeout, LONGEST_TIMEOUT)}")
    words.append(f"attr_timeout={min(options.attribute_timeout, LONGEST_TIMEOUT)}")
    settings: dict[str, Any] = {}
    for word in words:
        name, has_value, value = word.partition("=")
        settings[name] = value if has_value else True
    operations = PortableOperations(module, filesystem)
    before = os.getcwd()
    try:
        module.FUSE(operations, mountpoint, raw_fi=True, foreground=True, **settings)
    except RuntimeError as error:
        raise MountError(f"{mountpoint}: the mount failed: {error}") from error
    finally:
        os.chdir(before)
