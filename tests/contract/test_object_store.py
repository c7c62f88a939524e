"""The object store protocol, on the fake in memory and on the engine against real servers.

Where a server has a limit of its own, the test says so next to its skip; the fake has none.
"""

import hashlib
import os
import re
import threading
import urllib.error
import urllib.request

import pytest

from tests.contract.conftest import Double
from yas3fs.errors import (
    BodyCorrupted,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    StoreError,
    TooLarge,
)
from yas3fs.objectstore.protocol import (
    MAX_KEY_BYTES,
    MIN_PART_SIZE,
    Headers,
    ObjectStore,
    Part,
)

ATTR = '{"st_uid": 1000, "st_gid": 100, "st_mode": 33188, "st_mtime": 1795350074.5}'
NONE = Headers()


def fetch(store: ObjectStore, key: str, size: int, offset: int = 0, **more: object) -> bytes:
    body = bytearray(size)
    store.get(key, memoryview(body), offset=offset, **more)  # type: ignore[arg-type]
    return bytes(body)


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def all_keys(store: ObjectStore, prefix: str = "", **more: object) -> list[str]:
    keys: list[str] = []
    token = ""
    while True:
        page = store.list_page(prefix, token=token, **more)  # type: ignore[arg-type]
        keys += [found.key for found in page.objects]
        token = page.token
        if not token:
            return keys


# --- one object


def test_put_tells_the_etag_and_head_agrees(store: ObjectStore) -> None:
    written = store.put("file", b"hello", Headers({"attr": ATTR}, "text/plain"))
    info = store.head("file")
    assert written.etag == md5(b"hello")
    assert (info.key, info.size, info.etag) == ("file", 5, written.etag)
    assert dict(info.headers.metadata) == {"attr": ATTR}
    assert info.headers.content_type == "text/plain"
    assert info.last_modified > 1_700_000_000


def test_get_tells_the_same_as_head(store: ObjectStore) -> None:
    store.put("file", b"hello", Headers({"attr": ATTR}, "text/plain"))
    body = bytearray(5)
    info = store.get("file", memoryview(body))
    assert body == b"hello"
    assert info == store.head("file")


def test_system_headers_come_back(double: Double) -> None:
    system = {
        "cache-control": "max-age=60",
        "content-disposition": "inline",
        "content-language": "eo",
        "content-encoding": "gzip",
    }
    double.store.put("file", b"not gzip at all", Headers({}, "text/html", system))
    info = double.store.head("file")
    assert dict(info.headers.system) == system
    assert fetch(double.store, "file", 15) == b"not gzip at all"


def test_put_replaces_body_and_headers(store: ObjectStore) -> None:
    store.put("file", b"one", Headers({"attr": "1", "xattr": "x"}))
    store.put("file", b"second", Headers({"attr": "2"}))
    info = store.head("file")
    assert info.size == 6
    assert dict(info.headers.metadata) == {"attr": "2"}
    assert fetch(store, "file", 6) == b"second"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_put_takes_any_buffer(store: ObjectStore, kind: type) -> None:
    store.put("file", kind(b"buffer"), NONE)
    assert fetch(store, "file", 6) == b"buffer"


def test_what_was_put_does_not_change_with_the_buffer(store: ObjectStore) -> None:
    body = bytearray(b"before")
    store.put("file", body, NONE)
    body[:] = b"after!"
    assert fetch(store, "file", 6) == b"before"


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 1_048_577, 3_000_000])
def test_bodies_of_awkward_sizes(store: ObjectStore, size: int) -> None:
    body = os.urandom(size)
    assert store.put("file", body, NONE).etag == md5(body)
    assert fetch(store, "file", size, whole=True) == body


def test_an_empty_object(store: ObjectStore) -> None:
    written = store.put("empty", b"", Headers({"attr": ATTR}, "application/x-directory"))
    info = store.get("empty", memoryview(bytearray()))
    assert (info.size, info.etag) == (0, written.etag)
    assert dict(info.headers.metadata) == {"attr": ATTR}


