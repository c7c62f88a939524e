"""Attributes in metadata, as earlier releases and other tools wrote them, and as we do."""

import json
import stat
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yas3fs.errors import NoSpace
from yas3fs.fs.attributes import (
    Defaults,
    compose_headers,
    content_type_of,
    decode,
    encode,
    foreign_headers,
)
from yas3fs.fs.types import Attributes
from yas3fs.objectstore.protocol import Headers

MODIFIED = 1_700_000_000.0
DEFAULTS = Defaults(uid=1000, gid=1001, file_mode=0o640, directory_mode=0o750)
EVERYTHING = (
    '{"st_uid": 5, "st_gid": 6, "st_mode": 33188, "st_atime": 1795350074.0, '
    '"st_mtime": 1795350075.25, "st_ctime": 1795350076.5, "st_size": 11, "st_nlink": 1}'
)


def read(metadata: dict[str, str], *, directory: bool = False, size: int = 42) -> Attributes:
    return decode(Headers(metadata), size, MODIFIED, DEFAULTS, directory=directory)[0]


def test_what_2x_wrote() -> None:
    assert read({"attr": EVERYTHING}) == Attributes(
        mode=33188,
        size=42,
        uid=5,
        gid=6,
        atime_ns=1795350074 * 10**9,
        mtime_ns=1795350075_250_000_000,
        ctime_ns=1795350076_500_000_000,
    )


def test_what_1x_wrote() -> None:
    text = "st_uid=5;st_gid=6;st_mode=33188;st_mtime=1354000000.25;st_atime=1354000001;st_ctime=1.5"
    found = read({"attr": text})
    assert (found.uid, found.gid, found.mode) == (5, 6, 33188)
    assert found.mtime_ns == 1354000000_250_000_000
    assert (found.atime_ns, found.ctime_ns) == (1354000001 * 10**9, 1_500_000_000)


def test_percent_encoded() -> None:
    assert read({"attr": quote(EVERYTHING)}) == read({"attr": EVERYTHING})


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (  # s3fs-fuse
            {"uid": "5", "gid": "6", "mode": "33188", "mtime": "1700000001.5", "atime": "7"},
            (33188, 5, 6, 1700000001_500_000_000, 7 * 10**9),
        ),
        ({"mtime": "1700000001.123456789"}, (0o100640, 1000, 1001, 1700000001_123456789, None)),
        (  # DataSync
            {
                "file-owner": "5",
                "file-group": "6",
                "file-permissions": "0755",
                "file-mtime": "1700000001123ms",
                "file-atime": "1700000001s",
            },
            (0o100755, 5, 6, 1700000001_123_000_000, 1700000001 * 10**9),
        ),
        (  # Storage Gateway
            {"file-permissions": "0100600", "file-mtime": "1700000001123456789ns"},
            (0o100600, 1000, 1001, 1700000001_123456789, None),
        ),
    ],
    ids=["s3fs-fuse", "rclone", "datasync", "gateway"],
)
def test_what_others_wrote(metadata: dict[str, str], expected: tuple[int, ...]) -> None:
    mode, uid, gid, mtime, atime = expected
    found = read(metadata)
    assert (found.mode, found.uid, found.gid, found.mtime_ns) == (mode, uid, gid, mtime)
    assert found.atime_ns == (mtime if atime is None else atime)


def test_our_own_comes_first() -> None:
    assert read({"attr": EVERYTHING, "uid": "77", "file-owner": "88"}).uid == 5


def test_nothing_at_all() -> None:
    found = read({})
    assert (found.mode, found.uid, found.gid) == (0o100640, 1000, 1001)
    assert found.atime_ns == found.mtime_ns == found.ctime_ns == int(MODIFIED) * 10**9
    assert read({}, directory=True).mode == stat.S_IFDIR | 0o750


@pytest.mark.parametrize(
    "text",
    [
        "", "garbage", "{", "[]", "null", "7", '"text"', "{}", "=;=;", "%", "%zz", "[" * 100_000,
        '{"st_uid": -1, "st_gid": 1e400, "st_mode": "x", "st_mtime": "NaN", "st_ctime": Infinity}',
        '{"st_uid": null, "st_gid": {}, "st_mode": [], "st_mtime": [1], "st_atime": 1e300}',
        '{"st_uid": true, "st_mode": 99999999, "st_gid": 99999999999}',
        "st_uid=a;st_gid;st_mode=;st_mtime=now",
        "\ud800", "{\"st_uid\": \"\\ud800\"}",
    ],
)  # fmt: skip
def test_garbage_is_filled_with_defaults(text: str) -> None:
    found = read({"attr": text})
    assert found == read({})


def test_gaps_are_filled_one_by_one() -> None:
    found = read({"attr": '{"st_uid": "12", "st_mode": 384.0, "st_mtime": "5.5"}'})
    assert (found.uid, found.gid, found.mode) == (12, 1001, stat.S_IFREG | 0o600)
    assert (found.mtime_ns, found.ctime_ns) == (5_500_000_000, 5_500_000_000)


@pytest.mark.parametrize("directory", [True, False])
def test_the_key_decides_what_is_a_directory(directory: bool) -> None:
    kind = stat.S_IFDIR if directory else stat.S_IFREG
    other = stat.S_IFREG if directory else stat.S_IFDIR
    found = read({"attr": json.dumps({"st_mode": other | 0o711})}, directory=directory)
    assert found.mode == kind | 0o711


