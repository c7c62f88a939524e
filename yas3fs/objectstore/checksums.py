"""Checksums as S3 writes them: base64 of the big-endian value.

The CRCs are computed in C on whole buffers. The library that does it is loaded on first use,
because it must not be touched before the process has detached from its terminal.
"""

import base64
import zlib

from yas3fs.objectstore.protocol import Buffer

ALGORITHMS = ("crc64nvme", "crc32c", "crc32")
"""What a downloaded body can be verified with, the strongest first."""


def compute(algorithm: str, body: Buffer) -> str:
    """The checksum of ``body`` for the header ``x-amz-checksum-ALGORITHM``."""
    if algorithm == "crc32":
        return _text(zlib.crc32(body), 4)
    from awscrt import checksums

    if algorithm == "crc32c":
        return _text(checksums.crc32c(body), 4)
    if algorithm == "crc64nvme":
        return _text(checksums.crc64nvme(body), 8)
    raise ValueError(algorithm)


def find(headers: dict[str, str]) -> tuple[str, str]:
    """Algorithm and value of a checksum over the whole object, or two empty strings."""
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return "", ""
    for algorithm in ALGORITHMS:
        value = headers.get(f"x-amz-checksum-{algorithm}", "")
        if value and "-" not in value:  # "VALUE-N" is a checksum of checksums
            return algorithm, value
    return "", ""


def _text(value: int, size: int) -> str:
    return base64.b64encode(value.to_bytes(size, "big")).decode("ascii")
