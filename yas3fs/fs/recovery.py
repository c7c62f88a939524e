"""What a process that died had begun in the bucket: finished or undone by the next mount."""

import logging
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from yas3fs.errors import NotFound, StoreError
from yas3fs.fs.copies import copy_object
from yas3fs.fs.moves import list_all
from yas3fs.objectstore.protocol import ListedObject, ObjectStore
from yas3fs.runtime.pools import for_each
from yas3fs.writeback.journal import Journal

_log = logging.getLogger(__name__)


def recover(store: ObjectStore, journal: Journal, pool: Executor) -> int:
    """Handle every intent that was left behind; returns how many there were.

    An intent that cannot be handled now is logged and noted again for the next mount.
    """
    count = 0
    for record in journal.left_behind():
        count += 1
        try:
            _handle(store, pool, record)
        except StoreError as error:
            _log.warning("%s not finished, next mount tries again: %s", record, error)
            details = {name: value for name, value in record.items() if name != "kind"}
            journal.begin(str(record.get("kind")), details, durable=True)
    return count


def _handle(store: ObjectStore, pool: Executor, record: Mapping[str, Any]) -> None:
    match record:
        case {"kind": "multipart", "key": str(key), "upload_id": str(upload_id)}:
            store.abort_multipart(key, upload_id)
            _log.info("aborted an upload of %r that a crash had cut short", key)
        case {"kind": "rename", "source": str(source), "target": str(target), "begun": begun}:
            finish_rename(store, pool, source, target, float(begun))
        case _:
            _log.warning("unknown journal record %r dropped", record)


def finish_rename(
    store: ObjectStore, pool: Executor, source: str, target: str, begun: float
) -> None:
    """Move what is still below ``source``; what was changed after ``begun`` stays where it is."""

    def move(listed: ListedObject) -> None:
        key = target + listed.key[len(source) :]
        if listed.last_modified > begun + _CLOCK_SKEW:
            _log.warning("%r was written after its directory was renamed; it stays", listed.key)
            return
        try:
            store.head(key)
        except NotFound:
            copy_object(store, pool, listed.key, key, listed.size, source_etag=listed.etag)
        store.delete(listed.key)

    with ThreadPoolExecutor(8, thread_name_prefix="recovery") as workers:
        for_each(workers, move, list(list_all(store, source)))
    _log.info("finished the rename of %r to %r that a crash had cut short", source, target)


_CLOCK_SKEW = 5.0
"""Seconds by which the store's clock may be ahead of ours without a file being left behind."""
