"""The staging file behaves as a buffer over the version it was opened on."""

import errno
import gc
import os
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yas3fs.writeback.staging import Staging

BASE = bytes(range(1, 101))
offsets = st.integers(0, 150)
steps = st.lists(
    st.tuples(st.just("write"), offsets, st.binary(max_size=60))
    | st.tuples(st.just("truncate"), offsets, st.just(b""))
    | st.tuples(st.just("fetch"), st.just(0), st.just(b""))
    | st.tuples(st.just("rebase"), st.just(0), st.just(b"")),
    max_size=15,
)


class File:
    """A staging file whose base is what it last was stored as."""

    def __init__(self, folder: str, base: bytes = BASE) -> None:
        self.base = base
        self.reads: list[tuple[int, int]] = []
        self.staging = Staging(folder, len(base), self.read_base)

    def read_base(self, target: memoryview, offset: int) -> int:
        piece = self.base[offset : offset + len(target)]
        self.reads.append((offset, len(target)))
        target[: len(piece)] = piece
        return len(piece)

    def content(self) -> bytes:
        target = bytearray(self.staging.size + 10)
        return bytes(target[: self.staging.read_into(memoryview(target), 0)])


@given(steps)
def test_agrees_with_a_buffer(made: list[tuple[str, int, bytes]]) -> None:
    file, model = File(tempfile.gettempdir()), bytearray(BASE)
    for what, offset, data in made:
        if what == "write":
            if data:
                file.staging.write(memoryview(data), offset)
                model.extend(bytes(max(0, offset - len(model))))
                model[offset : offset + len(data)] = data
        elif what == "truncate":
            file.staging.truncate(offset)
            del model[offset:]
            model.extend(bytes(offset - len(model)))
        elif what == "fetch":
            file.staging.fetch_all()
            assert file.staging.is_whole()
        else:
            file.base = bytes(model)
            file.staging.rebase()
            assert file.staging.unchanged() == ([(0, len(model))] if model else [])
        assert file.staging.size == len(model)
        assert file.content() == model
        for start, end in file.staging.unchanged():
            assert file.base[start:end] == model[start:end]


def test_reads_of_a_part(tmp_path: Path) -> None:
    file = File(str(tmp_path))
    file.staging.write(memoryview(b"NEW"), 10)
    target = bytearray(7)
    assert file.staging.read_into(memoryview(target), 8) == 7
    assert target == BASE[8:10] + b"NEW" + BASE[13:15]
    assert file.staging.read_into(memoryview(target), 98) == 2
    assert file.staging.read_into(memoryview(target), 100) == 0
    assert file.reads == [(8, 2), (13, 2), (98, 2)]  # and nothing that is here


def test_what_is_whole_asks_for_nothing(tmp_path: Path) -> None:
    file = File(str(tmp_path))
    file.staging.fetch_all()
    file.reads.clear()
    assert file.content() == BASE
    assert not file.reads
    assert file.staging.unchanged() == [(0, 100)]


def test_a_write_that_fails_leaves_nothing_behind_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = File(str(tmp_path), b"")
    real, calls = os.pwrite, []

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        calls.append(offset)
        if len(calls) == 1:
            return real(descriptor, data[:5], offset)
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="full"):
            file.staging.write(memoryview(b"0123456789"), 100)
    assert file.staging.size == 0
    file.staging.write(memoryview(b"end"), 200)
    assert file.content() == bytes(200) + b"end"


def test_saving_keeps_holes(tmp_path: Path) -> None:
    file = File(str(tmp_path), b"")
    file.staging.write(memoryview(b"end"), 3_000_000)
    target = tmp_path / "saved"
    file.staging.save_as(str(target))
    assert target.read_bytes() == bytes(3_000_000) + b"end"
    assert target.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        file.staging.save_as(str(target))


def test_no_name_and_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        file = File(str(tmp_path))
        file.staging.write(memoryview(b"x"), 0)
        file.staging.write(memoryview(b"y"), 1)
    del file
    gc.collect()
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_large_files(tmp_path: Path) -> None:
    choose = random.Random(1)
    base = choose.randbytes(3_000_000)
    file = File(str(tmp_path), base)
    file.staging.write(memoryview(b"X" * 10), 1_500_000)
    file.staging.fetch_all()
    assert file.content() == base[:1_500_000] + b"X" * 10 + base[1_500_010:]
