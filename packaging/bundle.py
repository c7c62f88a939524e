"""Lays out what both packages install: the program, its pinned dependencies, units, man pages.

    python3 packaging/bundle.py DESTDIR [--zsh FOLDER] [--units FOLDER]

Everything that Python loads lies in /usr/lib/yas3fs/lib, which no other program sees: the packages
need nothing but python3, fuse3 and libfuse3 from the distribution. It is the same for every Python
from 3.11 on: compiled parts have a stable interface, or lie side by side for each Python (cffi).
The same input makes the same files, with the times of SOURCE_DATE_EPOCH.
"""

import argparse
import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "packaging")]

from completion import write_completions
from manual import write_pages
from pin import PYTHONS, SOURCE_ONLY
from sbom import write_sbom

REQUIREMENTS = ROOT / "packaging" / "requirements.txt"
HOME = Path("usr/lib/yas3fs")
SERVICES = {"s3", "sns", "sqs", "sts", "sso", "sso-oidc", "signin"}
"""Whose description botocore reads for us; the hundreds of others stay out."""
PROGRAMS = {
    "yas3fs": ("yas3fs.cli.yas3fs", ["usr/bin/yas3fs"]),
    "yas3fsctl": ("yas3fs.cli.yas3fsctl", ["usr/bin/yas3fsctl"]),
    "mount.yas3fs": (
        "yas3fs.cli.mount_helper", ["usr/sbin/mount.yas3fs", "usr/sbin/mount.fuse.yas3fs"]
    ),
    "umount.fuse.yas3fs": (
        "yas3fs.cli.umount_helper", ["usr/sbin/umount.yas3fs", "usr/sbin/umount.fuse.yas3fs"]
    ),
}  # fmt: skip
STARTER = """\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/usr/lib/yas3fs/lib")

from {module} import main

sys.exit(main())
"""
DOCUMENTS = ("README.md", "CHANGELOG.md", "docs/SERVICE.md", "docs/MOUNTING.md", "docs/OPTIONS.md",
             "docs/SEMANTICS.md", "docs/LIMITS.md")  # fmt: skip


def pip(*words: str) -> None:
    environment = os.environ | {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, env=environment)


def constraints(python: str) -> list[str]:
    machine = platform.machine()
    tags = ("2014", "_2_17", "_2_28", "_2_34")
    platforms = [f"--platform=manylinux{tag}_{machine}" for tag in tags]
    return ["-q", "--no-deps", f"--python-version={python}", "--implementation=cp", *platforms]


