"""URLs of mounts, endpoints and proxies."""

import pytest

from yas3fs.config.locations import parse_endpoint, parse_proxy, parse_url
from yas3fs.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket/Some/Path", "bucket", "Some/Path"),
        ("s3://bucket//path//", "bucket", "path"),
        ("s3://bucket/a//b", "bucket", "a//b"),
        ("S3://bucket/x", "bucket", "x"),
        ("s3://My_Old.Bucket/x", "My_Old.Bucket", "x"),
        ("s3://bucket/what?#&%20 is ü", "bucket", "what?#&%20 is ü"),
        ("s3://bucket/line\nfeed", "bucket", "line\nfeed"),
    ],
)
def test_urls(text: str, bucket: str, prefix: str) -> None:
    assert parse_url(text, "--url") == (bucket, prefix)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bucket", "--url: 'bucket' is not valid: give s3://BUCKET/PATH"),
        ("http://bucket/", "--url: 'http://bucket/' is not valid: give s3://BUCKET/PATH"),
        ("s3://", "--url: 's3://' is not valid: no bucket is named; give s3://BUCKET/PATH"),
        ("s3:///path", "--url: 's3:///path' is not valid: no bucket is named; give s3://BUCKET/PATH"),
        ("s3://a", "--url: 's3://a' is not valid: 'a' cannot be the name of a bucket; give s3://BUCKET/PATH"),
        ("s3://b cket/x", "--url: 's3://b cket/x' is not valid: 'b cket' cannot be the name of a bucket; give s3://BUCKET/PATH"),
        ("s3://arn:aws:s3:::ap/x", "--url: 's3://arn:aws:s3:::ap/x' is not valid: give the alias of the access point in place of its ARN (it ends with -s3alias)"),
        ("s3://bucket/" + "x" * 1023, "--url: the path is longer than 1022 bytes"),
    ],
)  # fmt: skip
def test_bad_urls(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_url(text, "--url")
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("http://127.0.0.1:9000/", "http://127.0.0.1:9000"),
        ("https://[::1]:9000", "https://[::1]:9000"),
        ("s3.eu-central-1.amazonaws.com", "https://s3.eu-central-1.amazonaws.com"),
        ("minio:9000", "https://minio:9000"),
    ],
)
def test_endpoints(text: str, endpoint: str) -> None:
    assert parse_endpoint(text, "--s3-endpoint") == endpoint


@pytest.mark.parametrize(
    "text",
    ["ftp://host", "http://", "http://host:port", "http://host:99999", "http://u:p@host",
     "http://host/path", "http://host?x=1", "http://ho st", "http://host#x"],
)  # fmt: skip
def test_bad_endpoints(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_endpoint(text, "--s3-endpoint")
    expected = f"--s3-endpoint: {text!r} is not valid: give http(s)://HOST[:PORT]"
    assert str(refusal.value) == expected


def test_a_proxy_may_have_a_password() -> None:
    assert parse_proxy("user:pw@proxy:3128", "--proxy") == "http://user:pw@proxy:3128"


def test_a_refused_proxy_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_proxy("ftp://user:pa55word@proxy", "--proxy")
    assert "pa55word" not in str(refusal.value)
    assert str(refusal.value).startswith("--proxy: the value is not valid: give http(s)://")
