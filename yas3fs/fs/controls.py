"""The settings of a running mount that may be changed, by name, and what they are.

Each is one of :data:`yas3fs.events.SETTINGS`; what has no meaning here (there is no cache on disk,
and requests are tried again for a time, not a number of times) is not there.
"""

import logging
from collections.abc import Mapping

from yas3fs.events import Setting
from yas3fs.fs.volume import Volume

_log = logging.getLogger(__name__)

_FURTHEST = 16 << 30
"""Bytes ahead of a reader, as much as the option --read-ahead allows."""


class Controls:
    """Changes what one volume and its parts do. Thread-safe."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._chosen: dict[str, Setting] = {}
        self._told: set[str] = set()

    def set(self, setting: Setting) -> bool:
        """Let ``setting`` hold from now on; False when it means nothing here."""
        known = self._apply(setting.name, setting.value)
        if known:
            self._chosen[setting.name] = setting
            _log.info("%s is %d now, as another node asked", setting.name, setting.value)
        else:
            if setting.name not in self._told:
                _log.warning("%s does not apply here: another node asked for it", setting.name)
            self._told.add(setting.name)
        return known

    def follow(self, volume: Volume) -> None:
        """What was set holds for ``volume`` from now on."""
        self._volume = volume
        for setting in list(self._chosen.values()):
            self._apply(setting.name, setting.value)

    def _apply(self, name: str, value: int) -> bool:
        volume, parts = self._volume, self._volume.parts
        match name:
            case "cache_entries":
                volume.names.resize(value)
                parts.cache.bound_contents(value)
            case "cache_memory":
                parts.cache.resize(value)
            case "buffer_size":
                parts.reader.set_buffer_size(value)
            case "buffer_prefetch":
                ahead = value * (parts.reader.buffer_size or parts.reader.request_size)
                parts.reader.set_read_ahead(min(ahead, _FURTHEST))
            case "prefetch":
                volume.set_prefetch(bool(value))
            case "multipart_size":
                parts.uploader.set_part_size(value)
            case "multipart_num":
                parts.uploader.pool.resize(value)
            case _:
                return False
        return True

    def values(self) -> Mapping[str, int | bool]:
        """What holds now: sizes in bytes."""
        volume, parts = self._volume, self._volume.parts
        return {
            "cache_entries": volume.names.limit,
            "cache_memory": parts.cache.capacity,
            "buffer_size": parts.reader.buffer_size,
            "read_ahead": parts.reader.read_ahead,
            "prefetch": volume.settings.prefetch,
            "multipart_size": parts.uploader.settings.part_size,
            "multipart_num": parts.uploader.pool.size,
        }
