"""What is in the packages, as a CycloneDX document."""

import json
import uuid
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from typing import Any


def components(library: Path) -> list[dict[str, Any]]:
    """One for each distribution in ``library``, by name."""
    found = []
    for path in library.glob("*.dist-info/METADATA"):
        headers = HeaderParser().parsestr(path.read_text(encoding="utf-8"))
        name, version = headers["Name"], headers["Version"]
        component: dict[str, Any] = {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
        }
        if text := licence(headers):
            component["licenses"] = [{"license": {"name": text}}]
        found.append(component)
    return sorted(found, key=lambda one: str(one["name"]).lower())


def licence(headers: Message) -> str:
    """What the distribution says of its licence, in one line."""
    for name in ("License-Expression", "License"):
        if text := (headers[name] or "").strip().partition("\n")[0]:
            return text
    classifiers = headers.get_all("Classifier") or []
    ours = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    return ", ".join(ours)


def write_sbom(library: Path, target: Path) -> None:
    """Write the document; the same content gets the same serial number."""
    every = components(library)
    (program,) = [one for one in every if one["name"] == "yas3fs"]
    others = [one for one in every if one is not program]
    seed = json.dumps(every, sort_keys=True)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, seed).urn,
        "version": 1,
        "metadata": {"component": {**program, "type": "application"}},
        "components": others,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
