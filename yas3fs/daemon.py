"""The life of the process, from the mount point to the exit status.

In the foreground the process lives it itself; else a child does, detached by python-daemon *before*
it builds anything (threads and SDK clients do not survive a fork), while the parent waits at a pipe
for what became of it. The parent returns when the mount is visible, or with the reason why not.

::

    prepare the mount point ─ [detach] ─ log ─ open ─ start ─ READY ─ wait ─ STOPPING ─ unmount
                                                 └────┴── failed: stop what was begun, say why ──┘

Exit statuses: 0 all is well, 1 the mount failed or files were left behind, 2 wrong input.
"""

import contextlib
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from types import FrameType
from typing import Any, Protocol

from yas3fs.config.log import start_log
from yas3fs.config.mount_config import MountConfig, ProcessConfig
from yas3fs.errors import ConfigError, Yas3fsError
from yas3fs.fuse import mountpoint

OK, FAILED, WRONG_INPUT = 0, 1, 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

log = logging.getLogger(__name__)


class Mount(Protocol):
    """What the process does with a mount."""

    def open(self) -> None:
        """Prove credentials, bucket, prefix and folders; nothing is mounted yet."""

    def start(self) -> None:
        """Mount; returns when the mount is visible."""

    def wait(self) -> None:
        """Block until the mount is gone."""

    def stop(self) -> int:
        """Upload what is due, unmount; returns how many files could not be uploaded.

        May be called at any time, in any state, and again.
        """


MakeMount = Callable[[MountConfig], Mount]
Announce = Callable[[int, str], None]
"""Tells whoever started us the exit status and a line to print (0 and maybe a remark: ready)."""


class _Stopped(BaseException):
    """A signal came before the mount was ready."""


class _Ending:
    """Why the process should end: a signal, or the mount is gone.

    ``SimpleQueue.put`` may be called in a signal handler, unlike all of ``threading``.
    """

    def __init__(self) -> None:
        self._reasons: SimpleQueue[str] = SimpleQueue()
        self._starting = True
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._starting:
            self._starting = False
            raise _Stopped(signal.Signals(number).name)
        self._reasons.put(signal.Signals(number).name)

    def started(self) -> None:
        """From now on a signal is a reason to end in good order."""
        self._starting = False

    def wait(self, mount: Mount) -> str:
        """Block until there is a reason, and return it."""

        def watch() -> None:
            try:
                mount.wait()
            finally:
                self._reasons.put("unmounted")

        threading.Thread(target=watch, name="mount watch", daemon=True).start()
        return self._reasons.get()


def run(config: MountConfig, process: ProcessConfig, make_mount: MakeMount | None = None) -> int:
    """Mount, serve, unmount; returns the exit status (of the start only, when detaching)."""
    make = make_mount or _make_mount
    try:
        mountpoint.prepare(config.mountpoint, mkdir=config.mkdir, nonempty=config.nonempty)
    except Yas3fsError as error:
        _print(_status(error), str(error))
        return _status(error)
    if process.foreground:
        return _live(config, process, make, _print)
    return _detach(config, process, make)


def _live(config: MountConfig, process: ProcessConfig, make: MakeMount, announce: Announce) -> int:
    ending = _Ending()
    mount: Mount | None = None
    try:
        remark = start_log(config.mountpoint, process, config.state_path)
        mount = make(config)
        mount.open()
        mount.start()
        ending.started()
        _settle_memory()
    except BaseException as failure:  # noqa: BLE001 (also a signal must leave nothing mounted)
        ending.started()
        return _give_up(failure, mount, announce, quiet=process.foreground and not process.log)
    log.info("mounted %s", config.url)
    announce(OK, remark)
    _tell_systemd("READY=1\nSTATUS=" + f"{config.url} on {config.mountpoint}")
    reason = ending.wait(mount)
    log.info("ending: %s", reason)
    _tell_systemd("STOPPING=1")
    return _end(mount, config)


