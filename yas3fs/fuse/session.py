"""One mount: made, served, ended.

The first request (FUSE_INIT) is answered within :meth:`Session.mount`, so that everything that can
go wrong has gone wrong when it returns. Signals belong to the daemon.
"""

import ctypes
import logging
import os
import threading
import time
from ctypes import c_char_p

from yas3fs.errors import MountError
from yas3fs.fuse import binding as libfuse
from yas3fs.fuse import handshake, mounts, portable
from yas3fs.fuse import mountpoint as place
from yas3fs.fuse.callbacks import Callbacks
from yas3fs.fuse.invalidation import Invalidator
from yas3fs.fuse.negotiation import Negotiated, negotiate
from yas3fs.fuse.options import SessionOptions, mount_options
from yas3fs.fuse.replies import Timeouts
from yas3fs.fuse.served import ServedFilesystem

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
        self._session: int | None = None
        self._timeouts = Timeouts(
            self.options.entry_timeout,
            self.options.attribute_timeout,
            self.options.negative_timeout,
            pushed=self.options.pushed,
        )
        self._init_error: BaseException | None = None
        self._invalidator: Invalidator | None = None
        self._ended = threading.Event()

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
        self._callbacks = Callbacks(
            self._binding, self._filesystem, self._timeouts, self._initialise, self._forget_name
        )
        session = self._new()
        try:
            self._attach(session)
            self._answer_init(session)
        except BaseException:
            self._binding.unmount(session)
            self._binding.destroy(session)
            raise
        self._session = session
        if self.options.debug:
            self._binding.debug_to_stderr()
        callbacks = self._callbacks
        self._invalidator = Invalidator(
            self._binding, session, callbacks.nodes, callbacks.missing, callbacks.files.nodes
        )
        mounts.set_read_ahead(self.device, READ_AHEAD_KIB)

    def _new(self) -> int:
        words = [b"yas3fs", b"-o", os.fsencode(mount_options(self.options))]
        arguments = libfuse.FuseArgs(len(words), (c_char_p * len(words))(*words), 0)
        with libfuse.captured_log() as said:
            session = self._binding.new_session(arguments, self._callbacks.structure)
        self._binding.free_args(ctypes.byref(arguments))
        if not session:
            reason = "; ".join(said) or "libfuse gives no reason"
            raise MountError(f"{self.mountpoint}: mount options were refused: {reason}")
        return session

    def _attach(self, session: int) -> None:
        with libfuse.captured_log() as said, libfuse.captured_stderr() as complaints:
            failed = self._binding.mount(session, os.fsencode(self.mountpoint))
        if failed:
            reason = "; ".join(said + complaints) or "the mount was refused without a reason"
            raise MountError(f"{self.mountpoint}: {reason}")
        mount = mounts.mount_at(self.mountpoint)
        self.device = "" if mount is None else mount.device

    def _answer_init(self, session: int) -> None:
        """Serve the first request here, unless libfuse already did so while mounting."""
        if self.negotiated is None and self._init_error is None:
            buffer = libfuse.FuseBuffer()
            received = self._binding.receive(session, ctypes.byref(buffer))
            if received > 0:
                handshake.answer_init(
                    self._binding.descriptor(session),
                    ctypes.string_at(buffer.mem, received),
                    lambda: self._binding.process(session, ctypes.byref(buffer)),
                )
            libfuse.free(buffer.mem)
        if self._init_error is not None:
            raise MountError(
                f"{self.mountpoint}: the session could not begin: {self._init_error}"
            ) from self._init_error
        if self.negotiated is None:
            raise MountError(f"{self.mountpoint}: the kernel did not begin the session")

    def _initialise(self, _data: int | None, connection: int) -> None:
        """libfuse's ``init``; an exception here would otherwise vanish in ctypes."""
        try:
            self.negotiated = negotiate(self._binding, connection)
        except BaseException as error:  # noqa: BLE001
            self._init_error = error

    # -- while it lasts ----------------------------------------------------------------------

    def serve(self) -> None:
        """Answer requests until the file system is unmounted, then free everything."""
        if not mounts.LINUX:
            try:
                portable.serve(self._filesystem, self.mountpoint, self.options)
            finally:
                self._ended.set()
            return
        session = self._session
        if session is None:
            raise MountError(f"{self.mountpoint} is not mounted")
        try:
            result = self._binding.loop(session, self.options.max_threads)
        finally:
            self._close(session)
        if result < 0:
            log.error("%s: the session ended with: %s", self.mountpoint, os.strerror(-result))

    def _close(self, session: int) -> None:
        if self._invalidator is not None:
            self._invalidator.stop()
        self._session = None
        self._binding.unmount(session)
        self._binding.destroy(session)
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

    @property
    def known_inodes(self) -> int:
        """How many inodes the kernel knows, the root among them."""
        return len(self._callbacks.nodes)

    def invalidate(self, path: str, below: bool = True) -> None:
        """Let the kernel forget ``path`` (and what is below it); returns at once.

        Callable from callbacks."""
        if self._invalidator is not None:
            self._invalidator.add(path, below)

    def _forget_name(self, path: str) -> None:
        self.invalidate(path, below=False)

    def drain_invalidations(self, timeout: float) -> bool:
        """Wait until the kernel was told everything; never call it from a callback."""
        return self._invalidator is None or self._invalidator.drain(timeout)

    def set_timeouts(self, entry: float, attribute: float, negative: float) -> None:
        """Change how long the kernel trusts the answers from now on, in seconds.

        What it has been told before keeps its time: invalidate it where that matters.
        """
        times = self._timeouts
        times.entry, times.attribute, times.negative = entry, attribute, negative

    # -- ending it ---------------------------------------------------------------------------

    def unmount(self, lazy: bool = False) -> None:
        """Unmount; ``serve`` then returns. Raises MountError when a program still uses it.

        ``lazy`` takes it out of sight at once, and ``serve`` returns with the last user.
        """
        if mounts.LINUX:
            if self._session is None:
                return
            mount = mounts.mount_at(self.mountpoint)
            if mount is None:
                return
            if mount.device != self.device:
                raise MountError(f"{self.mountpoint}: something else is mounted over it")
        mounts.unmount(self.mountpoint, lazy=lazy)