def test_a_missing_object(store: ObjectStore) -> None:
    with pytest.raises(NotFound):
        store.head("nothing")
    with pytest.raises(NotFound):
        fetch(store, "nothing", 1)
    with pytest.raises(NotFound):
        fetch(store, "nothing", 0)
    with pytest.raises(NotFound):
        store.copy("nothing", "target")
    store.delete("nothing")


def test_delete(store: ObjectStore) -> None:
    store.put("file", b"x", NONE)
    store.delete("file")
    with pytest.raises(NotFound):
        store.head("file")
    assert all_keys(store) == []


def test_metadata_up_to_the_limit(double: Double) -> None:
    value = "v" * (2048 - len("attr"))
    double.store.put("file", b"", Headers({"attr": value}))
    assert double.store.head("file").headers.metadata["attr"] == value


def test_metadata_beyond_the_limit(double: Double) -> None:
    double.lacks("moto", "has no limit")
    with pytest.raises(TooLarge):
        double.store.put("file", b"", Headers({"attr": "v" * 2100}))
    with pytest.raises(NotFound):
        double.store.head("file")


@pytest.mark.parametrize("value", ["a\nb", "a\r\nx-amz-acl: public-read", "caf\u00e9", "a\x00b"])
def test_metadata_that_http_cannot_carry_is_refused(store: ObjectStore, value: str) -> None:
    with pytest.raises(InvalidRequest):
        store.put("file", b"", Headers({"attr": value}))
    with pytest.raises(NotFound):
        store.head("file")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb"])
def test_names_of_metadata_that_http_cannot_carry_are_refused(
    store: ObjectStore, name: str
) -> None:
    with pytest.raises(InvalidRequest):
        store.put("file", b"", Headers({name: "v"}))


def test_json_metadata_comes_back_exactly(store: ObjectStore) -> None:
    value = '{"user.a": "two  blanks", "user.b": "\\u0025\\u00e9", "c": "=?q?= \\" ; , %41"}'
    store.put("file", b"", Headers({"xattr": value}))
    assert store.head("file").headers.metadata["xattr"] == value


# --- ranges


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 1), (0, 10), (3, 4), (9, 1), (0, 5), (5, 5), (0, 0)]
)
def test_ranges(store: ObjectStore, offset: int, size: int) -> None:
    store.put("file", b"0123456789", NONE)
    body = bytearray(size)
    info = store.get("file", memoryview(body), offset=offset)
    assert body == b"0123456789"[offset : offset + size]
    assert info.size == 10


def test_arrived_ends_at_the_length_and_never_goes_back(store: ObjectStore) -> None:
    store.put("file", os.urandom(2_000_000), NONE)
    told: list[int] = []
    fetch(store, "file", 1_500_000, 100_000, arrived=told.append)
    assert told == sorted(told)
    assert told[-1] == 1_500_000


def test_what_has_arrived_is_already_valid(store: ObjectStore) -> None:
    content = os.urandom(3_000_000)
    store.put("file", content, NONE)
    body = bytearray(len(content))
    wrong: list[int] = []

    def arrived(count: int) -> None:
        if body[:count] != content[:count]:
            wrong.append(count)

    store.get("file", memoryview(body), arrived=arrived)
    assert not wrong


def test_get_fills_only_what_it_was_given(store: ObjectStore) -> None:
    store.put("file", b"0123456789", NONE)
    room = bytearray(b"." * 10)
    store.get("file", memoryview(room)[3:6], offset=1)
    assert room == b"...123...."


def test_a_range_beyond_the_end(store: ObjectStore) -> None:
    store.put("file", b"0123456789", NONE)
    for offset in (10, 11, 1000):
        with pytest.raises(RangeNotSatisfiable):
            fetch(store, "file", 1, offset)


@pytest.mark.parametrize("whole", [False, True])
def test_an_object_shorter_than_asked(store: ObjectStore, whole: bool) -> None:
    store.put("file", b"0123456789", NONE)
    with pytest.raises(BodyCorrupted):
        fetch(store, "file", 11, whole=whole)
    with pytest.raises(BodyCorrupted):
        fetch(store, "file", 6, 5)


