"""Writes the completions of bash and zsh, from the tables that the program itself goes by.

python3 packaging/completion.py bash|zsh FOLDER
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from yas3fs.cli import yas3fsctl
from yas3fs.cli.arguments import build_parser
from yas3fs.config.option import Kind
from yas3fs.config.options import BY_NAME

PATHS = {flag for option in BY_NAME.values() if option.kind is Kind.PATH
         for flag in option.all_flags} | {"--config"}  # fmt: skip
Flags = Mapping[str, tuple[str, argparse.Action]]


def flags_of(parser: argparse.ArgumentParser) -> Flags:
    """The long flags with what their help says."""
    found = {}
    for action in parser._actions:
        text = action.help or ""
        for flag in action.option_strings:
            if flag.startswith("--") and text != argparse.SUPPRESS:
                found[flag] = (text % {**vars(action), "prog": parser.prog}, action)
    return found


def choices_of(flag: str) -> tuple[str, ...]:
    """The words that the option of a flag takes."""
    for option in BY_NAME.values():
        if flag in option.all_flags:
            return option.choices
    return ()


def commands() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """The commands of yas3fsctl, with what they do."""
    found = {}
    for command in yas3fsctl.COMMANDS:
        parser = argparse.ArgumentParser(prog=command.name)
        command.declare(parser)
        found[command.name] = (command.help, parser)
    return found


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """The words that the operands of a command take."""
    return [str(word) for action in parser._actions
            if not action.option_strings for word in action.choices or ()]  # fmt: skip


def bash() -> dict[str, str]:
    """One file for each program."""
    flags = flags_of(build_parser())
    lines = [
        "# bash completion for yas3fs",
        "_yas3fs() {",
        "    local cur prev words cword",
        "    _init_completion -s || return",
        "    case $prev in",
    ]
    for flag in flags:
        if words := choices_of(flag):
            lines.append(
                f'        {flag}) COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$cur")); return ;;'
            )
    lines += [
        f"        {'|'.join(sorted(PATHS & flags.keys()))}) _filedir; return ;;",
        "    esac",
        "    if [[ $cur == -* ]]; then",
        f'        COMPREPLY=($(compgen -W "{" ".join(flags)}" -- "$cur"))',
        "    else",
        "        _filedir -d",
        "    fi",
        "} && complete -F _yas3fs yas3fs",
    ]
    table = commands()
    control = [
        "# bash completion for yas3fsctl",
        "_yas3fsctl() {",
        "    local cur prev words cword",
        "    _init_completion || return",
        "    if ((cword == 1)); then",
        f'        COMPREPLY=($(compgen -W "{" ".join(table)}" -- "$cur"))',
        "        return",
        "    fi",
        "    case ${words[1]} in",
    ]
    for name, (_, parser) in table.items():
        known = " ".join([*flags_of(parser), *_words(parser)])
        files = "; _filedir" if name == "check-config" else ""
        control.append(f'        {name}) COMPREPLY=($(compgen -W "{known}" -- "$cur")){files} ;;')
    control += ["    esac", "} && complete -F _yas3fsctl yas3fsctl"]
    return {"yas3fs": "\n".join(lines) + "\n", "yas3fsctl": "\n".join(control) + "\n"}


def _quoted(text: str) -> str:
    text = text.replace("'", "’").replace("[", "(").replace("]", ")").replace(":", "\\:")  # noqa: RUF001
    return text.replace("\n", " ")


def _zsh_flags(flags: Flags) -> list[str]:
    lines = []
    for flag, (text, action) in flags.items():
        value = ""
        if action.nargs != 0:
            name = str(action.metavar or action.dest).replace(":", "\\:")
            words = " ".join(choices_of(flag))
            what = f"({words})" if words else "_files" if flag in PATHS else " "
            value = f":{name}:{what}"
        equals = "=" if value else ""
        lines.append(f"'{flag}{equals}[{_quoted(text)}]{value}'")
    return lines


def zsh() -> dict[str, str]:
    """One file for each program."""
    lines = ["#compdef yas3fs", "_arguments \\"]
    lines += [f"  {line} \\" for line in _zsh_flags(flags_of(build_parser()))]
    lines += ["  '*:folder:_files -/'"]
    table = commands()
    control = ["#compdef yas3fsctl", "local -a commands", "commands=("]
    control += [f"  '{name}:{_quoted(text)}'" for name, (text, _) in table.items()]
    control += [
        ")",
        "if (( CURRENT == 2 )); then",
        "  _describe command commands",
        "  return",
        "fi",
    ]
    control += ["local command=$words[2]", "shift words", "(( CURRENT-- ))", "case $command in"]
    for name, (_, parser) in table.items():
        control.append(f"  {name}) _arguments \\")
        control += [f"    {line} \\" for line in _zsh_flags(flags_of(parser))]
        words = " ".join(_words(parser))
        control.append(f"    '*:argument:{f'({words})' if words else '_files'}' ;;")
    control.append("esac")
    return {"_yas3fs": "\n".join(lines) + "\n", "_yas3fsctl": "\n".join(control) + "\n"}


SHELLS: dict[str, Callable[[], dict[str, str]]] = {"bash": bash, "zsh": zsh}


def write_completions(shell: str, folder: Path) -> None:
    """The shell's files in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in SHELLS[shell]().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_completions(sys.argv[1], Path(sys.argv[2]))
