"""One mount: the only place that names concrete classes and puts them together.

Built bottom up (store, cache, reader, uploader, file system, kernel session), ended top down: the
kernel stops asking first, then what is due is uploaded, then the pools end.
"""

import hashlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yas3fs.cache.memory import MemoryCache
from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import ConfigError, MountError, StoreError, Yas3fsError
from yas3fs.fs.attributes import Defaults, compose_headers
from yas3fs.fs.coherence import Coherence
from yas3fs.fs.filesystem import Filesystem
from yas3fs.fs.inode import Inode
from yas3fs.fs.keys import KeyMap
from yas3fs.fs.recovery import recover
from yas3fs.fs.types import Attributes
from yas3fs.fs.volume import FilesystemSettings, Parts
from yas3fs.fuse.options import SessionOptions
from yas3fs.fuse.session import Session
from yas3fs.objectstore.announce import AnnouncingStore
from yas3fs.objectstore.factory import check_access, open_store
from yas3fs.objectstore.metrics import MeteredStore
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.prefetch.reader import Reader
from yas3fs.runtime import naming
from yas3fs.runtime.clock import SystemClock
from yas3fs.runtime.pools import Pool
from yas3fs.status import mount_status
from yas3fs.writeback.journal import Journal
from yas3fs.writeback.rescue import RescueFolder
from yas3fs.writeback.staging import open_unnamed
from yas3fs.writeback.upload import Uploader, UploadSettings

if TYPE_CHECKING:
    from yas3fs.cluster import Cluster
    from yas3fs.hub import Hub

_log = logging.getLogger(__name__)

_DOWNLOADS = 8
"""Ranged GETs ahead of readers at a time: eight of 8 MiB fill a 10 Gbit/s path of 50 ms."""
_UPLOADS = 4
"""Parts under way at a time; each holds a part-sized buffer."""

_MOUNTING = threading.Lock()
"""libfuse says on stderr why it cannot mount: it is listened to for one mount at a time."""
_PATIENCE = 10.0
"""Seconds for programs to let go of a mount that is being stopped."""


def store_options(config: MountConfig) -> S3Options:
    """The engine's view of the configuration."""
    return S3Options(
        bucket=config.bucket,
        endpoint=config.s3_endpoint,
        region=config.s3_region,
        path_style=config.path_style,
        profile=config.profile,
        role_arn=config.role_arn,
        anonymous=config.no_sign,
        sse=config.sse,
        sse_kms_key_id=config.sse_kms_key_id,
        sse_customer_key=config.sse_c_key,
        storage_class=config.storage_class,
        acl=config.acl,
        requester_pays=config.requester_pays,
        ca_bundle=config.ca_bundle,
        verify=config.verify_tls,
        proxy=config.proxy,
        max_connections=config.s3_num,
        connect_timeout=config.connect_timeout,
        read_timeout=config.read_timeout,
        retry_budget=config.retry_budget,
    )


def prove_folders(config: MountConfig) -> tuple[Path, Path]:
    """The mount's own folders for caching and for state, made and proved; ConfigError."""
    cache = _folder(config, config.cache_path, "--cache-path")
    state = _folder(config, config.state_path, "--state-path")
    for folder, option in ((cache, "--cache-path"), (state, "--state-path")):
        try:
            os.close(open_unnamed(str(folder)))
        except OSError as error:
            raise ConfigError(
                f"{option}: cannot write below {str(folder)!r}: {error.strerror}"
            ) from error
    return cache, state


def _folder(config: MountConfig, root: str, option: str) -> Path:
    """This mount's own folder below ``root``."""
    identity = f"{config.s3_endpoint} {config.bucket} {config.prefix}"
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    folder = Path(root) / f"{config.bucket}-{digest}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(f"{option}: cannot use {str(folder)!r}: {error.strerror}") from error
    return folder


