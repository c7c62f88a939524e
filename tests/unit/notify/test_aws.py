"""Clients: made once each, never repeating by themselves, with failures in one line."""

from pathlib import Path

import pytest

from yas3fs.errors import ConfigError
from yas3fs.notify.aws import AwsAccess, Clients, NotifyFailed, error_code, one_line

KEYS = {"key_id": "AKIDTESTTESTTESTTEST", "secret": "not-for-logs"}


def test_a_client_is_made_once_per_service_and_region() -> None:
    clients = Clients(AwsAccess(endpoint="http://127.0.0.1:9", **KEYS))
    first = clients.sns("eu-west-1")
    assert clients.sns("eu-west-1") is first
    assert clients.sns("us-east-1") is not first
    assert clients.sqs("eu-west-1").meta.endpoint_url == "http://127.0.0.1:9"
    clients.close()


def test_a_client_tries_once() -> None:
    clients = Clients(AwsAccess(endpoint="http://127.0.0.1:9", proxy="", **KEYS))
    config = clients.sqs("eu-west-1").meta.config
    assert config.retries["total_max_attempts"] == 1
    assert config.connect_timeout == 5.0
    assert config.read_timeout == 30.0
    clients.close()


def test_timeouts_exceed_a_long_poll() -> None:
    assert AwsAccess().read_timeout > 20.0


def test_secrets_stay_out_of_repr() -> None:
    access = AwsAccess(proxy="http://user:password@proxy:1", session_token="hidden", **KEYS)
    for secret in ("not-for-logs", "password", "hidden"):
        assert secret not in repr(access)


def test_a_profile_that_does_not_exist_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="absent"):
        Clients(AwsAccess(profile="absent")).sns("eu-west-1")


def test_a_region_that_is_none_is_told_in_one_line() -> None:
    with pytest.raises(NotifyFailed, match="SNS in no region"):
        Clients(AwsAccess(**KEYS)).sns("no region")


def test_a_role_is_assumed_when_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    clients = Clients(AwsAccess(role_arn="arn:aws:iam::123456789012:role/node"))
    clients.sns("eu-west-1")
    found = clients._session.get_credentials()
    assert found.method == "assume-role"
    clients.close()


def test_a_request_is_signed_for_its_service() -> None:
    clients = Clients(AwsAccess(**KEYS))
    headers = clients.signed_headers("sns", "eu-west-1", "http://127.0.0.1:9/x.pem")
    assert "/eu-west-1/sns/aws4_request" in headers["Authorization"]
    with pytest.raises(NotifyFailed, match="no AWS credentials"):
        Clients(AwsAccess()).signed_headers("sns", "eu-west-1", "http://127.0.0.1:9/x.pem")


def test_failures_have_a_code_and_one_line() -> None:
    assert error_code(TimeoutError()) == "TimeoutError"
    assert one_line(ValueError("a\n  b")) == "a b"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("x" * 1000))) == 300
