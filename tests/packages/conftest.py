"""The packages, built once for all tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_TOOLS = ("dpkg-buildpackage", "dh", "rpmbuild", "python3")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, as the documented commands build them, side by side."""
    missing = [name for name in _TOOLS if shutil.which(name, path=_PATH) is None]
    if missing:
        pytest.skip(f"building packages needs {', '.join(missing)}")
    folder: Path = tmp_path_factory.mktemp("dist")
    builds = []
    for name in ("build-deb", "build-rpm"):
        with open(folder / f"{name}.log", "w") as log:
            command = [ROOT / "packaging" / name, folder]
            builds.append(subprocess.Popen(command, stdout=log, stderr=log))
    for build in builds:
        assert build.wait() == 0, "\n".join(log.read_text() for log in folder.glob("*.log"))
    return folder
