"""The names of libfuse's functions in one release and the next."""

from typing import Any

import pytest

from yas3fs.fuse.binding import Binding, FuseArgs
from yas3fs.fuse.callbacks import Operations


class Function:
    """Remembers how it was called."""

    def __init__(self, name: str, calls: list[tuple[str, int]]) -> None:
        self.name = name
        self.calls = calls
        self.restype: Any = None
        self.argtypes: list[Any] = []

    def __call__(self, *arguments: object) -> int:
        assert len(arguments) == len(self.argtypes)
        self.calls.append((self.name, len(arguments)))
        return 1


class Library:
    """A library that has some functions."""

    def __init__(self, *names: str) -> None:
        self.calls: list[tuple[str, int]] = []
        for name in names:
            setattr(self, name, Function(name, self.calls))

    def __getitem__(self, name: str) -> Function:
        function: Function = getattr(self, name)
        return function


def binding(library: Library) -> Binding:
    made = Binding.__new__(Binding)
    made.version = (3, 99)
    made._library = library  # type: ignore[assignment]
    return made


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["fuse_session_new"], ("fuse_session_new", 4)),
        (["fuse_session_new", "_fuse_session_new"], ("_fuse_session_new", 5)),
        (["fuse_session_new_versioned"], ("fuse_session_new_versioned", 5)),
    ],
)
def test_a_session_is_made_as_the_release_wants_it(
    names: list[str], called: tuple[str, int]
) -> None:
    library = Library(*names)
    assert binding(library).new_session(FuseArgs(), Operations()) == 1
    assert library.calls == [called]


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["fuse_session_loop_mt"], ["fuse_session_loop_mt"]),
        (["fuse_session_loop_mt", "fuse_session_loop_mt_32"], ["fuse_session_loop_mt_32"]),
        (
            [
                *("fuse_session_loop_mt", "fuse_session_loop_mt_312", "fuse_loop_cfg_create"),
                *("fuse_loop_cfg_set_max_threads", "fuse_loop_cfg_set_idle_threads"),
                "fuse_loop_cfg_destroy",
            ],
            [
                *("fuse_loop_cfg_create", "fuse_loop_cfg_set_max_threads"),
                *("fuse_loop_cfg_set_idle_threads", "fuse_session_loop_mt_312"),
                "fuse_loop_cfg_destroy",
            ],
        ),
    ],
)
def test_a_session_is_served_as_the_release_wants_it(names: list[str], called: list[str]) -> None:
    library = Library(*names)
    assert binding(library).loop(77, 8) == 1
    assert [name for name, _ in library.calls] == called
