"""The rules of one mount among others, without a network."""

import math
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.doubles.plugin import certificate  # noqa: F401
from tests.doubles.servers import free_port
from tests.functional.core import CALLER, Core
from yas3fs import __version__
from yas3fs.cluster import Cluster
from yas3fs.config.resolve import Given, resolve
from yas3fs.errors import ConfigError
from yas3fs.events import Event, Ping, Setting, Status, Switch, Upload
from yas3fs.fs.coherence import Coherence
from yas3fs.fs.controls import Controls
from yas3fs.hub import Hub
from yas3fs.notify.listener import ListenerState, TopicState
from yas3fs.objectstore.memory import MemoryStore

ARN = "arn:aws:sns:us-east-1:123456789012:topic"


class Bench:
    """A cluster's end at a mount, with what it says and applies collected."""

    def __init__(self, folder: Path, **given: str) -> None:
        texts = {"url": "s3://bucket/data", "topic": ARN, "new_queue": "true", "id": "me", **given}
        self.config = resolve(
            [Given(name, text, f"--{name}") for name, text in texts.items()],
            "/mnt/here",
            environment={},
        ).mount
        self.cluster = Cluster(self.config, Hub())
        self.said: list[Event] = []
        self.applied: list[Event] = []
        self.switched: list[Event] = []
        self.core = Core(MemoryStore(), folder, prefix="data")
        self.coherence = Coherence(
            self.core.fs.volume, self.core.fs.files, self.core.cache, lambda _: None
        )
        self.hear = self._attach()

    def _attach(self) -> Callable[[Event], None]:
        """As :meth:`Cluster.listen` does it, with a listener that only keeps what it is given."""
        kept: list[Callable[[Event], None]] = []

        class Ear:
            def __init__(self, *_: object, **__: object) -> None: ...
            def subscribe(self, _arn: str, _id: str, heard: Callable[[Event], None], *_: object,
                          **__: object) -> None:  # fmt: skip
                kept.append(heard)

            def start(self) -> None: ...
            def stop(self) -> None: ...
            def state(self) -> ListenerState:
                topic = TopicState(ARN, True, 1.0, 1, 1, 0.0123456)
                return ListenerState(True, (topic,), {"events": 5}, "arn:queue")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("yas3fs.hub.Listener", Ear)
            self.cluster.listen(self.core.fs, self.coherence, self.switched.append)
        self.controls = Controls(self.core.fs.volume)
        self.cluster.publisher.publish = self.said.append  # type: ignore[method-assign]
        self.coherence.apply = self.applied.append  # type: ignore[method-assign]
        return kept[0]

    def details(self) -> dict[str, object]:
        """What a ping is answered with beyond the seven elements of 2.x."""
        self.hear(Ping())
        status = self.said.pop()
        assert isinstance(status, Status)
        return dict(status.details)

    def close(self) -> None:
        self.cluster.stop()
        self.core.end()


@pytest.fixture(name="make")
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(**given: str) -> Bench:
        benches.append(Bench(tmp_path / str(len(benches)), **given))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


CACHE, PREFETCH = Setting("cache_entries", 10), Setting("prefetch", 1)
SWITCH = Switch("other", "")


@pytest.mark.parametrize(
    ("allowed", "obeyed"),
    [
        ("all", [CACHE, PREFETCH]),
        ("none", []),
        ("cache", [CACHE]),
        ("prefetch, buffer", [PREFETCH]),
    ],
)
def test_settings_are_obeyed_where_they_are_allowed(
    make: Callable[..., Bench], allowed: str, obeyed: list[Event]
) -> None:
    bench = make(remote_control=allowed)
    for event in (CACHE, PREFETCH):
        bench.hear(event)
    values = bench.details()
    assert (values["cache_entries"] == 10) is (CACHE in obeyed)
    assert values["prefetch"] is (PREFETCH in obeyed)
    assert values.get("control_obeyed", 0) == len(obeyed)
    assert values.get("control_refused", 0) == 2 - len(obeyed)
    assert bench.applied == []


