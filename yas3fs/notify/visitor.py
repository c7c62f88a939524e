"""Somebody who is no node: speaks to a topic, and asks who is there.

The answers come through a queue that is subscribed for as long as the question lasts. The first
thing sent is a heartbeat, which every node ignores: once it has come back, the subscription
delivers, and no answer can be missed.
"""

import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from yas3fs.events import Event, Heartbeat, MalformedMessage, Ping, Status, encode
from yas3fs.notify.aws import Client, Clients, NotifyFailed, error_code, one_line, parse_topic
from yas3fs.notify.envelope import open_body
from yas3fs.notify.queues import Queue, QueueOptions
from yas3fs.notify.records import Message, read_message
from yas3fs.notify.subscriptions import Subscriptions
from yas3fs.runtime.clock import Clock, SystemClock

_BATCH = 10
_AGAIN = 2.0
"""Seconds until a heartbeat that was not heard is sent again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one node said. ``lag`` is the seconds from the ping to the answer's arrival."""

    node_id: str
    status: Status
    lag: float


class Visitor:
    """Talks to one topic; ConfigError when ``topic_arn`` is none.

    ``region`` is that of the queue, empty for the topic's own.
    """

    def __init__(
        self, clients: Clients, topic_arn: str, region: str = "", *, clock: Clock = SystemClock()
    ) -> None:
        topic = parse_topic(topic_arn)
        self.topic_arn = topic_arn
        self.region = region or topic.region
        self.node_id = f"yas3fsctl-{socket.gethostname()}-{uuid.uuid4()}"
        self._topic_region = topic.region
        self.clients = clients
        self._clock = clock

    def publish(self, event: Event) -> None:
        """Say ``event`` to every node. NotifyFailed with one line."""
        try:
            self._sns().publish(TopicArn=self.topic_arn, Message=encode(event, self.node_id))
        except NotifyFailed:
            raise
        except Exception as error:
            raise NotifyFailed(
                f"cannot publish to {self.topic_arn}: {one_line(error)}", error_code(error)
            ) from error

    def ping(self, seconds: float) -> list[Answer]:
        """Ask who is there, and listen for so long. NotifyFailed.

        The queue and its subscription are gone afterwards, whatever happens.
        """
        options = QueueOptions(self.region, hint="yas3fs", retention=300)
        queue = Queue(self.clients.sqs(self.region), options, self.node_id, self._clock)
        subscriptions = Subscriptions(self.clients.sns, "sqs")
        try:
            queue.open()
            queue.allow([self.topic_arn])
            subscriptions.subscribe(self.topic_arn, queue.arn)
            self._prove(queue, seconds)
            return self._collect(queue, seconds)
        finally:
            subscriptions.unsubscribe(self.topic_arn)
            queue.close()

    def _sns(self) -> Client:
        return self.clients.sns(self._topic_region)

    def _prove(self, queue: Queue, seconds: float) -> None:
        """Wait until the topic delivers to the queue."""
        deadline = self._clock.monotonic() + max(seconds, 3 * _AGAIN)
        number = 0
        while self._clock.monotonic() < deadline:
            number += 1
            self.publish(Heartbeat(number))
            again = self._clock.monotonic() + _AGAIN
            while self._clock.monotonic() < again:
                heard = self._receive(queue, again - self._clock.monotonic())
                if any(message.sender == self.node_id for message in heard):
                    return
        raise NotifyFailed(f"{self.topic_arn} does not deliver to the queue {queue.arn}")

    def _collect(self, queue: Queue, seconds: float) -> list[Answer]:
        asked = self._clock.monotonic()
        self.publish(Ping())
        answers: dict[str, Answer] = {}
        while (left := asked + seconds - self._clock.monotonic()) > 0:
            for message in self._receive(queue, left):
                lag = self._clock.monotonic() - asked
                for event in message.events:
                    if isinstance(event, Status):
                        answers.setdefault(message.sender, Answer(message.sender, event, lag))
        return sorted(answers.values(), key=lambda one: (one.status.host, one.node_id))

    def _receive(self, queue: Queue, seconds: float) -> list[Message]:
        """What arrives within about ``seconds``; a long poll has whole ones."""
        client = self.clients.sqs(self.region)
        try:
            answer = client.receive_message(
                QueueUrl=queue.url,
                MaxNumberOfMessages=_BATCH,
                WaitTimeSeconds=max(0, min(20, int(seconds))),
            )
            received: list[Mapping[str, Any]] = answer.get("Messages") or []
            if received:
                entries = [
                    {"Id": str(index), "ReceiptHandle": one["ReceiptHandle"]}
                    for index, one in enumerate(received)
                ]
                client.delete_message_batch(QueueUrl=queue.url, Entries=entries)
        except Exception as error:
            raise NotifyFailed(
                f"cannot receive from {queue.url}: {one_line(error)}", error_code(error)
            ) from error
        if not received and seconds < 1:
            self._clock.sleep(min(0.05, max(0.0, seconds)))
        return [message for one in received if (message := self._read(one.get("Body", "")))]

    def _read(self, body: str) -> Message | None:
        try:
            delivery = open_body(body, 0.0)
            return read_message(delivery.text) if delivery.topic_arn == self.topic_arn else None
        except MalformedMessage:
            return None  # others may say what they like
