"""/etc/yas3fs.yaml: what it means, and every complaint with its line."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from yas3fs.config.options import OPTIONS
from yas3fs.config.resolve import Given
from yas3fs.config.schema import schema
from yas3fs.config.service import Service, load_service
from yas3fs.config.substitution import Substitution
from yas3fs.errors import ConfigError, MetadataUnavailable
from yas3fs.runtime.imds import InstanceMetadata

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "etc" / "examples").glob("*.yaml"))
MIB = 1024 * 1024


class Metadata(InstanceMetadata):
    """An instance that knows its name and place."""

    known = {"meta-data/instance-id": "i-0123", "meta-data/placement/region": "eu-west-1"}

    def text(self, path: str) -> str:
        return self.known.get(path, "")


class Elsewhere(InstanceMetadata):
    def text(self, path: str) -> str:
        raise MetadataUnavailable("timed out")


class Files:
    """Loads documents; their name in messages is F."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "yas3fs.yaml"

    def load(self, text: str, *only: str, **more: Any) -> Service:
        self.path.write_text(text)
        return load_service(str(self.path), only=only, **{"environment": {}, **more})

    def complaints(self, text: str, *only: str, **more: Any) -> list[str]:
        with pytest.raises(ConfigError) as refused:
            self.load(text, *only, **more)
        return str(refused.value).replace(str(self.path), "F").splitlines()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


TWO = """\
defaults:
  cache-size: 512M
  metadata_ttl: 5
  log: /var/log/yas3fs.log
mounts:
  media:
    url: s3://bucket/media
    mountpoint: /srv/media
    read-only: yes
    options: [noatime, nosuid]
  home:
    url: s3://bucket/home
    mountpoint: /srv/home
    umask: 022
    metadata-ttl:
"""


def test_defaults_hold_unless_a_mount_says_otherwise(files: Files) -> None:
    found = files.load(TWO)
    media, home = found.mounts
    assert [(one.name, one.url, one.mountpoint) for one in found.mounts] == [
        ("media", "s3://bucket/media", "/srv/media"),
        ("home", "s3://bucket/home", "/srv/home"),
    ]
    assert (media.cache_size, home.cache_size) == (512 * MIB, 512 * MIB)
    assert (media.read_only, home.read_only) == (True, False)
    assert media.fuse_options == ("noatime", "nosuid")
    assert home.umask == 0o022
    assert found.process.log == "/var/log/yas3fs.log"


def test_an_empty_value_takes_a_default_back(files: Files) -> None:
    media, home = files.load(TWO).mounts
    assert (media.metadata_ttl, home.metadata_ttl) == (5, 60)


def test_only_the_mounts_that_are_wanted(files: Files) -> None:
    assert [one.name for one in files.load(TWO, "home").mounts] == ["home"]
    assert files.complaints(TWO, "hone") == ["--mount hone: is not in F; did you mean home?"]
    assert files.complaints(TWO, "x") == ["--mount x: is not in F; there are media, home"]


def test_another_mount_that_is_wrong_is_no_obstacle_to_one(files: Files) -> None:
    broken = TWO.replace("umask: 022", "umask: 999")
    assert [one.name for one in files.load(broken, "media").mounts] == ["media"]


def test_the_environment_wins_over_the_file_and_a_flag_over_both(files: Files) -> None:
    environment = {"YAS3FS_CACHE_SIZE": "64"}
    assert files.load(TWO, environment=environment).mounts[0].cache_size == 64 * MIB
    flags = [Given("cache_size", "32", "--cache-size")]
    found = files.load(TWO, environment=environment, given=flags)
    assert [one.cache_size for one in found.mounts] == [32 * MIB, 32 * MIB]


def test_merged_sections(files: Files) -> None:
    found = files.load(
        "mounts:\n  one: &base\n    url: s3://bucket/1\n    mountpoint: /1\n    no-metadata: on\n"
        "  two:\n    <<: *base\n    mountpoint: /2\n"
    )
    assert [(one.mountpoint, one.no_metadata) for one in found.mounts] == [
        ("/1", True),
        ("/2", True),
    ]