def test_what_means_nothing_here_is_counted_and_logged(
    make: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    bench = make()
    before = bench.details()
    bench.hear(Setting("cache_disk", 1 << 20))
    bench.hear(Setting("multipart_retries", 3))
    assert bench.details() == {**before, "control_inapplicable": 2}
    assert [line.getMessage().split(" does not apply")[0] for line in caplog.records] == [
        "cache_disk",
        "multipart_retries",
    ]


@pytest.mark.parametrize(
    ("allowed", "told"), [("all", True), ("url", True), ("none", False), ("cache", False)]
)
def test_another_bucket_is_mounted_where_that_is_allowed(
    make: Callable[..., Bench], allowed: str, told: bool
) -> None:
    bench = make(remote_control=allowed)
    bench.hear(SWITCH)
    assert bench.switched == ([SWITCH] if told else [])
    assert bench.applied == []


def test_after_a_switch_it_is_the_other_that_hears(
    make: Callable[..., Bench], tmp_path: Path
) -> None:
    bench = make()
    bench.hear(Setting("cache_entries", 77))
    bench.coherence.alive(True)
    other = Core(MemoryStore(), tmp_path / "other", bucket="second")
    bench.cluster.follow(other.fs)
    assert other.fs.volume.names.limit == 77
    assert other.fs.volume.discovery.ttl == math.inf
    assert bench.core.fs.volume.discovery.ttl <= 1.0
    assert bench.details()["url"] == "s3://second/"
    other.fs.mkdir("/d", 0o755, CALLER)
    type(bench.coherence).apply(bench.coherence, Upload("/d/f", "etag"))
    assert other.invalidated == ["/d/f"]
    other.close()


def test_news_is_applied_whatever_is_allowed(make: Callable[..., Bench]) -> None:
    bench = make(remote_control="none")
    bench.hear(Upload("/f", "etag"))
    assert bench.applied == [Upload("/f", "etag")]


@pytest.mark.parametrize("words", ["everything", "cache,", "cache dance", "none,cache"])
def test_unknown_actions_are_refused(make: Callable[..., Bench], words: str) -> None:
    with pytest.raises(ConfigError, match="remote-control"):
        make(remote_control=words)


@pytest.mark.parametrize(
    "arn", ["topic", "arn:aws:sqs:us-east-1:123456789012:q", "arn:aws:sns:us-east-1::", "arn:"]
)
def test_what_is_no_topic_is_refused(make: Callable[..., Bench], arn: str) -> None:
    with pytest.raises(ConfigError):
        make(topic=arn)


def test_a_ping_is_answered_by_who_this_is_and_how_it_is(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.core.write("/f", b"12345")
    bench.hear(Ping())
    status = bench.said[0]
    assert isinstance(status, Status)
    assert (status.host, status.memory) == ("me", 5)
    assert status.entries == bench.core.fs.volume.names.count
    assert (status.disk, status.downloads, status.prefetches, status.uploads) == (0, 0, 0, 0)
    told = {"version": __version__, "mode": "degraded", "mount": "/mnt/here"}
    assert status.details.items() >= {**told, "url": "s3://bucket/data"}.items()
    assert status.details.items() >= bench.controls.values().items()
    heard = {"endpoint": "arn:queue", "lag": 0.0123, "listener_events": 5}
    assert status.details.items() >= {**heard, "publisher_waiting": 0}.items()
    assert not bench.applied


def test_a_listener_with_a_certificate_speaks_https(
    tmp_path: Path,
    certificate: tuple[Path, Path],  # noqa: F811
) -> None:
    given = {
        **{"url": "s3://bucket", "topic": ARN, "port": str(free_port()), "hostname": "localhost"},
        **{"tls_certificate": str(certificate[0]), "tls_key": str(certificate[1])},
    }
    texts = [Given(name, text, f"--{name}") for name, text in given.items()]
    config = resolve(texts, "/mnt/here", environment={}).mount
    transport = Hub()._transport(config)
    transport.open(lambda _: None, lambda _: None)
    try:
        assert transport.endpoint == f"https://localhost:{config.port}/sns"
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        with (
            socket.create_connection(("127.0.0.1", config.port or 0), 10) as plain,
            trusting.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
        ):
            secure.sendall(b"GET /sns HTTP/1.1\r\nHost: x\r\n\r\n")
            assert secure.recv(100).startswith(b"HTTP/1.1 4")
    finally:
        transport.close()


def test_two_mounts_of_one_name_are_two_nodes(make: Callable[..., Bench]) -> None:
    one, other = make(), make()
    assert one.cluster.node_id != other.cluster.node_id
    assert one.cluster.node_id.startswith("me-")


def test_until_the_topic_is_proved_nothing_is_believed_for_long(make: Callable[..., Bench]) -> None:
    bench = make()
    assert bench.core.fs.volume.discovery.ttl <= 2
