"""Copies of servers that do not heed the condition on the source."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.functional.core import Core
from yas3fs.errors import PreconditionFailed
from yas3fs.fs.copies import copy_object
from yas3fs.objectstore.memory import MemoryStore
from yas3fs.objectstore.protocol import Headers, Written


class Heedless(MemoryStore):
    """``etag_is_md5`` False: it encrypts with keys, so that the same bytes get other ETags."""

    etag_is_md5 = True

    def copy(
        self, source: str, target: str, *, headers: Headers | None = None, source_etag: str = ""
    ) -> Written:
        done = super().copy(source, target, headers=headers)
        return Written(done.etag, done.last_modified, etag_is_md5=self.etag_is_md5)


def md5(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def copy(store: MemoryStore, source: str, target: str, etag: str) -> Written:
    with ThreadPoolExecutor(1) as pool:
        return copy_object(store, pool, source, target, 5, headers=Headers(), source_etag=etag)


@pytest.mark.parametrize("target", ["a", "b"])
def test_another_version_was_copied(target: str) -> None:
    store = Heedless()
    store.put("a", b"newer", Headers())
    with pytest.raises(PreconditionFailed):
        copy(store, "a", target, md5(b"older"))
    assert copy(store, "a", target, md5(b"newer")).etag == md5(b"newer")


def test_etags_that_are_no_md5_say_nothing() -> None:
    store = Heedless()
    store.etag_is_md5 = False
    store.put("a", b"newer", Headers())
    copy(store, "a", "a", "0" * 32)
    copy(store, "a", "b", f"{md5(b'older')}-2")


def test_the_source_was_encrypted_and_the_copy_is_not() -> None:
    """The source's ETag was no MD5; it is still there, so that the copy is of it."""

    class Encrypted(Heedless):
        def head(self, key: str) -> Any:
            found = super().head(key)
            object.__setattr__(found, "etag", "0" * 32)
            return found

    store = Encrypted()
    store.put("a", b"bytes", Headers())
    assert copy(store, "a", "b", "0" * 32).etag == md5(b"bytes")


def test_a_mode_is_changed_while_another_client_stores_other_bytes(tmp_path: Any) -> None:
    store = Heedless()
    core = Core(store, tmp_path)
    try:
        core.write("/f", b"older")
        assert core.read("/f") == b"older"
        store.put("f", b"newer", Headers())
        with pytest.raises(PreconditionFailed):
            core.fs.chmod("/f", 0o600)
        assert core.read("/f") == b"newer"
        core.fs.chmod("/f", 0o600)
        assert core.fs.getattr("/f").mode & 0o777 == 0o600
        store.put("f", b"third", Headers())
        with pytest.raises(PreconditionFailed):
            core.fs.rename("/f", "/g")
        assert core.read("/f") == b"third"
    finally:
        core.end()
