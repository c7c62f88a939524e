"""The doubles that the fault tests rely on do what they say."""

import pytest

from tests.doubles.faults import AFTER, FaultyStore
from yas3fs.errors import ConnectionFailed, NotFound, ServerFailed
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers

NONE = Headers()


def test_the_nth_call_fails_before_it_took_effect() -> None:
    memory = MemoryStore()
    store = FaultyStore(memory)
    store.fail("put", ServerFailed("boom"), nth=2)
    store.put("a", b"", NONE)
    with pytest.raises(ServerFailed, match="boom"):
        store.put("b", b"", NONE)
    store.put("c", b"", NONE)
    assert [one.key for one in memory.list_page("").objects] == ["a", "c"]


def test_a_call_fails_after_it_took_effect() -> None:
    memory = MemoryStore()
    store = FaultyStore(memory)
    store.fail("put", ServerFailed("boom"), when=AFTER)
    with pytest.raises(ServerFailed):
        store.put("a", b"", NONE)
    assert memory.head("a").size == 0


def test_counting_begins_when_the_rule_is_made() -> None:
    store = FaultyStore(MemoryStore())
    store.put("a", b"", NONE)
    store.fail("put", ServerFailed("boom"))
    with pytest.raises(ServerFailed):
        store.put("a", b"", NONE)
    assert store.calls["put"] == 2


def test_any_operation() -> None:
    store = FaultyStore(MemoryStore())
    store.fail("*", ServerFailed("boom"), nth=2, times=2)
    store.put("a", b"", NONE)
    for act in (lambda: store.head("a"), lambda: store.delete("a")):
        with pytest.raises(ServerFailed):
            act()
    store.delete("a")
    with pytest.raises(NotFound):
        store.head("a")


def test_a_truncated_get_announces_what_it_delivered() -> None:
    store = FaultyStore(MemoryStore())
    store.put("a", b"0123456789", NONE)
    store.truncate(4)
    body, told = bytearray(b"." * 10), list[int]()
    with pytest.raises(ConnectionFailed):
        store.get("a", memoryview(body), arrived=told.append)
    assert body == b"0123......"
    assert told == [4]
    store.get("a", memoryview(body), arrived=told.append)
    assert told == [4, 10]
