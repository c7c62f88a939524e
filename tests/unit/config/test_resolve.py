"""Resolving: what wins over what, what contradicts, what nobody may see."""

import base64
import dataclasses
from pathlib import Path

import pytest

from yas3fs.config.mount_config import MountConfig
from yas3fs.config.options import BY_NAME
from yas3fs.config.resolve import Given, Mounter, Resolved, resolve, runtime_folder
from yas3fs.errors import ConfigError

ROOT = Mounter(uid=0, gid=0, home="/root", may_allow_other=True, umask=0o022)
USER = Mounter(uid=1000, gid=100, home="/home/eve", may_allow_other=False, umask=0o077)
KEY = bytes(range(32))


def resolved(
    environment: dict[str, str] | None = None, mounter: Mounter = ROOT, **given: str
) -> Resolved:
    texts = [Given(name, text, "--" + name.replace("_", "-")) for name, text in given.items()]
    if "url" not in given:
        texts.insert(0, Given("url", "s3://bucket/Path/", "--url"))
    return resolve(texts, "/mnt", environment=environment or {}, mounter=mounter)


def mount(
    environment: dict[str, str] | None = None, mounter: Mounter = ROOT, **given: str
) -> MountConfig:
    return resolved(environment, mounter, **given).mount


def refusal(environment: dict[str, str] | None = None, **given: str) -> str:
    with pytest.raises(ConfigError) as refused:
        resolved(environment, **given)
    return str(refused.value)


def test_what_is_mounted_where() -> None:
    config = mount()
    assert (config.bucket, config.prefix, config.mountpoint) == ("bucket", "Path", "/mnt")
    assert config.url == "s3://bucket/Path"


def test_the_mount_point_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = [Given("url", "s3://bucket", "--url"), Given("log", "a.log", "--log"),
             Given("cache_path", "cache", "")]  # fmt: skip
    found = resolve(given, "mnt/../here", environment={}, mounter=ROOT)
    assert found.mount.mountpoint == str(tmp_path / "here")
    assert found.mount.cache_path == str(tmp_path / "cache")
    assert found.process.log == str(tmp_path / "a.log")


def test_flags_win_over_environment_and_environment_over_defaults() -> None:
    environment = {"YAS3FS_CACHE_SIZE": "2G", "YAS3FS_S3_NUM": "7", "YAS3FS_READ_ONLY": "yes"}
    config = mount(environment, s3_num="9")
    assert config.cache_size == 2 * 1024**3
    assert config.s3_num == 9
    assert config.read_only is True
    assert config.part_size == 8 * 1024**2


def test_the_last_of_two_flags_wins() -> None:
    given = [Given("url", "s3://bucket", ""), Given("uid", "1", ""), Given("uid", "2", "")]
    assert resolve(given, "/mnt", environment={}, mounter=ROOT).mount.uid == 2


def test_the_endpoint_of_other_aws_programs_is_used() -> None:
    environment = {"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b:2"}
    assert mount(environment).s3_endpoint == "http://b:2"
    assert mount(environment | {"YAS3FS_S3_ENDPOINT": "http://c:3"}).s3_endpoint == "http://c:3"
    assert mount(environment, s3_endpoint="http://d:4").s3_endpoint == "http://d:4"


def test_an_empty_variable_says_nothing() -> None:
    assert mount({"YAS3FS_UMASK": ""}).umask == 0o022


def test_defaults_of_root() -> None:
    config = mount()
    assert (config.uid, config.gid, config.umask) == (0, 0, 0o022)
    assert (config.cache_path, config.state_path) == ("/var/cache/yas3fs", "/var/lib/yas3fs")
    assert config.allow_other is True


def test_defaults_of_a_user() -> None:
    config = mount({}, USER)
    assert (config.uid, config.gid, config.umask) == (1000, 100, 0o077)
    assert config.cache_path == "/home/eve/.cache/yas3fs"
    assert config.state_path == "/home/eve/.local/state/yas3fs"
    assert config.allow_other is False
    xdg = mount({"XDG_CACHE_HOME": "/x", "XDG_STATE_HOME": "/y"}, USER)
    assert (xdg.cache_path, xdg.state_path) == ("/x/yas3fs", "/y/yas3fs")


def test_allow_other_is_refused_where_the_system_would() -> None:
    with pytest.raises(ConfigError, match=r"^--allow-other: needs the line user_allow_other in"):
        mount({}, USER, allow_other="yes")


@pytest.mark.parametrize(
    ("url", "more", "path_style"),
    [
        ("s3://bucket", {}, False),
        ("s3://dotted.bucket", {}, True),
        ("s3://Capital", {}, True),
        ("s3://under_score", {}, True),
        ("s3://bucket", {"s3_endpoint": "http://127.0.0.1:9000"}, True),
        ("s3://bucket", {"s3_endpoint": "http://localhost:9000"}, True),
        ("s3://bucket", {"s3_endpoint": "https://s3.eu-west-1.amazonaws.com"}, False),
        ("s3://bucket", {"s3_endpoint": "https://s3.example.com"}, True),
        ("s3://bucket", {"s3_endpoint": "http://[::1]:1", "addressing": "virtual"}, False),
        ("s3://bucket", {"addressing": "path"}, True),
    ],
)
def test_where_the_buckets_name_goes(url: str, more: dict[str, str], path_style: bool) -> None:
    assert mount(url=url, **more).path_style is path_style


