"""What ``yas3fsctl`` may ask of the process, verb by verb."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from yas3fs.config.service import Service as ServiceConfig
from yas3fs.control.endpoint import Answer, Verb
from yas3fs.daemon.service import Service
from yas3fs.daemon.supervisor import Mount, Supervisor
from yas3fs.daemon.systemd import Systemd
from yas3fs.errors import ConfigError, NoEntry, Yas3fsError

log = logging.getLogger(__name__)

Reload = Callable[[], ServiceConfig]


class Requests:
    """The verbs over one service. Thread-safe."""

    def __init__(self, service: Service, reload: Reload | None, systemd: Systemd) -> None:
        self._service = service
        self._reload = reload
        self._systemd = systemd
        self._reloading = threading.Lock()

    def verbs(self) -> Mapping[str, Verb]:
        """Each takes the request's words and gives its answers, the last one being the result."""
        return {
            "status": self._status,
            "pending": self._pending,
            "flush": self._flush,
            "reset": self._reset,
            "warm": self._warm,
            "rescue": self._rescue,
            "reload": self._reload_now,
        }

    # -- reload ------------------------------------------------------------------------------

    def reload_soon(self) -> bool:
        """Begin to reload, as SIGHUP asks; False when there is no file to read."""
        if self._reload is None:
            return False
        threading.Thread(target=self._reload_logged, name="reload", daemon=True).start()
        return True

    def _reload_logged(self) -> None:
        try:
            self.reload()
        except Yas3fsError as error:
            for line in str(error).splitlines():
                log.error("not reloaded: %s", line)

    def reload(self) -> dict[str, Any]:
        """Read the configuration anew and follow it; ConfigError leaves everything as it is."""
        if self._reload is None:
            raise ConfigError("there is no file to reload: the mount was given on the command line")
        with self._reloading:
            self._systemd.reloading()
            try:
                config = self._reload()
                for warning in config.warnings:
                    log.warning("%s", warning)
                if config.process != self._service.config.process:
                    log.warning("options of the process are applied when it is started again")
                result: dict[str, Any] = dict(self._service.reload(config))
            finally:
                self._systemd.ready(self._service.summary())
        log.info(
            "reloaded: %s",
            "; ".join(f"{what} {', '.join(names) or 'none'}" for what, names in result.items()),
        )
        return result

    def _reload_now(self, _words: Mapping[str, Any]) -> Iterator[Answer]:
        yield self.reload()

    # -- looking -----------------------------------------------------------------------------

    def _status(self, _words: Mapping[str, Any]) -> Iterator[Answer]:
        yield self._service.status()

    def _pending(self, words: Mapping[str, Any]) -> Iterator[Answer]:
        yield {
            "mounts": [
                {"name": supervisor.config.name, "files": mount.pending()}
                for supervisor, mount in self._chosen(words)
            ]
        }

    # -- acting ------------------------------------------------------------------------------

    def _flush(self, words: Mapping[str, Any]) -> Iterator[Answer]:
        failed: list[str] = []
        done = 0
        for supervisor, mount in self._chosen(words):
            for path, total, reason in mount.flush():
                done += 1
                yield {"progress": done, "of": total, "path": path}
                if reason:
                    failed.append(f"{supervisor.config.name}:{path}: {reason}")
        yield {"uploaded": done - len(failed), "failed": failed}

    def _reset(self, words: Mapping[str, Any]) -> Iterator[Answer]:
        path = "/" + str(words.get("path") or "/").strip("/")
        names = []
        for supervisor, mount in self._chosen(words):
            mount.reset(path)
            names.append(supervisor.config.name)
        yield {"reset": names, "path": path}

    def _warm(self, words: Mapping[str, Any]) -> Iterator[Answer]:
        path = "/" + str(words.get("path") or "/").strip("/")
        for supervisor, mount in self._chosen(words):
            warmth = {}
            try:
                for told in mount.warm(path):
                    warmth = asdict(told)
                    yield {"progress": warmth}
            except NoEntry:
                name = supervisor.config.name
                raise ConfigError(f"{name}: there is no file or directory {path!r}") from None
            yield warmth

    def _rescue(self, words: Mapping[str, Any]) -> Iterator[Answer]:
        stored: list[str] = []
        failed: list[str] = []
        for supervisor, mount in self._chosen(words):
            identity, force = str(words.get("file") or ""), bool(words.get("force"))
            for name, reason in mount.store_rescued(identity, force=force):
                told = f"{supervisor.config.name}:{name}"
                if reason:
                    failed.append(f"{told}: {reason}")
                else:
                    stored.append(told)
        yield {"stored": stored, "failed": failed}

    def _chosen(self, words: Mapping[str, Any]) -> list[tuple[Supervisor, Mount]]:
        """The mounts that ``mount`` names (a name or a mount point), all without it."""
        wanted = str(words.get("mount") or "")
        found = []
        for supervisor in self._service.supervisors():
            if wanted and wanted not in (supervisor.config.name, supervisor.config.mountpoint):
                continue
            mount = supervisor.mounted()
            if mount is not None:
                found.append((supervisor, mount))
            elif wanted:
                raise ConfigError(f"{wanted} is not mounted, it is {supervisor.state.value}")
        if wanted and not found:
            names = ", ".join(supervisor.config.name for supervisor in self._service.supervisors())
            raise ConfigError(f"there is no mount {wanted!r}, there are {names}")
        return found
