"""Where content goes that the bucket would not take: a local folder, never the bin.

Each rescued file is a pair: the bytes, and a ``.json`` beside them that names the key they were
meant for, why they did not get there and which ranges they hold (the rest is holes).
"""

import json
import logging
import os
import time
import uuid
from pathlib import Path

from yas3fs.writeback.staging import Staging

_log = logging.getLogger(__name__)


class RescueFolder:
    """The rescue folder of one mount; made when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, bucket: str, key: str, staging: Staging, reason: str) -> Path | None:
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
            }
            with open(f"{path}.part", "x", encoding="utf-8") as file:
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