ONE = "mounts:\n  m:\n    url: s3://bucket/p\n    mountpoint: /m\n"


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ("", ["F: no mount is named: add one below mounts: (see yas3fs.yaml(5))"]),
        ("mounts:\n", ["F: no mount is named: add one below mounts: (see yas3fs.yaml(5))"]),
        ("- a\n", ["F:1: give the sections defaults: and mounts:"]),
        ("a:\n  b: c\n\td: e\n", ["F:3: this is not YAML: a tab cannot indent or begin a value, give spaces"]),
        ("a: [\n", ["F:2: this is not YAML: while parsing a flow node expected the node content, but found '<stream end>'"]),
        (ONE + "mouts: {}\n", ["F:5: mouts: there is no such section; did you mean mounts?"]),
        (ONE + "cache_size: 1\n", ["F:5: cache_size: there is no such section; options belong below defaults: or below a mount"]),
        (ONE + "defaults: 5\n", ["F:5: defaults: '5' is not valid: give a mapping"]),
        (ONE + "    cache_siz: 1\n", ["F:5: cache_siz: there is no such option; did you mean cache_size?"]),
        (ONE + "    path-style: yes\n", ["F:5: path-style: there is no such option; give addressing: path"]),
        (ONE + "    port: many\n", ["F:5: port: 'many' is not valid: give a whole number, from 1 to 65535"]),
        (ONE + "    read_only: maybe\n", ["F:5: read_only: 'maybe' is not valid: give yes or no"]),
        (ONE + "    queue: {}\n", ["F:5: queue: give a value, not a mapping"]),
        (ONE + "    queue: q\n", ["F:5: queue needs --topic"]),
        (ONE + "    read-only: yes\n    read_only: no\n", ["F:6: read_only: is given twice, see F:5: read-only"]),
        (ONE + "    url: s3://x\n", ["F:5: url: is given twice, line 3 has it too"]),
        (ONE + "    log: /x\n", ["F:5: log: is of the whole process: give it below defaults:"]),
        (ONE + "    options: noatime,autounmount\n", ["F:5: options: -o autounmount: there is no such option"]),
        (ONE + "defaults:\n  url: s3://x\n", ["F:6: url: belongs below a mount, not below defaults:"]),
        (ONE + "defaults:\n  mountpoint: /x\n", ["F:6: mountpoint: belongs below a mount, not below defaults:"]),
        (ONE + "  n:\n    mountpoint: /n\n", ["F:5: mount n: url: is missing: give s3://BUCKET/PATH"]),
        (ONE + "  n:\n    url: s3://bucket\n", ["F:5: mount n: mountpoint: is missing: give the folder to mount on"]),
        (ONE + "  n:\n    url: s3://bucket\n    mountpoint: n\n", ["F:7: mountpoint: 'n' is not valid: give an absolute path"]),
        (ONE + "  n:\n    url: bucket\n    mountpoint: /n\n", ["F:6: url: 'bucket' is not valid: give s3://BUCKET/PATH"]),
        (ONE + "  n: s3://bucket\n", ["F:5: n: give the mount's options below its name"]),
        (ONE + "  a/b: {}\n", ["F:5: a/b: is no name for a mount: give letters, digits, . _ @ and -, 64 at most"]),
        (ONE + "  n:\n    url: s3://b-2/\n    mountpoint: /m\n", ["F: mounts m and n have the same mountpoint /m: give each its own"]),
        (ONE + "    id: ${NONE}\n", ["F:5: id: ${NONE}: the environment has no NONE: set it, or give one of ${hostname}, ${instance_id}, ${region}"]),
        (ONE + "    id: ${a b}\n", ["F:5: id: ${a b} is no reference: give ${NAME}"]),
    ],
)  # fmt: skip
def test_complaints(files: Files, text: str, complaints: list[str]) -> None:
    assert files.complaints(text) == complaints


def test_everything_that_is_wrong_is_told_at_once(files: Files) -> None:
    found = files.complaints(ONE + "    port: 0\n    umask: 9\n  n:\n    urk: x\n")
    assert [line.split(": ")[0] for line in found] == ["F:5", "F:6", "F:8", "F:7"]


