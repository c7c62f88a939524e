"""YAML to keys, texts and lines; only what reads a file loads the parser."""

from collections.abc import Iterator

import yaml

from yas3fs.config.document import Section, Text
from yas3fs.errors import ConfigError


def parse_document(text: str, source: str) -> Section:
    """The mapping that ``text`` is; ConfigError with the place in ``source`` that is not YAML."""
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None or _is_null(root):
            return Section((), 1)
        found = _Reader(loader, source).read(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = " ".join(filter(None, (error.context, error.problem)))
        if "'\\t'" in what:
            what = "a tab cannot indent or begin a value, give spaces"
        raise ConfigError(f"{source}:{line}: this is not YAML: {what}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{source}: this is not YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
    if isinstance(found, Text):
        raise ConfigError(f"{source}:{found.line}: give the sections defaults: and mounts:")
    return found


class _Reader:
    def __init__(self, loader: yaml.SafeLoader, source: str) -> None:
        self._loader = loader
        self._source = source
        self._inside: set[int] = set()

    def read(self, node: yaml.Node) -> Section | Text:
        line = node.start_mark.line + 1
        if id(node) in self._inside:
            raise ConfigError(f"{self._source}:{line}: a section cannot be inside itself")
        self._inside.add(id(node))
        try:
            match node:
                case yaml.MappingNode():
                    return Section(tuple(self._pairs(node)), line)
                case yaml.SequenceNode():
                    return Text(",".join(self._items(node)), line)
                case yaml.ScalarNode():
                    return Text(None if _is_null(node) else node.value, line)
            raise ConfigError(f"{self._source}:{line}: this cannot be a value")
        finally:
            self._inside.discard(id(node))

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[str, Section | Text, int]]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            name = str(key.value)
            if name in lines and name != "<<":
                raise ConfigError(
                    f"{self._source}:{line}: {name}: is given twice, line {lines[name]} has it too"
                )
            lines[name] = line
        self._loader.flatten_mapping(node)
        # What `<<` brings comes first, and what is written beside it wins.
        merged = {str(key.value): (key, value) for key, value in node.value}
        for name, (key, value) in merged.items():
            yield name, self.read(value), key.start_mark.line + 1

    def _items(self, node: yaml.SequenceNode) -> Iterator[str]:
        for item in node.value:
            found = self.read(item)
            if isinstance(found, Section) or found.value is None:
                line = item.start_mark.line + 1
                raise ConfigError(f"{self._source}:{line}: a list holds plain values only")
            yield found.value


def _is_null(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null"
