"""Names and keys: every name has one key that leads back to it, or none at all."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yas3fs.errors import NameTooLong
from yas3fs.fs.keys import KeyMap, join, key_to_name, name_of, name_to_key, parent_of

names = st.binary(min_size=1, max_size=255).filter(
    lambda raw: raw not in (b".", b"..") and b"/" not in raw and b"\0" not in raw
)
escapes = st.text(
    st.sampled_from("a\uf780\uf7ff\uf7c3\uf7a9é\udc80\udcff"), min_size=1, max_size=20
)


@given(names)
def test_every_name_comes_back(raw: bytes) -> None:
    name = os.fsdecode(raw)
    key = name_to_key(name)
    key.encode()  # a key is UTF-8
    assert key_to_name(key) == name


@given(escapes)
def test_names_full_of_escapes_come_back(text: str) -> None:
    name = os.fsdecode(text.encode("utf-8", "surrogateescape"))
    assert key_to_name(name_to_key(name)) == name


@given(st.text(min_size=1, max_size=30) | escapes.map(name_to_key))
def test_a_key_that_is_shown_is_the_key_of_its_name(component: str) -> None:
    if "/" in component:
        return
    try:
        component.encode()
    except UnicodeEncodeError:
        return
    name = key_to_name(component)
    if name is not None:
        assert name_to_key(name) == component


@given(st.lists(names.map(os.fsdecode), min_size=2, max_size=2, unique=True))
def test_two_names_never_share_a_key(pair: list[str]) -> None:
    assert name_to_key(pair[0]) != name_to_key(pair[1])


@pytest.mark.parametrize("component", ["", ".", "..", "a\0b", "x" * 256, "é" * 128, "\uf7c3\uf7a9"])
def test_what_cannot_be_a_file_name(component: str) -> None:
    assert key_to_name(component) is None


@pytest.mark.parametrize("component", ["...", ".a", " ", "%2F", "\uf7ff", "x" * 255, "\n"])
def test_what_can(component: str) -> None:
    assert key_to_name(component) is not None


def test_paths() -> None:
    assert (parent_of("/"), parent_of("/a"), parent_of("/a/b")) == ("/", "/", "/a")
    assert (name_of("/"), name_of("/a"), name_of("/a/b")) == ("", "a", "b")
    assert (join("/", "a"), join("/a", "b")) == ("/a", "/a/b")


@pytest.mark.parametrize(
    ("prefix", "path", "file", "marker", "children"),
    [
        ("", "/a", "a", "a/", "a/"),
        ("", "/a/b", "a/b", "a/b/", "a/b/"),
        ("Data/X", "/a", "Data/X/a", "Data/X/a/", "Data/X/a/"),
    ],
)
def test_where_paths_lie(prefix: str, path: str, file: str, marker: str, children: str) -> None:
    keys = KeyMap(prefix)
    assert keys.file(path) == file
    assert keys.marker(path) == marker
    assert keys.children(path) == children
    assert keys.path(file) == path
    assert keys.path(marker) == path


def test_the_root() -> None:
    assert (KeyMap("").marker("/"), KeyMap("").children("/")) == (".", "")
    assert (KeyMap("p").marker("/"), KeyMap("p").children("/")) == ("p/", "p/")
    assert KeyMap("").path(".") == "/"
    assert KeyMap("p").path("p/") == "/"


@pytest.mark.parametrize("key", ["other/a", "pa", "p", "p/a//b", "p/../b", "p/a/./b", "p//"])
def test_keys_that_are_no_paths(key: str) -> None:
    assert KeyMap("p").path(key) is None


def test_lengths() -> None:
    keys = KeyMap("p" * 100)
    path = "/" + "/".join(["d" * 255] * 3)
    assert len(keys.file(path)) == 868
    assert keys.file(path + "/" + "x" * 155)
    with pytest.raises(NameTooLong):
        keys.marker(path + "/" + "x" * 155)
    with pytest.raises(NameTooLong):
        keys.file(path + "/" + "x" * 156)
    with pytest.raises(NameTooLong):
        KeyMap("").file("/" + "é" * 128)
