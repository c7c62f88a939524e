"""What is added to libfuse's answer to FUSE_INIT."""

import os
import struct
from collections.abc import Iterator

import pytest

from yas3fs.fuse.handshake import PARALLEL_DIROPS, answer_init

ASYNC_READ = 1


def request(flags: int, opcode: int = 26) -> bytes:
    header = struct.pack("=IIQQIIII", 56, opcode, 7, 0, 0, 0, 0, 0)
    return header + struct.pack("=IIII", 7, 38, 131072, flags)


def answer(flags: int, error: int = 0) -> bytes:
    body = b"" if error else struct.pack("=IIIIHHIIHHI7I", 7, 38, 131072, flags, *[0] * 14)
    return struct.pack("=IiQ", 16 + len(body), error, 7) + body


@pytest.fixture(name="device")
def a_device() -> Iterator[tuple[int, int]]:
    """Where the kernel would read, and what libfuse writes to."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("asked", "answered", "told"),
    [
        (
            request(ASYNC_READ | PARALLEL_DIROPS),
            answer(ASYNC_READ),
            answer(ASYNC_READ | PARALLEL_DIROPS),
        ),
        (request(PARALLEL_DIROPS), answer(PARALLEL_DIROPS), answer(PARALLEL_DIROPS)),
        (request(ASYNC_READ), answer(ASYNC_READ), answer(ASYNC_READ)),
        (request(PARALLEL_DIROPS), answer(0, -71), answer(0, -71)),
        (request(PARALLEL_DIROPS, opcode=1), answer(ASYNC_READ), answer(ASYNC_READ)),
        (request(PARALLEL_DIROPS)[:40], answer(ASYNC_READ), answer(ASYNC_READ)),
        (request(PARALLEL_DIROPS), b"short", b"short"),
    ],
)
def test_what_the_kernel_is_told(
    device: tuple[int, int], asked: bytes, answered: bytes, told: bytes
) -> None:
    reader, writer = device
    answer_init(writer, asked, lambda: os.write(writer, answered) and None)
    assert os.read(reader, 4096) == told
    os.write(writer, b"later")  # it is the device again
    assert os.read(reader, 4096) == b"later"


def test_who_does_not_answer_tells_nothing(device: tuple[int, int]) -> None:
    reader, writer = device
    answer_init(writer, request(PARALLEL_DIROPS), lambda: None)
    with pytest.raises(BlockingIOError):
        os.read(reader, 4096)


def test_a_failure_leaves_the_device_as_it_was(device: tuple[int, int]) -> None:
    reader, writer = device

    def fail() -> None:
        raise ValueError("no")

    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ValueError, match="no"):
        answer_init(writer, request(PARALLEL_DIROPS), fail)
    os.write(writer, b"later")
    assert os.read(reader, 4096) == b"later"
    assert len(os.listdir("/proc/self/fd")) == before
