"""Signatures: Amazon's published examples, and botocore's for what those do not cover."""

import datetime
import hashlib

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest

from yas3fs.objectstore.sign import (
    EMPTY_SHA256,
    Credentials,
    Signer,
    encode_path,
    encode_query,
)

# From "Signature Calculations for the Authorization Header" in S3's API reference.
EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
NOW = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC).timestamp()


def sign(method: str, path: str, query: str, payload: str, **headers: str) -> str:
    sent = {"host": HOST, **{name.replace("_", "-"): text for name, text in headers.items()}}
    Signer().sign(EXAMPLE, "us-east-1", method, path, query, sent, payload, NOW)
    return sent["authorization"].rpartition("Signature=")[2]


def test_amazons_get_with_a_range() -> None:
    assert sign("GET", "/test.txt", "", EMPTY_SHA256, range="bytes=0-9") == (
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


def test_amazons_put() -> None:
    payload = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
    found = sign(
        "PUT",
        encode_path("/test$file.text"),
        "",
        payload,
        date="Fri, 24 May 2013 00:00:00 GMT",
        x_amz_storage_class="REDUCED_REDUNDANCY",
    )
    assert found == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (
            [("lifecycle", "")],
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            [("prefix", "J"), ("max-keys", "2")],
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_amazons_queries(pairs: list[tuple[str, str]], expected: str) -> None:
    assert sign("GET", "/", encode_query(pairs), EMPTY_SHA256) == expected


def test_amazons_presigned_url() -> None:
    query = Signer().presign(EXAMPLE, "us-east-1", HOST, "/test.txt", [], 86400, NOW)
    assert query.endswith(
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@pytest.mark.parametrize("expires", [0, -5, 10**9])
def test_the_life_of_a_presigned_url_is_kept_in_bounds(expires: int) -> None:
    query = Signer().presign(EXAMPLE, "us-east-1", HOST, "/x", [], expires, NOW)
    assert f"X-Amz-Expires={1 if expires <= 0 else 604800}&" in query


@pytest.mark.parametrize(
    "key",
    ["a//b", "/a", "a/../b", ".", "a b+c", "100%", "?#&=", "~*'()!", "\n\x01", "\u65e5\u672c/"],
    ids=ascii,
)
@pytest.mark.parametrize("token", ["", "session/token+=="])
def test_odd_keys_are_signed_as_botocore_does(
    key: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = Credentials("AKID", "secret", token)
    now = datetime.datetime(2026, 1, 2, 3, 4, 5)
    path, query = f"/bucket/{encode_path(key)}", encode_query([("uploadId", "x y"), ("a", "")])
    headers = {
        "host": "localhost:9000",
        "x-amz-meta-attr": '{"a":  1}',
        "x-amz-checksum-crc32c": "4waSgw==",
    }
    request = botocore.awsrequest.AWSRequest(
        "PUT", f"http://localhost:9000{path}?{query}", dict(headers), b"body"
    )
    request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    request.context["client_config"] = None
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: now, raising=False)
    other = botocore.auth.S3SigV4Auth(
        botocore.credentials.Credentials("AKID", "secret", token or None), "s3", "eu-west-1"
    )
    other.add_auth(request)
    payload = hashlib.sha256(b"body").hexdigest()
    moment = now.replace(tzinfo=datetime.UTC).timestamp()
    request_headers = dict(request.headers.items())
    stamp = request_headers["X-Amz-Date"]
    if stamp != now.strftime("%Y%m%dT%H%M%SZ"):  # botocore took its own time
        moment = datetime.datetime.strptime(stamp + "+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
    payload = request_headers.get("X-Amz-Content-SHA256", payload)
    Signer().sign(credentials, "eu-west-1", "PUT", path, query, headers, payload, moment)
    assert headers["authorization"] == request_headers["Authorization"]


def test_secrets_stay_out_of_repr() -> None:
    assert "wJalr" not in repr(EXAMPLE)
