"""``yas3fsctl rescue``, with and without a process that serves the mount."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from yas3fs.cache.memory import Version
from yas3fs.cli.yas3fsctl import main
from yas3fs.control.endpoint import Endpoint
from yas3fs.writeback.rescue import Origin, RescueFolder
from yas3fs.writeback.staging import Staging


class Bench:
    """Two rescue folders; the mount of one is served when the test wants it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.heard: list[Mapping[str, Any]] = []
        verbs = {"status": self._status, "rescue": self._rescue}
        self.endpoint = Endpoint(str(folder / "run"), "", verbs)

    def save(self, key: str, body: bytes, mount: str = "media", *, size: int = 0) -> str:
        """Rescue a file (with ``size``, the rest of it is the base's); its name."""
        rescue = RescueFolder(self.state / mount / "rescue")
        base = Version(key, "etag", size) if size else None
        staging = Staging(str(self.folder), size, lambda target, _: len(target))
        staging.write(memoryview(body), 0)
        path = rescue.save("bucket", key, staging, "refused", Origin(base))
        assert path is not None
        return path.name.split("-")[1]

    def _status(self, _words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        folder = str(self.state / "media" / "rescue")
        yield {"pid": os.getpid(), "mounts": [{"name": "media", "rescue_folder": folder}]}

    def _rescue(self, words: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        self.heard.append(words)
        yield {"stored": ["media:/a"], "failed": ["media:x: refused again"]}

    def run(self, *words: str) -> int:
        places = ["--runtime-path", str(self.folder / "run"), "--state-path", str(self.state)]
        return main(["rescue", *words, *places])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def served(bench: Bench) -> Iterator[None]:
    bench.endpoint.open()
    yield
    bench.endpoint.close()


Capture = pytest.CaptureFixture[str]


def test_nothing_had_to_be_rescued(bench: Bench, capsys: Capture) -> None:
    assert bench.run() == 0
    assert capsys.readouterr().out == "nothing had to be rescued\n"


def test_what_is_there(bench: Bench, served: None, capsys: Capture) -> None:
    name, other = bench.save("a/b", b"x" * 2048), bench.save("c", b"y", "gone", size=100)
    assert bench.run() == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "MOUNT", "SIZE", "MISSING", "WHEN", "FOR", "WHY"]
    by_name = {line.split()[0]: line.split() for line in lines}
    assert by_name[name][1:5] == ["media", "2.0", "KiB", "0"]
    assert by_name[name][-2:] == ["s3://bucket/a/b", "refused"]
    assert by_name[other][1:5] == ["-", "100", "B", "99"]
    assert bench.run("--json", "--mount", "media") == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["name"], told["size"], told["missing"]) == (name, 2048, 0)
    assert Path(told["file"]).read_bytes() == b"x" * 2048


def test_a_copy(bench: Bench, tmp_path: Path, capsys: Capture) -> None:
    name = bench.save("a/b", b"content")
    assert bench.run("--get", name, str(tmp_path)) == 0
    copy = tmp_path / "b"
    assert copy.read_bytes() == b"content"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "stays until it is deleted" in capsys.readouterr().out
    assert bench.run("--get", name, str(copy)) == 1
    assert f"{copy}: File exists" in capsys.readouterr().err
    assert copy.read_bytes() == b"content"
    assert bench.run("--get", "nosuch", str(copy)) == 2
    assert "no rescued file 'nosuch'" in capsys.readouterr().err


def test_a_copy_of_what_is_not_whole(bench: Bench, tmp_path: Path, capsys: Capture) -> None:
    name = bench.save("a", b"new", size=10)
    assert bench.run("--get", name, str(tmp_path / "copy")) == 1
    assert "7 of 10 bytes are missing" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()
    assert bench.run("--get", name, str(tmp_path / "copy"), "--force") == 0
    assert (tmp_path / "copy").read_bytes() == b"new" + bytes(7)


def test_deleting_has_to_be_meant(bench: Bench, capsys: Capture) -> None:
    names = [bench.save("a", b"1"), bench.save("b", b"2")]
    folder = bench.state / "media" / "rescue"
    assert bench.run("--delete", names[0]) == 1
    said = capsys.readouterr()
    assert "would be deleted" in said.out
    assert "nothing was deleted" in said.err
    assert len(list(folder.iterdir())) == 4
    assert bench.run("--delete", names[0], "--yes") == 0
    assert [path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"] == [b"2"]
    assert bench.run("--delete", "all", "--yes") == 0
    assert list(folder.iterdir()) == []


def test_uploading_is_for_who_serves_the_mount(bench: Bench, served: None, capsys: Capture) -> None:
    name, other = bench.save("a", b"1"), bench.save("b", b"2", "gone")
    assert bench.run("--retry", name, "--force") == 1
    said = capsys.readouterr()
    assert said.out == "media:/a: uploaded\n"
    assert said.err == "yas3fsctl: media:x: refused again\n"
    assert bench.heard == [{"verb": "rescue", "mount": "", "file": name, "force": True}]
    assert bench.run("--retry", other) == 1
    assert f"{other}: its mount is not served now" in capsys.readouterr().err
    assert len(bench.heard) == 1


def test_a_note_that_cannot_be_read(bench: Bench, capsys: Capture) -> None:
    name = bench.save("a", b"1")
    (note,) = (bench.state / "media" / "rescue").glob("*.json")
    note.write_text("")
    assert bench.run() == 0
    assert "cannot be understood" in capsys.readouterr().out
    assert bench.run("--delete", name) == 1
    assert note.exists()
