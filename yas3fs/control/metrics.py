"""The status as metrics, in the words that Prometheus expects."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

_GAUGES = (
    ("names", "entries", "Names and attributes in memory.", ("names",)),
    ("cache_bytes", "bytes", "File content in memory.", ("cache", "used")),
    ("cache_capacity_bytes", "bytes", "Bound of the content in memory.", ("cache", "capacity")),
    ("pending_files", "files", "Files that hold more than S3 does.", ("pending", "files")),
    ("pending_bytes", "bytes", "Size of those files.", ("pending", "bytes")),
    ("rescued_files", "files", "Files S3 refused, kept in the rescue folder.", ("rescued",)),
    ("publish_waiting", "events", "Changes not told to other nodes yet.",
     ("publisher", "waiting")),
)  # fmt: skip
_COUNTERS = (
    ("cache_hits", "Reads answered from memory.", ("cache", "hits")),
    ("cache_misses", "Reads that had to ask S3.", ("cache", "misses")),
    ("cache_evictions", "Pieces that left memory for others.", ("cache", "evictions")),
    ("published", "Changes told to other nodes.", ("publisher", "published")),
)
_STATES = ("starting", "mounted", "failed", "stopping", "ended")
_MODES = ("coherent", "degraded", "standalone")


class _StatusCollector(Collector):
    def __init__(self, status: Mapping[str, Any]) -> None:
        self._status = status
        self._mounts = status["mounts"]

    def collect(self) -> Iterator[Metric]:
        version = GaugeMetricFamily("yas3fs_info", "The program.", labels=["version"])
        version.add_metric([self._status["version"]], 1)
        yield version
        yield GaugeMetricFamily(
            "yas3fs_start_time_seconds", "When the process began.", value=self._status["since"]
        )
        yield self._one_of("state", _STATES, "What the mount is doing.")
        yield self._one_of("mode", _MODES, "Whether what is known may be believed for long.")
        yield self._plain("failures", "Starts of the mount that failed.", ("failures",))
        for name, _unit, text, where in _GAUGES:
            family = GaugeMetricFamily(f"yas3fs_{name}", text, labels=["mount"])
            self._fill(family, where)
            yield family
        for name, text, where in _COUNTERS:
            yield self._plain(name, text, where)
        yield from self._requests()
        yield from self._listeners()

    def _one_of(self, key: str, words: tuple[str, ...], text: str) -> Metric:
        family = GaugeMetricFamily(f"yas3fs_mount_{key}", text, labels=["mount", key])
        for mount in self._mounts:
            if key in mount:
                for word in words:
                    family.add_metric([mount["name"], word], float(mount[key] == word))
        return family

    def _plain(self, name: str, text: str, where: tuple[str, ...]) -> Metric:
        family = CounterMetricFamily(f"yas3fs_{name}", text, labels=["mount"])
        self._fill(family, where)
        return family

    def _fill(self, family: Any, where: tuple[str, ...]) -> None:
        for mount in self._mounts:
            value: Any = mount
            for key in where:
                value = value.get(key) if isinstance(value, Mapping) else None
            if value is not None:
                family.add_metric([mount["name"]], value)

    def _requests(self) -> Iterator[Metric]:
        labels = ["mount", "operation"]
        latency = HistogramMetricFamily(
            "yas3fs_s3_request_seconds", "Calls of S3, their repetitions included.", labels=labels
        )
        moved = CounterMetricFamily("yas3fs_s3_bytes", "Content moved.", labels=labels)
        failed = CounterMetricFamily(
            "yas3fs_s3_errors", "Calls of S3 that failed, by reason.", labels=[*labels, "reason"]
        )
        for mount in self._mounts:
            for operation, one in mount.get("requests", {}).items():
                names = [mount["name"], operation]
                latency.add_metric(names, one["buckets"], one["seconds"])
                moved.add_metric(names, one["bytes"])
                for reason, count in one["errors"].items():
                    failed.add_metric([*names, reason], count)
        yield latency
        yield moved
        yield failed

    def _listeners(self) -> Iterator[Metric]:
        heard = CounterMetricFamily(
            "yas3fs_listener_events",
            "What the listener counted, by kind.",
            labels=["mount", "kind"],
        )
        for mount in self._mounts:
            for kind, count in mount.get("listener", {}).get("counts", {}).items():
                heard.add_metric([mount["name"], kind], count)
        yield heard


def exposition(status: Mapping[str, Any]) -> tuple[bytes, str]:
    """The text for Prometheus, and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatusCollector(status))
    return generate_latest(registry), CONTENT_TYPE_LATEST
