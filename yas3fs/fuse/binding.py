"""libfuse's low-level interface through ctypes: the library and most structures are mfusepy's.

mfusepy knows how the structures of each libfuse release and platform are laid out. Its own
dispatch is not used: it hides a failing start, needs a subclass for attributes in directory
listings, and wraps each call in several Python frames.

Two libraries may be installed, and mfusepy prefers libfuse 2, with which writes arrive in 4 KiB
pieces and nothing can be invalidated. So libfuse 3 is chosen here, before mfusepy is imported.
"""

import ctypes
import ctypes.util
import functools
import importlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import c_char_p, c_double, c_int, c_int64, c_size_t, c_uint, c_uint64, c_void_p
from typing import Any

from yas3fs.errors import MountError
from yas3fs.fuse.layout import Layout

log = logging.getLogger("yas3fs.fuse.libfuse")

SONAMES = ("libfuse3.so.4", "libfuse3.so.3")
"""libfuse 3.17 and later, and 3.0 to 3.16."""

MISSING = "libfuse 3 was not found: install the package fuse3 (with libfuse3)"

STAT_FIELDS = (
    *("st_ino", "st_nlink", "st_mode", "st_uid", "st_gid", "st_rdev"),
    *("st_size", "st_blksize", "st_blocks"),
    *("st_atimespec.tv_sec", "st_atimespec.tv_nsec"),
    *("st_mtimespec.tv_sec", "st_mtimespec.tv_nsec"),
    *("st_ctimespec.tv_sec", "st_ctimespec.tv_nsec"),
)
"""In the order of x86-64, so that nothing has to be put in order there."""
ENTRY_FIELDS = (
    *("ino", *(f"attr.{name}" for name in STAT_FIELDS)),
    *("attr_timeout", "entry_timeout"),
)

VERSIONED_NEW = ("fuse_session_new_versioned", "_fuse_session_new")
"""What later releases call in place of ``fuse_session_new``, which is inline there."""

EXPIRE_ONLY = 1

_LOG_LEVELS = (50, 50, 50, 40, 30, 20, 20, 10)
"""Python's level for each of libfuse's (syslog's), 0 the most urgent."""


class FuseBuffer(ctypes.Structure):
    """``struct fuse_buf``, with room for what later releases append to it."""

    _fields_ = [
        ("size", c_size_t),
        ("flags", c_int),
        ("mem", c_void_p),
        ("fd", c_int),
        ("pos", c_int64),
        ("later", c_uint64 * 8),
    ]


class FuseArgs(ctypes.Structure):
    """``struct fuse_args``."""

    _fields_ = [("argc", c_int), ("argv", ctypes.POINTER(c_char_p)), ("allocated", c_int)]


class LoopConfig32(ctypes.Structure):
    """``struct fuse_loop_config`` before libfuse 3.12, which then had no limit of threads."""

    _fields_ = [("clone_fd", c_int), ("max_idle_threads", c_uint)]


class Context(ctypes.Structure):
    """``struct fuse_ctx``: who asks; ``pid`` is a thread's."""

    _fields_ = [("uid", c_uint), ("gid", c_uint), ("pid", c_int), ("umask", c_uint)]


def entry_param(stat: Any) -> type[ctypes.Structure]:
    """``struct fuse_entry_param`` over the platform's ``struct stat``."""

    class EntryParam(ctypes.Structure):
        _fields_ = [
            ("ino", c_uint64),
            ("generation", c_uint64),
            ("attr", stat),
            ("attr_timeout", c_double),
            ("entry_timeout", c_double),
        ]

    return EntryParam


def _library_path() -> str:
    """The libfuse 3 to load; an administrator's FUSE_LIBRARY_PATH wins."""
    chosen = os.environ.get("FUSE_LIBRARY_PATH")
    if chosen:
        return chosen
    for name in SONAMES:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return name
    found = ctypes.util.find_library("fuse3")
    if found is None:
        raise MountError(MISSING)
    return found


def _import_mfusepy() -> Any:
    """mfusepy bound to libfuse 3."""
    before = os.environ.get("FUSE_LIBRARY_PATH")
    if sys.platform.startswith("linux"):
        os.environ["FUSE_LIBRARY_PATH"] = _library_path()
    try:
        module = importlib.import_module("mfusepy")
    except (ImportError, OSError, AttributeError) as error:
        raise MountError(f"libfuse could not be loaded: {error}") from error
    finally:
        if before is None:
            os.environ.pop("FUSE_LIBRARY_PATH", None)
        else:
            os.environ["FUSE_LIBRARY_PATH"] = before
    if module.fuse_version_major != 3:
        raise MountError(
            f"libfuse {module.fuse_version_major} was loaded, libfuse 3 is needed: "
            "install the package fuse3 (with libfuse3)"
        )
    return module


