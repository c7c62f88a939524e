"""Server-side copies: the same bytes under another key, or with other headers."""

from concurrent.futures import Executor

from yas3fs.objectstore.protocol import MAX_COPY_SIZE, Headers, ObjectStore, Written
from yas3fs.runtime import interrupts
from yas3fs.writeback.plan import plan_parts


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
        return store.copy(source, target, headers=headers, source_etag=source_etag)
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
