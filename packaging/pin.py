"""Writes requirements.txt: what goes into the packages beside the program, pinned with hashes.

    python3 packaging/pin.py > packaging/requirements.txt

The newest versions that pyproject.toml allows, as wheels for both architectures and for every Python
that the packages serve.
"""

import hashlib
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""For the one dependency whose compiled part has no stable interface (cffi)."""
SOURCE_ONLY = ("sdnotify",)
"""Pure Python that is published without a wheel."""
HEAD = """\
# Made by `python3 packaging/pin.py > packaging/requirements.txt`.
"""


def download(folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "-q", "-d", str(folder), *words]
    subprocess.run(command, check=True, stdout=sys.stderr)


def wheels(folder: Path, names: list[str]) -> None:
    for architecture in ARCHITECTURES:
        platforms = [f"--platform=manylinux{tag}_{architecture}"
                     for tag in ("2014", "_2_17", "_2_28", "_2_34")]  # fmt: skip
        only = ["--only-binary=:all:", *platforms]
        download(folder, "--python-version=3.11", *only, *names)
        for python in PYTHONS:
            download(
                folder, f"--python-version={python}", "--no-deps", *only, pin_of(folder, "cffi")
            )
    for name in SOURCE_ONLY:
        download(folder, "--no-deps", "--no-binary=:all:", name)


def pin_of(folder: Path, name: str) -> str:
    found = {path.name.split("-")[1] for path in folder.glob(f"{name}-*.whl")}
    (version,) = found
    return f"{name}=={version}"


def name_and_version(path: Path) -> tuple[str, str]:
    if path.suffix == ".whl":
        with ZipFile(path) as archive:
            (entry,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
            headers = HeaderParser().parsestr(archive.read(entry).decode())
        return headers["Name"], headers["Version"]
    name, _, version = path.name.removesuffix(".tar.gz").rpartition("-")
    return name, version


def main() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [line for line in wanted if not line.startswith(SOURCE_ONLY)]
    hashes: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    with tempfile.TemporaryDirectory() as folder:
        wheels(Path(folder), names)
        for path in Path(folder).iterdir():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            hashes[name_and_version(path)].add(digest)
    print(HEAD, end="")
    for (name, version), digests in sorted(hashes.items(), key=lambda one: one[0][0].lower()):
        print(
            f"{name}=={version}",
            *(f"--hash=sha256:{one}" for one in sorted(digests)),
            sep=" \\\n    ",
        )


if __name__ == "__main__":
    main()
