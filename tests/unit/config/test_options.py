"""The table as a whole, and what is made from it."""

from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from yas3fs.config.mount_config import MountConfig, ProcessConfig
from yas3fs.config.option import Kind, Option
from yas3fs.config.options import BY_NAME, OPTIONS
from yas3fs.config.reference import reference

ROOT = Path(__file__).parents[3]
NOT_OPTIONS = {"name", "bucket", "prefix", "mountpoint", "sse_c_key", "fuse_options"}
WITHOUT_FIELD = {"url", "sse_c_key_file", "cache_check", "new_queue_with_hostname"}
"""Told as other fields, or without meaning for a mount that stands alone."""


def ids(option: Option) -> str:
    return option.name


def test_names_and_flags_are_unique() -> None:
    names = Counter(option.name for option in OPTIONS)
    flags = Counter(
        flag
        for option in OPTIONS
        for flag in (*option.all_flags, *(short.flag for short in option.shorthands))
    )
    assert [name for name, count in (names + flags).items() if count > 1] == []


def test_every_field_is_an_option_and_every_option_has_a_field() -> None:
    of_config = {field.name for kind in (MountConfig, ProcessConfig) for field in fields(kind)}
    acting = {option.name for option in OPTIONS if not option.retired}
    assert of_config - NOT_OPTIONS == acting - WITHOUT_FIELD


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.default is not None], ids=ids)
def test_defaults_are_valid_and_survive_being_written(option: Option) -> None:
    assert option.parse(option.show(option.default)) == option.default


@pytest.mark.parametrize("option", OPTIONS, ids=ids)
def test_rows_are_complete(option: Option) -> None:
    assert option.help
    assert option.unit if option.kind is Kind.SIZE else not option.unit
    assert option.choices if option.kind is Kind.CHOICE else not option.choices
    assert option.metavar if option.kind is not Kind.SWITCH else not option.metavar
    for short in option.shorthands:
        option.parse(short.value)


def test_defaults_of_the_first_release() -> None:
    mib = 1024 * 1024
    assert BY_NAME["queue_wait"].default == 20
    assert BY_NAME["queue_polling"].default == 1
    assert BY_NAME["cache_entries"].default == 1_000_000
    assert BY_NAME["cache_size"].default == 1024 * mib
    assert BY_NAME["cache_check"].default == 10
    assert BY_NAME["buffer_size"].default == 10 * mib
    for name in ("no_metadata", "prefetch", "mkdir", "foreground", "debug", "new_queue"):
        assert BY_NAME[name].default is False


def test_the_reference_is_up_to_date() -> None:
    page = (ROOT / "docs" / "OPTIONS.md").read_text(encoding="utf-8")
    assert page == reference(), "run: python -m yas3fs.config.reference > docs/OPTIONS.md"


def test_the_reference_names_every_flag() -> None:
    page = reference()
    for option in OPTIONS:
        for short in option.shorthands:
            assert f"`{short.flag}`" in page
        for flag in option.all_flags:
            hidden = option.kind is Kind.SWITCH and option.default is True
            assert hidden or f"`{flag}" in page
