"""The watchdog hears of mounts that answer, and of nothing else."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from yas3fs.daemon.supervisor import State
from yas3fs.daemon.systemd import Systemd
from yas3fs.daemon.watchdog import Watchdog


class Supervisor:
    """A mount that answers through the kernel, or does not."""

    def __init__(self, answer: bool, state: State = State.MOUNTED) -> None:
        self.answer = answer
        self.state = state
        self.config = self
        self.name = "m"

    def answers(self, _timeout: float) -> bool:
        return self.answer


class Service:
    def __init__(self, *supervisors: Supervisor) -> None:
        self._supervisors = list(supervisors)

    def supervisors(self) -> list[Supervisor]:
        return self._supervisors

    def summary(self) -> str:
        return "as it is"


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.settimeout(30)
        notify.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield notify


def beat(service: Any, tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
    Watchdog(service, Systemd(environment))._beat()


def heard(manager: socket.socket, count: int) -> list[str]:
    found = [manager.recv(1024).decode() for _ in range(count)]
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(1024)
    return found


def test_mounts_that_answer_are_a_sign_of_life(manager: socket.socket, tmp_path: Path) -> None:
    beat(Service(Supervisor(True), Supervisor(True)), tmp_path)
    assert heard(manager, 2) == ["STATUS=as it is", "WATCHDOG=1"]


def test_one_that_hangs_is_none(
    manager: socket.socket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    beat(Service(Supervisor(True), Supervisor(False)), tmp_path)
    assert heard(manager, 1) == ["STATUS=as it is"]
    assert "no answer through the kernel from m" in caplog.text


@pytest.mark.parametrize("state", [State.STARTING, State.STOPPING])
def test_who_is_at_work_gets_more_time(
    manager: socket.socket, tmp_path: Path, state: State
) -> None:
    beat(Service(Supervisor(True, state)), tmp_path)
    assert heard(manager, 2) == ["EXTEND_TIMEOUT_USEC=60000000", "WATCHDOG=1"]


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "60000000"}, 0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "60000000"}, 60),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, 0),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_the_watchdog_is_for_whom_it_is_meant(environment: dict[str, str], seconds: float) -> None:
    assert Systemd(environment).watchdog_seconds == seconds


def test_without_systemd_nothing_is_said(manager: socket.socket) -> None:
    systemd = Systemd({})
    systemd.ready("x")
    systemd.alive()
    systemd.stopping("x")
    assert heard(manager, 0) == []
