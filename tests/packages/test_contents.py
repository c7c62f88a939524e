"""What is in the packages, and in what is made for them from the tables of the program."""

import argparse
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest

from yas3fs.cli import yas3fsctl
from yas3fs.config.options import OPTIONS

ROOT = Path(__file__).parents[2]
PACKAGING = ROOT / "packaging"
PINS = dict(
    re.findall(r"^([\w.-]+)==(\S+)", (PACKAGING / "requirements.txt").read_text(), re.MULTILINE)
)
NOT_LOADED = {"pycparser"}


def script(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, PACKAGING / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needs(program: str) -> pytest.MarkDecorator:
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return pytest.mark.skipif(not shutil.which(program, path=path), reason=f"{program} is missing")


def said(*command: str | Path) -> str:
    """All that a command prints."""
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"},
    ).stdout


# -- the packages themselves ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def trees(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both packages unpacked: the deb, the rpm."""
    deb, rpm = tmp_path_factory.mktemp("deb"), tmp_path_factory.mktemp("rpm")
    (archive,) = packages.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, deb], check=True)
    (archive,) = packages.glob("*.rpm")
    subprocess.run(f"rpm2cpio {archive} | cpio -idm --quiet", shell=True, cwd=rpm, check=True)
    return deb, rpm


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_both_packages_hold_the_same_bits(trees: tuple[Path, Path]) -> None:
    """They were built independently, so that this also shows that a build can be repeated."""
    deb, rpm = (digests(root / "usr/lib/yas3fs") for root in trees)
    assert len(deb) > 500
    assert deb == rpm
    for name in ("etc/yas3fs.yaml", "usr/share/yas3fs/yas3fs.schema.json"):
        assert (trees[0] / name).read_bytes() == (trees[1] / name).read_bytes()


def test_every_python_is_served(trees: tuple[Path, Path]) -> None:
    library = trees[0] / "usr/lib/yas3fs/lib"
    compiled = sorted(path.name for path in library.rglob("*.so"))
    abi3 = [name for name in compiled if name.endswith(".abi3.so")]
    others = [name for name in compiled if name not in abi3]
    assert len(abi3) == 2
    assert [name.split("-")[1] for name in others] == ["311", "312", "313", "314"]
    assert all(name.startswith("_cffi_backend.cpython-") for name in others)


def test_the_bill_of_materials_names_every_part(trees: tuple[Path, Path]) -> None:
    document = json.loads((trees[0] / "usr/share/doc/yas3fs/sbom.cdx.json").read_text())
    found = {normal(one["name"]): one["version"] for one in document["components"]}
    pins = {normal(name): version for name, version in PINS.items() if name not in NOT_LOADED}
    # What was published without metadata of today's form is not told by it.
    assert pins.keys() - found.keys() <= {"sdnotify"}
    assert found.items() <= pins.items()
    assert all(one["licenses"] for one in document["components"])


def test_checksums(packages: Path) -> None:
    for archive in (*packages.glob("*.deb"), *packages.glob("*.rpm")):
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert Path(f"{archive}.sha256").read_text() == f"{digest}  {archive.name}\n"


@needs("lintian")
def test_lintian_finds_nothing(packages: Path) -> None:
    (archive,) = packages.glob("*.deb")
    assert said("lintian", "--allow-root", archive) == ""


@needs("rpmlint")
def test_rpmlint_finds_nothing(packages: Path) -> None:
    (archive,) = packages.glob("*.rpm")
    assert " 0 errors, 0 warnings" in said("rpmlint", "-c", ROOT / "rpm" / "rpmlint.toml", archive)


def test_the_wheel_has_the_programs_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        (entries,) = [name for name in names if name.endswith("entry_points.txt")]
        programs = re.findall(r"^(\S+) = ", archive.read(entries).decode(), re.MULTILINE)
    assert sorted(programs) == ["mount.yas3fs", "umount.fuse.yas3fs", "yas3fs", "yas3fsctl"]
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"yas3fs"}
    assert not any("test" in name for name in names)


