"""The command line: both call forms, every option that was ever documented, refusals in words."""

import dataclasses
import re
from pathlib import Path

import pytest

from yas3fs import __version__
from yas3fs.cli.arguments import build_parser, parse_arguments
from yas3fs.cli.yas3fs import main
from yas3fs.config.option import Group
from yas3fs.config.resolve import Resolved
from yas3fs.errors import ConfigError

KIB, MIB = 1024, 1024 * 1024
OPERANDS = ["s3://bucket/path", "/mnt"]


def parsed(*words: str) -> Resolved:
    return parse_arguments([*OPERANDS, *words], environment={"HOME": "/root"})


def refusal(*words: str) -> str:
    with pytest.raises(ConfigError) as refused:
        parse_arguments(list(words), environment={"HOME": "/root"})
    return str(refused.value)


@pytest.mark.parametrize(
    "line",
    [
        "s3://bucket/path /mnt",
        "/mnt --url=s3://bucket/path",
        "/mnt --url s3://bucket/path",
        "--url=s3://bucket/path /mnt",
        "-f s3://bucket/path /mnt",
        "s3://bucket/path -f /mnt",
        "s3://bucket/path --s3-endpoint http://127.0.0.1:1 /mnt",
        "--uid 5 s3://bucket/path --gid 5 /mnt --umask 022",
        "-o ro,noatime s3://bucket/path /mnt",
        "s3://bucket/path /mnt -o ro",
        "bucket/path /mnt -o rw,nofail",
    ],
)
def test_both_call_forms_with_options_anywhere(line: str) -> None:
    config = parse_arguments(line.split(), environment={}).mount
    assert (config.bucket, config.prefix, config.mountpoint) == ("bucket", "path", "/mnt")


def test_another_s3_in_one_line() -> None:
    found = parsed("-f", "--s3-endpoint", "http://127.0.0.1:9000")
    assert found.process.foreground
    assert found.mount.s3_endpoint == "http://127.0.0.1:9000"
    assert found.mount.path_style


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--id", "node"], "id", "node"),
        (["--cache-entries", "5000"], "cache_entries", 5000),
        (["--cache-size=512"], "cache_size", 512 * MIB),
        (["--cache-size", "1.5G"], "cache_size", 1536 * MIB),
        (["--cache-mem-size", "128"], "cache_size", 128 * MIB),
        (["--buffer-size", "0"], "buffer_size", 0),
        (["--buffer-size", "10240"], "buffer_size", 10240 * KIB),
        (["--no-metadata"], "no_metadata", True),
        (["--prefetch"], "prefetch", True),
        (["--prefetch-num", "4"], "prefetch_num", 4),
        (["--mkdir"], "mkdir", True),
        (["--cache-path", "/c"], "cache_path", "/c"),
        (["--s3-num", "8"], "s3_num", 8),
        (["--s3-endpoint", "host:1"], "s3_endpoint", "https://host:1"),
        (["--st-blksize", "131072"], "st_blksize", 131072),
        (["--mp-size", "100"], "part_size", 100 * MIB),
        (["--aws-managed-encryption"], "sse", "AES256"),
        (["--requester-pays"], "requester_pays", True),
        (["--nonempty"], "nonempty", True),
        (["--uid", "1000"], "uid", 1000),
        (["--gid", "100"], "gid", 100),
        (["--umask", "0027"], "umask", 0o027),
        (["--read-only"], "read_only", True),
        (["--expiration", "3600"], "expiration", 3600),
        (["--no-allow-other"], "allow_other", False),
        (["--no-default-permissions"], "default_permissions", False),
        (["--no-verify-tls"], "verify_tls", False),
        (["--virtual-style"], "addressing", "virtual"),
        (["-o", "noatime,cache_size=64"], "cache_size", 64 * MIB),
        (["-o", "noatime", "-o", "nosuid"], "fuse_options", ("noatime", "nosuid")),
        (["--uid", "1", "--uid", "2"], "uid", 2),
        (["-o", "uid=3", "--uid", "2"], "uid", 2),
    ],
)
def test_options_of_the_mount(words: list[str], field: str, value: object) -> None:
    found = parsed(*words)
    assert dataclasses.asdict(found.mount)[field] == value
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["-f"], "foreground", True),
        (["--foreground"], "foreground", True),
        (["-d"], "foreground", True),
        (["--debug"], "debug", True),
        (["-fd"], "debug", True),
        (["-l", "/l"], "log", "/l"),
        (["--log", "/l"], "log", "/l"),
        (["--log-mb-size", "1"], "log_mb_size", MIB),
        (["--log-backup-count", "3"], "log_backup_count", 3),
        (["--log-backup-gzip"], "log_backup_gzip", True),
    ],
)
def test_options_of_the_process(words: list[str], field: str, value: object) -> None:
    assert dataclasses.asdict(parsed(*words).process)[field] == value


def test_an_option_without_meaning() -> None:
    assert parsed("--cache-check", "10") == parsed()


TOPIC = ("--topic", "arn:aws:sns:us-east-1:123456789012:t")


