"""Uploads: whole, in parts with copies, and alongside the writing."""

import json
import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.doubles.faults import FaultyStore
from yas3fs.cache.memory import Version
from yas3fs.errors import Conflict, NotFound, ServerFailed, StaleHandle
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers
from yas3fs.writeback.journal import Journal
from yas3fs.writeback.rescue import RescueFolder
from yas3fs.writeback.staging import Staging
from yas3fs.writeback.upload import Condition, Stream, Uploader, UploadSettings

HEADERS = Headers({"attr": "x"}, "text/plain")
NEW = Condition(new=True)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = MemoryStore(min_part_size=10)
        self.store = FaultyStore(self.memory)
        self.pool = ThreadPoolExecutor(3)
        self.journal = Journal(folder / "journal")
        settings = UploadSettings(part_size=20, threshold=50, min_part_size=10)
        self.uploader = Uploader(self.store, self.pool, self.journal, settings)

    def staging(self, content: bytes = b"", base: Version | None = None) -> Staging:
        def read(target: memoryview, offset: int) -> int:
            assert base is not None
            self.store.get(base.key, target, offset=offset, etag=base.etag)
            return len(target)

        staging = Staging(str(self.folder), base.size if base is not None else 0, read)
        if content:
            staging.write(memoryview(content), 0)
        return staging

    def stored(self, key: str = "key") -> bytes:
        return self.memory._objects[key].body

    def put(self, body: bytes, key: str = "key") -> Version:
        return Version(key, self.memory.put(key, body, HEADERS).etag, len(body))

    def stream(self, staging: Staging) -> Stream:
        return Stream(self.uploader, "key", staging, HEADERS, 0)

    def left(self) -> tuple[int, int]:
        """Uploads under way in the store, and records in the journal."""
        records = len(list((self.folder / "journal").glob("*/*.json")))
        return len(list(self.memory.list_multipart(""))), records


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.pool.shutdown()
    made.journal.close()


@pytest.mark.parametrize("size", [0, 1, 49, 50, 51, 60, 995])
def test_a_whole_file(bench: Bench, size: int) -> None:
    content = os.urandom(size)
    written = bench.uploader.upload("key", bench.staging(content), HEADERS, None, NEW)
    assert bench.stored() == content
    info = bench.memory.head("key")
    assert (info.etag, info.headers.metadata["attr"]) == (written.etag, "x")
    assert bench.store.calls["put"] == (size < 50)
    assert bench.left() == (0, 0)


def test_what_did_not_change_is_copied_by_the_store(bench: Bench) -> None:
    base = bench.put(os.urandom(1000))
    body = bytearray(bench.stored())
    staging = bench.staging(base=base)
    staging.write(memoryview(b"changed"), 500)
    body[500:507] = b"changed"
    bench.uploader.upload("key", staging, HEADERS, base)
    assert bench.stored() == body
    assert bench.store.calls["copy_part"] == 2
    assert bench.store.calls["upload_part"] == 1
    assert bench.store.calls["get"] == 1  # the little that a short part takes along


@pytest.mark.parametrize("condition", [NEW, Condition("another version")])
def test_what_must_not_be_replaced_stays(bench: Bench, condition: Condition) -> None:
    bench.put(b"theirs")
    for size in (10, 100):
        with pytest.raises(Conflict):
            staging = bench.staging(os.urandom(size))
            bench.uploader.upload("key", staging, HEADERS, None, condition)
    assert bench.stored() == b"theirs"
    assert bench.left() == (0, 0)


@pytest.mark.parametrize("size", [10, 100])
def test_the_version_that_may_be_replaced(bench: Bench, size: int) -> None:
    base = bench.put(os.urandom(size))
    content = os.urandom(size)
    bench.uploader.upload("key", bench.staging(content), HEADERS, None, Condition(base.etag))
    assert bench.stored() == content
    bench.memory.delete("key")
    with pytest.raises(Conflict):  # it was deleted: that is no version of it
        bench.uploader.upload("key", bench.staging(content), HEADERS, None, Condition(base.etag))
    assert bench.left() == (0, 0)


def test_an_upload_that_is_gone_is_no_conflict(bench: Bench) -> None:
    bench.store.fail("complete_multipart", NotFound("gone", code="NoSuchUpload", status=404))
    with pytest.raises(NotFound):
        bench.uploader.upload("key", bench.staging(os.urandom(100)), HEADERS, None, NEW)


@pytest.mark.parametrize("size", [30, 1000])
def test_a_base_that_is_gone_and_needed(bench: Bench, size: int) -> None:
    base = bench.put(os.urandom(size))
    staging = bench.staging(base=base)
    staging.write(memoryview(b"x"), 5)
    bench.put(b"theirs")
    with pytest.raises(StaleHandle):
        bench.uploader.upload("key", staging, HEADERS, base)
    assert bench.stored() == b"theirs"
    assert bench.left() == (0, 0)


@pytest.mark.parametrize("size", [30, 1000])
def test_a_base_that_is_gone_and_not_needed(bench: Bench, size: int) -> None:
    base = bench.put(os.urandom(size))
    staging = bench.staging(base=base)
    staging.fetch_all()
    staging.write(memoryview(b"x"), 5)
    expected = bytearray(bench.stored())
    expected[5:6] = b"x"
    bench.put(b"theirs")
    bench.uploader.upload("key", staging, HEADERS, base)
    assert bench.stored() == expected
    assert bench.left() == (0, 0)


