"""One mount among others on its topic: what it says, and how it hears.

What it shares with the other mounts of its process is the hub's (``hub.py``).
"""

import logging
import uuid
from collections.abc import Callable
from typing import ParamSpec

from yas3fs import __version__
from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import ConfigError
from yas3fs.events import SETTINGS, Event, Ping, Setting, Status, Switch, control_action
from yas3fs.fs.coherence import Coherence, Mode
from yas3fs.fs.controls import Controls
from yas3fs.fs.filesystem import Filesystem
from yas3fs.hub import Hub, Membership
from yas3fs.notify.aws import parse_topic
from yas3fs.notify.counters import Counters
from yas3fs.notify.listener import ListenerState
from yas3fs.notify.publisher import Publisher
from yas3fs.runtime import naming

P = ParamSpec("P")
_log = logging.getLogger(__name__)

_LAST_WORDS = 10.0
"""Seconds that what was not published yet may take at the end."""


class Cluster:
    """The ties of one mount to the others; ConfigError when the topic's ARN is none."""

    def __init__(self, config: MountConfig, hub: Hub) -> None:
        self._config = config
        self._hub = hub
        topic = parse_topic(config.topic)
        self.node_id = f"{config.id}-{uuid.uuid4()}"
        self._allowed = _allowed_actions(config.remote_control)
        clients = hub.clients(config)
        self.publisher = Publisher(lambda: clients.sns(topic.region), config.topic, self.node_id)
        self._membership: Membership | None = None
        self._coherence: Coherence | None = None
        self._filesystem: Filesystem | None = None
        self._controls: Controls | None = None
        self._switch: Callable[[Switch], None] | None = None
        self._counters = Counters(_log)
        self._told: set[str] = set()
        """Actions that were refused and logged: one line for each is enough."""

    def listen(
        self, filesystem: Filesystem, coherence: Coherence, switch: Callable[[Switch], None]
    ) -> None:
        """Begin to hear the topic. Raises ConfigError and NotifyFailed with one line.

        ``switch`` is called when another node asks for another bucket or path; it must not wait.
        """
        self._filesystem, self._coherence, self._switch = filesystem, coherence, switch
        self._controls = Controls(filesystem.volume)
        coherence.degrade()  # until the topic is proved to deliver
        self._membership = self._hub.join(
            self._config,
            self.node_id,
            self._named(self._heard),
            self._named(coherence.gap),
            self._named(coherence.alive),
            self.publisher.publish,
        )

    def _named(self, call: Callable[P, None]) -> Callable[P, None]:
        """``call`` with log lines that name the mount: the listener's threads serve all of them."""

        def named(*arguments: P.args, **words: P.kwargs) -> None:
            with naming.working_for(self._config.name):
                call(*arguments, **words)

        return named

    def follow(self, filesystem: Filesystem) -> None:
        """What is heard is for another file system from now on."""
        assert self._coherence is not None
        assert self._controls is not None
        self._filesystem = filesystem
        self._controls.follow(filesystem.volume)
        self._coherence.follow(filesystem.volume, filesystem.files)

    def apply(self, event: Event) -> None:
        """News that did not come through the topic."""
        if self._coherence is not None:
            self._coherence.apply(event)

    def count(self, kind: str) -> None:
        """One more of what other nodes asked for, for a status."""
        self._counters.count(kind)

    @property
    def mode(self) -> Mode | None:
        """Whether what is known may be believed for long; None for who speaks only."""
        return None if self._coherence is None else self._coherence.mode

    def listener_state(self) -> ListenerState | None:
        """The listener that this mount shares; None for who speaks only."""
        return None if self._membership is None else self._membership.state()

    def _heard(self, event: Event) -> None:
        assert self._coherence is not None
        action = control_action(event)
        if action is not None and action not in self._allowed:
            self._counters.count("refused")
            if action not in self._told:
                _log.warning("%r of another node is not obeyed (--remote-control)", event)
            self._told.add(action)
        elif isinstance(event, Ping):
            self.publisher.publish(self._status())
        elif isinstance(event, Setting):
            self._set(event)
        elif isinstance(event, Switch):
            assert self._switch is not None
            self._switch(event)
        else:
            self._coherence.apply(event)

    def _set(self, setting: Setting) -> None:
        assert self._controls is not None
        self._counters.count("obeyed" if self._controls.set(setting) else "inapplicable")

    def _status(self) -> Status:
        assert self._filesystem is not None
        assert self._coherence is not None
        assert self._controls is not None
        volume = self._filesystem.volume
        downloads, prefetches = volume.parts.reader.load
        return Status(
            host=self._config.id,
            entries=volume.names.count,
            memory=volume.parts.cache.statistics().used,
            disk=0,
            downloads=downloads,
            prefetches=prefetches,
            uploads=volume.parts.uploader.pool.load,
            details={
                "version": __version__,
                "mode": self._coherence.mode.value,
                "mount": self._config.mountpoint,
                "url": volume.settings.url,
                **self._controls.values(),
                **{f"control_{kind}": count for kind, count in self._counters.snapshot().items()},
                **{f"publisher_{kind}": n for kind, n in self.publisher.metrics().items()},
                **self._heard_how(),
            },
        )

    def _heard_how(self) -> dict[str, str | int | float | None]:
        """The listener's endpoint, counts and lag, for a status."""
        state = self.listener_state()
        if state is None:
            return {}
        lag = next((one.lag for one in state.topics if one.topic_arn == self._config.topic), None)
        return {
            "endpoint": state.endpoint,
            "lag": None if lag is None else round(lag, 4),
            **{f"listener_{kind}": count for kind, count in state.counts.items()},
        }

    def stop(self) -> None:
        """Say what is left to say, and stop hearing."""
        if not self.publisher.close(_LAST_WORDS):
            _log.warning("not every change could be told to the other nodes")
        if self._membership is not None:
            self._membership.leave()


def _allowed_actions(text: str) -> frozenset[str]:
    """The actions that ``--remote-control`` names; ConfigError for what is none."""
    known = {limit.action for limit in SETTINGS.values()} | {"url"}
    if text == "all":
        return frozenset(known)
    if text == "none":
        return frozenset()
    words = {word.strip() for word in text.split(",")}
    if unknown := words - known:
        raise ConfigError(
            f"--remote-control: {min(unknown)!r} is no action: give all, none, or some of "
            f"{', '.join(sorted(known))}"
        )
    return frozenset(words)
