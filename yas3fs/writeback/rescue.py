"""Where content goes that the bucket would not take: a local folder, never the bin.

Each rescued file is a pair: the bytes, and a ``.json`` beside them that names the key they were
meant for, why they did not get there, which ranges they hold (the rest is holes), the version that
they were written over, and what they were to be stored with. The notes of 3.0's first days lack the
last two.
"""

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from yas3fs.cache.memory import Version
from yas3fs.objectstore.protocol import Headers
from yas3fs.writeback.staging import BaseRead, Staging

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rescued:
    """One rescued file. ``rescued`` is the time, as ISO 8601's basic format writes it."""

    path: Path
    bucket: str = ""
    key: str = ""
    reason: str = ""
    rescued: str = ""
    size: int = 0
    """Bytes of the whole file."""
    ranges: tuple[tuple[int, int], ...] = ()
    """What the local file holds of it."""
    base: Version | None = None
    """The version that it was written over, which has the rest; None for a new file."""
    base_limit: int = 0
    """How many bytes of the base still count."""
    tells_base: bool = False
    """Whether the note says what the base was."""
    headers: Headers | None = None
    unreadable: str = ""
    """What is wrong with the note; then nothing else is known."""

    @property
    def note(self) -> Path:
        """The file that tells about it."""
        return Path(f"{self.path}.json")

    @property
    def identity(self) -> str:
        """The part of the name that is unique."""
        return self.path.name.split("-")[1] if self.path.name.count("-") > 1 else self.path.name

    @property
    def missing(self) -> int:
        """Bytes that only the base has."""
        held = sum(end - start for start, end in self.ranges)
        return max(0, self.size - held)

    def stage(self, folder: str, read_base: BaseRead) -> Staging:
        """The content as it was when it was to be uploaded; raises OSError."""
        base_size = self.base.size if self.base is not None else 0
        staging = Staging(folder, base_size, read_base)
        staging.restore(str(self.path), self.size, self.ranges, self.base_limit)
        return staging

    def remove(self) -> None:
        """Drop it for good: the note last, so that what is left tells of itself. OSError."""
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a rescued file was written over, and what it was to be stored with, if that is known."""

    base: Version | None = None
    headers: Headers | None = field(default=None)


class RescueFolder:
    """The rescue folder of one mount; made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self, bucket: str, key: str, staging: Staging, reason: str, origin: Origin = Origin()
    ) -> Path | None:
        """Keep the staged content; logs where and why. None when local disk refuses as well."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = "".join(c if c.isalnum() or c in "._-" else "_" for c in key.rsplit("/", 1)[-1])
        path = self.folder / f"{stamp}-{uuid.uuid4().hex[:8]}-{name[:80] or 'unnamed'}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            staging.save_as(str(path))
            document = {
                "bucket": bucket,
                "key": key,
                "reason": reason,
                "rescued": stamp,
                "size": staging.size,
                "ranges": list(staging.present),
                "complete": staging.present.covers(0, staging.size),
                "base": _base_fields(origin.base, staging.base_limit),
                "headers": _header_fields(origin.headers),
            }
            with open(
                f"{path}.part", "x", encoding="utf-8",
                opener=lambda part, flags: os.open(part, flags, 0o600),
            ) as file:  # fmt: skip
                json.dump(document, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            os.rename(f"{path}.part", f"{path}.json")  # whoever sees it can read it
        except OSError as error:
            _log.critical(
                "content of %r is LOST: not uploaded (%s), not rescued to %s (%s)",
                key,
                reason,
                path,
                error,
            )
            return None
        _log.error("content of %r was not uploaded (%s); rescued to %s", key, reason, path)
        return path

    def count(self) -> int:
        """How many rescued files wait here."""
        return len(list(self.folder.glob("*.json"))) if self.folder.is_dir() else 0

    def all(self) -> Iterator[Rescued]:
        """What waits here, the oldest first; notes that cannot be read say so. OSError."""
        if self.folder.is_dir():
            for note in sorted(self.folder.glob("*.json")):
                yield _read(note)


def _base_fields(base: Version | None, limit: int) -> dict[str, Any] | None:
    if base is None:
        return None
    return {"key": base.key, "etag": base.etag, "size": base.size, "limit": limit}


def _header_fields(headers: Headers | None) -> dict[str, Any] | None:
    if headers is None:
        return None
    return {
        "metadata": dict(headers.metadata),
        "content_type": headers.content_type,
        "system": dict(headers.system),
    }


def _read(note: Path) -> Rescued:
    path = Path(str(note).removesuffix(".json"))
    try:
        return _parse(path, json.loads(note.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Rescued(path, unreadable="it has just been dropped")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        return Rescued(path, unreadable=f"{note} cannot be understood: {error!r}")


def _parse(path: Path, told: Mapping[str, Any]) -> Rescued:
    size = int(told["size"])
    ranges = tuple((int(start), int(end)) for start, end in told["ranges"])
    if any(not 0 <= start < end <= size for start, end in ranges):
        raise ValueError("a range is outside of the file")
    if path.stat().st_size != size:
        raise ValueError(f"{path} does not have {size} bytes")
    base, headers = told.get("base"), told.get("headers")
    return Rescued(
        path,
        str(told["bucket"]),
        str(told["key"]),
        str(told["reason"]),
        str(told["rescued"]),
        size,
        ranges,
        Version(str(base["key"]), str(base["etag"]), int(base["size"])) if base else None,
        min(int(base["limit"]), int(base["size"])) if base else 0,
        "base" in told,
        Headers(
            {str(n): str(v) for n, v in headers["metadata"].items()},
            str(headers["content_type"]),
            {str(n): str(v) for n, v in headers["system"].items()},
        )
        if headers
        else None,
    )
