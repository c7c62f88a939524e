"""One process' subscriptions: one endpoint, several topics. Thread-safe."""

import logging
import threading
from collections.abc import Callable

from yas3fs.notify.aws import Client, NotifyFailed, error_code, one_line, parse_topic

log = logging.getLogger(__name__)


_LEAVE_SECONDS = 5.0
"""How long a process that ends waits for a service that does not answer."""


def take_leave(work: Callable[[], None]) -> None:
    """Run ``work``, the last requests of a process; when they hang it ends without them."""
    thread = threading.Thread(target=work, name="yas3fs-leave", daemon=True)
    thread.start()
    thread.join(_LEAVE_SECONDS)
    if thread.is_alive():
        log.warning("unsubscribing takes too long, the subscriptions may stay")


class Subscriptions:
    """``client`` gives a region's SNS client; ``protocol`` is ``sqs``, ``http`` or ``https``."""

    def __init__(self, client: Callable[[str], Client], protocol: str) -> None:
        self._client = client
        self._protocol = protocol
        self._lock = threading.Lock()
        self._arns: dict[str, str] = {}

    def subscribe(self, topic_arn: str, endpoint: str) -> bool:
        """Subscribe ``endpoint`` (a queue's ARN or a URL), or find that it is. NotifyFailed.

        False when the subscription that was known is still there. Raw delivery is not asked for:
        messages shall name their topic.
        """
        client = self._client(parse_topic(topic_arn).region)
        try:
            answer = client.subscribe(
                TopicArn=topic_arn,
                Protocol=self._protocol,
                Endpoint=endpoint,
                ReturnSubscriptionArn=True,
            )
        except Exception as error:
            code = error_code(error)
            raise NotifyFailed(
                f"cannot subscribe to the topic {topic_arn}: {one_line(error)}", code
            ) from error
        return self._learn(topic_arn, str(answer.get("SubscriptionArn", "")))

    def confirm(self, topic_arn: str, token: str) -> None:
        """Confirm by the token SNS sent; from then on only our credentials may unsubscribe.

        NotifyFailed.
        """
        client = self._client(parse_topic(topic_arn).region)
        try:
            answer = client.confirm_subscription(
                TopicArn=topic_arn, Token=token, AuthenticateOnUnsubscribe="true"
            )
        except Exception as error:
            code = error_code(error)
            raise NotifyFailed(
                f"cannot confirm the subscription to {topic_arn}: {one_line(error)}", code
            ) from error
        self._learn(topic_arn, str(answer.get("SubscriptionArn", "")))

    def _learn(self, topic_arn: str, subscription_arn: str) -> bool:
        """Remember what to unsubscribe in the end; True when it is not what was known."""
        if not subscription_arn.startswith("arn:"):
            return True
        with self._lock:
            before = self._arns.get(topic_arn)
            self._arns[topic_arn] = subscription_arn
        return before != subscription_arn

    def unsubscribe(self, topic_arn: str) -> bool:
        """Unsubscribe, at best: False, with a line in the log, when it failed."""
        with self._lock:
            subscription_arn = self._arns.pop(topic_arn, "")
        if not subscription_arn:
            return True
        try:
            client = self._client(parse_topic(topic_arn).region)
            client.unsubscribe(SubscriptionArn=subscription_arn)
        except Exception as error:  # noqa: BLE001 - stopping goes on
            if error_code(error) in ("NotFound", "NotFoundException"):
                return True
            log.warning("cannot unsubscribe from %s: %s", topic_arn, one_line(error))
            return False
        return True

    def topics(self) -> tuple[str, ...]:
        """The topics that are subscribed to."""
        with self._lock:
            return tuple(self._arns)
