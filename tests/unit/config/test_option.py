"""One option: texts become values, or are refused in words that help."""

import pytest

from yas3fs.config.option import GIB, KIB, MIB, Group, Kind, Option
from yas3fs.errors import ConfigError

SIZE = Option("size", Group.CACHE, Kind.SIZE, "", unit="MB", low=MIB, high=16 * GIB)
COUNT = Option("count", Group.CACHE, Kind.INTEGER, "", low=1, high=64)
PAUSE = Option("pause", Group.CACHE, Kind.SECONDS, "", low=0.5)
SWITCH = Option("switch", Group.CACHE, Kind.SWITCH, "", default=False)
MASK = Option("mask", Group.CACHE, Kind.OCTAL, "", low=0, high=0o777)
STYLE = Option("style", Group.CACHE, Kind.CHOICE, "", choices=("auto", "PATH"))
WORD = Option("word", Group.CACHE, Kind.TEXT, "")
SECRET = Option("secret_mask", Group.CACHE, Kind.OCTAL, "", secret=True)


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        (SIZE, "100", 100 * MIB),
        (SIZE, " 1.5G ", 3 * GIB // 2),
        (SIZE, "2048k", 2 * MIB),
        (SIZE, "2048 KiB", 2 * MIB),
        (SIZE, "10mb", 10 * MIB),
        (SIZE, "1048576b", MIB),
        (SIZE, ".5g", GIB // 2),
        (COUNT, "64", 64),
        (PAUSE, "0.5", 0.5),
        (PAUSE, "30", 30.0),
        (SWITCH, "Yes", True),
        (SWITCH, "0", False),
        (MASK, "022", 0o022),
        (MASK, "0o77", 0o077),
        (STYLE, "path", "PATH"),
        (WORD, "x y", "x y"),
    ],
)
def test_parses(option: Option, text: str, value: object) -> None:
    assert option.parse(text) == value


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        (SIZE, "lots", "--size: 'lots' is not valid: give a number of MB, or one with a unit as in 1.5G, from 1 to 16384 MB"),
        (SIZE, "-5", "--size: '-5' is not valid: give a number of MB, or one with a unit as in 1.5G, from 1 to 16384 MB"),
        (SIZE, "512K", "--size: '512K' is not valid: give a number of MB, or one with a unit as in 1.5G, from 1 to 16384 MB"),
        (SIZE, "17G", "--size: '17G' is not valid: give a number of MB, or one with a unit as in 1.5G, from 1 to 16384 MB"),
        (COUNT, "65", "--count: '65' is not valid: give a whole number, from 1 to 64"),
        (COUNT, "1.5", "--count: '1.5' is not valid: give a whole number, from 1 to 64"),
        (COUNT, "٣", "--count: '٣' is not valid: give a whole number, from 1 to 64"),
        (PAUSE, "nan", "--pause: 'nan' is not valid: give a number of seconds, 0.5 or more"),
        (PAUSE, "1e3", "--pause: '1e3' is not valid: give a number of seconds, 0.5 or more"),
        (SWITCH, "maybe", "--switch: 'maybe' is not valid: give yes or no"),
        (MASK, "1000", "--mask: '1000' is not valid: give an octal number, from 000 to 777"),
        (MASK, "8", "--mask: '8' is not valid: give an octal number, from 000 to 777"),
        (STYLE, "dns", "--style: 'dns' is not valid: give auto, PATH"),
        (WORD, " ", "--word: ' ' is not valid: give a text that is not empty"),
        (SECRET, "s3cr3t", "--secret-mask: the value is not valid: give an octal number"),
    ],
)  # fmt: skip
def test_refuses(option: Option, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        option.parse(text)
    assert str(refusal.value) == message


def test_the_origin_is_blamed() -> None:
    with pytest.raises(ConfigError, match=r"^YAS3FS_COUNT \(environment\): '0' is not valid"):
        COUNT.parse("0", "YAS3FS_COUNT (environment)")


def test_a_bare_number_counts_the_options_unit() -> None:
    buffer = Option("buffer", Group.READ, Kind.SIZE, "", unit="KB")
    block = Option("block", Group.READ, Kind.SIZE, "", unit="bytes")
    assert buffer.parse("10") == 10 * KIB
    assert block.parse("10") == 10
