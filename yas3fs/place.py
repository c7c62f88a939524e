"""One bucket and path as a mount serves it: the store, folders, journal and file system of it.

A mount has one, or, after it was told to switch to another, the present one and those which files
are still open in. They share the mount's :class:`Resources`, so that its bounds hold for all.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from yas3fs.cache.memory import MemoryCache
from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import ConfigError, MountError, StoreError
from yas3fs.events import Event
from yas3fs.fs.attributes import Defaults, compose_headers
from yas3fs.fs.filesystem import Filesystem
from yas3fs.fs.keys import KeyMap
from yas3fs.fs.recovery import recover
from yas3fs.fs.types import Attributes
from yas3fs.fs.volume import FilesystemSettings, Invalidate, Parts
from yas3fs.objectstore.announce import AnnouncingStore
from yas3fs.objectstore.factory import check_access, open_store
from yas3fs.objectstore.metrics import MeteredStore
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.prefetch.reader import Reader
from yas3fs.runtime.clock import SystemClock
from yas3fs.runtime.pools import Pool
from yas3fs.writeback.journal import Journal
from yas3fs.writeback.rescue import RescueFolder
from yas3fs.writeback.staging import open_unnamed
from yas3fs.writeback.upload import Uploader, UploadSettings

_DOWNLOADS = 8
"""Ranged GETs ahead of readers at a time: eight of 8 MiB fill a 10 Gbit/s path of 50 ms."""
_UPLOADS = 4
"""Parts under way at a time; each holds a part-sized buffer."""


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


class Resources:
    """What the places of one mount share: memory for content, and threads."""

    def __init__(self, config: MountConfig) -> None:
        self.cache = MemoryCache(config.cache_size, config.cache_entries)
        self.downloads = Pool("download", min(_DOWNLOADS, config.s3_num), free=True)
        self.prefetches = Pool("prefetch", config.prefetch_num)
        self.uploads = Pool("upload", min(_UPLOADS, config.s3_num), config.s3_num, free=True)
        self.metadata = Pool("metadata", config.s3_num)

    def close(self) -> None:
        """End the threads."""
        for pool in (self.downloads, self.prefetches, self.uploads, self.metadata):
            pool.shutdown(wait=True, cancel_futures=True)


class Place:
    """See the module's docstring. ``invalidate`` has the kernel forget a path."""

    def __init__(
        self,
        config: MountConfig,
        resources: Resources,
        invalidate: Invalidate,
        store: ObjectStore | None = None,
    ) -> None:
        self.config = config
        self._resources = resources
        self._invalidate = invalidate
        self._store = store
        self._journal: Journal | None = None
        self._filesystem: Filesystem | None = None

    @property
    def filesystem(self) -> Filesystem:
        """What was built by :meth:`open`."""
        assert self._filesystem is not None
        return self._filesystem

    @property
    def metered(self) -> MeteredStore | None:
        """The store with its counts, if it has any."""
        return self._store if isinstance(self._store, MeteredStore) else None

    def open(self, publish: Callable[[Event], None] | None) -> None:
        """Prove credentials, bucket, prefix and folders, and build the file system.

        ``publish`` tells other nodes of changes. Raises ConfigError, MountError and StoreError with
        one line for the administrator; :meth:`close` is called all the same.
        """
        config = self.config
        prefix = f"{config.prefix}/" if config.prefix else ""
        if self._store is None:
            self._store = open_store(store_options(config))
        check_access(self._store, prefix)
        cache_folder, state_folder = prove_folders(config)
        self._journal = _open_journal(state_folder)
        defaults = Defaults(
            uid=config.uid,
            gid=config.gid,
            file_mode=0o666 & ~config.umask,
            directory_mode=0o777 & ~config.umask,
        )
        if not config.read_only:
            self._make_prefix(self._store, prefix, defaults)
        store: ObjectStore = self._store
        if publish is not None:
            store = AnnouncingStore(store, KeyMap(config.prefix).path, publish)
        parts = self._parts(store, self._journal, cache_folder, state_folder)
        self._filesystem = Filesystem(self._settings(defaults), parts, self._invalidate)
        if not config.read_only:
            recover(store, self._journal, parts.uploader.pool)

    def _make_prefix(self, store: ObjectStore, prefix: str, defaults: Defaults) -> None:
        """PATH is created on the first mount."""
        if not prefix or store.list_page(prefix, limit=1).objects:
            return
        now = SystemClock().time_ns()
        mode = 0o040000 | defaults.directory_mode
        attributes = Attributes(mode, 0, defaults.uid, defaults.gid, now, now, now)
        key = KeyMap(self.config.prefix).marker("/")
        headers = compose_headers(key, attributes, {}, None, metadata=not self.config.no_metadata)
        try:
            store.put(key, b"", headers)
        except StoreError as error:
            raise MountError(
                f"{self.config.url} does not exist and cannot be created: {error} "
                "(mount with --read-only to look only)"
            ) from error

    def _settings(self, defaults: Defaults) -> FilesystemSettings:
        config = self.config
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

    def _parts(self, store: ObjectStore, journal: Journal, cache: Path, state: Path) -> Parts:
        config = self.config
        resources = self._resources
        reader = Reader(
            store,
            resources.cache,
            resources.downloads,
            prefetch_pool=resources.prefetches,
            buffer_size=config.buffer_size,
            read_ahead=config.read_ahead,
        )
        uploader = Uploader(
            store,
            resources.uploads,
            journal,
            UploadSettings(
                config.part_size,
                config.multipart_threshold,
                detect_conflicts=config.conflict == "detect",
            ),
        )
        return Parts(
            store=store,
            cache=resources.cache,
            reader=reader,
            uploader=uploader,
            journal=journal,
            rescue=RescueFolder(state / "rescue"),
            metadata_pool=resources.metadata,
            staging_folder=str(cache),
            clock=SystemClock(),
        )

    def close(self) -> None:
        """Let go of the journal and the store; the file system was drained."""
        if self._journal is not None:
            self._journal.close()
        if self._store is not None:
            self._store.close()


def _open_journal(folder: Path) -> Journal:
    try:
        return Journal(folder / "journal")
    except OSError as error:
        raise ConfigError(
            f"--state-path: cannot write below {str(folder)!r}: {error.strerror}"
        ) from error
