"""What this node has begun in the bucket and not finished, on local disk.

One folder per process under ``journal/``, one small JSON file per intent, removed when the intent
is done. The folder is locked while its process lives; a folder nobody locks was left by a process
that died, and the next mount reads it (:meth:`Journal.left_behind`) to finish or undo.
"""

import contextlib
import fcntl
import itertools
import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


class Journal:
    """The journal of one mount in ``folder``; raises OSError when that cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._root = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock: int | None = None
        while self._lock is None:  # a mount that starts now may take a new folder for a left one
            self._own = folder / uuid.uuid4().hex
            self._own.mkdir(mode=0o700)
            self._lock = _try_lock(self._own)
        self._numbers = itertools.count()

    def begin(self, kind: str, details: Mapping[str, Any], *, durable: bool = False) -> str:
        """Note an intent and return its record; ``durable`` survives a power failure."""
        path = self._own / f"{next(self._numbers)}.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"kind": kind, **details}, file)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if durable:
            descriptor = os.open(self._own, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return str(path)

    def end(self, record: str) -> None:
        """The intent is done."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(record)

    def left_behind(self) -> Iterator[Mapping[str, Any]]:
        """Intents of processes that died, oldest first; each is forgotten once it was handled."""
        for folder in sorted(self._root.iterdir()):
            if folder == self._own or not folder.is_dir():
                continue
            lock = _try_lock(folder)
            if lock is None:
                continue
            try:
                records = [path for path in folder.glob("*.json") if path.stem.isdecimal()]
                for path in sorted(records, key=lambda path: int(path.stem)):
                    try:
                        record = json.loads(path.read_text(encoding="utf-8"))
                    except (OSError, ValueError) as error:
                        _log.warning("journal record %s is unreadable: %s", path, error)
                    else:
                        yield record
                    path.unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)

    def close(self) -> None:
        """Let go of the folder; what is still noted is for the next mount."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._own / "lock")
                self._own.rmdir()
            os.close(self._lock)
            self._lock = None


def _try_lock(folder: Path) -> int | None:
    """Lock the folder's lock file; None when somebody else has it, or the folder is gone."""
    path = folder / "lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    os.close(descriptor)
    return None
