"""Where buckets are spoken to."""

import pytest

from yas3fs.errors import ConfigError, InvalidRequest, TooLarge
from yas3fs.objectstore.addressing import Address, aws_region, check_key, locate
from yas3fs.objectstore.options import S3Options


def url(bucket: str, endpoint: str = "", region: str = "eu-west-1", **more: object) -> str:
    options = S3Options(bucket, endpoint, **more)  # type: ignore[arg-type]
    address = locate(options, region)
    return f"{address.scheme}://{address.netloc}{address.path_of('k')}"


@pytest.mark.parametrize(
    ("bucket", "endpoint", "expected"),
    [
        ("bucket", "", "https://bucket.s3.eu-west-1.amazonaws.com/k"),
        ("my.bucket", "", "https://s3.eu-west-1.amazonaws.com/my.bucket/k"),
        ("Upper_case", "", "https://s3.eu-west-1.amazonaws.com/Upper_case/k"),
        ("point-abc-s3alias", "", "https://point-abc-s3alias.s3.eu-west-1.amazonaws.com/k"),
        ("bucket", "http://127.0.0.1:9000", "http://127.0.0.1:9000/bucket/k"),
        ("bucket", "http://[::1]:9000", "http://[::1]:9000/bucket/k"),
        ("bucket", "http://localhost:9000/", "http://localhost:9000/bucket/k"),
        ("bucket", "http://minio:9000", "http://minio:9000/bucket/k"),
        ("bucket", "https://s3.example.com", "https://bucket.s3.example.com/k"),
        ("bucket", "https://s3.example.com:443", "https://bucket.s3.example.com/k"),
        ("bucket", "s3.example.com", "https://bucket.s3.example.com/k"),
        ("my.bucket", "https://s3.example.com", "https://s3.example.com/my.bucket/k"),
        ("my.bucket", "http://s3.example.com", "http://my.bucket.s3.example.com/k"),
        ("bucket", "http://127.0.0.1/path/s3/", "http://127.0.0.1/path/s3/bucket/k"),
    ],
)
def test_style(bucket: str, endpoint: str, expected: str) -> None:
    assert url(bucket, endpoint) == expected


def test_the_style_can_be_forced() -> None:
    assert url("bucket", path_style=True) == "https://s3.eu-west-1.amazonaws.com/bucket/k"
    assert url("bucket", "http://localhost:1", path_style=False) == "http://bucket.localhost:1/k"


@pytest.mark.parametrize(
    ("region", "domain"),
    [
        ("cn-north-1", "amazonaws.com.cn"),
        ("us-gov-west-1", "amazonaws.com"),
        ("us-iso-east-1", "c2s.ic.gov"),
        ("us-isob-east-1", "sc2s.sgov.gov"),
        ("eusc-de-east-1", "amazonaws.eu"),
    ],
)
def test_partitions(region: str, domain: str) -> None:
    assert url("bucket", region=region) == f"https://bucket.s3.{region}.{domain}/k"


def test_access_points() -> None:
    arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/point"
    address = locate(S3Options(arn), "eu-west-1")
    assert address.host == "point-123456789012.s3-accesspoint.us-west-2.amazonaws.com"
    assert address.region == "us-west-2"
    assert address.root == ""
    assert address.copy_root == f"{arn}/object"


@pytest.mark.parametrize(
    "bucket",
    [
        "bucket--use1-az5--x-s3",
        "",
        "a/b",
        "has blank",
        "a",
        "arn:aws:s3:::bucket",
        "arn:aws:s3::123456789012:accesspoint/multi.mrap",
        "arn:aws:s3-outposts:us-west-2:123456789012:outpost/op-1/accesspoint/x",
    ],
)
def test_what_cannot_be_mounted(bucket: str) -> None:
    with pytest.raises(ConfigError):
        locate(S3Options(bucket), "eu-west-1")


@pytest.mark.parametrize(
    "endpoint",
    ["ftp://x", "http://", "http://x:port", "http://x?y", "http://user:secret@x", "http://x:99999"],
)
def test_what_is_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ConfigError) as failure:
        locate(S3Options("bucket", endpoint), "eu-west-1")
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://s3-us-west-2.amazonaws.com", "us-west-2"),
        ("https://s3.dualstack.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
        ("https://s3.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("https://s3.amazonaws.com", ""),
        ("https://s3.eu-west-1.example.com", ""),
        ("", ""),
    ],
)
def test_the_region_in_an_endpoint(endpoint: str, region: str) -> None:
    assert aws_region(endpoint) == region


def test_paths_are_encoded_but_never_cleaned() -> None:
    address = Address("https", "h", 443, "/b", "r", "/b")
    assert address.path_of("/a//../b c+%?\n") == "/b//a//../b%20c%2B%25%3F%0A"


def test_keys() -> None:
    check_key("k" * 1024)
    check_key("\u65e5" * 341)
    for key in ("", "\ud800"):
        with pytest.raises(InvalidRequest):
            check_key(key)
    for key in ("k" * 1025, "\u65e5" * 342):
        with pytest.raises(TooLarge):
            check_key(key)


def test_secrets_stay_out_of_repr() -> None:
    text = repr(
        S3Options(
            "bucket",
            secret="hidden1",
            session_token="hidden2",
            sse_customer_key=b"hidden3",
            proxy="http://u:hidden4@h:1",
        )
    )
    assert "hidden" not in text
