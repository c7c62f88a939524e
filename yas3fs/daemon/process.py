"""The life of the process, from its mount points to the exit status.

In the foreground the process lives it itself; else a child does, detached by python-daemon *before*
it builds anything (threads and SDK clients do not survive a fork), while the parent waits at a pipe
for what became of it. The parent returns when the mounts are visible, or with the reason why not.

::

    prepare ─ [detach] ─ log ─ control socket ─ mounts ─ READY ─ wait ─ STOPPING ─ unmount
                                                  └── none came up: say why

What the mounts do is up to their supervisors, side by side in threads of their own; this thread
hears signals and tells the service manager.

Exit statuses: 0 all is well, 1 a mount failed or files were left behind, 2 wrong input.
"""

import contextlib
import fcntl
import gc
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import Any

from yas3fs.config.log import start_log
from yas3fs.config.mount_config import MountConfig
from yas3fs.config.service import Service as ServiceConfig
from yas3fs.control.endpoint import Endpoint
from yas3fs.daemon.requests import Reload, Requests
from yas3fs.daemon.service import Service
from yas3fs.daemon.supervisor import MakeMount, Mount, Supervisor, one_line
from yas3fs.daemon.systemd import Systemd
from yas3fs.daemon.termination import TerminationWatch
from yas3fs.daemon.watchdog import Watchdog
from yas3fs.errors import ConfigError, Yas3fsError
from yas3fs.fuse import mountpoint, mounts
from yas3fs.runtime import affinity
from yas3fs.runtime.imds import InstanceMetadata

OK, FAILED, WRONG_INPUT = 0, 1, 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CHANGED = "changed"

log = logging.getLogger(__name__)

Announce = Callable[[int, str], None]
"""Tells whoever started us the exit status and a line to print (0 and maybe a remark: ready)."""


class _News:
    """What the main thread waits for: signals, and changes of the mounts.

    ``SimpleQueue.put`` may be called in a signal handler, unlike all of ``threading``.
    """

    def __init__(self) -> None:
        self._waiting: SimpleQueue[str] = SimpleQueue()
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._waiting.put(signal.Signals(number).name)

    def changed(self) -> None:
        """A mount has changed its state."""
        self._waiting.put(_CHANGED)

    def tell(self, word: str) -> None:
        """Let ``word`` be news: a reason to end."""
        self._waiting.put(word)

    def next(self) -> str:
        """Block until there is news: the name of a signal, or ``changed``."""
        return self._waiting.get()


def run(
    config: ServiceConfig,
    *,
    reload: Callable[[], ServiceConfig] | None = None,
    make_mount: MakeMount | None = None,
) -> int:
    """Mount, serve, unmount; returns the exit status (of the start only, when detaching).

    ``reload`` reads the configuration anew, where it came from a file. Such mounts are tried again
    when they fail, as long as one of them came up; one from the command line is not.
    """
    make = make_mount or _mount_maker()
    if reload is None:
        try:
            for mount in config.mounts:
                mountpoint.prepare(mount.mountpoint, mkdir=mount.mkdir, nonempty=mount.nonempty)
        except Yas3fsError as error:
            _print(_status(error), str(error))
            return _status(error)
    if config.process.foreground:
        return _live(config, reload, make, _print)
    return _detach(config, reload, make)


def _live(config: ServiceConfig, reload: Reload | None, make: MakeMount, announce: Announce) -> int:
    news = _News()
    systemd = Systemd()
    process = config.process
    quiet = process.foreground and not process.log
    try:
        name = config.mounts[0].name if reload is None else ""
        remark = start_log(name, process, config.mounts[0].state_path)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_pid_file(process.pid_file))
            if process.cpu_affinity == "auto":
                affinity.confine_process()
                stack.callback(affinity.release_process)
            service = Service(config, make, news.changed, again=reload is not None)
            requests = Requests(service, reload, systemd)
            endpoint = Endpoint(process.runtime_path, process.metrics, requests.verbs())
            endpoint.open()
            stack.callback(endpoint.close)
            watchdog = Watchdog(service, systemd)
            watchdog.start()
            stack.callback(watchdog.stop)
            if process.drain_on_termination:
                watch = TerminationWatch(InstanceMetadata.from_environment(), news.tell)
                watch.start()
                stack.callback(watch.stop)
            failed, message = _begin(service, systemd, news, quiet=quiet)
            if failed is None:
                announce(OK, remark)
                return _serve(service, requests, systemd, news)
        # Only now that nothing is left of it.
        announce(failed, message)
        return failed
    except Exception as failure:  # noqa: BLE001 (whoever started us is told)
        message = one_line(failure)
        _log_failure(message, failure, quiet=quiet)
        announce(_status(failure), message)
        return _status(failure)