def _settle_memory() -> None:
    """What is there now stays: collecting garbage need not look at it again.

    Names in memory are long-lived and free of cycles; with the default threshold of 700 objects a
    listing of 1,000 keys spent a fifth of its time on looking through them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _give_up(
    failure: BaseException, mount: Mount | None, announce: Announce, *, quiet: bool
) -> int:
    """Take back what was begun and say why; nothing stays mounted."""
    if mount is not None:
        try:
            mount.stop()
        except Exception:
            log.exception("taking back a mount that failed")
    if isinstance(failure, Yas3fsError):
        message = " ".join(str(failure).split())
        log.log(logging.DEBUG if quiet else logging.ERROR, "%s", message)
        log.debug("where that was found", exc_info=failure)
    elif isinstance(failure, _Stopped | KeyboardInterrupt):
        message = f"stopped before the mount was ready ({failure or 'SIGINT'})"
    else:
        message = f"failed in an unforeseen way: {failure!r}"
        log.critical("%s", message, exc_info=failure)
    announce(_status(failure), message)
    return _status(failure)


def _end(mount: Mount, config: MountConfig) -> int:
    try:
        left = mount.stop()
    except Exception:
        log.exception("unmounting %s", config.mountpoint)
        return FAILED
    if left:
        log.error("%d files could not be uploaded; they are below %s", left, config.state_path)
        return FAILED
    log.info("ended")
    return OK


def _detach(config: MountConfig, process: ProcessConfig, make: MakeMount) -> int:
    """Live in a detached child; the parent returns what the child says of its start."""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = FAILED
        try:
            os.close(reader)
            status = _background(config, process, make, writer)
        finally:
            os._exit(status)
    os.close(writer)
    status = _outcome(reader, process.log)
    os.waitpid(child, 0)
    return status


def _background(config: MountConfig, process: ProcessConfig, make: MakeMount, writer: int) -> int:
    import daemon

    def tell(**news: object) -> None:
        try:
            os.write(writer, json.dumps(news).encode() + b"\n")
        except BrokenPipeError:
            log.debug("whoever started us is gone")

    def announce(status: int, message: str) -> None:
        tell(status=status, message=message)
        os.close(writer)

    mask = os.umask(0)
    context = daemon.DaemonContext(
        detach_process=True, working_directory="/", umask=mask, files_preserve=[writer]
    )
    context.open()
    tell(pid=os.getpid())
    status = _live(config, process, make, announce)
    logging.shutdown()
    return status


def _outcome(reader: int, log_file: str) -> int:
    """What the child at the other end of the pipe says; a signal meanwhile stops the child."""
    heard: dict[str, Any] = {}
    stopping = False

    def stop_child(*_: object) -> None:
        nonlocal stopping
        stopping = True
        if "pid" in heard:
            with contextlib.suppress(ProcessLookupError):
                os.kill(heard["pid"], signal.SIGTERM)

    before = [(number, signal.signal(number, stop_child)) for number in _SIGNALS]
    with os.fdopen(reader) as lines:
        while "status" not in heard and (line := lines.readline()):
            heard.update(json.loads(line))
            if stopping:
                stop_child()
    for number, handler in before:
        signal.signal(number, handler)
    if "status" not in heard:
        where = log_file or "the system's log"
        message = f"the process died before the mount was ready; see {where}"
        heard.update(status=FAILED, message=message)
    _print(heard["status"], heard["message"])
    return int(heard["status"])


def _make_mount(config: MountConfig) -> Mount:
    from yas3fs.mount import Mount as RealMount

    made: Mount = RealMount(config)
    return made


def _status(failure: BaseException) -> int:
    return WRONG_INPUT if isinstance(failure, ConfigError) else FAILED


def _print(_status: int, message: str) -> None:
    if message:
        sys.stderr.write(f"yas3fs: {message}\n")


def _tell_systemd(state: str) -> None:
    if os.environ.get("NOTIFY_SOCKET"):
        import sdnotify

        sdnotify.SystemdNotifier().notify(state)