class Mount:
    """One bucket at one mount point; see ``keeper.py`` for how it is called.

    ``hub`` is needed by a mount with a topic.
    """

    def __init__(
        self, config: MountConfig, *, hub: "Hub | None" = None, store: ObjectStore | None = None
    ) -> None:
        self._config = config
        self._store = store
        self._hub = hub
        self._pools: list[Pool] = []
        self._journal: Journal | None = None
        self._cluster: Cluster | None = None
        self._session: Session | None = None
        self._server: threading.Thread | None = None
        # Half of the time that staleness may last is the kernel's, half is the namespace's.
        self._kernel_timeout = config.metadata_ttl / 2
        self.filesystem: Filesystem | None = None
        self._stopped: int | None = None
        self._stopping = threading.Lock()

    # -- proving and building --------------------------------------------------------------

    def open(self) -> None:
        """Prove credentials, bucket, prefix and folders, and build everything but the session.

        Raises ConfigError and StoreError with one line for the administrator.
        """
        config = self._config
        prefix = f"{config.prefix}/" if config.prefix else ""
        if self._store is None:
            self._store = open_store(store_options(config))
        check_access(self._store, prefix)
        cache_folder, state_folder = prove_folders(config)
        self._journal = self._open_journal(state_folder)
        defaults = Defaults(
            uid=config.uid,
            gid=config.gid,
            file_mode=0o666 & ~config.umask,
            directory_mode=0o777 & ~config.umask,
        )
        if not config.read_only:
            self._make_prefix(prefix, defaults)
        store = self._announced(self._store)
        parts = self._parts(store, self._journal, cache_folder, state_folder)
        self.filesystem = Filesystem(self._settings(defaults), parts, self._invalidate)
        if not config.read_only:
            recover(store, self._journal, parts.uploader.pool)
        if self._cluster is not None and config.listens:
            coherence = Coherence(
                self.filesystem.volume, self.filesystem.files, parts.cache, self._believe
            )
            self._cluster.listen(self.filesystem, coherence)

    def _announced(self, store: ObjectStore) -> ObjectStore:
        """The store, with its changes told to the topic if there is one."""
        if not self._config.topic:
            return store
        from yas3fs.cluster import Cluster

        assert self._hub is not None
        self._cluster = Cluster(self._config, self._hub)
        keys = KeyMap(self._config.prefix)
        return AnnouncingStore(store, keys.path, self._cluster.publisher.publish)

    @staticmethod
    def _open_journal(folder: Path) -> Journal:
        try:
            return Journal(folder / "journal")
        except OSError as error:
            raise ConfigError(
                f"--state-path: cannot write below {str(folder)!r}: {error.strerror}"
            ) from error

    def _make_prefix(self, prefix: str, defaults: Defaults) -> None:
        """PATH is created on the first mount."""
        assert self._store is not None
        if not prefix or self._store.list_page(prefix, limit=1).objects:
            return
        now = SystemClock().time_ns()
        mode = 0o040000 | defaults.directory_mode
        attributes = Attributes(mode, 0, defaults.uid, defaults.gid, now, now, now)
        key = KeyMap(self._config.prefix).marker("/")
        headers = compose_headers(key, attributes, {}, None, metadata=not self._config.no_metadata)
        try:
            self._store.put(key, b"", headers)
        except StoreError as error:
            raise MountError(
                f"{self._config.url} does not exist and cannot be created: {error} "
                "(mount with --read-only to look only)"
            ) from error

    def _settings(self, defaults: Defaults) -> FilesystemSettings:
        config = self._config
        return FilesystemSettings(
            bucket=config.bucket,
            prefix=config.prefix,
            defaults=defaults,
            metadata=not config.no_metadata,
            ttl=config.metadata_ttl / 2,
            max_entries=config.cache_entries,
            block_size=config.st_blksize,
            prefetch=config.prefetch,
            expiration=config.expiration,
        )

    def _pool(self, name: str, size: int, most: int = 0) -> Pool:
        pool = Pool(name, size, most)
        self._pools.append(pool)
        return pool

    def _parts(self, store: ObjectStore, journal: Journal, cache: Path, state: Path) -> Parts:
        config = self._config
        memory = MemoryCache(config.cache_size, config.cache_entries)
        reader = Reader(
            store,
            memory,
            self._pool("download", min(_DOWNLOADS, config.s3_num)),
            prefetch_pool=self._pool("prefetch", config.prefetch_num),
            buffer_size=config.buffer_size,
            read_ahead=config.read_ahead,
        )
        uploader = Uploader(
            store,
            self._pool("upload", min(_UPLOADS, config.s3_num), config.s3_num),
            journal,
            UploadSettings(
                config.part_size,
                config.multipart_threshold,
                detect_conflicts=config.conflict == "detect",
            ),
        )
        return Parts(
            store=store,
            cache=memory,
            reader=reader,
            uploader=uploader,
            journal=journal,
            rescue=RescueFolder(state / "rescue"),
            metadata_pool=self._pool("metadata", config.s3_num),
            staging_folder=str(cache),
            clock=SystemClock(),
        )

    # -- serving ---------------------------------------------------------------------------

    def start(self) -> None:
        """Mount; returns when the mount is visible. Raises MountError."""
        config = self._config
        assert self.filesystem is not None
        session = Session(
            self.filesystem,
            config.mountpoint,
            SessionOptions(
                fsname=config.url,
                read_only=config.read_only,
                allow_other=config.allow_other,
                default_permissions=config.default_permissions,
                entry_timeout=self._kernel_timeout,
                attribute_timeout=self._kernel_timeout,
                negative_timeout=self._negative_timeout,
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

    @property
    def _negative_timeout(self) -> float:
        """While a topic is heard the kernel keeps no note of what does not exist.

        Nobody could have it forget names that are not known here.
        """
        return 0.0 if self._config.listens else self._kernel_timeout

    def _believe(self, seconds: float) -> None:
        """Let the kernel believe answers for so long from now on."""
        self._kernel_timeout = seconds
        if self._session is not None:
            self._session.set_timeouts(seconds, seconds, self._negative_timeout)

    def _invalidate(self, path: str) -> None:
        if self._session is not None:
            self._session.invalidate(path)

    def wait(self) -> None:
        """Block until the mount is gone."""
        if self._server is not None:
            self._server.join()

    # -- looking and asking ------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """Numbers for status pages; nothing before :meth:`open`."""
        if self.filesystem is None:
            return {}
        store = self._store if isinstance(self._store, MeteredStore) else None
        return mount_status(self.filesystem, store, self._cluster)

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

    def _unsaved(self) -> list[Inode]:
        return [] if self.filesystem is None else self.filesystem.files.unsaved()

    def reset(self, path: str) -> None:
        """Ask S3 again about ``path`` and what is below it."""
        if self.filesystem is not None:
            self.filesystem.forget(path)

    def set_cache_size(self, size: int) -> None:
        """Keep so many bytes of content in memory from now on."""
        if self.filesystem is not None:
            self.filesystem.volume.parts.cache.resize(size)

    # -- ending ----------------------------------------------------------------------------

    def stop(self) -> int:
        """Unmount, upload what is due, end; returns how many files could not be uploaded."""
        with self._stopping:
            if self._stopped is None:
                self._unmount()
                self._stopped = self.filesystem.drain() if self.filesystem is not None else 0
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
        if self._cluster is not None:
            self._cluster.stop()
        for pool in self._pools:
            pool.shutdown(wait=True, cancel_futures=True)
        if self._journal is not None:
            self._journal.close()
        if self._store is not None:
            self._store.close()