# -- pins ----------------------------------------------------------------------------------------


def test_every_dependency_is_pinned_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {normal(re.split(r"[<>=]", line)[0]) for line in project["dependencies"]}
    assert wanted <= {normal(name) for name in PINS}
    text = (PACKAGING / "requirements.txt").read_text()
    assert text.count("--hash=sha256:") >= len(PINS)


def test_the_versions_of_the_packages_are_the_programs() -> None:
    program = re.search(r'"(.+)"', (ROOT / "yas3fs/__init__.py").read_text().split("=")[1])
    assert program is not None
    version = re.sub(r"\.(dev|a|b|rc)", r"~\1", program[1])
    assert f"({version})" in (ROOT / "debian/changelog").read_text().splitlines()[0]
    assert f" - {version}-1" in (ROOT / "rpm/yas3fs.spec").read_text()


# -- man pages -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, PACKAGING / "manual.py", folder], check=True)
    return folder


def rendered(folder: Path, page: str) -> str:
    path = folder / f"man{page[-1]}" / page
    return said("sh", "-c", f"MANWIDTH=200 man -l {path} | col -bx")


@needs("man")
def test_pages_render_without_a_complaint(manual: Path) -> None:
    for path in manual.glob("man?/*"):
        if path.read_text().startswith(".so "):
            assert (manual / path.read_text().split()[1]).exists()
        else:
            assert (
                said("man", "--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l", path).count(
                    "warning"
                )
                == 0
            )


@needs("man")
def test_pages_tell_of_everything(manual: Path) -> None:
    program, file = rendered(manual, "yas3fs.8"), rendered(manual, "yas3fs.yaml.5")
    for option in OPTIONS:
        if option.retired:
            assert option.flag not in program
            continue
        for flag in (*option.all_flags, *(short.flag for short in option.shorthands)):
            if option.default is not True or flag not in option.all_flags:
                assert re.search(rf"(?<![\w-]){flag}(?![\w-])", program), flag
        if option.name != "url":
            assert f"{option.name.replace('_', '-')}: " in file
    control = rendered(manual, "yas3fsctl.8")
    for command in yas3fsctl.COMMANDS:
        assert f"\n   {command.name}\n" in control
        parser = argparse.ArgumentParser(add_help=False)
        command.declare(parser)
        for action in parser._actions:
            assert all(flag in control for flag in action.option_strings)


# -- completion ----------------------------------------------------------------------------------

COMPLETE = """
. /usr/share/bash-completion/bash_completion
. $1/yas3fs; . $1/yas3fsctl; shift
COMP_WORDS=("$@" ""); COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
_$1
echo "${COMPREPLY[*]}"
"""


@pytest.fixture(scope="module")
def completions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh"):
        subprocess.run(
            [sys.executable, PACKAGING / "completion.py", shell, folder / shell], check=True
        )
    return folder


@pytest.mark.skipif(
    not Path("/usr/share/bash-completion/bash_completion").exists(),
    reason="bash-completion is missing",
)
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["yas3fs", "--cache-t"], "--cache-total"),
        (["yas3fs", "--addressing", ""], "auto path virtual"),
        (["yas3fs", "--addressing=v"], "virtual"),
        (["yas3fs", "--mp-n"], ""),
        (["yas3fsctl", "f"], "flush forget"),
        (["yas3fsctl", "status", "--w"], "--watch"),
        (["yas3fsctl", "prefetch", "o"], "on off"),
    ],
)
def test_bash_completes(completions: Path, words: list[str], completed: str) -> None:
    done = said("bash", "-c", COMPLETE, "-", completions / "bash", *words)
    assert done.strip() == completed


@needs("zsh")
def test_zsh_understands_its_files(completions: Path) -> None:
    for path in (completions / "zsh").iterdir():
        assert said("zsh", "-n", path) == ""
        assert path.read_text().startswith(f"#compdef {path.name[1:]}\n")
