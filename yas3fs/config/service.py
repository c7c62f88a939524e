"""``/etc/yas3fs.yaml``: the defaults, the mounts, and everything that is wrong with them.

::

    defaults:                 # holds for every mount; options of the process stand only here
      cache-size: 2G
    mounts:
      media:                  # the mount's name
        url: s3://bucket/path
        mountpoint: /srv/media

Keys are the options' names, with hyphens or underscores; ``mountpoint`` and ``options`` (what
``-o`` takes) are the only ones beside. An empty value takes a default back. Everything is checked
before anything is mounted, and every complaint is told, each with its line.
"""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from yas3fs.config.dash_o import parse_dash_o
from yas3fs.config.document import Section, Text
from yas3fs.config.mount_config import MountConfig, ProcessConfig
from yas3fs.config.option import Group, Option
from yas3fs.config.options import BY_NAME, OPTIONS
from yas3fs.config.resolve import Given, Resolved, resolve
from yas3fs.config.source import read_source
from yas3fs.config.substitution import Substitution
from yas3fs.errors import ConfigError

SECTIONS = ("defaults", "mounts")
MOUNTPOINT, OPTIONS_KEY = "mountpoint", "options"
_MOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""What fits into a unit's name, a file name and a metric's label."""
_SECRETS = frozenset(
    f"{front}{name}"
    for front in ("", "aws_", "s3_")
    for name in ("access_key", "access_key_id", "secret_key", "secret_access_key", "session_token")
)


@dataclass(frozen=True, slots=True)
class Service:
    """All that one process serves."""

    mounts: tuple[MountConfig, ...]
    process: ProcessConfig
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """One key of a section: its canonical name, its text, and what to blame."""

    name: str
    text: str | None
    origin: str


class _Complaints:
    """What is wrong, so that all of it can be told at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        if line not in self.lines:
            self.lines.append(line)

    def check(self) -> None:
        """Raise ConfigError with a line for each complaint, if there is any."""
        if self.lines:
            raise ConfigError("\n".join(self.lines))


def key_names() -> dict[str, Option]:
    """Every key that stands for an option, with underscores: names, and the flags' spellings."""
    found = {}
    for option in OPTIONS:
        for flag in option.all_flags:
            if flag.startswith("--"):
                found[flag[2:].replace("-", "_")] = option
        found[option.name] = option
    return found


def load_service(
    source: str,
    *,
    only: Sequence[str] = (),
    given: Iterable[Given] = (),
    fuse_options: tuple[str, ...] = (),
    mountpoint: str = "",
    environment: Mapping[str, str] = os.environ,
    substitution: Substitution | None = None,
) -> Service:
    """Read and check ``source``, a file or ``imds:user-data``.

    ``only`` names the mounts that are wanted, all when empty; ``given`` are flags, which win over
    the file for each of them, as does ``mountpoint`` where it is not empty. Raises ConfigError with
    one line for each thing that is wrong.
    """
    from yas3fs.config.yaml_text import parse_document

    root = parse_document(read_source(source, environment), source)
    loader = _Loader(source, environment, substitution or Substitution(environment))
    return loader.load(root, only, list(given), fuse_options, mountpoint)


