"""What the fake has beyond the contract, and listings against a slow and obvious model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yas3fs.errors import InvalidRequest, RangeNotSatisfiable
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers
from yas3fs.runtime.clock import ManualClock

NONE = Headers()


def test_times_come_from_the_clock_in_whole_seconds() -> None:
    clock = ManualClock(1_700_000_000.75)
    store = MemoryStore(clock)
    store.put("a", b"", NONE)
    clock.advance(5)
    store.put("b", b"", NONE)
    assert store.head("a").last_modified == 1_700_000_000.0
    assert store.head("b").last_modified == 1_700_000_005.0
    assert [x.last_modified for x in store.list_page("").objects] == [1_700_000_000, 1_700_000_005]


def test_small_parts_can_be_allowed() -> None:
    store = MemoryStore(min_part_size=2)
    upload = store.create_multipart("key", NONE)
    parts = [store.upload_part("key", upload, n, b"ab") for n in (1, 2)]
    store.complete_multipart("key", upload, parts)
    assert store.head("key").size == 4


def test_headers_are_copied() -> None:
    metadata = {"attr": "1"}
    store = MemoryStore()
    store.put("key", b"", Headers(metadata))
    metadata["attr"] = "2"
    assert store.head("key").headers.metadata == {"attr": "1"}


def test_a_range_of_an_empty_object() -> None:
    store = MemoryStore()
    store.put("key", b"", NONE)
    with pytest.raises(RangeNotSatisfiable):
        store.get("key", memoryview(bytearray(1)))


def test_a_copy_onto_itself_must_change_something() -> None:
    store = MemoryStore()
    store.put("key", b"", NONE)
    with pytest.raises(InvalidRequest):
        store.copy("key", "key")


LETTERS = st.text(alphabet="a/b\u00e9\U0010ffff\x01", max_size=5)
KEYS = st.sets(LETTERS.filter(bool), max_size=15)


@settings(deadline=None)  # a busy machine is no failure
@given(
    keys=KEYS, prefix=LETTERS, delimiter=st.sampled_from(["", "/", "a/"]), limit=st.integers(1, 5)
)
def test_listings(keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
    store = MemoryStore()
    for key in keys:
        store.put(key, b"", NONE)
    rolled: list[str] = []
    for key in sorted(keys, key=lambda key: key.encode()):
        if not key.startswith(prefix):
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key if end < 0 else f"{key[: end + len(delimiter)]}\n"
        if name not in rolled:
            rolled.append(name)
    found: list[str] = []
    token = ""
    while True:
        page = store.list_page(prefix, delimiter=delimiter, token=token, limit=limit)
        assert 0 <= len(page.objects) + len(page.prefixes) <= limit
        found += [one.key for one in page.objects] + [f"{one}\n" for one in page.prefixes]
        token = page.token
        if not token:
            break
    assert sorted(found) == sorted(rolled)
    assert len(found) == len(set(found))
