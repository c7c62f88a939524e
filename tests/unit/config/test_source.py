"""User data of an instance, as cloud-init users write it, from a double of the metadata service."""

import gzip
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from tests.doubles.imds import imds
from yas3fs.config.service import load_service
from yas3fs.config.source import USER_DATA, document_of, read_source
from yas3fs.errors import ConfigError

DOCUMENT = (
    "mounts:\n  m:\n    url: s3://bucket/ä\n    mountpoint: /m\n    id: ${instance_id}-${region}\n"
)


def archive(document: str, subtype: str = "x-yas3fs", name: str = "") -> bytes:
    whole = MIMEMultipart()
    whole.attach(MIMEText("#cloud-config\npackages: [yas3fs]\n", "cloud-config"))
    part = MIMEText(document, subtype)
    if name:
        part.add_header("Content-Disposition", "attachment", filename=name)
    whole.attach(part)
    return whole.as_bytes()


@pytest.mark.parametrize(
    "data",
    [
        DOCUMENT.encode(),
        gzip.compress(DOCUMENT.encode()),
        archive(DOCUMENT),
        gzip.compress(archive(DOCUMENT)),
        archive(DOCUMENT, "plain", "yas3fs.yaml"),
    ],
    ids=["plain", "gzip", "archive", "gzip of archive", "by name"],
)
def test_the_document_is_found(data: bytes) -> None:
    assert document_of(data) == DOCUMENT


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"#!/bin/sh\nyum -y update\n", "has no section mounts: and is no MIME archive"),
        (archive("mounts:", "plain"), "no part of the MIME archive"),
        (b"\xff\xfe", "is no text"),
        (b"\x1f\x8b broken", "is no text"),
    ],
)
def test_other_user_data_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        document_of(data)


def test_an_instance_mounts_what_its_user_data_says() -> None:
    with imds({"user-data": DOCUMENT.encode()}) as service:
        (mount,) = load_service(USER_DATA, environment=service.environment).mounts
    assert (mount.url, mount.id) == ("s3://bucket/ä", "i-0123456789abcdef0-eu-west-1")
    # The token is asked for once by each reader, and never is anything asked without it.
    assert service.asked.count("PUT /latest/api/token") == 2
    assert service.refused == 0


def test_without_user_data() -> None:
    with imds({}) as service, pytest.raises(ConfigError, match="was given no user data"):
        read_source(USER_DATA, service.environment)


def test_off_ec2() -> None:
    with pytest.raises(ConfigError, match="does not answer: AWS_EC2_METADATA_DISABLED is set"):
        read_source(USER_DATA, {"AWS_EC2_METADATA_DISABLED": "true"})


def test_only_user_data_can_be_asked_for() -> None:
    with pytest.raises(ConfigError, match="give a file or imds:user-data"):
        read_source("imds:tags", {})
