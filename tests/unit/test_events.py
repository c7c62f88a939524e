"""The codec of messages: every form of every release, and MalformedMessage for all the rest."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from yas3fs import events
from yas3fs.events import (
    Event,
    Heartbeat,
    MalformedMessage,
    Metadata,
    Mkdir,
    Mknod,
    Ping,
    Rename,
    Reset,
    Rmdir,
    Setting,
    Status,
    Switch,
    Symlink,
    Unknown,
    Unlink,
    Upload,
    control_action,
    decode,
    encode,
    is_later,
)

MIB = 1 << 20
FORMS: list[tuple[list[Any], Event]] = [
    (["mkdir", "/a"], Mkdir("/a")),
    (["rmdir", "/a/b"], Rmdir("/a/b")),
    (["mknod", "/a"], Mknod("/a")),
    (["unlink", "/a"], Unlink("/a")),
    (["symlink", "/é"], Symlink("/é")),
    (["mkdir", "/a/"], Mkdir("/a")),
    (["rename", "/a", "/b/c"], Rename("/a", "/b/c")),
    (["upload", "/a", "abc"], Upload("/a", "abc")),
    (["upload", "/a", '"abc"'], Upload("/a", "abc")),
    (["upload", "/a", None], Upload("/a")),
    (["upload", "/a"], Upload("/a")),
    (["upload", None, None], Upload(None)),
    (["upload"], Upload(None)),
    (["flush", "/a", "d41d8cd98f00b204"], Upload("/a", "d41d8cd98f00b204")),
    (["flush", "/a"], Upload("/a")),
    (["flush"], Upload(None)),
    (["md", "/a", "attr"], Metadata("/a", "attr")),
    (["md", "/a", "xattr"], Metadata("/a", "xattr")),
    (["md", "attr", "/a"], Metadata("/a", "attr")),
    (["md", "xattr", "/a"], Metadata("/a", "xattr")),
    (["md", "/a"], Metadata("/a", "attr")),
    (["reset"], Reset("/")),
    (["reset", ""], Reset("/")),
    (["reset", None], Reset("/")),
    (["reset", "/"], Reset("/")),
    (["reset", "/a"], Reset("/a")),
    (["cache", "entries", 7], Setting("cache_entries", 7)),
    (["cache", "size", 3], Setting("cache_memory", 3 * MIB)),
    (["cache", "mem", 3], Setting("cache_memory", 3 * MIB)),
    (["cache", "mem", 3.0], Setting("cache_memory", 3 * MIB)),
    (["cache", "disk", 2], Setting("cache_disk", 2 * MIB)),
    (["buffer", "size", 0], Setting("buffer_size", 0)),
    (["buffer", "size", 512], Setting("buffer_size", 512 << 10)),
    (["buffer", "prefetch", 2], Setting("buffer_prefetch", 2)),
    (["prefetch", "on"], Setting("prefetch", 1)),
    (["prefetch", "off"], Setting("prefetch", 0)),
    (["multipart", "size", 5120], Setting("multipart_size", 5 * MIB)),
    (["multipart", "num", 0], Setting("multipart_num", 0)),
    (["multipart", "retries", 3], Setting("multipart_retries", 3)),
    (["url", "s3://bucket/Some/Path/"], Switch("bucket", "Some/Path")),
    (["url", "s3://bucket"], Switch("bucket", "")),
    (["ping"], Ping()),
    (["status", "host", 1, 2, 3, 4, 5, 6], Status("host", 1, 2, 3, 4, 5, 6)),
    (["status", "host", 1, 2, 3, 4, 5, 6, "more"], Status("host", 1, 2, 3, 4, 5, 6)),
    (["status", "h", 1, 2, 3, 4, 5, 6, {"l": 5, "x": []}], Status("h", 1, 2, 3, 4, 5, 6, {"l": 5})),
    (["heartbeat", 9], Heartbeat(9)),
    (["heartbeat"], Heartbeat(0)),
    (["dance", {"with": "me"}], Unknown("dance")),
]  # fmt: skip


@pytest.mark.parametrize(("form", "event"), FORMS, ids=lambda value: str(value)[:60])
def test_every_form_is_read(form: list[Any], event: Event) -> None:
    assert decode(json.dumps(["other", *form]), "me") == event


def test_own_messages_are_nothing() -> None:
    assert decode('["me", "mkdir", "/a"]', "me") is None


MALFORMED: list[Any] = [
    *([], ["x"], [1, "mkdir", "/a"], ["", "mkdir", "/a"], ["x" * 300, "ping"], [None, None]),
    *(["x", 1], ["x", ""], ["x", None], ["x", ["mkdir"]], {"a": 1}, 1, None, "text"),
    *(["x", "mkdir"], ["x", "mkdir", None], ["x", "mkdir", 1], ["x", "mkdir", ""]),
    *(["x", "mkdir", "a"], ["x", "mkdir", "/../a"], ["x", "mkdir", "/a/.."], ["x", "mkdir", "/."]),
    *(["x", "mkdir", "/a//b"], ["x", "mkdir", "/a\0b"], ["x", "mkdir", "/" + "a" * 1025]),
    *(["x", "mkdir", "//a"], ["x", "mkdir", "/" + "é" * 600], ["x", "mkdir", "/\ud800"]),
    *(["x", "rename", "/a"], ["x", "rename", "/a", "b"], ["x", "rename", "/a", "/../b"]),
    *(["x", "upload", "a", "e"], ["x", "upload", "/a", 5], ["x", "upload", "/a", "e" * 300]),
    *(["x", "md"], ["x", "md", "/a", "size"], ["x", "md", "attr", "xattr"], ["x", "md", "attr"]),
    *(["x", "reset", "a"], ["x", "reset", "/../etc"], ["x", "reset", 5]),
    *(["x", "cache", "entries", -1], ["x", "cache", "entries", 0], ["x", "cache", "entries"]),
    *(["x", "cache", "mem", 10**30], ["x", "cache", "mem", "many"], ["x", "cache", "mem", True]),
    *(["x", "cache", "mem", 1.5], ["x", "cache", "what", 5], ["x", "cache"]),
    *(["x", "cache", "disk", -5], ["x", "cache", "disk", [5]]),
    *(["x", "buffer", "size", -1], ["x", "buffer"], ["x", "buffer", "size", None]),
    *(["x", "prefetch"], ["x", "prefetch", True], ["x", "prefetch", "maybe"]),
    *(["x", "multipart", "size", 5119], ["x", "multipart", "size", 6 << 20]),
    *(["x", "multipart", "retries", 0], ["x", "multipart", "num", -1]),
    *(["x", "url", "http://bucket/"], ["x", "url", "s3://"]),
    *(["x", "url", "s3://bucket/../c"], ["x", "url"]),
    *(["x", "url", "s3://bucket/a//b"], ["x", "url", 7]),
    *(["x", "status"], ["x", "status", "h", -1, 2, 3, 4, 5, 6], ["x", "status", 1, 2]),
    *(["x", "heartbeat", -1], ["x", "heartbeat", "soon"]),
]  # fmt: skip


@pytest.mark.parametrize("value", MALFORMED, ids=lambda value: str(value)[:60])
def test_what_no_node_sends_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedMessage):
        decode(json.dumps(value), "me")


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "mkdir", "\0", '["x","mkdir","/a"', "NaN", '["x","cache","mem",NaN]'),
        *('["x","cache","mem",Infinity]', '["x","cache","mem",1e400]', "[" * 200_000),
        *("9" * 5000, '["x","cache","mem",' + "9" * 5000 + "]", '"' + "a" * (2 * MIB) + '"'),
    ],
    ids=lambda text: text[:30],
)
def test_what_is_not_json_or_absurd_is_malformed(text: str) -> None:
    with pytest.raises(MalformedMessage):
        decode(text, "me")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["/", "/a", "/../a", "attr", "xattr", "on", "mem", "size", "s3://b/p", "/\0"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.tuples(
    st.just("x") | JSON, st.sampled_from(sorted(events._READERS)) | JSON, st.lists(JSON, max_size=9)
).map(lambda parts: json.dumps([parts[0], parts[1], *parts[2]]))


@given(st.text() | JSON.map(json.dumps) | MESSAGES)
@example('["x", "md", "/\\udcff", "attr"]')
@example('["x", "url", "s3://bucket/\\ud800"]')
def test_any_text_is_an_event_or_malformed(text: str) -> None:
    try:
        event = decode(text, "me")
    except MalformedMessage:
        return
    assert event is not None
    for name in ("path", "old", "new"):
        path = getattr(event, name, "/") or "/"
        assert path.startswith("/")
        assert ".." not in path.split("/")


COMPONENT = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20
).filter(lambda text: text not in (".", ".."))
PATHS = st.lists(COMPONENT, max_size=4).map(lambda names: "/" + "/".join(names))
COUNTS = st.integers(0, 2**31)
ANY_EVENT: st.SearchStrategy[Event] = st.one_of(
    *(st.builds(kind, PATHS) for kind in (Mkdir, Rmdir, Mknod, Unlink, Symlink, Reset)),
    st.builds(Rename, PATHS, PATHS),
    st.builds(Upload, st.none() | PATHS, st.none() | st.just("d41d8cd98f00b204e9800998ecf8427e-2")),
    st.builds(Metadata, PATHS, st.sampled_from(["attr", "xattr"])),
    st.builds(Setting, st.just("cache_memory"), st.integers(1, 2**20).map(lambda mib: mib << 20)),
    st.builds(Setting, st.just("prefetch"), st.integers(0, 1)),
    st.builds(Setting, st.just("multipart_size"), st.integers(5, 5000).map(lambda mib: mib << 20)),
    st.builds(Setting, st.just("cache_entries"), st.integers(1, 10**9)),
    st.builds(Switch, st.just("bucket"), PATHS.map(lambda path: path[1:].strip("/"))),
    st.builds(Ping),
    st.builds(Heartbeat, COUNTS),
    st.builds(
        Status, COMPONENT, *[COUNTS] * 6, st.dictionaries(COMPONENT, COUNTS | COMPONENT, max_size=3)
    ),
)


@given(ANY_EVENT)
def test_what_is_written_is_read(event: Event) -> None:
    text = encode(event, "node-1")
    assert text.isascii()
    assert decode(text, "me") == event
    assert decode(text, "node-1") is None


def test_bytes_of_a_name_that_are_not_utf8_survive() -> None:
    event = Mknod("/a\udcff")
    assert decode(encode(event, "x"), "me") == event


@pytest.mark.parametrize(
    ("event", "values"),
    [
        (Upload("/a", '"etag"'), ["n", "upload", "/a", "etag"]),
        (Upload("/a"), ["n", "upload", "/a", None]),
        (Upload(None), ["n", "upload", None, None]),
        (Metadata("/a", "xattr"), ["n", "md", "/a", "xattr"]),
        (Reset(), ["n", "reset", "/"]),
        (Rename("/a", "/b"), ["n", "rename", "/a", "/b"]),
        (Setting("cache_memory", 5 * MIB + 1), ["n", "cache", "mem", 5]),
        (Setting("cache_memory", 1), ["n", "cache", "mem", 1]),
        (Setting("multipart_size", 1), ["n", "multipart", "size", 5120]),
        (Status("h", 1, 2, 3, 4, 5, 6), ["n", "status", "h", 1, 2, 3, 4, 5, 6]),
    ],
)
def test_the_form_is_what_2x_understands(event: Event, values: list[Any]) -> None:
    assert json.loads(encode(event, "n")) == values


def test_what_only_others_say_is_not_written() -> None:
    with pytest.raises(ValueError, match="Unknown"):
        encode(Unknown("dance"), "n")


def test_control_actions_are_named() -> None:
    assert control_action(Setting("cache_disk", 1)) == "cache"
    assert control_action(Switch("b", "")) == "url"
    assert control_action(Reset("/")) is None


def test_sequencers_are_padded_at_the_right() -> None:
    assert is_later("0055AED6DCD90281E6", "0055AED6DCD90281E5")
    assert not is_later("0055AED6DCD90281E5", "0055AED6DCD90281E5")
    assert not is_later("0055AED6DCD90281E5", "0055aed6dcd90281e6")
    assert is_later("01", "001234")
    assert is_later("", "1")
    assert is_later("1", "")