def test_zero_parallel_requests_mean_the_default() -> None:
    assert mount(s3_num="0").s3_num == BY_NAME["s3_num"].default


def test_the_multipart_threshold_follows_the_part_size() -> None:
    assert mount(part_size="100").multipart_threshold == 100 * 1024**2
    assert mount(multipart_threshold="16").part_size == 8 * 1024**2


def test_debug_implies_the_foreground() -> None:
    found = resolved(debug="yes")
    assert found.process.foreground
    assert found.process.debug
    assert found.mount.debug


@pytest.mark.parametrize("text", [KEY, KEY.hex().encode() + b"\n", base64.b64encode(KEY) + b"\n"])
def test_the_key_of_sse_c_in_three_spellings(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(text)
    assert mount(sse_c_key_file=str(file)).sse_c_key == KEY


def test_a_kms_key_implies_kms() -> None:
    assert mount(sse_kms_key_id="k").sse == "aws:kms"


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"K" * 32)
    found = resolved(sse_c_key_file=str(file), proxy="http://u:pa55word@proxy:1")
    assert found.mount.proxy == "http://u:pa55word@proxy:1"
    assert "pa55word" not in repr(found)
    assert "KKKK" not in repr(found)


def test_the_result_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        mount().bucket = "other"  # type: ignore[misc]


def test_a_retired_option_is_warned_of_once() -> None:
    given = [Given("url", "s3://bucket", ""), *[Given("mp_num", "4", "--mp-num")] * 2]
    found = resolve(given, "/mnt", environment={}, mounter=ROOT)
    assert found.warnings == (
        "--mp-num has no effect any more: use --s3-num, the number of requests under way at a time",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"url": "bucket"}, "--url: 'bucket' is not valid: give s3://BUCKET/PATH"),
        ({"s3_num": "1025"}, "--s3-num: '1025' is not valid: give a whole number, from 0 to 1024"),
        ({"write_mode": "back"}, "--write-mode: 'back' is not part of this release yet: give through, or leave it out"),
        ({"queue": "q"}, "--queue needs --topic"),
        (
            {"topic": "x"},
            "--topic: 'x' is not the ARN of an SNS topic (arn:aws:sns:REGION:ID:NAME)",
        ),
        ({"new_queue": "yes"}, "--new-queue needs --topic"),
        ({"port": "80"}, "--port needs --topic"),
        ({"tls_certificate": "/c"}, "--tls-certificate needs --port"),
        ({"tls_key": "/k"}, "--tls-key needs --tls-certificate"),
        ({"port": "x"}, "--port: 'x' is not valid: give a whole number, from 1 to 65535"),
        ({"no_sign": "yes", "profile": "p"}, "--no-sign and --profile contradict each other"),
        ({"no_sign": "yes", "role_arn": "r"}, "--no-sign and --role-arn contradict each other"),
        ({"sse": "AES256", "sse_kms_key_id": "k"}, "--sse-kms-key-id needs --sse=aws:kms, not AES256"),
        ({"sse": "AES256", "sse_c_key_file": "/k"}, "--sse-c-key-file and --sse contradict each other"),
        ({"sse_kms_key_id": "k", "sse_c_key_file": "/k"}, "--sse-c-key-file and --sse-kms-key-id contradict each other"),
        ({"sse_c_key_file": "/nowhere/k"}, "--sse-c-key-file: cannot read /nowhere/k: No such file or directory"),
        ({"sse_c_key_file": "/dev/null"}, "--sse-c-key-file: /dev/null holds no key of 256 bits, raw, in hexadecimal or Base64"),
        ({"ca_bundle": "/nowhere/ca"}, "--ca-bundle: there is no file /nowhere/ca"),
    ],
)  # fmt: skip
def test_refusals(given: dict[str, str], message: str) -> None:
    assert refusal(**given) == message


def test_the_variable_is_blamed() -> None:
    assert refusal({"YAS3FS_S3_NUM": "many"}) == (
        "YAS3FS_S3_NUM (environment): 'many' is not valid: give a whole number, from 0 to 1024"
    )


def test_a_profile_in_the_environment_does_not_contradict_no_sign() -> None:
    assert mount({"YAS3FS_PROFILE": "p"}, no_sign="yes").no_sign


@pytest.mark.parametrize(
    ("environment", "uid", "folder"),
    [
        ({}, 0, "/run/yas3fs"),
        ({"XDG_RUNTIME_DIR": "/run/user/5"}, 5, "/run/user/5/yas3fs"),
        ({}, 5, "/tmp/yas3fs-5"),
    ],
)
def test_where_the_control_sockets_are(environment: dict[str, str], uid: int, folder: str) -> None:
    assert runtime_folder(environment, uid) == folder
