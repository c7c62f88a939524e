"""Fixtures of the object store's unit tests."""

from tests.doubles.plugin import (  # noqa: F401
    certificate,
    moto_server,
    new_bucket,
    versitygw_server,
    versitygw_tls_server,
)
