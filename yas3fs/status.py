"""One mount in numbers, as plain values for status pages and metrics."""

import itertools
from typing import Any

from yas3fs.cluster import Cluster
from yas3fs.fs.coherence import Mode
from yas3fs.fs.filesystem import Filesystem
from yas3fs.objectstore.metrics import BOUNDS, MeteredStore, OperationMetrics


def mount_status(
    filesystem: Filesystem, store: MeteredStore | None, cluster: Cluster | None
) -> dict[str, Any]:
    """Everything that is counted; sizes in bytes, times in seconds."""
    volume = filesystem.volume
    cache = volume.parts.cache.statistics()
    sizes = [inode.entry.size for inode in filesystem.files.unsaved()]
    mode = None if cluster is None else cluster.mode
    found: dict[str, Any] = {
        "url": volume.settings.url,
        "mode": (mode or Mode.STANDALONE).value,
        "names": volume.names.count,
        "cache": {
            "used": cache.used,
            "capacity": cache.capacity,
            "hits": cache.hits,
            "misses": cache.misses,
            "evictions": cache.evictions,
        },
        "pending": {"files": len(sizes), "bytes": sum(sizes)},
        "rescued": volume.parts.rescue.count(),
        "rescue_folder": str(volume.parts.rescue.folder),
    }
    if store is not None:
        operations = store.snapshot()
        found["requests"] = {name: _operation(one) for name, one in operations.items()}
        found["errors"] = sum(one.failures for one in operations.values())
    if cluster is not None:
        found |= _cluster(cluster)
    return found


def _operation(metrics: OperationMetrics) -> dict[str, Any]:
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    counts = itertools.accumulate(metrics.histogram)
    return {
        "calls": metrics.calls,
        "under_way": metrics.under_way,
        "bytes": metrics.bytes,
        "seconds": metrics.seconds,
        "slowest": metrics.slowest,
        "errors": dict(metrics.errors),
        "buckets": list(zip(bounds, counts, strict=True)),
    }


def _cluster(cluster: Cluster) -> dict[str, Any]:
    publisher = cluster.publisher
    found: dict[str, Any] = {
        "topic": publisher.topic_arn,
        "node": cluster.node_id,
        "publisher": publisher.metrics(),
    }
    state = cluster.listener_state()
    if state is not None:
        alive = next(
            (one.alive for one in state.topics if one.topic_arn == publisher.topic_arn), False
        )
        found["listener"] = {"alive": alive, "counts": state.counts}
    return found
