"""One mount among others on its topic: what it says, and how it hears.

Names the concrete classes of :mod:`yas3fs.notify`, as ``mount.py`` names those of the mount.
"""

import logging
import uuid

from yas3fs import __version__
from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import ConfigError
from yas3fs.events import SETTINGS, Event, Ping, Setting, Status, control_action
from yas3fs.fs.coherence import Coherence
from yas3fs.fs.controls import Controls
from yas3fs.fs.filesystem import Filesystem
from yas3fs.notify.aws import AwsAccess, Clients, parse_topic
from yas3fs.notify.counters import Counters
from yas3fs.notify.listener import Listener
from yas3fs.notify.metadata import public_hostname
from yas3fs.notify.publisher import Publisher
from yas3fs.notify.queues import QueueOptions
from yas3fs.notify.sqs import SqsTransport
from yas3fs.notify.transport import Transport

_log = logging.getLogger(__name__)

_OWN_ENDPOINT = 1_000_000
"""Certificates a minute that an endpoint of the administrator's own may be asked for: some sign
each message with another, and a message that cannot be judged is lost."""
_LAST_WORDS = 10.0
"""Seconds that what was not published yet may take at the end."""


class Cluster:
    """The ties of one mount to the others; ConfigError when the topic's ARN is none."""

    def __init__(self, config: MountConfig) -> None:
        self._config = config
        topic = parse_topic(config.topic)
        self._region = config.region or topic.region
        self.node_id = f"{config.id}-{uuid.uuid4()}"
        self._allowed = _allowed_actions(config.remote_control)
        self._clients = Clients(
            AwsAccess(
                endpoint=config.notify_endpoint,
                profile=config.profile,
                role_arn=config.role_arn,
                ca_bundle=config.ca_bundle,
                verify=config.verify_tls,
                proxy=config.proxy,
                connect_timeout=config.connect_timeout,
            )
        )
        self.publisher = Publisher(
            lambda: self._clients.sns(topic.region), config.topic, self.node_id
        )
        self._listener: Listener | None = None
        self._coherence: Coherence | None = None
        self._filesystem: Filesystem | None = None
        self._controls: Controls | None = None
        self._counters = Counters(_log)

    def listen(self, filesystem: Filesystem, coherence: Coherence) -> None:
        """Begin to hear the topic. Raises ConfigError and NotifyFailed with one line."""
        config = self._config
        self._filesystem, self._coherence = filesystem, coherence
        self._controls = Controls(filesystem.volume)
        listener = Listener(self._transport(), timeout=config.listener_timeout)
        coherence.degrade()  # until the topic is proved to deliver
        listener.subscribe(
            config.topic,
            self.node_id,
            self._heard,
            coherence.gap,
            coherence.alive,
            self.publisher.publish,
        )
        listener.start()
        self._listener = listener

    def _transport(self) -> Transport:
        config = self._config
        if config.port is not None:
            return self._http(config.port)
        name = "" if config.new_queue else config.queue
        hint = f"yas3fs-{config.bucket}-{config.prefix}".rstrip("-")
        return SqsTransport(
            self._clients,
            QueueOptions(self._region, name, hint),
            self.node_id,
            wait=int(config.queue_wait),
            interval=config.queue_polling,
        )

    def _http(self, port: int) -> Transport:
        # The signatures need a library that is large to load.
        from yas3fs.notify.http import HttpOptions, HttpTransport
        from yas3fs.notify.signatures import Certificates, aws_certificates, endpoint_certificates

        config = self._config
        hostname = public_hostname() if config.ec2_hostname else config.hostname
        if config.notify_endpoint:
            source = endpoint_certificates(self._clients)
        else:
            source = aws_certificates(config.ca_bundle, config.proxy)
        return HttpTransport(
            self._clients,
            HttpOptions(hostname, port),
            Certificates(source, per_minute=_OWN_ENDPOINT if config.notify_endpoint else 60),
        )

    def _heard(self, event: Event) -> None:
        assert self._coherence is not None
        action = control_action(event)
        if action is not None and action not in self._allowed:
            self._counters.count("refused")
            _log.warning("%r of another node is not obeyed (--remote-control)", event)
        elif isinstance(event, Ping):
            self.publisher.publish(self._status())
        elif isinstance(event, Setting):
            self._set(event)
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
                "url": self._config.url,
                **self._controls.values(),
                **{f"control_{kind}": count for kind, count in self._counters.snapshot().items()},
            },
        )

    def stop(self) -> None:
        """Say what is left to say, and stop hearing."""
        if not self.publisher.close(_LAST_WORDS):
            _log.warning("not every change could be told to the other nodes")
        if self._listener is not None:
            self._listener.stop()
        self._clients.close()


def _allowed_actions(text: str) -> frozenset[str]:
    """The actions that ``--remote-control`` names; ConfigError for what is none."""
    known = {limit.action for limit in SETTINGS.values()}
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
