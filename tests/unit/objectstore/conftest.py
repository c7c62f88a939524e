"""Fixtures of the object store's unit tests."""

from tests.doubles.plugin import moto_server, new_bucket, versitygw_server  # noqa: F401
