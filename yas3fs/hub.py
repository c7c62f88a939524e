"""What the mounts of one process share to hear and to speak: clients, and one listener.

Mounts that reach SNS and SQS the same way use the same clients, and mounts that also listen the
same way (the same queue or port, or a new queue) the same listener: one queue or one port for the
process, however many mounts and topics there are. The first mount opens it, the last closes it.
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from yas3fs.config.mount_config import MountConfig
from yas3fs.events import Event
from yas3fs.notify.aws import AwsAccess, Clients, parse_topic
from yas3fs.notify.listener import Listener, ListenerState, Subscription
from yas3fs.notify.metadata import public_hostname
from yas3fs.notify.queues import QueueOptions
from yas3fs.notify.sqs import SqsTransport
from yas3fs.notify.transport import Transport

_OWN_ENDPOINT = 1_000_000
"""Certificates a minute that an endpoint of the administrator's own may be asked for: some sign
each message with another, and a message that cannot be judged is lost."""


@dataclass(frozen=True, slots=True)
class _Way:
    """How a mount listens: equal ways share a listener."""

    access: AwsAccess
    region: str
    queue: str
    hostname: str
    ec2_hostname: bool
    port: int | None
    certificate: str
    key: str
    wait: float
    polling: float
    timeout: float


@dataclass(slots=True)
class _Ear:
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while the listener is opened, closed, joined or left, requests included."""
    listener: Listener | None = None
    users: int = 0


def _access(config: MountConfig) -> AwsAccess:
    return AwsAccess(
        endpoint=config.notify_endpoint,
        profile=config.profile,
        role_arn=config.role_arn,
        ca_bundle=config.ca_bundle,
        verify=config.verify_tls,
        proxy=config.proxy,
        connect_timeout=config.connect_timeout,
    )


class Membership:
    """A mount's place at a listener. ``leave`` may be called again."""

    def __init__(self, listener: Listener, leave: Callable[[], None]) -> None:
        self._listener = listener
        self._leave: Callable[[], None] | None = leave

    def state(self) -> ListenerState:
        """The shared listener as it is now."""
        return self._listener.state()

    def leave(self) -> None:
        """Hear no more; the last mount to leave closes the listener."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class Hub:
    """One for the process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[AwsAccess, Clients] = {}
        self._ears: dict[_Way, _Ear] = {}

    def clients(self, config: MountConfig) -> Clients:
        """The clients for a mount, which live as long as the hub."""
        access = _access(config)
        with self._lock:
            if access not in self._clients:
                self._clients[access] = Clients(access)
            return self._clients[access]

    def join(
        self,
        config: MountConfig,
        node_id: str,
        heard: Callable[[Event], None],
        gap: Callable[[], None],
        alive: Callable[[bool], None],
        heartbeat: Callable[[Event], None],
    ) -> Membership:
        """Let a mount hear its topic. Raises ConfigError and NotifyFailed with one line."""
        way = self._way(config)
        with self._lock:
            ear = self._ears.setdefault(way, _Ear())
            ear.users += 1
        try:
            with ear.lock:
                if ear.listener is None:
                    listener = Listener(self._transport(config), timeout=config.listener_timeout)
                    listener.start()
                    ear.listener = listener
                listener = ear.listener
                mount = listener.subscribe(config.topic, node_id, heard, gap, alive, heartbeat)
        except BaseException:
            self._let_go(way, ear, None)
            raise
        return Membership(listener, lambda: self._let_go(way, ear, mount))

    def _let_go(self, way: _Way, ear: _Ear, mount: Subscription | None) -> None:
        with ear.lock:
            with self._lock:
                ear.users -= 1
                last = ear.users == 0
                if last:
                    del self._ears[way]
            if ear.listener is None:
                return
            if last:
                ear.listener.stop()
            elif mount is not None:
                ear.listener.unsubscribe(mount)

    def close(self) -> None:
        """Close the connections; every mount has left."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for one in clients:
            one.close()

    @staticmethod
    def _way(config: MountConfig) -> _Way:
        by_http = config.port is not None
        return _Way(
            access=_access(config),
            region=config.region or parse_topic(config.topic).region,
            queue="" if config.new_queue or by_http else config.queue,
            hostname=config.hostname if by_http else "",
            ec2_hostname=by_http and config.ec2_hostname,
            port=config.port,
            certificate=config.tls_certificate,
            key=config.tls_key,
            wait=0.0 if by_http else config.queue_wait,
            polling=0.0 if by_http else config.queue_polling,
            timeout=config.listener_timeout,
        )

    def _transport(self, config: MountConfig) -> Transport:
        if config.port is not None:
            return self._http(config, config.port)
        region = config.region or parse_topic(config.topic).region
        name = "" if config.new_queue else config.queue
        hint = f"yas3fs-{config.bucket}-{config.prefix}".rstrip("-")
        return SqsTransport(
            self.clients(config),
            QueueOptions(region, name, hint),
            f"{config.id}-{uuid.uuid4()}",
            wait=int(config.queue_wait),
            interval=config.queue_polling,
        )

    def _http(self, config: MountConfig, port: int) -> Transport:
        # The signatures need a library that is large to load.
        from yas3fs.notify.http import HttpOptions, HttpTransport
        from yas3fs.notify.signatures import Certificates, aws_certificates, endpoint_certificates

        hostname = public_hostname() if config.ec2_hostname else config.hostname
        clients = self.clients(config)
        if config.notify_endpoint:
            source = endpoint_certificates(clients)
        else:
            source = aws_certificates(config.ca_bundle, config.proxy)
        return HttpTransport(
            clients,
            HttpOptions(hostname, port, certificate=config.tls_certificate, key=config.tls_key),
            Certificates(source, per_minute=_OWN_ENDPOINT if config.notify_endpoint else 60),
        )
