"""The core put together over a store in memory, as ``mount.py`` does it for a real one."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from yas3fs.cache.memory import MemoryCache
from yas3fs.fs.filesystem import Filesystem
from yas3fs.fs.recovery import recover
from yas3fs.fs.types import Caller
from yas3fs.fs.volume import FilesystemSettings, Invalidate, Parts
from yas3fs.objectstore.protocol import ObjectStore
from yas3fs.prefetch.reader import Reader
from yas3fs.runtime.clock import Clock, ManualClock
from yas3fs.runtime.pools import Pool
from yas3fs.writeback.journal import Journal
from yas3fs.writeback.rescue import RescueFolder
from yas3fs.writeback.upload import Uploader, UploadSettings

CALLER = Caller(1000, 1000)
MIB = 1024 * 1024


class Core:
    """One file system over ``store``; ``invalidated`` collects what the kernel would be told."""

    def __init__(
        self,
        store: ObjectStore,
        folder: Path,
        *,
        clock: Clock | None = None,
        cache_size: int = 32 * MIB,
        cache_contents: int = 100_000,
        buffer_size: int = 8 * MIB,
        part_size: int = 5 * MIB,
        threshold: int = 5 * MIB,
        min_part_size: int = 5 * MIB,
        detect_conflicts: bool = False,
        invalidate: Invalidate | None = None,
        **settings: Any,
    ) -> None:
        self.store = store
        self.clock = clock or ManualClock()
        self.invalidated: list[str] = []
        for name in ("staging", "state"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.rescue = RescueFolder(folder / "state" / "rescue")
        self.journal = Journal(folder / "state" / "journal")
        self.pools = [Pool(n, 4) for n in ("down", "up", "meta")]
        self.cache = MemoryCache(cache_size, cache_contents)
        self.reader = Reader(store, self.cache, self.pools[0], buffer_size=buffer_size)
        self.uploader = Uploader(
            store,
            self.pools[1],
            self.journal,
            UploadSettings(part_size, threshold, min_part_size, detect_conflicts),
        )
        chosen = replace(FilesystemSettings(bucket="bucket"), **settings)
        self.fs = Filesystem(
            chosen,
            Parts(
                store=store,
                cache=self.cache,
                reader=self.reader,
                uploader=self.uploader,
                journal=self.journal,
                rescue=self.rescue,
                metadata_pool=self.pools[2],
                staging_folder=str(folder / "staging"),
                clock=self.clock,
            ),
            invalidate or (lambda path, _below: self.invalidated.append(path)),
        )

    def recover(self) -> int:
        """What a mount does first."""
        return recover(self.store, self.journal, self.pools[1])

    def close(self) -> int:
        """As an unmount: drain, end the threads; returns what could not be uploaded."""
        left = self.fs.drain()
        self.end()
        return left

    def end(self) -> None:
        """End the threads without draining."""
        for pool in self.pools:
            pool.shutdown(wait=True, cancel_futures=True)
        self.journal.close()

    # -- a program's usual moves -----------------------------------------------------------

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Create or replace a file."""
        handle = self.fs.create(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode, CALLER)
        try:
            handle.write(memoryview(data), 0)
            handle.flush()
        finally:
            handle.release()

    def read(self, path: str) -> bytes:
        """All of a file."""
        handle = self.fs.open(path, os.O_RDONLY)
        try:
            return self.pread(handle, handle.getattr().size + 1, 0)
        finally:
            handle.release()

    @staticmethod
    def pread(handle: Any, size: int, offset: int) -> bytes:
        """Read through a handle."""
        buffer = bytearray(size)
        return bytes(buffer[: handle.read_into(memoryview(buffer), offset)])

    def names(self, path: str = "/") -> list[str]:
        """The sorted names of a directory."""
        handle = self.fs.opendir(path)
        try:
            return sorted(entry.name for entry in handle.entries(0))
        finally:
            handle.release()

    def tree(self, path: str = "/") -> dict[str, object]:
        """Everything below ``path``: a directory is a dict, a file its bytes, a link a string."""
        found: dict[str, object] = {}
        for name in self.names(path):
            below = f"{path.rstrip('/')}/{name}"
            attributes = self.fs.getattr(below)
            if attributes.is_directory:
                found[name] = self.tree(below)
            elif attributes.is_symlink:
                found[name] = self.fs.readlink(below)
            else:
                found[name] = self.read(below)
        return found
