"""Messages of every wrong kind, from the queue to a file system: nothing dies, nothing is hurt.

``FUZZ_MESSAGES`` says how many in all; some thousands unless it is set.
"""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.functional.core import CALLER, MIB, Core
from tests.unit.notify.doubles import TOPIC, FakeClients, enveloped
from tests.unit.notify.fuzzing import message
from yas3fs.cluster import Cluster
from yas3fs.config.mount_config import MountConfig
from yas3fs.config.resolve import Given, resolve
from yas3fs.events import Event, Switch, Unlink, encode
from yas3fs.fs.coherence import Coherence
from yas3fs.notify.aws import Backoff
from yas3fs.notify.listener import Listener, ListenerState
from yas3fs.notify.queues import QueueOptions
from yas3fs.notify.sqs import SqsTransport
from yas3fs.objectstore.memory import MemoryStore

BATCH = 100
BATCHES = math.ceil(int(os.environ.get("FUZZ_MESSAGES", "5000")) / BATCH)


class Ear:
    """What :class:`yas3fs.hub.Hub` is to a mount, over services in memory."""

    def __init__(self) -> None:
        self.services = FakeClients()
        options = QueueOptions("eu-west-1", visibility=1)
        self.transport = SqsTransport(
            self.services, options, "node", wait=1, backoff=Backoff(0.01, 0.1)
        )
        self.listener = Listener(self.transport)

    def clients(self, _: MountConfig) -> FakeClients:
        return self.services

    def join(
        self, _: MountConfig, node: str, heard: Callable[[Event], None], *rest: object
    ) -> "Ear":
        self.listener.subscribe(TOPIC, node, heard, *rest)  # type: ignore[arg-type]
        self.listener.start()
        return self

    def state(self) -> ListenerState:
        return self.listener.state()

    def leave(self) -> None:
        self.listener.stop()


class Bench:
    """A mount with a file in the bucket, one that is open, and one that is not saved."""

    def __init__(self, folder: Path) -> None:
        texts = {"url": "s3://bucket", "topic": TOPIC, "new_queue": "true", "id": "me"}
        config = resolve([Given(n, t, n) for n, t in texts.items()], "/mnt", environment={}).mount
        self.ear = Ear()
        self.core = Core(MemoryStore(), folder)
        self.core.fs.mkdir("/d", 0o755, CALLER)
        for path in ("/f", "/d/f"):
            self.core.write(path, b"stored")
        self.reader = self.core.fs.open("/f", os.O_RDONLY)
        self.writer = self.core.fs.create("/unsaved", os.O_RDWR | os.O_CREAT, 0o644, CALLER)
        self.writer.write(memoryview(b"unsaved"), 0)
        self.objects = set(self.core.store._objects)  # type: ignore[attr-defined]
        self.switched: list[Switch] = []
        self.cluster = Cluster(config, self.ear)  # type: ignore[arg-type]
        volume, files = self.core.fs.volume, self.core.fs.files
        coherence = Coherence(volume, files, self.core.cache, lambda _: None)
        self.cluster.listen(self.core.fs, coherence, self.switched.append)
        self.sent = 0

    def hear(self, bodies: list[str]) -> None:
        """Put them into the queue, and wait until each was dealt with."""
        sqs, url = self.ear.services.fake_sqs, self.ear.transport.queue_url
        for body in bodies:
            sqs.put(url, body)
        self.sent += len(bodies)
        sqs.wait_for(lambda: not sqs.queues[url] and len(sqs.deleted) == len(bodies))
        sqs.deleted.clear()
        sqs.calls.clear()
        self.ear.services.fake_sns.calls.clear()
        self.ear.services.fake_sns.published.clear()

    def check(self) -> None:
        """Alive, within its bounds, and with everything it had."""
        thread = self.ear.transport._thread
        assert thread is not None
        assert thread.is_alive()
        counts = self.ear.state().counts
        assert counts["received"] == self.sent
        assert counts.get("not_applied", 0) == counts.get("callback_failures", 0) == 0
        values = self.core.fs.volume
        assert 1 <= values.names.limit <= 10**9
        assert MIB <= self.core.cache.capacity <= 16 << 40
        assert 5 * MIB <= self.core.uploader.settings.part_size <= 5 << 30
        for switch in self.switched:
            assert ".." not in switch.prefix.split("/")
        self.switched.clear()
        assert set(self.core.store._objects) == self.objects  # type: ignore[attr-defined]
        assert self.core.pread(self.reader, 100, 0) == b"stored"
        assert self.core.pread(self.writer, 100, 0) == b"unsaved"
        assert self.core.fs.getattr("/d/f").size == 6

    def close(self) -> None:
        self.cluster.stop()
        self.reader.release()
        self.writer.release()
        self.core.close()


@pytest.fixture(name="bench")
def make_bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@settings(
    max_examples=BATCHES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(0, 2**64), min_size=BATCH, max_size=BATCH))
@pytest.mark.timeout(3600)
def test_no_message_kills_or_hurts(bench: Bench, seeds: list[int]) -> None:
    bench.hear([message(seed) for seed in seeds])
    bench.check()
    bench.core.fs.getattr("/f")
    bench.core.invalidated.clear()
    bench.hear([enveloped(encode(Unlink("/f"), "other"))])  # and what is right is heeded
    assert "/f" in bench.core.invalidated
    bench.core.invalidated.clear()


def test_the_messages_are_of_many_kinds(bench: Bench) -> None:
    """What is sent above reaches every part of what reads it."""
    bench.hear([message(seed) for seed in range(3000)])
    counts = bench.ear.state().counts
    assert counts["malformed"] > 500
    assert counts["foreign"] > 100
    assert counts["events"] > 200
    details = bench.cluster._status().details
    assert int(str(details["control_obeyed"])) > 5
    assert int(str(details["control_inapplicable"])) > 0
    assert bench.switched
