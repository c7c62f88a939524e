"""One mount: made, served, ended.

libfuse's ``fuse_main`` is not used. It reports nothing but a number, ignores a failing ``init``,
changes the working directory and installs signal handlers. Here the first request (FUSE_INIT) is
answered within :meth:`Session.mount`, so that everything that can go wrong has gone wrong when it
returns, and signals belong to the daemon.
"""

import ctypes
import logging
import os
import threading
import time
from ctypes import c_char_p

from yas3fs.errors import MountError
from yas3fs.fuse import binding as libfuse
from yas3fs.fuse import mountpoint as place
from yas3fs.fuse import mounts, portable
from yas3fs.fuse.callbacks import Callbacks
from yas3fs.fuse.invalidation import Invalidator
from yas3fs.fuse.negotiation import Negotiated, negotiate
from yas3fs.fuse.options import SessionOptions, mount_options
from yas3fs.fuse.served import ServedFilesystem
from yas3fs.runtime import interrupts

log = logging.getLogger(__name__)

READ_AHEAD_KIB = 4096
"""Four requests, so that the next ones are under way while one is read. From 1 to 16 MiB nothing
was measurably better; the kernel's 128 KiB cost three times the CPU."""

POLL_SECONDS = 0.05


class Session:
    """A file system at a mount point.

    ``mount`` in any thread, ``serve`` in the one that is to wait for the end (not the main thread
    of a process that handles signals: it would not run their handlers), the rest anywhere.
    """

    def __init__(
        self,
        filesystem: ServedFilesystem,
        mountpoint: str,
        options: SessionOptions | None = None,
    ) -> None:
        self._filesystem = filesystem
        self.mountpoint = os.path.abspath(mountpoint)
        self.options = options or SessionOptions()
        self.device = ""
        self.negotiated: Negotiated | None = None
        self._fuse: int | None = None
        self._init_error: BaseException | None = None
        self._invalidator: Invalidator | None = None
        self._ended = threading.Event()
        self._life = threading.Lock()  # while libfuse's configuration is written, it is not freed

    # -- making it ---------------------------------------------------------------------------

    def mount(self) -> None:
        """Mount and agree with the kernel; raises MountError, with nothing left mounted.

        Where libfuse 3 does not exist (macOS) this only looks, and :meth:`serve` mounts.
        """
        if not mounts.LINUX:
            self.mountpoint = place.prepare(self.mountpoint, nonempty=self.options.nonempty)
            return
        self._binding = libfuse.load()
        self.mountpoint = place.prepare(self.mountpoint, nonempty=self.options.nonempty)
        self._callbacks = Callbacks(self._binding, self._filesystem, self._initialise)
        fuse = self._new()
        try:
            self._attach(fuse)
            self._answer_init(fuse)
        except BaseException:
            self._binding.unmount(fuse)
            self._binding.destroy(fuse)
            raise
        self._fuse = fuse
        if self.options.debug:
            self._binding.debug_to_stderr()
        self._invalidator = Invalidator(self._binding, fuse, self.mountpoint, self.device)
        mounts.set_read_ahead(self.device, READ_AHEAD_KIB)

    def _new(self) -> int:
        words = [b"yas3fs", b"-o", os.fsencode(mount_options(self.options))]
        arguments = libfuse.FuseArgs(len(words), (c_char_p * len(words))(*words), 0)
        structure = self._callbacks.structure
        with libfuse.captured_log() as said:
            fuse = self._binding.new(
                ctypes.byref(arguments),
                ctypes.addressof(structure),
                ctypes.sizeof(structure),
                None,
            )
        self._binding.free_args(ctypes.byref(arguments))
        if not fuse:
            reason = "; ".join(said) or "libfuse gives no reason"
            raise MountError(f"{self.mountpoint}: mount options were refused: {reason}")
        return int(fuse)

    def _attach(self, fuse: int) -> None:
        with libfuse.captured_log() as said, libfuse.captured_stderr() as complaints:
            failed = self._binding.mount(fuse, os.fsencode(self.mountpoint))
        if failed:
            reason = "; ".join(said + complaints) or "the mount was refused without a reason"
            raise MountError(f"{self.mountpoint}: {reason}")
        mount = mounts.mount_at(self.mountpoint)
        self.device = "" if mount is None else mount.device

    def _answer_init(self, fuse: int) -> None:
        """Serve the first request here, unless libfuse already did so while mounting."""
        if self.negotiated is None and self._init_error is None:
            session = self._binding.get_session(fuse)
            buffer = libfuse.FuseBuffer()
            received = self._binding.receive(session, ctypes.byref(buffer))
            if received > 0:
                self._binding.process(session, ctypes.byref(buffer))
            libfuse.free(buffer.mem)
        if self._init_error is not None:
            raise MountError(
                f"{self.mountpoint}: the session could not begin: {self._init_error}"
            ) from self._init_error
        if self.negotiated is None:
            raise MountError(f"{self.mountpoint}: the kernel did not begin the session")

    def _initialise(self, connection: int, config: int) -> int:
        """libfuse's ``init``; an exception here would otherwise vanish in ctypes."""
        try:
            self.negotiated = negotiate(self._binding, self.options, connection, config)
        except BaseException as error:  # noqa: BLE001
            self._init_error = error
        return 0

    # -- while it lasts ----------------------------------------------------------------------

    def serve(self) -> None:
        """Answer requests until the file system is unmounted, then free everything."""
        if not mounts.LINUX:
            try:
                portable.serve(self._filesystem, self.mountpoint, self.options)
            finally:
                self._ended.set()
            return
        fuse = self._fuse
        if fuse is None:
            raise MountError(f"{self.mountpoint} is not mounted")
        try:
            result = self._binding.loop(fuse, self.options.max_threads)
        finally:
            self._close(fuse)
        if result < 0:
            log.error("%s: the session ended with: %s", self.mountpoint, os.strerror(-result))

    def _close(self, fuse: int) -> None:
        if self._invalidator is not None:
            self._invalidator.stop()
        with self._life:
            self._fuse = None
        self._binding.unmount(fuse)
        # Freeing removes what was unlinked while open, through our callbacks, in this thread.
        with interrupts.serve(None):
            self._binding.destroy(fuse)
        self._ended.set()

    def wait_visible(self, timeout: float = 10.0) -> bool:
        """Whether the mount answers through the kernel within ``timeout``; needs ``serve``."""
        answered = threading.Event()
        deadline = time.monotonic() + timeout

        def ask() -> None:
            while time.monotonic() < deadline and not answered.is_set():
                if self._is_visible():
                    answered.set()
                elif self._ended.wait(POLL_SECONDS):
                    return

        threading.Thread(target=ask, name="mount-visible", daemon=True).start()
        return answered.wait(timeout)

    def _is_visible(self) -> bool:
        try:
            os.statvfs(self.mountpoint)
            if not mounts.LINUX:
                return os.path.ismount(self.mountpoint)
        except OSError:
            return False
        mount = mounts.mount_at(self.mountpoint)
        return mount is not None and mount.device == self.device

    def wait_ended(self, timeout: float | None = None) -> bool:
        """Whether ``serve`` has freed everything within ``timeout``."""
        return self._ended.wait(timeout)

    def invalidate(self, path: str) -> None:
        """Let the kernel forget ``path``; returns at once, callable from callbacks."""
        if self._invalidator is not None:
            self._invalidator.add(path)

    def drain_invalidations(self, timeout: float) -> bool:
        """Wait until the kernel was told everything; never call it from a callback."""
        return self._invalidator is None or self._invalidator.drain(timeout)

    def set_timeouts(self, entry: float, attribute: float, negative: float) -> None:
        """Change how long the kernel trusts the answers from now on, in seconds.

        What it has been told before keeps its time: invalidate it where that matters.
        """
        with self._life:
            if self.negotiated is not None and self._fuse is not None:
                self.negotiated.set_timeouts(entry, attribute, negative)

    # -- ending it ---------------------------------------------------------------------------

    def unmount(self, lazy: bool = False) -> None:
        """Unmount; ``serve`` then returns. Raises MountError when a program still uses it.

        ``lazy`` takes it out of sight at once, and ``serve`` returns with the last user.
        """
        if mounts.LINUX:
            if self._fuse is None:
                return
            mount = mounts.mount_at(self.mountpoint)
            if mount is None:
                return
            if mount.device != self.device:
                raise MountError(f"{self.mountpoint}: something else is mounted over it")
        mounts.unmount(self.mountpoint, lazy=lazy)
