"""Reading and writing S3's XML."""

import pytest

from yas3fs.errors import ServerFailed
from yas3fs.objectstore import documents
from yas3fs.objectstore.protocol import ListedObject, Part, Upload

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
CONTENTS = (
    "<Contents><Key>{key}</Key><LastModified>2015-10-21T07:28:00.250Z</LastModified>"
    "<ETag>&quot;abc&quot;</ETag><Size>7</Size><Owner><ID>x</ID></Owner>"
    "<StorageClass>GLACIER</StorageClass></Contents>"
)


def listing(inside: str, namespace: str = NAMESPACE) -> bytes:
    return (
        f'<?xml version="1.0"?>\n<ListBucketResult {namespace}>{inside}</ListBucketResult>'.encode()
    )


@pytest.mark.parametrize("namespace", [NAMESPACE, ""])
def test_a_listing(namespace: str) -> None:
    page = documents.parse_listing(
        listing(
            "<EncodingType>url</EncodingType>"
            + CONTENTS.format(key="a%2Fb+c%2B%E6%97%A5%01")
            + "<CommonPrefixes><Prefix>d+%25%2F</Prefix></CommonPrefixes>"
            + "<IsTruncated>true</IsTruncated><NextContinuationToken>t+k%</NextContinuationToken>",
            namespace,
        )
    )
    assert page.objects == [ListedObject("a/b c+\u65e5\x01", 7, "abc", 1445412480.25, "GLACIER")]
    assert page.prefixes == ["d %/"]
    assert page.token == "t+k%"


def test_a_store_that_does_not_encode() -> None:
    page = documents.parse_listing(listing(CONTENTS.format(key="a+b%20c &amp; d")))
    assert page.objects[0].key == "a+b%20c & d"
    assert page.token == ""


def test_a_listing_without_etags_has_made_up_versions() -> None:
    text = CONTENTS.format(key="k").replace("<ETag>&quot;abc&quot;</ETag>", "")
    assert documents.parse_listing(listing(text)).objects[0].etag == "~7-1445412480"


def test_a_token_without_truncation_is_not_a_next_page() -> None:
    text = "<IsTruncated>false</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    assert documents.parse_listing(listing(text)).token == ""


def test_keys_that_are_not_utf8_do_not_become_others() -> None:
    text = "<EncodingType>url</EncodingType>" + CONTENTS.format(key="a%FF")
    assert documents.parse_listing(listing(text)).objects[0].key == "a\udcff"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<ListBucketResult>",
        b"<html></html>",
        listing("<IsTruncated>true</IsTruncated>"),
        b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>',
        listing("x").decode().encode("utf-16"),
    ],
)
def test_what_is_no_listing(body: bytes) -> None:
    with pytest.raises(ServerFailed):
        documents.parse_listing(body)


def test_uploads() -> None:
    text = (
        "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
        "<NextKeyMarker>a+b</NextKeyMarker><NextUploadIdMarker>u+1</NextUploadIdMarker>"
        "<Upload><Key>a+b</Key><UploadId>u+1</UploadId>"
        "<Initiated>2015-10-21T07:28:00.000Z</Initiated></Upload></ListMultipartUploadsResult>"
    )
    assert documents.parse_uploads(text.encode()) == (
        [Upload("a b", "u+1", 1445412480.0)],
        "a b",
        "u+1",
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2015-10-21T07:28:00.123Z", 1445412480.123),
        ("2015-10-21T07:28:00Z", 1445412480.0),
        ("2015-10-21T07:28:00.123456789Z", 1445412480.123456),
        ("2015-10-21T09:28:00+02:00", 1445412480.0),
        ("2015-10-21T07:28:00", 1445412480.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480.0),
        ("", 0.0),
        ("yesterday", 0.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert documents.parse_time(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    "text", ['"abc"', "abc", 'W/"abc"', "&quot;abc&quot;".replace("&quot;", '"')]
)
def test_etags(text: str) -> None:
    assert documents.clean_etag(text) == "abc"


@pytest.mark.parametrize("key", ["a\x00", "\x1f", "\ufffe", "a\ud800"])
def test_unspeakable_keys(key: str) -> None:
    assert not documents.speakable(key)


@pytest.mark.parametrize("key", ["a", "\t\n\r", "\x7f", "\u65e5", "\U0001f600", "<&>"])
def test_speakable_keys_survive_xml(key: str) -> None:
    assert documents.speakable(key)
    (found, _) = documents.parse(documents.delete_body([key]))
    assert documents.values(found)["Key"] == key


def test_the_completion_of_an_upload() -> None:
    parts = [Part(1, "e1", "crc32c:abc="), Part(2, "e2")]
    body = documents.complete_body(parts, checksums=True)
    first, second = (documents.values(part) for part in documents.parse(body))
    assert first == {"PartNumber": "1", "ETag": '"e1"', "ChecksumCRC32C": "abc="}
    assert second == {"PartNumber": "2", "ETag": '"e2"'}
    assert b"Checksum" not in documents.complete_body(parts, checksums=False)
