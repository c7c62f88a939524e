"""What yas3fsctl refuses, without a network."""

import pytest

from yas3fs.cli.table import show, size
from yas3fs.cli.yas3fsctl import COMMANDS, main

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
