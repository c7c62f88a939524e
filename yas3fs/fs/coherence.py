"""What a mount does with news of other nodes, and how far it trusts what it knows.

Three modes. *Coherent*: the topic is proved to deliver, so that what is known is right until an
event says otherwise. *Degraded*: it was not heard for too long; everything is forgotten once, and
answers are believed for a moment only, until it is heard again. *Standalone*: there is no topic;
answers are believed for the configured time.

Events are hints. Applying one means forgetting, so that lost order and repetition do no harm, and
content that is not in the store yet is never dropped.
"""

import logging
import math
import threading
from collections.abc import Callable
from enum import Enum

from yas3fs.cache.memory import MemoryCache
from yas3fs.events import (
    Event,
    Metadata,
    Mkdir,
    Mknod,
    ObjectChanged,
    Rename,
    Reset,
    Rmdir,
    Symlink,
    Unlink,
    Upload,
)
from yas3fs.fs.entries import Directory
from yas3fs.fs.files import OpenFiles
from yas3fs.fs.records import Records
from yas3fs.fs.volume import Volume

_log = logging.getLogger(__name__)

DEGRADED_SECONDS = 2.0
"""How long an answer is believed while the topic is silent."""
COHERENT_SECONDS = 300.0
"""How long the kernel believes one while the topic delivers; the process does so without end."""


class Mode(Enum):
    """See the module's docstring."""

    COHERENT = "coherent"
    DEGRADED = "degraded"
    STANDALONE = "standalone"


class Coherence:
    """Applies events to one volume.

    ``set_kernel_timeout`` is called with the seconds for which the kernel may believe answers.
    """

    def __init__(
        self,
        volume: Volume,
        files: OpenFiles,
        cache: MemoryCache,
        set_kernel_timeout: Callable[[float], None],
    ) -> None:
        self._volume = volume
        self._files = files
        self._cache = cache
        self._set_kernel_timeout = set_kernel_timeout
        self._changing = threading.Lock()
        self._records = Records()
        self.mode = Mode.STANDALONE

    def follow(self, volume: Volume, files: OpenFiles) -> None:
        """Apply events to another volume from now on; the present one hears none any more."""
        with self._changing:
            volume.discovery.ttl = self._volume.discovery.ttl
            self._volume.discovery.ttl = DEGRADED_SECONDS / 2
            self._volume, self._files = volume, files

    # -- modes -----------------------------------------------------------------------------

    def degrade(self) -> None:
        """The topic is not heard (yet, or any more)."""
        self._enter(Mode.DEGRADED, DEGRADED_SECONDS / 2, DEGRADED_SECONDS / 2)

    def alive(self, hears: bool) -> None:
        """The listener's word on whether the topic delivers."""
        if hears:
            self._enter(Mode.COHERENT, math.inf, COHERENT_SECONDS)
        else:
            self.degrade()

    def _enter(self, mode: Mode, ttl: float, kernel: float) -> None:
        with self._changing:
            if mode is self.mode:
                return
            _log.info("%s is %s now", self._volume.settings.bucket, mode.value)
            self.mode = mode
            self._volume.discovery.ttl = ttl
            self._set_kernel_timeout(kernel)
            self.gap()

    def gap(self) -> None:
        """Events may have been missed: nothing that is known counts any more."""
        self._reset("/")

    # -- events ----------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Do what an event asks for; those that ask for nothing here are ignored."""
        match event:
            case Mkdir(path) | Rmdir(path) | Mknod(path) | Unlink(path) | Symlink(path):
                self._look_again(path)
            case Metadata(path):
                self._attributes_changed(path)
            case Rename(old, new):
                self._look_again(old)
                self._look_again(new)
            case Upload(None):
                self._reset("/")
            case Upload(str(path), etag):
                self._look_again(path, etag)
            case Reset(path):
                self._reset(path)
            case ObjectChanged():
                self._object_changed(event)

    def _attributes_changed(self, path: str) -> None:
        if self._volume.names.doubt_directory(path):
            self._volume.invalidate(path, False)
        else:
            self._volume.forget(path)

    def _look_again(self, path: str, etag: str | None = None) -> None:
        """Names or content changed: whoever opens the file from now on asks the store.

        Content of the version ``etag`` is right already. Not so its attributes: the same bytes,
        stored once more, have the same ETag and other times.
        """
        entry = self._volume.names.known(path)
        same = entry is not None and bool(etag) and entry.etag == etag
        if entry is not None and not same and not isinstance(entry, Directory):
            if entry.inode is not None:
                self._files.outdated(entry.inode)
            elif entry.etag:
                self._cache.forget(self._volume.version_of(path, entry))
        self._volume.forget(path)

    def _object_changed(self, event: ObjectChanged) -> None:
        if event.bucket != self._volume.settings.bucket:
            return
        path = self._volume.keys.path(event.key)
        if path is None or self._records.is_old(event):
            return
        if event.change != "created":
            self._look_again(path)
        elif self._wrote(path, event.etag) and self._records.is_own(event):
            return
        else:
            self._look_again(path, event.etag)
        self._records.heeded(event)

    def _wrote(self, path: str, etag: str | None) -> bool:
        """Whether this node stored the version, and nobody has told of another since."""
        entry = self._volume.names.known(path)
        return (
            entry is not None
            and bool(etag)
            and entry.etag == etag
            and entry.modified == 0  # as the store's own answers never are
            and self._volume.discovery.believed(entry)
        )

    def _reset(self, path: str) -> None:
        for known, entry in self._volume.known_below(path):
            if entry.inode is not None:
                self._files.outdated(entry.inode)
            elif entry.etag and not isinstance(entry, Directory):
                self._cache.forget(self._volume.version_of(known, entry))
        self._volume.forget(path)