def test_whole_of_a_longer_object_gets_its_beginning(store: ObjectStore) -> None:
    store.put("file", b"0123456789", NONE)
    assert fetch(store, "file", 4, whole=True) == b"0123"
    assert fetch(store, "file", 10, whole=True) == b"0123456789"


def test_get_pinned_to_a_version(store: ObjectStore) -> None:
    first = store.put("file", b"first", NONE)
    second = store.put("file", b"other", NONE)
    with pytest.raises(PreconditionFailed):
        fetch(store, "file", 5, etag=first.etag)
    with pytest.raises(PreconditionFailed):
        fetch(store, "file", 0, etag=first.etag)
    assert fetch(store, "file", 5, etag=second.etag) == b"other"


# --- conditional writes


def test_put_if_none_match(store: ObjectStore) -> None:
    store.put("file", b"first", NONE, if_none_match=True)
    with pytest.raises(PreconditionFailed):
        store.put("file", b"second", NONE, if_none_match=True)
    assert fetch(store, "file", 5) == b"first"
    store.delete("file")
    store.put("file", b"third", NONE, if_none_match=True)
    assert fetch(store, "file", 5) == b"third"


def test_put_of_a_directory_that_is_there(store: ObjectStore) -> None:
    store.put("folder/", b"", NONE, if_none_match=True)
    with pytest.raises(PreconditionFailed):
        store.put("folder/", b"", NONE, if_none_match=True)
    store.put("folder/", b"", NONE)


