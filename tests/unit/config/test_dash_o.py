"""``-o``: what is ours, what is the kernel's, what mount(8) has dealt with."""

import pytest

from yas3fs.config.dash_o import parse_dash_o
from yas3fs.config.resolve import Given
from yas3fs.errors import ConfigError


def test_ours_by_name_with_either_dash() -> None:
    ours, passed = parse_dash_o(["cache_size=100,s3-num=4", "allow_other"])
    assert ours == [
        Given("cache_size", "100", "-o cache_size"),
        Given("s3_num", "4", "-o s3-num"),
        Given("allow_other", "yes", "-o allow_other"),
    ]
    assert passed == ()


def test_ro_and_rw() -> None:
    ours, _ = parse_dash_o(["ro,rw"])
    assert ours == [Given("read_only", "yes", "-o ro"), Given("read_only", "no", "-o rw")]


def test_the_kernels_are_passed_on() -> None:
    assert parse_dash_o(["noatime,nosuid", "fsname=a b"]) == (
        [],
        ("noatime", "nosuid", "fsname=a b"),
    )


def test_what_mount_deals_with_is_passed_over() -> None:
    everything = "_netdev,nofail,noauto,user,defaults,x-systemd.automount,comment=x,,"
    assert parse_dash_o([everything]) == ([], ())


def test_a_backslash_keeps_a_comma() -> None:
    ours, _ = parse_dash_o([r"id=a\,b,debug"])
    assert [given.text for given in ours] == ["a,b", "yes"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cache_siz=1", "-o cache_siz: there is no such option; did you mean cache_size?"),
        ("noatim", "-o noatim: there is no such option; did you mean noatime?"),
        ("qqqq", "-o qqqq: there is no such option"),
        ("cache_entries", "-o cache_entries: a value is missing: give a whole number, from 1 to 1000000000"),
        ("auto_unmount", "-o auto_unmount: is not supported, it would unmount before files are uploaded"),
    ],
)  # fmt: skip
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_dash_o([text])
    assert str(refused.value) == message
