"""What a listener asks of the way by which messages arrive."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from yas3fs.errors import Yas3fsError
from yas3fs.notify.envelope import Delivery

Deliver: TypeAlias = Callable[[Delivery], None]
"""Applies a message before it returns. MalformedMessage: never to be seen again. ApplyFailed: to
be delivered once more."""
Gap: TypeAlias = Callable[[str], None]
"""Messages of this topic (of all topics when it is empty) may have been lost."""


class ApplyFailed(Yas3fsError):
    """A mount could not apply a message; the mount's own exception is in the log."""


class Transport(Protocol):
    """One queue or one HTTP endpoint of a process, subscribed to several topics. Thread-safe."""

    def open(self, deliver: Deliver, gap: Gap) -> None:
        """Make the queue or listen on the port. ConfigError or NotifyFailed, and nothing stays."""

    def add_topic(self, topic_arn: str) -> None:
        """Subscribe. ConfigError or NotifyFailed, and the topic is not subscribed to."""

    def drop_topic(self, topic_arn: str) -> None:
        """Unsubscribe; what fails is logged."""

    def renew(self) -> None:
        """Nothing is heard: restart what died, subscribe again. NotifyFailed."""

    def close(self) -> None:
        """Unsubscribe and stop within about a second; what fails is logged."""

    @property
    def endpoint(self) -> str:
        """What is subscribed: the queue's ARN, or the URL; empty while there is none."""

    def metrics(self) -> dict[str, int]:
        """Counts since the start, by kind."""
