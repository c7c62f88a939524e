"""What holds for every test: this machine's AWS settings stay out, what cannot run is skipped."""

import os
from pathlib import Path

import pytest

for _name in [name for name in os.environ if name.startswith(("AWS_", "YAS3FS_"))]:
    del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.devnull
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

_MOUNT_TESTS = Path(__file__).parent / "mount"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in tests/mount, and skip what is marked so where nothing can be mounted."""
    lacking = ""
    if not os.path.exists("/dev/fuse"):
        lacking = "there is no /dev/fuse here"
    elif os.geteuid() != 0:
        lacking = "mounting for several users needs root"
    for item in items:
        if item.path.is_relative_to(_MOUNT_TESTS):
            item.add_marker(pytest.mark.mount)
        if lacking and item.get_closest_marker("mount"):
            item.add_marker(pytest.mark.skip(reason=lacking))
