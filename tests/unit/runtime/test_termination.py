"""The end of an instance, as a double of the metadata service announces it."""

import queue

import pytest

from tests.doubles.imds import imds
from yas3fs.daemon.termination import GROUP, SPOT, TerminationWatch
from yas3fs.runtime.imds import InstanceMetadata


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [
        (SPOT, b'{"action": "terminate", "time": "2026-01-01T00:00:00Z"}',
         "EC2 will terminate this spot instance"),
        (SPOT, b"soon", "EC2 will interrupt this spot instance"),
        (GROUP, b"Terminated", "the Auto Scaling group terminates this instance"),
    ],
)  # fmt: skip
def test_it_is_told_once(path: str, answer: bytes, reason: str) -> None:
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    with imds({GROUP: b"InService"}) as service:
        watch = TerminationWatch(InstanceMetadata(service.endpoint), told.put, interval=0.01)
        watch.start()
        while service.asked.count(f"GET /latest/{GROUP}") < 3:
            assert told.empty()
        service.answers[path] = answer
        assert told.get(timeout=30) == reason
        watch._thread.join(30)
        assert not watch._thread.is_alive()
        assert told.empty()


def test_a_service_that_is_silent_for_a_while_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    with imds({}) as service:
        endpoint = service.endpoint
    watch = TerminationWatch(InstanceMetadata(endpoint, timeout=0.5), told.append)
    assert watch._look() == watch._look() == ""
    assert caplog.text.count("does not answer") == 1


def test_a_token_that_expired_is_renewed() -> None:
    with imds({}) as service:
        metadata = InstanceMetadata(service.endpoint)
        assert metadata.text("meta-data/instance-id").startswith("i-")
        service.token = "another"
        assert metadata.text("meta-data/instance-id").startswith("i-")
        assert service.asked.count("PUT /latest/api/token") == 2
