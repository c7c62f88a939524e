"""The two commands of the README, and that what is tested is what it says."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(heading: str) -> str:
    """The fenced block under ``heading``, which must be the only one."""
    section = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert section is not None
    (found,) = re.findall(r"^```sh\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.mark.parametrize("heading", ["Try it", "Test it"])
def test_each_command_stands_alone(heading: str) -> None:
    text = block(heading)
    assert text.startswith("apt-get update &&\n")
    assert "python3 -m venv .venv &&\n" in text
    subprocess.run(["bash", "-n", "-c", text], check=True)


def test_the_block_ends_at_the_first_failure() -> None:
    for heading in ("Try it", "Test it"):
        commands = block(heading).replace("\\\n", " ").strip().splitlines()
        assert all(line.rstrip().endswith("&&") for line in commands[:-1])


def test_ci_runs_the_block_word_for_word(tmp_path: Path) -> None:
    """With a README of its own, whose command leaves a trace."""
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "run"
    script.write_text((ROOT / ".ci" / "run").read_text())
    script.chmod(0o755)
    (tmp_path / "README.md").write_text(
        "## Try it\n\n```sh\nexit 7\n```\n\n## Test it\n\nSays:\n\n"
        '```sh\ntrue &&\nprintf "%s" "$CI" > trace\n```\n\n```sh\nexit 8\n```\n'
    )
    done = subprocess.run([script], cwd="/", stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0
    assert (tmp_path / "trace").read_text() == "true"


def test_ci_fails_without_a_block(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "run"
    script.write_text((ROOT / ".ci" / "run").read_text())
    script.chmod(0o755)
    (tmp_path / "README.md").write_text("## Test it\n\nnothing\n")
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no command block" in done.stderr
