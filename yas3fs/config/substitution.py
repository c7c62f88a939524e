"""``${NAME}`` in a value of the file: from the environment, or what the machine knows of itself.

``${hostname}`` is this machine's name, ``${instance_id}`` and ``${region}`` the EC2 instance's
(the region also from AWS_REGION and AWS_DEFAULT_REGION). ``$${`` stands for ``${``.
"""

import os
import re
import socket
from collections.abc import Callable, Mapping
from functools import cache

from yas3fs.errors import ConfigError, MetadataUnavailable
from yas3fs.runtime.imds import InstanceMetadata

_REFERENCE = re.compile(r"\$(\$\{)|\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Substitution:
    """Fills in references; what the instance knows is asked for once, and only when needed."""

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        metadata: Callable[[], InstanceMetadata] | None = None,
    ) -> None:
        self._environment = environment
        self._metadata = cache(metadata or (lambda: InstanceMetadata.from_environment(environment)))
        self._known: dict[str, str] = {}

    def fill_in(self, text: str, origin: str) -> str:
        """``text`` with every reference replaced; ConfigError blames ``origin``."""
        return _REFERENCE.sub(
            lambda found: "${" if found[1] else self._value(found[2], origin), text
        )

    def _value(self, name: str, origin: str) -> str:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{origin}: ${{{name}}} is no reference: give ${{NAME}}")
        if name not in self._known:
            self._known[name] = self._find(name, origin)
        return self._known[name]

    def _find(self, name: str, origin: str) -> str:
        match name:
            case "hostname":
                return socket.gethostname()
            case "instance_id":
                return self._ask("meta-data/instance-id", name, origin)
            case "region":
                for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
                    if self._environment.get(variable):
                        return self._environment[variable]
                return self._ask("meta-data/placement/region", name, origin)
        value = self._environment.get(name)
        if value is None:
            raise ConfigError(
                f"{origin}: ${{{name}}}: the environment has no {name}: set it, or give one of "
                "${hostname}, ${instance_id}, ${region}"
            )
        return value

    def _ask(self, path: str, name: str, origin: str) -> str:
        try:
            value = self._metadata().text(path)
        except MetadataUnavailable as error:
            raise ConfigError(
                f"{origin}: ${{{name}}}: the instance metadata service does not answer: {error}"
            ) from error
        if not value:
            raise ConfigError(f"{origin}: ${{{name}}}: this instance does not tell it")
        return value
