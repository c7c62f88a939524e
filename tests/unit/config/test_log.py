"""The log: its lines, its rotation, where it goes."""

import gzip
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from yas3fs.config.log import MountFormatter, RotatingLog, start_log
from yas3fs.config.mount_config import ProcessConfig
from yas3fs.errors import ConfigError

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def own_root_logger() -> Iterator[None]:
    """Leaves logging as it was."""
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    threading.excepthook = hook


def process(log: str = "", *, foreground: bool = False, debug: bool = False) -> ProcessConfig:
    return ProcessConfig(
        foreground=foreground,
        debug=debug,
        log=log,
        log_mb_size=MIB,
        log_backup_count=1,
        log_backup_gzip=False,
        pid_file="",
        runtime_path="",
        metrics="",
        drain_on_termination=False,
        cpu_affinity="none",
        cache_total=None,
    )


def record(message: str) -> logging.LogRecord:
    made = logging.LogRecord("yas3fs.x", logging.WARNING, "", 0, message, (), None)
    made.process = 7
    return made


def test_every_line_names_the_mount() -> None:
    text = MountFormatter("/mnt", style="syslog").format(record("one\ntwo"))
    assert text == "yas3fs[7] /mnt: WARNING yas3fs.x: one\nyas3fs[7] /mnt: two"


def test_rotation_keeps_as_many_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "log"
    handler = RotatingLog(str(path), size=64, backups=2, compress=False)
    for number in range(5):
        handler.emit(record(f"{number} " + "x" * 50))
    handler.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert [(tmp_path / name).read_text()[0] for name in ("log", "log.1", "log.2")] == list("432")


def test_rotation_compresses(tmp_path: Path) -> None:
    handler = RotatingLog(str(tmp_path / "log"), size=64, backups=1, compress=True)
    for number in range(3):
        handler.emit(record(f"{number} " + "x" * 50))
    handler.close()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "log.1.gz"]
    assert gzip.decompress((tmp_path / "log.1.gz").read_bytes()).startswith(b"1 xxx")


def test_without_backups_the_log_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    handler = RotatingLog(str(path), size=64, backups=0, compress=False)
    for number in range(3):
        handler.emit(record(f"{number} " + "x" * 50))
    handler.close()
    assert [file.name for file in tmp_path.iterdir()] == ["log"]
    assert path.read_text() == "2 " + "x" * 50 + "\n"


def test_to_a_file_whose_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log"
    assert start_log("/mnt", process(str(path)), str(tmp_path)) == ""
    logging.getLogger("yas3fs.x").info("said")
    logging.getLogger("yas3fs.x").debug("kept back")
    (line,) = path.read_text().splitlines()
    assert line.endswith("/mnt: INFO yas3fs.x: said")


def test_debug_says_more_but_not_what_libraries_sign_with(tmp_path: Path) -> None:
    path = tmp_path / "log"
    start_log("/mnt", process(str(path), debug=True), str(tmp_path))
    logging.getLogger("yas3fs.x").debug("ours")
    logging.getLogger("botocore.auth").debug("secret")
    assert "ours" in path.read_text()
    assert "secret" not in path.read_text()


def test_a_log_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        start_log("/mnt", process(str(tmp_path)), "")
    assert str(refused.value) == f"cannot write the log file {tmp_path}: Is a directory"


def test_in_the_foreground_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    start_log("/mnt", process(foreground=True), "")
    logging.getLogger("yas3fs.x").warning("said")
    assert capsys.readouterr().err.endswith("/mnt: WARNING yas3fs.x: said\n")


def test_detached_to_the_syslog(tmp_path: Path) -> None:
    path = str(tmp_path / "syslog")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(path)
        syslog.settimeout(60)
        assert start_log("/mnt", process(), "", sockets=[path]) == ""
        logging.getLogger("yas3fs.x").warning("said")
        line = syslog.recv(1024).rstrip(b"\0").decode()
    daemon_warning = 3 * 8 + 4
    assert line == f"<{daemon_warning}>yas3fs[{os.getpid()}] /mnt: WARNING yas3fs.x: said"


def test_without_a_syslog_to_a_file_and_says_so(tmp_path: Path) -> None:
    remark = start_log("/mnt", process(), str(tmp_path), sockets=[])
    assert remark == f"there is no syslog here, the log is {tmp_path}/yas3fs.log"
    logging.getLogger("yas3fs.x").warning("said")
    assert "said" in (tmp_path / "yas3fs.log").read_text()


def test_a_thread_that_ends_of_an_exception_is_logged(tmp_path: Path) -> None:
    path = tmp_path / "log"
    start_log("/mnt", process(str(path)), "")

    def fail() -> None:
        raise ZeroDivisionError

    thread = threading.Thread(target=fail, name="worker 1")
    thread.start()
    thread.join()
    lines = path.read_text().splitlines()
    assert lines[0].endswith("CRITICAL yas3fs: worker 1 ended")
    assert lines[-1].endswith("/mnt: ZeroDivisionError")
