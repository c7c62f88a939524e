"""Credentials: the chain, its refresh, and what S3 says of expired ones."""

import os
from pathlib import Path

import pytest

from tests.doubles.scripted_server import ScriptedServer, refuse, reply
from yas3fs.errors import BadCredentials, ConfigError
from yas3fs.objectstore import credentials as module
from yas3fs.objectstore.credentials import CredentialSource, default_region
from yas3fs.objectstore.options import S3Options
from yas3fs.objectstore.s3 import S3Store
from yas3fs.objectstore.sign import Credentials
from yas3fs.runtime.clock import ManualClock

HELLO = reply(206, b"hello", etag='"e"', content_range="bytes 0-4/5")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return tmp_path


def write(folder: Path, profile: str, key_id: str) -> None:
    text = f"[{profile}]\naws_access_key_id={key_id}\naws_secret_access_key=s\n"
    (folder / "credentials").write_text(text)


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    assert CredentialSource(S3Options("b")).current() == Credentials("AKID", "s", "t")


def test_a_profile_and_its_region(clean: Path) -> None:
    write(clean, "work", "AKIDWORK")
    (clean / "config").write_text("[profile work]\nregion=eu-west-3\n")
    options = S3Options("b", profile="work")
    assert CredentialSource(options).current() == Credentials("AKIDWORK", "s")
    assert default_region(options) == "eu-west-3"


def test_a_profile_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="nobody"):
        CredentialSource(S3Options("b", profile="nobody")).current()


def test_no_credentials_at_all() -> None:
    with pytest.raises(BadCredentials, match="no AWS credentials found") as failure:
        CredentialSource(S3Options("b")).current()
    assert len(str(failure.value).splitlines()) == 1


def test_given_and_anonymous_ones_ask_nobody() -> None:
    given = CredentialSource(S3Options("b", key_id="k", secret="s"))
    assert given.current() == Credentials("k", "s")
    assert not given.renew(given.current())
    assert CredentialSource(S3Options("b", anonymous=True)).current() is None


class Chain:
    """Stands for what botocore finds; fails when told to."""

    def __init__(self) -> None:
        self.failing = False
        self.asked = 0

    def get_frozen_credentials(self):  # type: ignore[no-untyped-def]
        self.asked += 1
        if self.failing:
            raise RuntimeError("the metadata service\nis away")
        return type("Frozen", (), {"access_key": "A", "secret_key": "s", "token": None})


def test_a_refresh_that_fails_keeps_the_old_ones(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    chain = Chain()
    monkeypatch.setattr(module, "_open_chain", lambda options: chain)
    clock = ManualClock()
    source = CredentialSource(S3Options("b"), clock)
    for _ in range(2):
        assert source.current() == Credentials("A", "s")
    assert chain.asked == 1
    chain.failing = True
    for seconds, asked in ((2, 2), (0, 2), (14, 2), (2, 3)):
        clock.advance(seconds)
        assert source.current() == Credentials("A", "s")
        assert chain.asked == asked
    assert "could not be refreshed" in caplog.text


def test_a_first_fetch_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain()
    chain.failing = True
    monkeypatch.setattr(module, "_open_chain", lambda options: chain)
    with pytest.raises(BadCredentials, match="the metadata service is away"):
        CredentialSource(S3Options("b")).current()


def test_expired_ones_are_renewed_once_and_the_request_repeated(clean: Path) -> None:
    write(clean, "default", "OLD")
    expired = refuse(400, "ExpiredToken")
    with ScriptedServer(expired, HELLO, expired) as server:
        store = S3Store(S3Options("bucket", server.endpoint, "us-east-1"))
        body = memoryview(bytearray(5))
        store_key_ids = []
        assert store.key_id == "OLD"
        write(clean, "default", "NEW")
        store.get("key", body)
        store_key_ids = [seen.headers["authorization"].split("=")[1] for seen in server.seen]
        assert [text.split("/")[0] for text in store_key_ids] == ["OLD", "NEW"]
        with pytest.raises(BadCredentials):
            store.get("key", body)
        assert len(server.seen) == 3


def test_a_role_is_assumed(monkeypatch: pytest.MonkeyPatch, clean: Path) -> None:
    write(clean, "default", "BASE")
    answer = (
        b"<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult>"
        b"<Credentials><AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>rs</SecretAccessKey>"
        b"<SessionToken>rt</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
        b"</Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )
    with ScriptedServer(reply(200, answer, content_type="text/xml")) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.endpoint)
        source = CredentialSource(S3Options("b", role_arn="arn:aws:iam::123456789012:role/r"))
        assert source.current() == Credentials("ROLE", "rs", "rt")
        assert b"role%2Fr" in sts.seen[0].body
