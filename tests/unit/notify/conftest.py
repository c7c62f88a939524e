"""Fixtures of this room's unit tests."""

from tests.doubles.plugin import certificate  # noqa: F401