def install_dependencies(library: Path) -> None:
    lines = REQUIREMENTS.read_text()
    blocks = re.findall(r"^(?:[^#\s].*\\\n)(?:[ ]+.*\n)+", lines, re.MULTILINE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheels, sources, cffi = folder / "wheels.txt", folder / "sources.txt", folder / "cffi.txt"
        wheels.write_text("".join(one for one in blocks if not one.startswith(SOURCE_ONLY)))
        sources.write_text("".join(one for one in blocks if one.startswith(SOURCE_ONLY)))
        cffi.write_text("".join(one for one in blocks if one.startswith("cffi==")))
        common = ["--no-compile", "--require-hashes", "--target", str(library)]
        pip("install", *constraints(PYTHONS[0]), "--only-binary=:all:", *common, "-r", str(wheels))
        pip("install", "-q", "--no-deps", *common, "--no-binary=:all:", "-r", str(sources))
        for python in PYTHONS[1:]:
            only = [*constraints(python), "--only-binary=:all:", "--require-hashes"]
            pip("download", *only, "-d", str(folder / python), "-r", str(cffi))
            (wheel,) = (folder / python).glob("*.whl")
            with ZipFile(wheel) as archive:
                for member in archive.namelist():
                    if member.startswith("_cffi_backend"):
                        archive.extract(member, library)


def install_program(library: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        # setuptools leaves build/ and *.egg-info in the folder that it builds
        for part in ("yas3fs", "pyproject.toml", "setup.py", "README.md", "LICENSE"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(
                    source, Path(name, part), ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(source, name)
        pip("install", "-q", "--no-deps", "--no-compile", "--target", str(library), name)
    shutil.rmtree(library / "yas3fs" / "demo")  # it needs a local S3, which is not in the package


def prune(library: Path) -> None:
    """Leave out what is never loaded, and what differs from build to build."""
    shutil.rmtree(library / "bin", ignore_errors=True)
    shutil.rmtree(library / "boto3" / "data", ignore_errors=True)
    (library / "boto3" / "data").mkdir()
    for path in list((library / "botocore" / "data").rglob("examples-1.json")):
        path.unlink()
    for path in (library / "botocore" / "data").iterdir():
        if path.is_dir() and path.name not in SERVICES:
            shutil.rmtree(path)
    # Of cffi only _cffi_backend is loaded, by cryptography; its parser of C is not.
    for path in [library / "cffi", library / "pycparser", *library.glob("pycparser-*.dist-info")]:
        shutil.rmtree(path)
    for path in (library / "yaml").glob("_yaml*.so"):  # it would be good for one Python only
        path.unlink()
    for pattern in ("**/__pycache__", "**/tests", "**/*.dist-info/licenses/**/CVS"):
        for path in list(library.glob(pattern)):
            shutil.rmtree(path, ignore_errors=True)
    for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "*.pyi", "*.h", "*.c"):
        for path in list(library.rglob(name)):
            path.unlink()
    (
        library / "dateutil" / "zoneinfo" / "dateutil-zoneinfo.tar.gz"
    ).unlink()  # the system's is used
    for path in list(library.rglob("*.json.gz")):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    for path in library.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    for path in library.rglob("*.py"):  # modules, no programs
        text = path.read_bytes()
        if text.startswith(b"#!"):
            path.write_bytes(text.partition(b"\n")[2])


def install_rest(root: Path, zsh: str, units: str) -> None:
    programs = root / HOME / "bin"
    programs.mkdir(parents=True)
    for name, (module, links) in PROGRAMS.items():
        (programs / name).write_text(STARTER.format(module=module))
        (programs / name).chmod(0o755)
        for link in links:
            path = root / link
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(os.path.relpath("/" / HOME / "bin" / name, "/" / Path(link).parent))
    documents = root / "usr/share/doc/yas3fs"
    copies = {
        **{ROOT / name: documents / Path(name).name for name in DOCUMENTS},
        **{path: documents / "examples" / path.name for path in (ROOT / "etc/examples").iterdir()},
        **{
            path: documents / "examples" / path.relative_to(ROOT / "etc")
            for path in (ROOT / "etc/aws").rglob("*")
            if path.is_file()
        },
        **{path: root / units / path.name for path in (ROOT / "systemd").iterdir()},
        ROOT / "etc/yas3fs.yaml": root / "etc/yas3fs.yaml",
        ROOT / "etc/yas3fs.schema.json": root / "usr/share/yas3fs/yas3fs.schema.json",
    }
    for source, target in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    write_sbom(root / HOME / "lib", documents / "sbom.cdx.json")
    write_pages(root / "usr/share/man")
    write_completions("bash", root / "usr/share/bash-completion/completions")
    write_completions("zsh", root / zsh)


def settle_times(root: Path) -> None:
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0")) or None
    if epoch is not None:
        for path in [root, *root.rglob("*")]:
            os.utime(path, (epoch, epoch), follow_symlinks=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Lay out what the packages install.")
    parser.add_argument("root", type=lambda text: Path(text).resolve())
    parser.add_argument("--zsh", default="usr/share/zsh/site-functions")
    parser.add_argument("--units", default="usr/lib/systemd/system")
    arguments = parser.parse_args()
    os.umask(0o022)
    library = arguments.root / HOME / "lib"
    library.mkdir(parents=True)
    install_dependencies(library)
    install_program(library)
    prune(library)
    install_rest(arguments.root, arguments.zsh, arguments.units)
    settle_times(arguments.root)


if __name__ == "__main__":
    main()