class Binding:
    """The functions and structures of the loaded libfuse."""

    def __init__(self, module: Any) -> None:
        self.version: tuple[int, int] = (module.fuse_version_major, module.fuse_version_minor)
        self.file_info: Any = module.fuse_file_info
        self.connection: Any = module.fuse_conn_info
        self.stat: Any = module.c_stat
        self.statvfs: Any = module.c_statvfs
        self.mode_t, self.dev_t = module.c_mode_t, module.c_dev_t
        entry = entry_param(module.c_stat)
        self.stat_layout = Layout(module.c_stat, STAT_FIELDS)
        self.entry_layout = Layout(entry, ENTRY_FIELDS)
        self._library: ctypes.CDLL = module._libfuse
        # The same library with the interpreter lock held: for calls that return at once.
        self._quick = ctypes.PyDLL(None, handle=self._library._handle)
        self._declare_session()
        self._declare_quick()
        self._declare_replies()
        self._forward_log()

    def _function(
        self, name: str, result: Any, *arguments: Any, quick: bool = False
    ) -> Callable[..., Any]:
        function = (self._quick if quick else self._library)[name]
        function.restype = result
        function.argtypes = list(arguments)
        return function

    def _has(self, name: str) -> bool:
        return hasattr(self._library, name)

    def _declare_session(self) -> None:
        f = self._function
        self.free_args = f("fuse_opt_free_args", None, ctypes.POINTER(FuseArgs))
        self.mount = f("fuse_session_mount", c_int, c_void_p, c_char_p)
        self.unmount = f("fuse_session_unmount", None, c_void_p)
        self.destroy = f("fuse_session_destroy", None, c_void_p)
        buffer = ctypes.POINTER(FuseBuffer)
        self.receive = f("fuse_session_receive_buf", c_int, c_void_p, buffer)
        self.process = f("fuse_session_process_buf", None, c_void_p, buffer)
        self.descriptor = f("fuse_session_fd", c_int, c_void_p)
        self.invalidate_inode = f(
            "fuse_lowlevel_notify_inval_inode", c_int, c_void_p, c_uint64, c_int64, c_int64
        )
        entry = (c_int, c_void_p, c_uint64, c_char_p, c_size_t)
        self.invalidate_entry = f("fuse_lowlevel_notify_inval_entry", *entry)
        self.expire_entry: Callable[..., int] | None = None
        if self._has("fuse_lowlevel_notify_expire_entry"):
            # Releases before 3.15 have one more argument, which later ones do not look at.
            expire = f("fuse_lowlevel_notify_expire_entry", *entry, c_int)
            self.expire_entry = lambda *arguments: expire(*arguments, EXPIRE_ONLY)

    def _declare_quick(self) -> None:
        """What returns at once, and is called with the interpreter lock held."""
        f = self._function
        request, pointer = c_void_p, c_void_p
        self.interrupted = f("fuse_req_interrupted", c_int, request, quick=True)
        self.request_context = f("fuse_req_ctx", pointer, request, quick=True)
        self.reply_none = f("fuse_reply_none", None, request, quick=True)
        add = (c_size_t, request, pointer, c_size_t, c_char_p, c_char_p, c_int64)
        self.add_entry = f("fuse_add_direntry", *add, quick=True)
        self.add_entry_plus = f("fuse_add_direntry_plus", *add, quick=True)

    def _declare_replies(self) -> None:
        """The interpreter lock is let go: the program that is answered asks on, and another thread
        must not have to wait for the end of this call to take that up."""
        f = self._function
        request, pointer = c_void_p, c_void_p
        self.reply_error = f("fuse_reply_err", c_int, request, c_int)
        self.reply_entry = f("fuse_reply_entry", c_int, request, c_char_p)
        self.reply_attr = f("fuse_reply_attr", c_int, request, c_char_p, c_double)
        self.reply_create = f("fuse_reply_create", c_int, request, c_char_p, pointer)
        self.reply_open = f("fuse_reply_open", c_int, request, pointer)
        self.reply_write = f("fuse_reply_write", c_int, request, c_size_t)
        self.reply_readlink = f("fuse_reply_readlink", c_int, request, c_char_p)
        self.reply_statfs = f("fuse_reply_statfs", c_int, request, pointer)
        self.reply_xattr = f("fuse_reply_xattr", c_int, request, c_size_t)
        self.reply_buffer = f("fuse_reply_buf", c_int, request, pointer, c_size_t)

    def new_session(self, args: FuseArgs, operations: ctypes.Structure) -> int | None:
        """A session that is not mounted yet; None when libfuse refuses the options."""
        common = (ctypes.POINTER(FuseArgs), c_void_p, c_size_t)
        given = (ctypes.byref(args), ctypes.addressof(operations), ctypes.sizeof(operations))
        for name in VERSIONED_NEW:
            if self._has(name):
                new = self._function(name, c_void_p, *common, c_void_p, c_void_p)
                version = (c_uint * 4)(*self.version, 0, 0)
                session: int | None = new(*given, ctypes.addressof(version), None)
                return session
        old: int | None = self._function("fuse_session_new", c_void_p, *common, c_void_p)(
            *given, None
        )
        return old

    def loop(self, session: int, max_threads: int) -> int:
        """Serve requests until the session ends; blocks, with the interpreter lock released.

        Idle threads are kept: ending and starting one costs more than most requests.
        """
        name = "fuse_session_loop_mt"
        if not self._has("fuse_loop_cfg_create"):
            run = self._function(
                f"{name}_32" if self._has(f"{name}_32") else name,
                c_int,
                c_void_p,
                ctypes.POINTER(LoopConfig32),
            )
            return int(run(session, LoopConfig32(0, max_threads)))
        run_312 = f"{name}_312" if self._has(f"{name}_312") else name
        config = self._function("fuse_loop_cfg_create", c_void_p)()
        for setting in ("max_threads", "idle_threads"):
            setter = f"fuse_loop_cfg_set_{setting}"
            self._function(setter, None, c_void_p, c_uint)(config, max_threads)
        try:
            return int(self._function(run_312, c_int, c_void_p, c_void_p)(session, config))
        finally:
            self._function("fuse_loop_cfg_destroy", None, c_void_p)(config)

    def _forward_log(self) -> None:
        """Send libfuse's messages to the log instead of standard error (libfuse 3.7).

        Its warnings only. The flood of a debugging session is written while libfuse holds its
        own lock, which another thread may wait for with the interpreter lock in hand (the filler
        of a directory): forwarding would be a deadlock. See :meth:`debug_to_stderr`.
        """
        if not self._has("fuse_set_log_func"):
            return
        libc = ctypes.CDLL(None)
        # A va_list argument is a pointer in the calling conventions of all Linux ports.
        prototype = ctypes.CFUNCTYPE(None, c_int, c_void_p, c_void_p)
        libc.vsnprintf.argtypes = [c_void_p, c_size_t, c_void_p, c_void_p]

        def forward(level: int, template: int, arguments: int) -> None:
            buffer = ctypes.create_string_buffer(1024)
            libc.vsnprintf(buffer, 1024, template, arguments)
            text = buffer.value.decode("utf-8", "replace").strip().removeprefix("fuse: ")
            if text and _capture.lines is not None:
                _capture.lines.append(text)
            elif text:
                log.log(_LOG_LEVELS[level & 7], "%s", text)

        self._log_function = prototype(forward)
        self._function("fuse_set_log_func", None, c_void_p)(
            ctypes.cast(self._log_function, c_void_p)
        )

    def debug_to_stderr(self) -> None:
        """Let libfuse write by itself from now on; for the whole process."""
        if self._has("fuse_set_log_func"):
            self._function("fuse_set_log_func", None, c_void_p)(None)


class _Capture(threading.local):
    lines: list[str] | None = None


_capture = _Capture()


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """Collect what libfuse says to this thread, for the message of a MountError."""
    lines: list[str] = []
    _capture.lines = lines
    try:
        yield lines
    finally:
        _capture.lines = None


@contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """Collect what fusermount3, which libfuse starts for ordinary users, writes to descriptor 2.

    Others may write there at the same time; nothing is lost, it is all passed on afterwards.
    """
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            said = file.read()
            own = [line for line in said.splitlines(True) if line.startswith(b"fusermount")]
            lines.extend(line.decode("utf-8", "replace").strip() for line in own)
            rest = b"".join(line for line in said.splitlines(True) if line not in own)
            if rest:
                os.write(2, rest)


@functools.cache
def load() -> Binding:
    """Load libfuse once; raises MountError when it is missing or the wrong one."""
    return Binding(_import_mfusepy())


def free(address: int | None) -> None:
    """free(3) of memory that libfuse allocated."""
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [c_void_p]
    libc.free(address)