class _Loader:
    def __init__(
        self, source: str, environment: Mapping[str, str], substitution: Substitution
    ) -> None:
        self._source = source
        self._environment = environment
        self._substitution = substitution
        self._complaints = _Complaints()
        self._keys = key_names()

    def load(
        self,
        root: Section,
        only: Sequence[str],
        given: list[Given],
        fuse_options: tuple[str, ...],
        mountpoint: str,
    ) -> Service:
        sections = self._sections(root)
        entries = self._entries(sections.get("mounts"), only)
        defaults = self._lines(sections.get("defaults"), of_mount=False)
        warnings: dict[str, None] = {}
        mounts: list[MountConfig] = []
        process: ProcessConfig | None = None
        for name, section in entries:
            lines = self._lines(section, of_mount=True)
            if mountpoint:
                lines.append(_Line(MOUNTPOINT, mountpoint, "the mount point"))
            place = f"{self._source}:{section.line}: mount {name}: "
            try:
                resolved = self._resolve(name, place, [*defaults, *lines], given, fuse_options)
            except ConfigError as error:
                text = str(error)
                known = text.startswith((f"{self._source}:", "--", "-o "))
                self._complaints.add(text if known else place + text)
                continue
            mounts.append(resolved.mount)
            process = resolved.process
            warnings.update(dict.fromkeys(resolved.warnings))
        self._contradictions(mounts)
        self._complaints.check()
        assert process is not None
        return Service(tuple(mounts), process, tuple(warnings))

    def _resolve(
        self,
        name: str,
        place: str,
        lines: list[_Line],
        given: list[Given],
        fuse_options: tuple[str, ...],
    ) -> Resolved:
        chosen = {line.name: line for line in lines}
        mountpoint = chosen.pop(MOUNTPOINT, _Line(MOUNTPOINT, None, place))
        if not mountpoint.text:
            raise ConfigError(f"{place}mountpoint: is missing: give the folder to mount on")
        if not os.path.isabs(mountpoint.text):
            raise ConfigError(
                f"{mountpoint.origin}: {mountpoint.text!r} is not valid: give an absolute path"
            )
        if "url" not in chosen or not chosen["url"].text:
            raise ConfigError(f"{place}url: is missing: give s3://BUCKET/PATH")
        ours: list[Given] = []
        passed: tuple[str, ...] = ()
        options = chosen.pop(OPTIONS_KEY, None)
        if options is not None and options.text:
            ours, passed = parse_dash_o([options.text], options.origin)
        from_file = [
            Given(line.name, line.text, line.origin) for line in chosen.values() if line.text
        ]
        return resolve(
            given,
            mountpoint.text,
            name=name,
            file=[*from_file, *ours],
            environment=self._environment,
            fuse_options=(*passed, *fuse_options),
        )

    # -- sections ------------------------------------------------------------------------

    def _sections(self, root: Section) -> dict[str, Section]:
        found = {}
        for key, value, line in root.pairs:
            place = f"{self._source}:{line}: {key}"
            if key not in SECTIONS:
                near = difflib.get_close_matches(key, SECTIONS, n=1)
                if key.replace("-", "_") in self._keys:
                    hint = "options belong below defaults: or below a mount"
                elif near:
                    hint = f"did you mean {near[0]}?"
                else:
                    hint = "give defaults: and mounts:"
                self._complaints.add(f"{place}: there is no such section; {hint}")
            elif isinstance(value, Section):
                found[key] = value
            elif value.value is not None:
                self._complaints.add(f"{place}: {value.value!r} is not valid: give a mapping")
        return found

    def _entries(self, section: Section | None, only: Sequence[str]) -> list[tuple[str, Section]]:
        entries: list[tuple[str, Section]] = []
        for name, value, line in section.pairs if section else ():
            place = f"{self._source}:{line}: {name}"
            if not _MOUNT_NAME.fullmatch(name):
                self._complaints.add(
                    f"{place}: is no name for a mount: give letters, digits, . _ @ and -, "
                    "64 at most"
                )
            elif isinstance(value, Text):
                self._complaints.add(f"{place}: give the mount's options below its name")
            else:
                entries.append((name, Section(value.pairs, line)))
        names = [name for name, _ in entries]
        for wanted in only:
            if wanted not in names:
                near = difflib.get_close_matches(wanted, names, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {_list(names)}"
                self._complaints.add(f"--mount {wanted}: is not in {self._source}; {hint}")
        if not names and not self._complaints.lines:
            self._complaints.add(
                f"{self._source}: no mount is named: add one below mounts: (see yas3fs.yaml(5))"
            )
        return [entry for entry in entries if not only or entry[0] in only]

    def _lines(self, section: Section | None, *, of_mount: bool) -> list[_Line]:
        found: dict[str, _Line] = {}
        for key, value, line in section.pairs if section else ():
            origin = f"{self._source}:{line}: {key}"
            try:
                name = self._key(key, origin, of_mount=of_mount)
                if isinstance(value, Section):
                    raise ConfigError(f"{origin}: give a value, not a mapping")
                if name in found:
                    raise ConfigError(f"{origin}: is given twice, see {found[name].origin}")
                text = value.value
                if text is not None:
                    self._check_secret(name, text, origin)
                    text = self._substitution.fill_in(text, origin)
                    self._check_value(name, text, origin)
                found[name] = _Line(name, text, origin)
            except ConfigError as error:
                self._complaints.add(str(error))
        return list(found.values())

    def _key(self, key: str, origin: str, *, of_mount: bool) -> str:
        name = key.replace("-", "_")
        if name in {MOUNTPOINT, OPTIONS_KEY} and (of_mount or name == OPTIONS_KEY):
            return name
        option = self._keys.get(name)
        if option is None:
            raise ConfigError(f"{origin}: {self._no_such_key(name)}")
        if option.name == "url" and not of_mount:
            raise ConfigError(f"{origin}: belongs below a mount, not below defaults:")
        if option.group is Group.PROCESS and of_mount:
            raise ConfigError(f"{origin}: is of the whole process: give it below defaults:")
        return option.name

    def _no_such_key(self, name: str) -> str:
        if name in _SECRETS:
            return (
                "secrets are not kept in this file: put them into the shared credentials file "
                "(see profile:), the environment, or use an instance role"
            )
        if name == MOUNTPOINT:
            return "belongs below a mount, not below defaults:"
        for option in OPTIONS:
            for short in option.shorthands:
                if name == short.flag[2:].replace("-", "_"):
                    return f"there is no such option; give {option.name}: {short.value}"
        known = [*self._keys, MOUNTPOINT, OPTIONS_KEY]
        near = difflib.get_close_matches(name, known, n=1)
        return "there is no such option; " + (
            f"did you mean {near[0]}?" if near else "see yas3fs.yaml(5)"
        )

    @staticmethod
    def _check_secret(name: str, text: str, origin: str) -> None:
        """A password that is spelled out here could be read by everybody who can read the file."""
        user, at, _ = text.rpartition("@")
        if name == "proxy" and at and "${" not in text and ":" in user.rpartition("/")[2]:
            raise ConfigError(
                f"{origin}: a password does not belong here: give ${{NAME}}, and set NAME in "
                "the environment"
            )

    @staticmethod
    def _check_value(name: str, text: str, origin: str) -> None:
        """Complain about each value by itself: resolving would stop at the first."""
        option = BY_NAME.get(name)
        if option is not None and not option.retired:
            option.parse(text, origin)

    def _contradictions(self, mounts: list[MountConfig]) -> None:
        places: dict[str, str] = {}
        for mount in mounts:
            other = places.setdefault(mount.mountpoint, mount.name)
            if other != mount.name:
                self._complaints.add(
                    f"{self._source}: mounts {other} and {mount.name} have the same mountpoint "
                    f"{mount.mountpoint}: give each its own"
                )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