@pytest.mark.parametrize(
    ("words", "listens"),
    [
        ([], False),
        (["--queue", "q"], True),
        (["--new-queue"], True),
        (["--new-queue-with-hostname"], True),
        (["--hostname", "host", "--port", "80"], True),
        (["--ec2-hostname", "--port", "80"], True),
        (["--use-ec2-hostname", "--port", "80"], True),
        (["--new-queue", "--queue-wait", "0", "--queue-polling", "2", "--region", "x"], True),
    ],
)
def test_hearing_a_topic(words: list[str], listens: bool) -> None:
    config = parsed(*TOPIC, *words).mount
    assert (config.topic, config.listens) == (TOPIC[1], listens)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hostname", "h"], "--hostname needs --topic"),
        (["--ec2-hostname"], "--ec2-hostname needs --topic"),
        (["--new-queue"], "--new-queue needs --topic"),
        ([*TOPIC, "--hostname", "h"], "--hostname and --ec2-hostname need --port"),
        (
            [*TOPIC, "--port", "80"],
            "--port needs --hostname or --ec2-hostname, where SNS finds this node",
        ),
        (
            [*TOPIC, "--port", "80", "--hostname", "h", "--queue", "q"],
            "--port contradicts --queue and --new-queue: listen one way only",
        ),
    ],
)
def test_ways_not_to_hear_a_topic(words: list[str], message: str) -> None:
    assert refusal(*OPERANDS, *words) == message


@pytest.mark.parametrize(
    ("words", "successor"),
    [
        (["--cache-disk-size", "1024"], "--cache-size"),
        (["--cache-on-disk", "0"], "--cache-size"),
        (["--recheck-s3"], "--metadata-ttl"),
        (["--s3-retries", "3"], "--retry-budget"),
        (["--s3-retries-sleep", "1"], "--retry-budget"),
        (["--s3-use-sigv4"], "--s3-region"),
        (["--download-num", "4"], "--s3-num"),
        (["--download-retries-num", "60"], "--retry-budget"),
        (["--download-retries-sleep", "1"], "--retry-budget"),
        (["--read-retries-num", "10"], "--retry-budget"),
        (["--read-retries-sleep", "1"], "--retry-budget"),
        (["--buffer-prefetch", "1"], "--read-ahead"),
        (["--mp-num", "4"], "--s3-num"),
        (["--mp-retries", "3"], "--retry-budget"),
        (["--with-plugin-file", "/p.py"], "--state-path"),
        (["--with-plugin-class", "P"], "--state-path"),
    ],
)
def test_retired_options_warn_once_and_name_their_successor(
    words: list[str], successor: str
) -> None:
    found = parsed(*words, *words)
    assert found.mount == parsed().mount
    (warning,) = found.warnings
    assert warning.startswith(f"{words[0]} has no effect any more: ")
    assert successor in warning
    assert re.search(rf"^  {successor}\b", build_parser().format_help(), re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to mount is named (see yas3fs --help)"),
        (["s3://bucket"], "the mount point is missing: yas3fs s3://BUCKET/PATH MOUNTPOINT"),
        (["/mnt"], "no bucket is named: give s3://BUCKET/PATH or --url=s3://BUCKET/PATH"),
        (["/mnt", "s3://bucket"], "the URL comes first: yas3fs s3://BUCKET/PATH MOUNTPOINT"),
        (["/bucket", "/mnt"], "the first operand: '/bucket' is not valid: give s3://BUCKET/PATH"),
        ([*OPERANDS, "/more"], "too many operands, '/more' is one too much (see yas3fs --help)"),
        ([*OPERANDS, "--url=s3://other"], "the URL is given twice, as an operand and with --url"),
        (["/mnt", "--url="], "--url: '' is not valid: give a text that is not empty"),
        ([*OPERANDS, "--cache-sise", "5"], "--cache-sise: there is no such option; did you mean --cache-size?"),
        ([*OPERANDS, "--cache-sise=5"], "--cache-sise: there is no such option; did you mean --cache-size?"),
        ([*OPERANDS, "--cache"], "--cache: there is no such option; did you mean --cache-size?"),
        ([*OPERANDS, "--zyzzyva"], "--zyzzyva: there is no such option; see yas3fs --help"),
        ([*OPERANDS, "-x"], "-x: there is no such option; see yas3fs --help"),
        ([*OPERANDS, "--cache-size"], "--cache-size/--cache-mem-size: expected one argument (see yas3fs --help)"),
        ([*OPERANDS, "--uid"], "--uid: expected one argument (see yas3fs --help)"),
        ([*OPERANDS, "--uid", "-5"], "--uid: '-5' is not valid: give a whole number, from 0 to 4294967294"),
        ([*OPERANDS, "--umask", "999"], "--umask: '999' is not valid: give an octal number, from 000 to 777"),
        ([*OPERANDS, "--cache-mem-size", "x"], "--cache-mem-size: 'x' is not valid: give a number of MB, or one with a unit as in 1.5G, from 1 to 16777216 MB"),
        ([*OPERANDS, "--mkdir=yes"], "--mkdir: ignored explicit argument 'yes' (see yas3fs --help)"),
        ([*OPERANDS, "-o", "uid"], "-o uid: a value is missing: give a whole number, from 0 to 4294967294"),
        ([*OPERANDS, "-o", "uid=x"], "-o uid: 'x' is not valid: give a whole number, from 0 to 4294967294"),
    ],
)  # fmt: skip
def test_refusals(words: list[str], message: str) -> None:
    assert refusal(*words) == message


def test_a_refusal_is_one_line_on_stderr_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["s3://bucket"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err == (
        "yas3fs: the mount point is missing: yas3fs s3://BUCKET/PATH MOUNTPOINT\n"
    )


def test_warnings_come_before_the_mount(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["s3://bucket", str(tmp_path / "none"), "--recheck-s3"])
    assert status == 2
    assert capsys.readouterr().err == (
        "yas3fs: warning: --recheck-s3 has no effect any more: use --metadata-ttl, which also "
        "bounds what is missing\n"
        f"yas3fs: the mount point {tmp_path}/none does not exist: create it, or set mkdir (--mkdir)\n"
    )


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([flag])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"yas3fs {__version__}\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_grouped(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([flag])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    places = [shown.find(f"\n{group}:\n") for group in Group if group is not Group.EARLIER]
    assert places == sorted(places)
    assert places[0] > 0
    assert "--recheck-s3" not in shown
