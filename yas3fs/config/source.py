"""Where the service's document comes from: a file, or the user data of an EC2 instance."""

import email
import email.policy
import gzip
import os
import re
from collections.abc import Iterator, Mapping

from yas3fs.errors import ConfigError, MetadataUnavailable
from yas3fs.runtime.imds import InstanceMetadata

DEFAULT_FILE = "/etc/yas3fs.yaml"
USER_DATA = "imds:user-data"
CONTENT_TYPE = "text/x-yas3fs"
"""Of the part of multi-part user data that is the document."""
_FILE_NAME = "yas3fs.yaml"
_SECTION = re.compile(r"^(mounts|defaults)\s*:", re.MULTILINE)


def read_source(source: str, environment: Mapping[str, str] = os.environ) -> str:
    """The text of the document at ``source``: a path, or ``imds:user-data``. Raises ConfigError."""
    if source.startswith("imds:"):
        if source != USER_DATA:
            raise ConfigError(f"--config: {source!r} is not valid: give a file or {USER_DATA}")
        return _from_instance(environment)
    try:
        with open(source, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"--config: cannot read {source}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source}: byte {error.start} is not UTF-8") from None


def _from_instance(environment: Mapping[str, str]) -> str:
    try:
        data = InstanceMetadata.from_environment(environment).get("user-data")
    except MetadataUnavailable as error:
        raise ConfigError(
            f"{USER_DATA}: the instance metadata service does not answer: {error}"
        ) from error
    if not data:
        raise ConfigError(f"{USER_DATA}: this instance was given no user data")
    return document_of(data)


def document_of(data: bytes) -> str:
    """The document in user data: all of it, or the part of a MIME archive that is ours.

    Compressed user data is unpacked, as cloud-init does. Raises ConfigError.
    """
    try:
        text = _unpacked(data).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"{USER_DATA}: this is no text: {error}") from None
    head = text.lstrip()[:4096].lower()
    if not head.startswith(("content-type: multipart", "mime-version:")):
        if not _SECTION.search(text):
            raise ConfigError(f"{USER_DATA}: has no section mounts: and is no MIME archive")
        return text
    for part in _parts(text):
        return part
    raise ConfigError(
        f"{USER_DATA}: no part of the MIME archive is of type {CONTENT_TYPE} or named {_FILE_NAME}"
    )


def _unpacked(data: bytes) -> bytes:
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def _parts(text: str) -> Iterator[str]:
    message = email.message_from_string(text.lstrip(), policy=email.policy.default)
    for part in message.walk():
        if part.get_content_type() == CONTENT_TYPE or part.get_filename() == _FILE_NAME:
            body = part.get_payload(decode=True)
            assert isinstance(body, bytes)
            try:
                yield _unpacked(body).decode("utf-8")
            except (OSError, EOFError, UnicodeDecodeError) as error:
                raise ConfigError(f"{USER_DATA}: the part is no text: {error}") from None
