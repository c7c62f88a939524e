"""The JSON schema of the file, for editors: ``python -m yas3fs.config.schema``."""

import json
import sys
from typing import Any

from yas3fs.config.option import Group, Kind, Option
from yas3fs.config.options import OPTIONS
from yas3fs.config.service import MOUNTPOINT, OPTIONS_KEY, key_names

_REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}
_SIZE = r"^\s*(\d+(\.\d*)?|\.\d+)\s*([KkMmGgTt]([Ii]?[Bb])?|[Bb])?\s*$"


def schema() -> dict[str, Any]:
    """The schema, for the keys that load_service takes."""
    of_process = {n: o for n, o in key_names().items() if o.group is Group.PROCESS}
    of_mount = {n: o for n, o in key_names().items() if n not in of_process and n != "url"}
    options = _both_spellings(of_mount)
    passed = {
        "description": "options for the kernel, as -o takes them",
        "type": ["string", "array", "null"],
        "items": {"type": "string"},
    }
    defaults = {**options, **_both_spellings(of_process), OPTIONS_KEY: passed}
    url = next(option for option in OPTIONS if option.name == "url")
    mount = {
        "url": {"type": "string", "description": url.help, "pattern": r"^[Ss]3://|\$\{"},
        MOUNTPOINT: {
            "type": "string",
            "description": "folder to mount on, an absolute path",
            "pattern": r"^/|\$\{",
        },
        **options,
        OPTIONS_KEY: passed,
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "yas3fs.yaml",
        "definitions": {option.name: _value(option) for option in OPTIONS},
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            "defaults": {
                "description": "options for every mount, and those of the process",
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": defaults,
            },
            "mounts": {
                "description": "the mounts, by name",
                "type": ["object", "null"],
                "propertyNames": {"pattern": "^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"},
                "additionalProperties": {
                    "type": "object",
                    "required": ["url", MOUNTPOINT],
                    "additionalProperties": False,
                    "properties": mount,
                },
            },
        },
    }


def _both_spellings(options: dict[str, Option]) -> dict[str, Any]:
    """What each key refers to, with underscores and with hyphens."""
    found = {}
    for name, option in options.items():
        for spelling in (name, name.replace("_", "-")):
            found[spelling] = {"$ref": f"#/definitions/{option.name}"}
    return found


def _value(option: Option) -> dict[str, Any]:
    text = option.retired or option.help
    if option.default_text:
        text += f" (default: {option.default_text})"
    elif option.default is not None:
        unit = f" {option.unit}" if option.unit else ""
        text += f" (default: {option.show(option.default)}{unit})"
    return {"description": text, "anyOf": [*_forms(option), _REFERENCE, {"type": "null"}]}


def _forms(option: Option) -> list[dict[str, Any]]:
    if option.retired:
        return [{"type": ["string", "number", "boolean"]}]
    match option.kind:
        case Kind.SWITCH:
            return [{"type": "boolean"}, {"enum": ["yes", "no", "on", "off", "true", "false"]}]
        case Kind.CHOICE:
            return [{"enum": list(option.choices)}]
        case Kind.INTEGER | Kind.SECONDS:
            number: dict[str, Any] = {
                "type": "integer" if option.kind is Kind.INTEGER else "number"
            }
            if option.low is not None:
                number["minimum"] = option.low
            if option.high is not None:
                number["maximum"] = option.high
            return [number]
        case Kind.SIZE:
            return [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _SIZE}]
        case Kind.OCTAL:
            return [{"type": "integer"}, {"type": "string", "pattern": "^(0o)?[0-7]{1,6}$"}]
    texts: list[dict[str, Any]] = [{"type": ["string", "number"]}]
    if option.name == "remote_control":
        texts.append({"type": "array", "items": {"type": "string"}})
    return texts


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=1, ensure_ascii=True) + "\n")