def test_there_is_a_file_to_read(files: Files) -> None:
    with pytest.raises(ConfigError) as refused:
        load_service(str(files.path))
    assert str(refused.value) == f"--config: cannot read {files.path}: No such file or directory"
    files.path.write_bytes(b"mounts: \xff\n")
    with pytest.raises(ConfigError, match="byte 8 is not UTF-8"):
        load_service(str(files.path))


@pytest.mark.parametrize("key", ["secret_key", "aws-secret-access-key", "aws_session_token"])
def test_secrets_are_not_kept_here(files: Files, key: str) -> None:
    (said,) = files.complaints(f"{ONE}    {key}: hidden\n")
    assert "secrets are not kept in this file" in said
    assert "hidden" not in said


def test_a_password_comes_from_the_environment(files: Files) -> None:
    (said,) = files.complaints(ONE + "    proxy: http://me:hidden@proxy:3128\n")
    assert "a password does not belong here" in said
    assert "hidden" not in said
    found = files.load(
        ONE + "    proxy: http://me:${PROXY_PASSWORD}@proxy:3128\n",
        environment={"PROXY_PASSWORD": "hidden"},
    )
    assert found.mounts[0].proxy == "http://me:hidden@proxy:3128"
    assert "hidden" not in repr(found)


def test_options_without_effect_are_warned_about(files: Files) -> None:
    (warning,) = files.load(ONE + "    mp_num: 4\n").warnings
    assert "mp_num has no effect any more" in warning


# -- substitution --------------------------------------------------------------------------------


def filled(text: str, environment: dict[str, str], metadata: type[InstanceMetadata]) -> str:
    return Substitution(environment, metadata).fill_in(text, "here")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain $HOME", "plain $HOME"),
        ("${A}-${B_2}", "1-2"),
        ("$${A}", "${A}"),
        ("${instance_id}@${region}", "i-0123@eu-west-1"),
        ("${EMPTY}", ""),
    ],
)
def test_references(text: str, value: str) -> None:
    assert filled(text, {"A": "1", "B_2": "2", "EMPTY": ""}, Metadata) == value


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_may_come_from_the_environment(variable: str) -> None:
    assert filled("${region}", {variable: "us-west-2"}, Elsewhere) == "us-west-2"


@pytest.mark.parametrize("name", ["instance_id", "region"])
def test_off_ec2_nobody_knows(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"here: \${{{name}}}: .* does not answer: timed out"):
        filled(f"${{{name}}}", {}, Elsewhere)


# -- examples and schema -------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    found = load_service(
        str(path), environment={"HOME": "/root"}, substitution=Substitution({}, Metadata)
    )
    assert found.mounts
    jsonschema.validate(yaml.safe_load(path.read_text()), schema())


def test_the_installed_file_is_all_comments(tmp_path: Path) -> None:
    path = ROOT / "etc" / "yas3fs.yaml"
    with pytest.raises(ConfigError, match="no mount is named"):
        load_service(str(path), environment={})
    shown = re.sub(r"^(\s+)# (?=[a-z ]+[-a-z]*:)", r"\1", path.read_text(), flags=re.MULTILINE)
    written = tmp_path / "yas3fs.yaml"
    written.write_text(shown.replace("REGION:ACCOUNT:NAME", "eu-west-1:123456789012:name"))
    found = load_service(str(written), environment={})
    assert [one.name for one in found.mounts] == ["media"]
    assert found.mounts[0].new_queue
    assert found.process.metrics == "127.0.0.1:9345"


def test_the_schema_is_up_to_date() -> None:
    written = json.loads((ROOT / "etc" / "yas3fs.schema.json").read_text())
    assert written == schema(), "python -m yas3fs.config.schema > etc/yas3fs.schema.json"
    jsonschema.Draft7Validator.check_schema(written)


@pytest.mark.parametrize(
    "wrong",
    ["cache_siz: 1", "port: 0", "read-only: maybe", "log: /x", "acl: none", "cache-size: x"],
)
def test_the_schema_refuses_what_the_program_refuses(files: Files, wrong: str) -> None:
    text = f"{ONE}    {wrong}\n"
    files.complaints(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), schema())


def test_every_option_is_a_key() -> None:
    keys = schema()["properties"]["defaults"]["properties"].keys()
    assert {option.name for option in OPTIONS} - {"url"} <= keys