def test_a_link_is_one_by_its_mode_only() -> None:
    headers = Headers({}, "application/x-symlink")
    found, _ = decode(headers, 5, MODIFIED, DEFAULTS, directory=False)
    assert stat.S_ISREG(found.mode)
    assert stat.S_ISLNK(read({"attr": '{"st_mode": 41471}'}).mode)


def test_the_stored_size_is_not_trusted() -> None:
    assert read({"attr": EVERYTHING}, size=7).size == 7
    assert read({"attr": EVERYTHING}, size=7, directory=True).size == 0


def test_nanoseconds_count_only_beside_the_float_they_agree_with() -> None:
    text = '{"st_mtime": 1700000000.1234567, "st_mtime_ns": 1700000000123456789}'
    assert read({"attr": text}).mtime_ns == 1700000000123456789
    text = '{"st_mtime": 1700000005.0, "st_mtime_ns": 1700000000123456789}'  # an old release wrote
    assert read({"attr": text}).mtime_ns == 1700000005 * 10**9


def test_what_we_write_to_the_letter() -> None:
    attributes = Attributes(33188, 11, 0, 0, 1795350074 * 10**9, 1795350074 * 10**9, 10**9)
    assert encode(attributes, {}) == {
        "attr": '{"st_uid": 0, "st_gid": 0, "st_mode": 33188, "st_atime": 1795350074.0, '
        '"st_mtime": 1795350074.0, "st_ctime": 1.0, "st_size": 11, "st_nlink": 1}'
    }


def test_percent_is_written_so_that_old_releases_read_it() -> None:
    attributes = Attributes(33188, 0, 0, 0, 0, 0, 0)
    text = encode(attributes, {"user.a": b"100%41", "user.%": "é\x7f".encode()})["xattr"]
    assert text == '{"user.a": "100\\u002541", "user.\\u0025": "\\u00e9\\u007f"}'


def test_binary_values_are_an_odd_string_to_old_releases() -> None:
    text = encode(Attributes(33188, 0, 0, 0, 0, 0, 0), {"user.a": b"\xff\0"})["xattr"]
    assert json.loads(text) == {"user.a": "\0base64:/wA="}


times = st.integers(0, 4_000_000_000 * 10**9)
attribute_sets = st.builds(
    Attributes,
    mode=st.integers(0, 0o7777).map(lambda mode: stat.S_IFREG | mode),
    size=st.just(42),
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    atime_ns=times,
    mtime_ns=times,
    ctime_ns=times,
    rdev=st.integers(0, 2**32 - 1),
)
xattr_sets = st.dictionaries(
    st.text(st.characters(exclude_characters="\0"), max_size=8).map(lambda name: f"user.{name}"),
    st.binary(max_size=20) | st.text(max_size=10).map(lambda text: text.encode("utf-8", "replace")),
    max_size=3,
)


@given(attribute_sets, xattr_sets)
def test_what_is_written_is_read(attributes: Attributes, xattrs: dict[str, bytes]) -> None:
    metadata = encode(attributes, xattrs)
    assert all(value.isascii() and value.isprintable() for value in metadata.values())
    assert not any("%" in value for value in metadata.values())
    found = decode(Headers(metadata), 42, MODIFIED, DEFAULTS, directory=False)
    assert found == (attributes, xattrs)


@given(attribute_sets)
def test_old_releases_read_what_is_written(attributes: Attributes) -> None:
    fields = json.loads(encode(attributes, None)["attr"])
    for name in ("st_uid", "st_gid", "st_mode", "st_size"):
        assert isinstance(fields[name], int)
    for name in ("atime", "mtime", "ctime"):
        assert isinstance(fields[f"st_{name}"], float)
        assert abs(fields[f"st_{name}"] * 1e9 - getattr(attributes, f"{name}_ns")) < 1000


@given(
    st.dictionaries(st.sampled_from(["attr", "xattr", "mtime", "mode", "file-mtime"]), st.text())
)
def test_no_metadata_is_an_error(metadata: dict[str, str]) -> None:
    found, xattrs = decode(Headers(metadata), 42, MODIFIED, DEFAULTS, directory=False)
    assert found.size in (0, 42)
    assert all(isinstance(value, bytes) for value in xattrs.values())


def test_what_others_stored_beside_ours_is_kept() -> None:
    theirs = Headers({"attr": "x", "owner": "me"}, "text/x-odd", {"cache-control": "no-store"})
    kept = foreign_headers(theirs, "file.txt")
    attributes = Attributes(33188, 0, 0, 0, 0, 0, 0)
    composed = compose_headers("file.txt", attributes, {}, kept, metadata=True)
    assert composed.metadata["owner"] == "me"
    assert composed.metadata["attr"].startswith("{")
    assert (composed.content_type, composed.system) == ("text/x-odd", {"cache-control": "no-store"})
    assert foreign_headers(Headers({"attr": "x"}, "text/plain"), "file.txt") is None


def test_without_metadata_nothing_of_ours_is_written() -> None:
    attributes = Attributes(33188, 0, 0, 0, 0, 0, 0)
    composed = compose_headers("a.txt", attributes, {"user.a": b"1"}, None, metadata=False)
    assert (composed.metadata, composed.content_type) == ({}, "text/plain")


def test_content_types() -> None:
    assert content_type_of("a/b.html") == "text/html"
    assert content_type_of("a.unknown-thing") == "application/octet-stream"


def test_attributes_that_do_not_fit() -> None:
    attributes = Attributes(33188, 0, 0, 0, 0, 0, 0)
    with pytest.raises(NoSpace):
        compose_headers("a", attributes, {"user.a": b"x" * 2048}, None, metadata=True)