def _begin(
    service: Service, systemd: Systemd, news: _News, *, quiet: bool
) -> tuple[int | None, str]:
    """Start every mount; an exit status, and why, when none came up."""
    service.start()
    word = _CHANGED
    while word == _CHANGED and not service.is_settled:
        word = news.next()
    if not service.is_settled:
        _stop(service, systemd)
        return FAILED, f"stopped before the mount was ready ({word})"
    if word != _CHANGED:
        news.tell(word)  # it came just as the last mount was there
    if service.counts()[0] == 0 and any(supervisor.failure for supervisor in service.supervisors()):
        return _give_up(service, systemd, quiet=quiet)
    _settle_memory()
    return None, ""


def _serve(service: Service, requests: Requests, systemd: Systemd, news: _News) -> int:
    """Live until a signal comes or nothing is served any more; returns the exit status."""
    systemd.ready(service.summary())
    while not service.has_ended:
        word = news.next()
        if word == signal.Signals.SIGHUP.name and requests.reload_soon():
            continue
        if word != _CHANGED:
            log.info("ending: %s", word)
            break
        systemd.status(service.summary())
    _stop(service, systemd)
    if service.left():
        return FAILED
    log.info("ended")
    return OK


def _stop(service: Service, systemd: Systemd, status: str = "uploading what is due") -> None:
    """Let every mount upload what is due and end."""
    systemd.stopping(status)
    service.begin_stop()
    for supervisor in service.supervisors():
        supervisor.join()


def _give_up(service: Service, systemd: Systemd, *, quiet: bool) -> tuple[int, str]:
    """No mount came up: the exit status, and why, for each."""
    supervisors = service.supervisors()
    failed = [
        (supervisor, supervisor.failure)
        for supervisor in supervisors
        if supervisor.failure is not None
    ]
    lines = []
    for supervisor, failure in failed:
        lines.append(_accusation(supervisor, failure, alone=len(supervisors) == 1))
        _log_failure(lines[-1], failure, quiet=quiet)
    _stop(service, systemd, "not mounted: " + "; ".join(lines))
    statuses = {_status(failure) for _, failure in failed}
    return (WRONG_INPUT if statuses == {WRONG_INPUT} else FAILED), "\n".join(lines)


def _accusation(supervisor: Supervisor, failure: BaseException, *, alone: bool) -> str:
    return one_line(failure) if alone else f"{supervisor.config.name}: {one_line(failure)}"


def _log_failure(message: str, failure: BaseException, *, quiet: bool) -> None:
    """In the foreground the message is printed on the same stderr."""
    if isinstance(failure, Yas3fsError):
        log.log(logging.DEBUG if quiet else logging.ERROR, "%s", message)
        log.debug("where that was found", exc_info=failure)


def _settle_memory() -> None:
    """What is there now stays: collecting garbage need not look at it again.

    Names in memory are long-lived and free of cycles; with the default threshold of 700 objects a
    listing of 1,000 keys spent a fifth of its time on looking through them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


@contextmanager
def _pid_file(path: str) -> Iterator[None]:
    """Hold the file while the process lives; ConfigError when another process holds it."""
    if not path:
        yield
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"--pid-file: cannot write {path}: {error.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise ConfigError(f"--pid-file: {path} is held by process {holder}") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        yield
        with contextlib.suppress(OSError):
            os.unlink(path)
    finally:
        os.close(descriptor)


def _detach(config: ServiceConfig, reload: Reload | None, make: MakeMount) -> int:
    """Live in a detached child; the parent returns what the child says of its start."""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = FAILED
        try:
            os.close(reader)
            status = _background(config, reload, make, writer)
        finally:
            os._exit(status)
    os.close(writer)
    status = _outcome(reader, config.process.log)
    os.waitpid(child, 0)
    return status


def _background(config: ServiceConfig, reload: Reload | None, make: MakeMount, writer: int) -> int:
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
    # An autofs mount lets only the process group that it belongs to mount over it: there the
    # process stays in that group, and is only no child of whoever waits any more.
    automounted = any(_is_automounted(mount.mountpoint) for mount in config.mounts)
    if automounted and os.fork():
        os._exit(OK)
    context = daemon.DaemonContext(
        detach_process=not automounted,
        working_directory="/",
        umask=mask,
        files_preserve=[writer],
    )
    context.open()
    tell(pid=os.getpid())
    status = _live(config, reload, make, announce)
    logging.shutdown()
    return status


def _is_automounted(place: str) -> bool:
    mount = mounts.mount_at(place)
    return mount is not None and mount.fstype == "autofs"


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


def _mount_maker() -> MakeMount:
    """Makes real mounts, which share what they need to hear and to speak."""
    hubs: list[Any] = []
    lock = threading.Lock()

    def make(config: MountConfig) -> Mount:
        from yas3fs.mount import Mount as RealMount

        with lock:
            if config.topic and not hubs:
                from yas3fs.hub import Hub

                hubs.append(Hub())
        made: Mount = RealMount(config, hub=hubs[0] if hubs else None)
        return made

    return make


def _status(failure: BaseException) -> int:
    return WRONG_INPUT if isinstance(failure, ConfigError) else FAILED


def _print(_status: int, message: str) -> None:
    for line in message.splitlines():
        sys.stderr.write(f"yas3fs: {line}\n")