def test_put_if_match(store: ObjectStore) -> None:
    first = store.put("file", b"first", NONE)
    second = store.put("file", b"second", NONE, if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        store.put("file", b"third", NONE, if_match=first.etag)
    assert store.head("file").etag == second.etag


def test_put_if_match_of_a_missing_object(store: ObjectStore) -> None:
    with pytest.raises((PreconditionFailed, NotFound)):
        store.put("file", b"x", NONE, if_match=md5(b"x"))
    with pytest.raises(NotFound):
        store.head("file")


def test_delete_if_match(double: Double) -> None:
    store = double.store
    first = store.put("file", b"first", NONE)
    store.put("file", b"second", NONE)
    with pytest.raises(PreconditionFailed):
        store.delete("file", if_match=first.etag)
    store.delete("file", if_match=md5(b"second"))
    with pytest.raises(NotFound):
        store.head("file")


def test_one_of_many_creators_wins(double: Double) -> None:
    won: list[int] = []
    begin = threading.Barrier(8)

    def create(number: int) -> None:
        begin.wait()
        try:
            double.store.put("file", b"%d" % number, NONE, if_none_match=True)
        except PreconditionFailed:
            return
        won.append(number)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert fetch(double.store, "file", 1) == b"%d" % won[0]


# --- keys

DOTS = [".", "..", "./x", "../x", "a/./b", "a/../b", "a/..", "a/."]
SLASHES = ["/", "//", "/leading", "a//b", "a///", "//x//"]
FOLDERS = ["dir/", "dir/sub/", "dir /"]
CONTROLS = ["tab\there", "\x01", "bell\x07", "del\x7f", "cr\rhere", "\x1f/\x1e"]
NEWLINES = ["new\nline", "\n"]
ODD = [
    "plain",
    "a b",
    " leading blank",
    "trailing blank ",
    "plus+plus",
    "100%",
    "%41",
    "%2F",
    "%",
    "quest?ion",
    "?x=y&z",
    "hash#tag",
    "a&b",
    "a=b",
    "tilde~",
    "star*",
    "quote'quote\"",
    "<tag>&amp;",
    "semi;colon,comma",
    "at@colon:",
    "back\\slash",
    "br[ack]et{s}",
    "pipe|caret^grave`",
    "dollar$folder$",
    "exclamation!(paren)",
    "caf\u00e9",
    "cafe\u0301",
    "\u65e5\u672c\u8a9e/\u30d5\u30a1\u30a4\u30eb",
    "emoji\U0001f600",
    "\u00a0nbsp",
    "\u2028line separator",
    "\ufeffbom",
    "uploads",
    "versioning",
    "..hidden",
    "...",
    "a.",
    "-",
    "_",
    "0",
    "x/y.z/w",
]
ALL_KEYS = [*ODD, *DOTS, *SLASHES, *FOLDERS, *CONTROLS, *NEWLINES]


def speaks(double: Double, key: str) -> bool:
    """Whether the server behind ``double`` can have the key at all."""
    if double.kind == "moto":
        return "\n" not in key and "\r" not in key  # its routing stops at line ends
    if double.kind == "versitygw":
        # A folder is behind it, so paths are cleaned; it lists without url encoding, and then XML
        # cannot carry control characters.
        parts = key.removesuffix("/").split("/")
        return not any(part in {"", ".", ".."} for part in parts) and not re.search(
            "[\x00-\x08\x0b-\x1f]", key
        )
    return True


@pytest.mark.parametrize("key", ALL_KEYS, ids=ascii)
def test_every_legal_key(double: Double, key: str) -> None:
    if not speaks(double, key):
        pytest.skip(f"{double.kind} cannot hold this key")
    store = double.store
    body = b"" if key.endswith("/") else b"body of " + key.encode()
    etag = store.put(key, body, Headers({"attr": ATTR})).etag
    info = store.head(key)
    assert (info.key, info.size, info.etag) == (key, len(body), etag)
    assert fetch(store, key, len(body)) == body
    if body:
        assert fetch(store, key, 4, 1) == body[1:5]
    assert all_keys(store) == [key]
    assert all_keys(store, key) == [key]
    if double.kind != "versitygw" or body:  # it cannot copy the object of a folder
        store.copy(key, "copied", source_etag=etag)
        assert fetch(store, "copied", len(body)) == body
        store.copy("copied", key, headers=Headers({"attr": "new"}))
        assert dict(store.head(key).headers.metadata) == {"attr": "new"}
    assert list(store.delete_many([key, "copied"])) == []
    assert all_keys(store) == []


@pytest.mark.parametrize("key", ["dir/", "a//b", "a b+c%", "..", "caf\u00e9\x01"], ids=ascii)
def test_multipart_under_odd_keys(double: Double, key: str) -> None:
    if "\x01" in key:
        double.lacks("moto", "lists uploads without url encoding")
    if not speaks(double, key) or (double.kind == "versitygw" and key.endswith("/")):
        pytest.skip(f"{double.kind} cannot hold this key")
    store = double.store
    upload = store.create_multipart(key, NONE)
    assert [(u.key, u.upload_id) for u in store.list_multipart("")] == [(key, upload)]
    part = store.upload_part(key, upload, 1, b"body")
    store.complete_multipart(key, upload, [part])
    assert fetch(store, key, 4) == b"body"


def test_keys_that_differ_by_little_are_different(double: Double) -> None:
    double.lacks("versitygw", "a folder is behind it: a key is a file or a folder, paths are clean")
    keys = ["a", "a/", "a//", "/a", "A", "a ", "a+", "a%20", "./a", "a/.", "a/../a"]
    for number, key in enumerate(keys):
        double.store.put(key, b"%02d" % number, NONE)
    for number, key in enumerate(keys):
        assert fetch(double.store, key, 2) == b"%02d" % number
    assert all_keys(double.store) == sorted(keys)


@pytest.mark.parametrize("letter", ["k", "\u00e9", "\u65e5", "\U0001f600", " "], ids=ascii)
def test_keys_of_1024_bytes(double: Double, letter: str) -> None:
    size = len(letter.encode())
    component = letter * (200 // size)
    key = "/".join([component] * 5)
    key += "k" * (MAX_KEY_BYTES - len(key.encode()))
    if double.kind == "moto":
        assert len(key.encode()) == MAX_KEY_BYTES
    double.store.put(key, b"long", NONE)
    assert fetch(double.store, key, 4) == b"long"
    assert all_keys(double.store) == [key]
    with pytest.raises(TooLarge):
        double.store.put(key + "k", b"", NONE)


def test_a_key_without_slashes_of_1024_bytes(double: Double) -> None:
    double.lacks("versitygw", "255 bytes per component")
    key = "k" * MAX_KEY_BYTES
    double.store.put(key, b"long", NONE)
    assert fetch(double.store, key, 4) == b"long"


@pytest.mark.parametrize("key", ["", "\ud800", "k" * 1025])
def test_what_is_no_key(store: ObjectStore, key: str) -> None:
    with pytest.raises((InvalidRequest, TooLarge)):
        store.head(key)
    with pytest.raises((InvalidRequest, TooLarge)):
        store.put(key, b"", NONE)
    with pytest.raises((InvalidRequest, TooLarge)):
        store.delete(key)
    failed = store.delete_many([key])
    assert [one for one, _ in failed] == [key]


# --- listings


def test_an_empty_listing(store: ObjectStore) -> None:
    page = store.list_page("")
    assert (list(page.objects), list(page.prefixes), page.token) == ([], [], "")
    assert list(store.list_page("no/such/prefix/", delimiter="/").objects) == []


def test_a_listing_tells_what_head_tells(store: ObjectStore) -> None:
    store.put("file", b"hello", NONE)
    (found,) = store.list_page("").objects
    info = store.head("file")
    assert (found.key, found.size, found.etag) == (info.key, info.size, info.etag)
    assert abs(found.last_modified - info.last_modified) < 1.0


def test_a_delimiter_rolls_up(store: ObjectStore) -> None:
    for key in ("a/1", "a/2", "a/b/3", "ab", "b/4", "c"):
        store.put(key, b"", NONE)
    page = store.list_page("", delimiter="/")
    assert [found.key for found in page.objects] == ["ab", "c"]
    assert list(page.prefixes) == ["a/", "b/"]
    page = store.list_page("a/", delimiter="/")
    assert [found.key for found in page.objects] == ["a/1", "a/2"]
    assert list(page.prefixes) == ["a/b/"]


def test_a_marker_is_listed_inside_its_directory(store: ObjectStore) -> None:
    for key in ("dir/", "dir/file", "dir/sub/"):
        store.put(key, b"", NONE)
    page = store.list_page("dir/", delimiter="/")
    assert [found.key for found in page.objects] == ["dir/", "dir/file"]
    assert list(page.prefixes) == ["dir/sub/"]
    assert list(store.list_page("", delimiter="/").prefixes) == ["dir/"]


def test_listings_are_in_utf8_order(store: ObjectStore) -> None:
    keys = ["a", "B", "\u00e9", "z", "\uffee", "\U0001f600", "a!", "a/b", "a0", "~"]
    wanted = [key for key in keys if key != "a"]  # a folder-backed server has no "a" beside "a/b"
    for key in wanted:
        store.put(key, b"", NONE)
    assert all_keys(store) == sorted(wanted, key=lambda key: key.encode())


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_paging_tells_everything_once(store: ObjectStore, limit: int) -> None:
    keys = ["a b", "a+b", "a%b", "d/1", "d/2", "d/3", "e&/x", "e&/y", "f", "\u65e5\u672c", "z<"]
    for key in keys:
        store.put(key, b"", NONE)
    assert all_keys(store, limit=limit) == sorted(keys)
    objects: list[str] = []
    prefixes: list[str] = []
    token = ""
    while True:
        page = store.list_page("", delimiter="/", token=token, limit=limit)
        assert len(page.objects) + len(page.prefixes) <= limit
        objects += [found.key for found in page.objects]
        prefixes += page.prefixes
        token = page.token
        if not token:
            break
    assert objects == sorted(key for key in keys if "/" not in key)
    assert prefixes == ["d/", "e&/"]


def test_start_after(store: ObjectStore) -> None:
    for key in ("a", "b", "c/1", "c/2", "d"):
        store.put(key, b"", NONE)
    page = store.list_page("", start_after="b")
    assert [found.key for found in page.objects] == ["c/1", "c/2", "d"]
    page = store.list_page("", start_after="bb", limit=1)
    assert [found.key for found in page.objects] == ["c/1"]
    page = store.list_page("", start_after="zzz")
    assert list(page.objects) == []


@pytest.mark.parametrize("prefix", ["a b", "a+", "100%", "q?", "#", "\u65e5", "d/"], ids=ascii)
def test_odd_prefixes(store: ObjectStore, prefix: str) -> None:
    for key in (f"{prefix}1", f"{prefix}2/x", "other", "zz"):
        store.put(key, b"", NONE)
    assert all_keys(store, prefix) == [f"{prefix}1", f"{prefix}2/x"]
    page = store.list_page(prefix, delimiter="/")
    assert [found.key for found in page.objects] == [f"{prefix}1"]
    assert list(page.prefixes) == [f"{prefix}2/"]


# --- deletion of many


def test_delete_many_of_2500(double: Double) -> None:
    double.lacks("moto", "too slow for thousands of objects")
    keys = [f"d{n % 7}/{n:04}" for n in range(2500)]
    for key in keys:
        double.store.put(key, b"", NONE)
    double.store.put("kept", b"", NONE)
    assert list(double.store.delete_many(keys)) == []
    assert [key for key in all_keys(double.store) if not key.endswith("/")] == ["kept"]


def test_delete_many_of_what_is_not_there(store: ObjectStore) -> None:
    store.put("file", b"", NONE)
    assert list(store.delete_many(["nothing", "file", "no/where"])) == []
    assert all_keys(store) == []
    assert list(store.delete_many([])) == []


def test_delete_many_of_more_than_a_batch_that_is_not_there(store: ObjectStore) -> None:
    store.put("file", b"", NONE)
    keys = [f"nothing{n}" for n in range(2499)]
    assert list(store.delete_many([*keys, "file"])) == []
    assert all_keys(store) == []


# --- copies


def test_copy_keeps_headers(store: ObjectStore) -> None:
    store.put("a", b"body", Headers({"attr": ATTR}, "text/plain", {"cache-control": "no-store"}))
    written = store.copy("a", "b")
    info = store.head("b")
    assert info.etag == written.etag == md5(b"body")
    assert info.headers == store.head("a").headers
    assert fetch(store, "b", 4) == b"body"


def test_copy_replaces_headers(store: ObjectStore) -> None:
    store.put("a", b"body", Headers({"attr": ATTR, "xattr": "x"}, "text/plain"))
    store.copy("a", "b", headers=Headers({"attr": "new"}, "text/html"))
    info = store.head("b")
    assert dict(info.headers.metadata) == {"attr": "new"}
    assert info.headers.content_type == "text/html"
    assert dict(store.head("a").headers.metadata) == {"attr": ATTR, "xattr": "x"}


def test_copy_onto_itself_changes_headers(store: ObjectStore) -> None:
    store.put("a", b"body", Headers({"attr": ATTR}, "text/plain"))
    store.copy("a", "a", headers=Headers({"attr": "new"}, "text/plain"))
    assert dict(store.head("a").headers.metadata) == {"attr": "new"}
    assert fetch(store, "a", 4) == b"body"


def test_copy_to_no_headers_removes_all(store: ObjectStore) -> None:
    store.put("a", b"body", Headers({"attr": ATTR}))
    store.copy("a", "a", headers=NONE)
    assert dict(store.head("a").headers.metadata) == {}


def test_copy_of_a_pinned_version(double: Double) -> None:
    double.lacks("moto", "ignores x-amz-copy-source-if-match")
    store = double.store
    first = store.put("a", b"first", NONE)
    second = store.put("a", b"other", NONE)
    with pytest.raises(PreconditionFailed):
        store.copy("a", "b", source_etag=first.etag)
    with pytest.raises(NotFound):
        store.head("b")
    store.copy("a", "b", source_etag=second.etag)
    assert fetch(store, "b", 5) == b"other"


# --- multipart


def test_multipart(store: ObjectStore) -> None:
    first, last = os.urandom(MIN_PART_SIZE), b"the end"
    upload = store.create_multipart("big", Headers({"attr": ATTR}, "text/plain"))
    parts = [store.upload_part("big", upload, 1, first), store.upload_part("big", upload, 3, last)]
    with pytest.raises(NotFound):
        store.head("big")
    written = store.complete_multipart("big", upload, parts)
    info = store.head("big")
    digests = hashlib.md5(first).digest() + hashlib.md5(last).digest()
    assert info.etag == written.etag == f"{md5(digests)}-2"
    assert info.size == len(first) + len(last)
    assert dict(info.headers.metadata) == {"attr": ATTR}
    assert info.headers.content_type == "text/plain"
    assert fetch(store, "big", info.size, whole=True) == first + last
    assert fetch(store, "big", 10, len(first) - 5) == (first + last)[-12:-2]
    assert list(store.list_multipart("")) == []


def test_a_part_tells_its_etag_and_size(store: ObjectStore) -> None:
    upload = store.create_multipart("big", NONE)
    part = store.upload_part("big", upload, 7, memoryview(b"part"))
    assert (part.number, part.etag, part.size) == (7, md5(b"part"), 4)


def test_a_part_sent_again_replaces_the_first(store: ObjectStore) -> None:
    upload = store.create_multipart("big", NONE)
    store.upload_part("big", upload, 1, b"wrong")
    part = store.upload_part("big", upload, 1, b"right")
    store.complete_multipart("big", upload, [part])
    assert fetch(store, "big", 5) == b"right"


def test_parts_may_come_in_any_order(store: ObjectStore) -> None:
    bodies = [os.urandom(MIN_PART_SIZE), os.urandom(MIN_PART_SIZE), b"end"]
    upload = store.create_multipart("big", NONE)
    parts = {n: store.upload_part("big", upload, n, bodies[n - 1]) for n in (3, 1, 2)}
    store.complete_multipart("big", upload, [parts[n] for n in (1, 2, 3)])
    size = sum(map(len, bodies))
    assert fetch(store, "big", size) == b"".join(bodies)


def test_parts_in_the_wrong_order(store: ObjectStore) -> None:
    upload = store.create_multipart("big", NONE)
    one = store.upload_part("big", upload, 1, os.urandom(MIN_PART_SIZE))
    two = store.upload_part("big", upload, 2, b"end")
    with pytest.raises(InvalidRequest):
        store.complete_multipart("big", upload, [two, one])


def test_a_part_that_was_not_sent(store: ObjectStore) -> None:
    upload = store.create_multipart("big", NONE)
    store.upload_part("big", upload, 1, b"sent")
    with pytest.raises(InvalidRequest):
        store.complete_multipart("big", upload, [Part(1, md5(b"not sent"))])
    with pytest.raises(InvalidRequest):
        store.complete_multipart("big", upload, [Part(2, md5(b"sent"))])


def test_parts_that_are_too_small(store: ObjectStore) -> None:
    upload = store.create_multipart("big", NONE)
    parts = [store.upload_part("big", upload, n, b"small") for n in (1, 2)]
    with pytest.raises(InvalidRequest):
        store.complete_multipart("big", upload, parts)
    with pytest.raises(NotFound):
        store.head("big")


def test_abort(double: Double) -> None:
    double.lacks("moto", "answers 500 for an upload that is gone")
    store = double.store
    upload = store.create_multipart("big", NONE)
    part = store.upload_part("big", upload, 1, b"part")
    store.abort_multipart("big", upload)
    assert list(store.list_multipart("")) == []
    with pytest.raises(NotFound):
        store.complete_multipart("big", upload, [part])
    store.abort_multipart("big", upload)


def test_a_part_of_no_upload(double: Double) -> None:
    double.lacks("moto", "answers 500 for an upload that is gone")
    store = double.store
    upload = store.create_multipart("big", NONE)
    store.abort_multipart("big", upload)
    with pytest.raises(NotFound):
        store.upload_part("big", upload, 1, b"part")


def test_list_multipart_below_a_prefix(store: ObjectStore) -> None:
    uploads = {key: store.create_multipart(key, NONE) for key in ("a/1", "a/2", "b/3")}
    found = {upload.key: upload.upload_id for upload in store.list_multipart("a/")}
    assert found == {key: uploads[key] for key in ("a/1", "a/2")}
    assert {upload.key for upload in store.list_multipart("")} == set(uploads)
    assert list(store.list_multipart("c")) == []


def test_complete_if_none_match(double: Double) -> None:
    store = double.store
    store.put("big", b"there", NONE)
    upload = store.create_multipart("big", NONE)
    part = store.upload_part("big", upload, 1, b"mine")
    with pytest.raises(PreconditionFailed):
        store.complete_multipart("big", upload, [part], if_none_match=True)
    assert fetch(store, "big", 5) == b"there"


def test_complete_if_match(double: Double) -> None:
    double.lacks("moto", "ignores If-Match on CompleteMultipartUpload")
    store = double.store
    etag = store.put("big", b"there", NONE).etag
    upload = store.create_multipart("big", NONE)
    part = store.upload_part("big", upload, 1, b"mine")
    with pytest.raises(PreconditionFailed):
        store.complete_multipart("big", upload, [part], if_match=md5(b"other"))
    store.complete_multipart("big", upload, [part], if_match=etag)
    assert fetch(store, "big", 4) == b"mine"


def test_copy_part(store: ObjectStore) -> None:
    source = os.urandom(MIN_PART_SIZE + 1000)
    etag = store.put("source +%", source, NONE).etag
    upload = store.create_multipart("big", NONE)
    parts = [
        store.copy_part("big", upload, 1, "source +%", 500, MIN_PART_SIZE + 500, source_etag=etag),
        store.upload_part("big", upload, 2, b"new"),
    ]
    assert parts[0].size == MIN_PART_SIZE
    store.complete_multipart("big", upload, parts)
    expected = source[500 : MIN_PART_SIZE + 500] + b"new"
    assert fetch(store, "big", len(expected)) == expected


def test_copy_part_of_another_version(double: Double) -> None:
    double.lacks("moto", "ignores x-amz-copy-source-if-match")
    double.store.put("source", b"0123456789", NONE)
    upload = double.store.create_multipart("big", NONE)
    with pytest.raises(PreconditionFailed):
        double.store.copy_part("big", upload, 1, "source", 0, 5, source_etag=md5(b"other"))


# --- the rest


def test_many_threads(store: ObjectStore) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(8):
                key = f"t{number}/{turn}"
                body = os.urandom(1000 * number + turn + 1)
                store.put(key, body, Headers({"attr": key}))
                assert fetch(store, key, len(body)) == body
                assert store.head(key).headers.metadata["attr"] == key
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(all_keys(store)) == 64


@pytest.mark.parametrize("key", ["file", "a b/c+d%41?x=y&z#", "\u65e5\u672c"], ids=ascii)
def test_presigned_urls_work_without_credentials(double: Double, key: str) -> None:
    double.lacks("memory", "has no server that could be asked")
    double.store.put(key, b"for all", NONE)
    url = double.store.presign(key, 60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"for all"


def test_presigned_urls_cannot_be_bent(double: Double) -> None:
    double.lacks("memory", "has no server that could be asked")
    double.lacks("moto", "does not check signatures")
    double.store.put("file", b"for all", NONE)
    double.store.put("other", b"secret", NONE)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(double.store.presign("file", 60).replace("file", "other"))
    assert refusal.value.code == 403


def test_messages_are_one_line_and_name_the_key(store: ObjectStore) -> None:
    with pytest.raises(StoreError) as failure:
        store.head("no\tsuch key")
    assert len(str(failure.value).splitlines()) == 1
    assert "no\\tsuch key" in str(failure.value)
    assert failure.value.status == 404
