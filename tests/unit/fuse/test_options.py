"""The option string of a mount."""

import os
import sys
from pathlib import Path

import pytest

from yas3fs.fuse import SessionOptions
from yas3fs.fuse import options as module
from yas3fs.fuse.options import mount_options, user_allow_other

LINUX = sys.platform.startswith("linux")


def test_defaults_of_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words = mount_options(SessionOptions()).split(",")
    assert {"fsname=yas3fs", "max_read=1048576", "allow_other", "default_permissions"} <= set(words)
    assert "ro" not in words
    assert ("subtype=yas3fs" in words) == LINUX


@pytest.mark.parametrize(
    ("line", "shared"), [("user_allow_other", True), ("#user_allow_other", False)]
)
def test_ordinary_users_share_when_the_administrator_lets_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, shared: bool
) -> None:
    conf = tmp_path / "fuse.conf"
    conf.write_text(f"# text\n{line}\nmount_max = 10\n")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(module, "user_allow_other", lambda: user_allow_other(str(conf)))
    assert ("allow_other" in mount_options(SessionOptions()).split(",")) == shared


def test_an_explicit_choice_wins() -> None:
    assert "allow_other" not in mount_options(SessionOptions(allow_other=False)).split(",")
    assert "allow_other" in mount_options(SessionOptions(allow_other=True)).split(",")


def test_names_are_escaped() -> None:
    assert r"fsname=s3://b/a\,ro\\x" in mount_options(SessionOptions(fsname="s3://b/a,ro\\x"))


def test_everything_else() -> None:
    text = mount_options(
        SessionOptions(read_only=True, default_permissions=False, debug=True, extra=("noatime",))
    )
    words = text.split(",")
    assert {"ro", "debug"} <= set(words)
    assert "default_permissions" not in words
    assert words[-1] == "noatime"


def test_no_configuration_file_means_no(tmp_path: Path) -> None:
    assert user_allow_other(str(tmp_path / "none")) is False
