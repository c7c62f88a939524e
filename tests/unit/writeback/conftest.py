"""The tests of this room."""

import tests.functional.profile  # noqa: F401