@pytest.mark.parametrize("operation", ["create_multipart", "upload_part", "complete_multipart"])
def test_a_failure_leaves_nothing_begun(bench: Bench, operation: str) -> None:
    bench.store.fail(operation, ServerFailed("500"))
    staging = bench.staging(os.urandom(200))
    with pytest.raises(ServerFailed):
        bench.uploader.upload("key", staging, HEADERS, None)
    assert bench.left() == (0, 0)
    bench.uploader.upload("key", staging, HEADERS, None)


def test_what_could_not_be_aborted_is_for_the_next_mount(bench: Bench) -> None:
    bench.store.fail("complete_multipart", ServerFailed("500"))
    bench.store.fail("abort_multipart", ServerFailed("500"))
    with pytest.raises(ServerFailed):
        bench.uploader.upload("key", bench.staging(os.urandom(200)), HEADERS, None)
    assert bench.left() == (1, 1)


# -- alongside the writing -----------------------------------------------------------------


def test_full_parts_leave_while_the_file_is_written(bench: Bench) -> None:
    staging = bench.staging(b"a" * 45)
    stream = bench.stream(staging)
    stream.written(0, 45)
    bench.pool.shutdown(wait=True)
    assert bench.store.calls["upload_part"] == 2
    bench.uploader.pool = bench.pool = ThreadPoolExecutor(3)
    stream.finish(NEW)
    assert bench.stored() == b"a" * 45
    assert bench.left() == (0, 0)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_done_to_the_file_meanwhile(bench: Bench, seed: int) -> None:
    choose = random.Random(seed)
    content = bytearray(os.urandom(60))
    staging = bench.staging(bytes(content))
    stream = bench.stream(staging)
    stream.written(0, 60)
    for _ in range(10):
        if choose.random() < 0.6:
            start = len(content) if choose.random() < 0.5 else choose.randrange(len(content) + 1)
            data = os.urandom(choose.randrange(1, 70))
            staging.write(memoryview(data), start)
            content[start : start + len(data)] = data
            stream.written(start, start + len(data))
        else:
            size = choose.randrange(1, 150)
            staging.truncate(size)
            stream.truncated(size)
            del content[size:]
            content.extend(bytes(size - len(content)))
        if choose.random() < 0.2:
            bench.store.fail("upload_part", ServerFailed("500"))
    bench.store._rules.clear()
    stream.finish()
    assert bench.stored() == content
    assert bench.left() == (0, 0)


def test_a_part_that_failed_is_sent_again(bench: Bench) -> None:
    bench.store.fail("upload_part", ServerFailed("500"), times=2)
    staging = bench.staging(b"b" * 100)
    stream = bench.stream(staging)
    stream.written(0, 100)
    bench.pool.shutdown(wait=True)
    bench.uploader.pool = bench.pool = ThreadPoolExecutor(3)
    stream.finish()
    assert bench.stored() == b"b" * 100


def test_a_part_that_fails_again_is_told(bench: Bench) -> None:
    bench.store.fail("upload_part", ServerFailed("500"), times=100)
    stream = bench.stream(bench.staging(b"b" * 100))
    stream.written(0, 100)
    with pytest.raises(ServerFailed):
        stream.finish()
    assert bench.left() == (0, 0)


# -- the journal ---------------------------------------------------------------------------


def test_what_a_dead_process_left_is_found_once(tmp_path: Path) -> None:
    dead = Journal(tmp_path)
    for number in range(12):
        dead.begin("rename", {"number": number}, durable=number % 2 == 0)
    dead.end(dead.begin("multipart", {}))
    living = Journal(tmp_path)
    assert list(living.left_behind()) == []  # its process lives
    assert dead._lock is not None
    os.close(dead._lock)
    found = [record["number"] for record in living.left_behind()]
    assert found == list(range(12))
    assert list(living.left_behind()) == []
    assert len(list(tmp_path.iterdir())) == 1
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_was_not_handled_stays(tmp_path: Path) -> None:
    dead = Journal(tmp_path)
    dead.begin("rename", {"number": 1})
    assert dead._lock is not None
    os.close(dead._lock)
    living = Journal(tmp_path)
    records = living.left_behind()
    next(records)
    records.close()  # type: ignore[attr-defined]
    assert [record["number"] for record in living.left_behind()] == [1]
    living.close()


def test_unreadable_records_are_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "dead"
    folder.mkdir()
    (folder / "0.json").write_text("{cut sho")
    (folder / "1.json").write_text(json.dumps({"kind": "rename"}))
    (folder / "notes.json").write_text("{}")
    (tmp_path / "a-file").write_text("")
    living = Journal(tmp_path)
    assert list(living.left_behind()) == [{"kind": "rename"}]
    living.close()


# -- the rescue folder ---------------------------------------------------------------------


def test_rescued_content(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    rescue = RescueFolder(bench.folder / "rescue")
    assert rescue.count() == 0
    staging = bench.staging(b"content")
    path = rescue.save("bucket", "some/odd name\n%", staging, "the store is down")
    assert path is not None
    assert path.read_bytes() == b"content"
    document = json.loads(Path(f"{path}.json").read_text())
    assert document["key"] == "some/odd name\n%"
    assert document["reason"] == "the store is down"
    assert document["complete"] is True
    assert rescue.count() == 1
    assert str(path) in caplog.text


def test_a_rescue_that_fails_is_said_loudly(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    (bench.folder / "rescue").write_text("no folder")
    rescue = RescueFolder(bench.folder / "rescue")
    assert rescue.save("bucket", "key", bench.staging(b"x"), "down") is None
    assert "LOST" in caplog.text
