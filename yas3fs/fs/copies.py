"""Server-side copies: the same bytes under another key, or with other headers."""

import re
from concurrent.futures import Executor

from yas3fs.errors import NotFound, PreconditionFailed
from yas3fs.objectstore.protocol import MAX_COPY_SIZE, Headers, ObjectStore, Written
from yas3fs.runtime import interrupts
from yas3fs.writeback.plan import plan_parts

_MD5 = re.compile(r"[0-9a-f]{32}\Z")


def copy_object(
    store: ObjectStore,
    pool: Executor,
    source: str,
    target: str,
    size: int,
    *,
    headers: Headers | None = None,
    source_etag: str = "",
) -> Written:
    """Copy an object of ``size`` bytes; above 5 GiB in parts, which needs its headers.

    ``headers`` None keeps the source's. Raises PreconditionFailed when the source is not
    ``source_etag`` any more, NotFound, StoreError.
    """
    if size == 0 and source.endswith("/"):
        # Some servers keep directory objects as directories and cannot copy them.
        return store.put(target, b"", headers or store.head(source).headers)
    if size <= MAX_COPY_SIZE:
        written = store.copy(source, target, headers=headers, source_etag=source_etag)
        if _copied_another(store, source, target, source_etag, written):
            raise PreconditionFailed(f"{source!r} was replaced while it was copied to {target!r}")
        return written
    if headers is None:
        info = store.head(source)
        headers, source_etag = info.headers, source_etag or info.etag
    upload_id = store.create_multipart(target, headers)
    try:
        futures = [
            pool.submit(
                store.copy_part, target, upload_id, number, source, part.start, part.end,
                source_etag=source_etag,
            )
            for number, part in enumerate(plan_parts(size, [(0, size)], 512 << 20), 1)
        ]  # fmt: skip
        parts = [interrupts.result(future) for future in futures]
        return store.complete_multipart(target, upload_id, parts)
    except BaseException:
        store.abort_multipart(target, upload_id)
        raise


def _copied_another(
    store: ObjectStore, source: str, target: str, source_etag: str, written: Written
) -> bool:
    """Whether the bytes copied are not those of ``source_etag``.

    Some servers that speak S3 do not heed the precondition (moto 5). The MD5 tells; but where the
    source was encrypted with a key and the copy is not, its ETag was none.
    """
    if not written.etag_is_md5 or not _MD5.match(source_etag) or written.etag == source_etag:
        return False
    if source == target:
        return True
    try:
        return store.head(source).etag != source_etag
    except NotFound:
        return True
