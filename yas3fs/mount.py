"""One mount: what it serves (``place.py``), its ties to other nodes, and the kernel's session.

Built bottom up, ended top down: the kernel stops asking first, then what is due is uploaded, then
the pools end.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import MountError, Yas3fsError
from yas3fs.events import Event, Switch
from yas3fs.fs.coherence import Coherence
from yas3fs.fs.filesystem import Filesystem
from yas3fs.fs.inode import Inode
from yas3fs.fs.rescues import store_again
from yas3fs.fs.switch import SwitchableFilesystem
from yas3fs.fs.warming import Warming, Warmth
from yas3fs.fuse.options import SessionOptions
from yas3fs.fuse.session import Session
from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.place import Place, Resources
from yas3fs.runtime import naming
from yas3fs.runtime.pools import Pool
from yas3fs.status import mount_status

if TYPE_CHECKING:
    from yas3fs.cluster import Cluster
    from yas3fs.hub import Hub

_log = logging.getLogger(__name__)

_MOUNTING = threading.Lock()
"""libfuse says on stderr why it cannot mount: it is listened to for one mount at a time."""
_PATIENCE = 10.0
"""Seconds for programs to let go of a mount that is being stopped."""


class Mount:
    """One bucket at one mount point; see ``daemon/supervisor.py`` for how it is called.

    ``hub`` is needed by a mount with a topic.
    """

    def __init__(
        self, config: MountConfig, *, hub: "Hub | None" = None, store: ObjectStore | None = None
    ) -> None:
        self._config = config
        self._store = store
        self._hub = hub
        self._resources: Resources | None = None
        self._places: list[Place] = []
        """The present one is the last; in the others files may be open still."""
        self._served: SwitchableFilesystem | None = None
        self._switching = threading.Lock()
        self._switches: Pool | None = None
        self._wanted: Switch | None = None
        self._settling: threading.Timer | None = None
        self._ending = False
        self._cluster: Cluster | None = None
        self._session: Session | None = None
        self._server: threading.Thread | None = None
        # Half of the time that staleness may last is the kernel's, half is the namespace's.
        self._kernel_timeout = config.metadata_ttl / 2
        self._kernel_limit = math.inf
        self._stopped: int | None = None
        self._stopping = threading.Lock()

    @property
    def filesystem(self) -> Filesystem | None:
        """The present one; None before :meth:`open`."""
        return None if self._served is None else self._served.present

    # -- proving and building --------------------------------------------------------------

    def open(self) -> None:
        """Prove credentials, bucket, prefix and folders, and build everything but the session.

        Raises ConfigError and StoreError with one line for the administrator.
        """
        config = self._config
        resources = self._resources = Resources(config)
        if config.topic:
            from yas3fs.cluster import Cluster

            assert self._hub is not None
            self._cluster = Cluster(config, self._hub)
        place = Place(config, resources, self._invalidate, self._store)
        self._places.append(place)
        place.open(self._publisher_of(place))
        self._served = SwitchableFilesystem(place.filesystem)
        if self._cluster is not None and config.listens:
            volume, files = place.filesystem.volume, place.filesystem.files
            coherence = Coherence(volume, files, resources.cache, self._believe)
            self._switches = Pool("switch", 1)
            self._cluster.listen(place.filesystem, coherence, self._asked_to_switch)

    # -- serving ---------------------------------------------------------------------------

    def start(self) -> None:
        """Mount; returns when the mount is visible. Raises MountError."""
        config = self._config
        assert self._served is not None
        session = Session(
            self._served,
            config.mountpoint,
            SessionOptions(
                fsname=config.url,
                read_only=config.read_only,
                allow_other=config.allow_other,
                default_permissions=config.default_permissions,
                entry_timeout=self._kernel_timeout,
                attribute_timeout=self._kernel_timeout,
                negative_timeout=self._kernel_timeout,
                pushed=config.listens,
                max_threads=config.max_threads,
                nonempty=config.nonempty,
                extra=config.fuse_options,
                debug=False,
            ),
        )
        with _MOUNTING:
            session.mount()
        self._session = session
        self._believe(self._kernel_timeout)  # it may have changed meanwhile
        self._server = threading.Thread(target=self._serve, name=f"fuse {config.name}", daemon=True)
        self._server.start()
        if not session.wait_visible(30.0):
            raise MountError(f"{config.mountpoint}: the mount does not answer")

    def _serve(self) -> None:
        assert self._session is not None
        naming.enter(self._config.name)
        try:
            self._session.serve()
        except Yas3fsError as error:
            _log.error("%s: %s", self._config.mountpoint, error)

    def _believe(self, seconds: float) -> None:
        """Let the kernel believe answers for so long from now on."""
        self._kernel_timeout = seconds
        if self._session is not None:
            bounded = min(seconds, self._kernel_limit)
            self._session.set_timeouts(bounded, bounded, bounded)

    def _invalidate(self, path: str, below: bool) -> None:
        if self._session is not None:
            self._session.invalidate(path, below)

    def wait(self) -> None:
        """Block until the mount is gone."""
        if self._server is not None:
            self._server.join()

    # -- looking and asking ------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Numbers for status pages; nothing before :meth:`open`."""
        if self.filesystem is None:
            return {}
        return mount_status(self.filesystem, self._places[-1].metered, self._cluster)

    def pending(self) -> list[dict[str, Any]]:
        """The files that hold more than S3 does; sizes in bytes."""
        return [
            {
                "path": inode.path,
                "size": inode.entry.size,
                "open": inode.opens > 0,
                "reason": "" if inode.failure is None else str(inode.failure),
            }
            for inode in self._unsaved()
        ]

    def flush(self) -> Iterator[tuple[str, int, str]]:
        """Upload them all: path, how many there are, and why it failed (empty: it did not)."""
        files = self._unsaved()
        for inode in files:
            reason = ""
            try:
                inode.flush()
            except (Yas3fsError, OSError) as error:
                reason = str(error)
            yield inode.path, len(files), reason

    def warm(self, path: str) -> Iterator[Warmth]:
        """Fetch what is at and below ``path``; see :meth:`yas3fs.fs.warming.Warming.run`."""
        if self.filesystem is not None:
            yield from Warming(self.filesystem.volume).run(path)

    def store_rescued(self, identity: str, *, force: bool) -> list[tuple[str, str]]:
        """Upload a rescued file, or ``all``: each one's path or name, and why not (empty: done).

        For ``force`` see :func:`yas3fs.fs.rescues.store_again`.
        """
        outcome = []
        for place in self._built():
            volume = place.filesystem.volume
            for rescued in volume.parts.rescue.all():
                if identity not in ("all", rescued.identity, rescued.path.name):
                    continue
                try:
                    outcome.append((store_again(volume, rescued, force=force), ""))
                except (Yas3fsError, OSError) as error:
                    outcome.append((rescued.path.name, str(error)))
        return outcome

    def _unsaved(self) -> list[Inode]:
        return [inode for place in self._built() for inode in place.filesystem.files.unsaved()]

    def _built(self) -> list[Place]:
        return [] if self._served is None else list(self._places)

    def reset(self, path: str) -> None:
        """Ask S3 again about ``path`` and what is below it."""
        if self.filesystem is not None:
            self.filesystem.forget(path)

    def set_cache_size(self, size: int) -> None:
        """Keep so many bytes of content in memory from now on."""
        if self.filesystem is not None:
            self.filesystem.volume.parts.cache.resize(size)

    # -- another bucket or path ------------------------------------------------------------

    def _asked_to_switch(self, event: Switch) -> None:
        """Another node's wish; seen to aside, for it takes a while and the listener has more."""
        assert self._switches is not None
        self._wanted = event  # of several that come while one is seen to, the last counts
        if self._switches.load < 2:
            self._switches.submit(self._switch_or_stay)

    def _switch_or_stay(self) -> None:
        event, self._wanted = self._wanted, None
        if event is None:
            return
        assert self._cluster is not None
        try:
            self.switch(event.bucket, event.prefix)
        except Exception as error:  # noqa: BLE001 - whatever it is, the mount goes on
            self._cluster.count("switches_failed")
            foreseen = isinstance(error, Yas3fsError | OSError)
            _log.error(
                "not switching to s3://%s/%s, staying with %s: %s",
                event.bucket, event.prefix, self._places[-1].config.url, error,
                exc_info=None if foreseen else error,
            )  # fmt: skip

    def switch(self, bucket: str, prefix: str) -> None:
        """Serve another bucket or path in place of the present one.

        The new one is proved first; what is unsaved is uploaded to the old one, where files that
        are open stay until they are closed. Raises ConfigError, MountError and StoreError, and
        then everything is as it was.
        """
        with self._switching:
            served, resources = self._served, self._resources
            if self._ending or served is None or resources is None:
                return
            present = self._places[-1]
            config = replace(present.config, bucket=bucket, prefix=prefix)
            if config.url == present.config.url:
                return
            place = Place(config, resources, self._invalidate)
            try:
                place.open(self._publisher_of(place))
            except BaseException:
                place.close()
                raise
            for path, _, reason in self.flush():
                if reason:
                    _log.warning("%r stays unsaved until it is closed: %s", path, reason)
            self._limit_kernel()
            served.switch(place.filesystem, lambda: self._follow(place.filesystem))
            self._places.append(place)
            present.filesystem.forget("/")
            resources.cache.clear()
            if self._cluster is not None:
                self._cluster.count("switches")
            _log.info("serving %s now, no longer %s", config.url, present.config.url)

    def _publisher_of(self, place: Place) -> Callable[[Event], None] | None:
        """What tells others of a place's changes; and the present one, if it is of the same URL.

        Nothing that this node says itself is told to it by the topic.
        """
        cluster = self._cluster
        if cluster is None:
            return None

        def publish(event: Event) -> None:
            cluster.publisher.publish(event)
            present = self._places[-1]
            if present is not place and present.config.url == place.config.url:
                cluster.apply(event)

        return publish

    def _follow(self, filesystem: Filesystem) -> None:
        if self._cluster is not None:
            self._cluster.follow(filesystem)

    def _limit_kernel(self) -> None:
        """Let the kernel keep no answer until none can come any more that was asked for before."""
        self._kernel_limit = 0.0
        self._believe(self._kernel_timeout)
        if self._settling is not None:
            self._settling.cancel()
        longest = self._config.retry_budget + self._config.read_timeout
        self._settling = threading.Timer(longest, self.settle)
        self._settling.daemon = True
        self._settling.start()

    def settle(self) -> None:
        """Nothing is under way any more that began before a switch: places nobody uses can go."""
        with self._switching:
            if self._ending or self._served is None:
                return
            naming.enter(self._config.name)
            self._kernel_limit = math.inf
            self._believe(self._kernel_timeout)
            for place in self._places:
                place.filesystem.forget("/")
            for place in self._places[:-1]:
                if not place.filesystem.files.in_use:
                    _log.info("nobody uses %s any more", place.config.url)
                    self._places.remove(place)
                    self._served.leave(place.filesystem)
                    place.filesystem.drain()
                    place.close()

    # -- ending ----------------------------------------------------------------------------

    def stop(self) -> int:
        """Unmount, upload what is due, end; returns how many files could not be uploaded."""
        self._ending = True
        with self._stopping, self._switching:
            if self._stopped is None:
                self._unmount()
                self._stopped = sum(place.filesystem.drain() for place in self._built())
                self._close()
            return self._stopped

    def _unmount(self) -> None:
        """Take the mount away; while programs use it, it goes out of sight and they may finish."""
        session, server = self._session, self._server
        if session is None or server is None:
            return
        try:
            session.unmount()
        except MountError as error:
            _log.warning("%s; unmounting lazily", error)
            session.unmount(lazy=True)
            server.join(_PATIENCE)
            if server.is_alive():
                _log.warning("programs still use %s; going without them", session.mountpoint)
            return
        server.join()

    def _close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
        if self._cluster is not None:
            self._cluster.stop()
        if self._switches is not None:
            self._switches.shutdown(wait=False, cancel_futures=True)
        if self._resources is not None:
            self._resources.close()
        for place in self._places:
            place.close()
