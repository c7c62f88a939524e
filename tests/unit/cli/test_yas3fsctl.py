"""What yas3fsctl refuses, without a network."""

import argparse
from pathlib import Path

import pytest

from yas3fs.cli.table import show, size
from yas3fs.cli.topic_arguments import declare_topic, visitor_of
from yas3fs.cli.yas3fsctl import COMMANDS, main
from yas3fs.errors import ConfigError
from yas3fs.notify.visitor import Visitor

ARN = "arn:aws:sns:us-east-1:123456789012:topic"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("YAS3FS_TOPIC", raising=False)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["reset"], "no topic is named"),
        (["reset", "--topic", "here"], "is not the ARN of an SNS topic"),
        (["reset", "relative", "--topic", ARN], "not an absolute path"),
        (["reset", "/a/../b", "--topic", ARN], "a path outside the mount"),
        (["invalidate", "//", "--topic", ARN, "--notify-endpoint", "ftp://x"], "--notify-endpoint"),
        (["cache", "mem", "-1", "--topic", ARN], "is not within"),
        (["cache", "mem", "99999999999999", "--topic", ARN], "is not within"),
        (["multipart", "size", "1", "--topic", ARN], "is not within"),
        (["url", "http://bucket", "--topic", ARN], "not s3://BUCKET/PATH"),
        (["url", "s3://bucket/a/../b", "--topic", ARN], "a path outside the mount"),
    ],
)
def test_wrong_input_is_refused_with_one_line(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("yas3fsctl: ")
    assert reason in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["dance"],
        ["cache"],
        ["cache", "sky", "1"],
        ["prefetch", "maybe"],
        ["ping", "--wait", "0"],
    ],
)
def test_what_argparse_refuses(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([command.name, "--help"])
        assert caught.value.code == 0
        assert f"yas3fsctl {command.name}" in capsys.readouterr().out


def test_a_table_has_one_line_for_each_row_whatever_is_in_it() -> None:
    rows = [{"a": "x\ny\x1b", "b": 1}, {"a": "long", "b": None}]
    assert show(rows, {"a": "A", "b": "B"}, as_json=False).splitlines() == [
        "A     B",
        "x?y?  1",
        "long  -",
    ]


def test_sizes() -> None:
    counts = (0, 1023, 1024, 5 << 20, 3 << 40)
    assert [size(count) for count in counts] == ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 TiB"]


TWO_MOUNTS = f"""\
defaults:
  notify-endpoint: http://127.0.0.1:1
  connect-timeout: 7
  mkdir: yes
mounts:
  alone:
    url: s3://bucket/alone
    mountpoint: /srv/alone
  shared:
    url: s3://bucket/shared
    mountpoint: /srv/shared
    topic: {ARN}
    profile: nodes
"""


def visitor(words: list[str]) -> Visitor:
    parser = argparse.ArgumentParser()
    declare_topic(parser)
    return visitor_of(parser.parse_args(words), {})


def test_the_topic_of_the_file_is_taken_when_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "yas3fs.yaml"
    file.write_text(TWO_MOUNTS)
    found = visitor(["--config", str(file)])
    assert found.topic_arn == ARN
    assert (found.clients.access.endpoint, found.clients.access.profile) == (
        "http://127.0.0.1:1",
        "nodes",
    )
    assert visitor(["--config", str(file), "--profile", "me"]).clients.access.profile == "me"
    at_once = visitor(["--config", str(file), "--connect-timeout", "5"]).clients.access
    assert at_once.connect_timeout == 5.0  # said, although it is the default
    named = visitor(["--config", str(file), "--topic", f"{ARN}-2"])
    assert (named.topic_arn, named.clients.access.profile) == (f"{ARN}-2", "")


def test_a_file_with_no_topic_or_several_is_no_help(tmp_path: Path) -> None:
    file = tmp_path / "yas3fs.yaml"
    with pytest.raises(ConfigError, match=f"no topic is named.*there is no {file}"):
        visitor(["--config", str(file)])
    file.write_text(TWO_MOUNTS.replace(f"topic: {ARN}", "mkdir: no"))
    with pytest.raises(ConfigError, match=f"no topic is named.*no mount of {file} has one"):
        visitor(["--config", str(file)])
    second = f"  third:\n    url: s3://bucket/3\n    mountpoint: /srv/3\n    topic: {ARN}-2\n"
    file.write_text(TWO_MOUNTS + second)
    with pytest.raises(ConfigError, match=f"several topics, give one: --topic {ARN} or {ARN}-2"):
        visitor(["--config", str(file)])
