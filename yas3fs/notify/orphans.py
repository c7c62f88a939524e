"""Queues and subscriptions that dead nodes left behind.

A queue is an orphan when a node made it for itself (it has our tags) long enough ago, the topic
may send to it, and nobody reads it: a heartbeat that is put into it, which a node takes at
once and ignores, lies there still after some seconds. Whoever answers a ping names its queue, and
is left alone whatever SQS says of the queue.

A subscription is one when it leads to a queue of such a name that does not exist.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from yas3fs.events import Heartbeat, encode
from yas3fs.notify.aws import Client, Clients, NotifyFailed, error_code, one_line, parse_topic
from yas3fs.notify.queues import TAG_CREATED, TAG_NODE, is_gone
from yas3fs.runtime.clock import Clock, SystemClock

ORPHAN = "orphan"
_PAUSE = 1.0
"""Seconds between two looks at queues that are being judged."""
_COUNTS = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_MADE = re.compile(rf".*{_UUID}(?:-[0-9a-f]{{8}})?|.*-[0-9a-f]{{16}}")
"""Names that we make (see ``queues.queue_name``)."""
_ARN = re.compile(r"arn:[^:]+:sqs:(?P<region>[^:]+):(?P<account>[^:]+):(?P<name>[^:]+)")


@dataclass(frozen=True, slots=True)
class Found:
    """A queue or a subscription, and whether it is an orphan.

    ``verdict`` is :data:`ORPHAN`, or why it is none; ``handle`` is what it is deleted by; ``age``
    is in seconds, None when it is not known.
    """

    kind: str
    name: str
    verdict: str
    handle: str
    node: str = ""
    age: float | None = None


class Orphans:
    """What a topic's dead nodes left in one region. NotifyFailed from every method."""

    def __init__(
        self,
        clients: Clients,
        topic_arn: str,
        region: str,
        node_id: str,
        *,
        clock: Clock = SystemClock(),
    ) -> None:
        self._topic_arn = topic_arn
        self._clients = clients
        self._region = region
        self._node_id = node_id
        self._clock = clock

    def survey(self, living: Collection[str], age: float, patience: float) -> list[Found]:
        """Everything of ours, judged.

        ``living`` are the endpoints of nodes that answered; what is younger than ``age`` seconds
        is none; ``patience`` is how many seconds a node has to read its queue.
        """
        try:
            found = [self._look(url, living, age) for url in self._queues()]
            queues = self._judge([one for one in found if one is not None], patience)
            return queues + list(self._subscriptions({one.name for one in queues}))
        except NotifyFailed:
            raise
        except Exception as error:
            raise NotifyFailed(one_line(error), error_code(error)) from error

    def remove(self, found: Found) -> None:
        """Delete an orphan, a queue with its subscription."""
        try:
            if found.kind == "queue":
                for subscription in self._all_subscriptions():
                    if subscription["Endpoint"].rpartition(":")[2] == found.name:
                        self._unsubscribe(subscription["SubscriptionArn"])
                self._sqs().delete_queue(QueueUrl=found.handle)
            else:
                self._unsubscribe(found.handle)
        except Exception as error:
            if not is_gone(error):
                raise NotifyFailed(
                    f"cannot delete the {found.kind} {found.name}: {one_line(error)}",
                    error_code(error),
                ) from error

    # -- queues --------------------------------------------------------------------------

    def _queues(self) -> Iterator[str]:
        more: dict[str, Any] = {}
        while True:
            answer = self._sqs().list_queues(MaxResults=1000, **more)
            yield from answer.get("QueueUrls") or ()
            token = answer.get("NextToken")
            if not token:
                return
            more = {"NextToken": token}

    def _look(self, url: str, living: Collection[str], age: float) -> Found | None:
        """A queue that a node made; ORPHAN means as yet that it may be one."""
        try:
            tags = self._sqs().list_queue_tags(QueueUrl=url).get("Tags") or {}
            if TAG_NODE not in tags or not tags.get(TAG_CREATED, "").isdecimal():
                return None
            attributes = self._sqs().get_queue_attributes(
                QueueUrl=url, AttributeNames=["QueueArn", "Policy"]
            )["Attributes"]
        except Exception as error:
            if is_gone(error):
                return None
            raise
        old = self._clock.time() - int(tags[TAG_CREATED])
        if not self._is_of_the_topic(attributes.get("Policy", "")):
            return None
        verdict = ORPHAN
        if attributes["QueueArn"] in living:
            verdict = "its node answers"
        elif old < age:
            verdict = "young"
        name = attributes["QueueArn"].rpartition(":")[2]
        return Found("queue", name, verdict, url, tags[TAG_NODE], old)

    def _is_of_the_topic(self, policy: str) -> bool:
        """Whether this topic may send to the queue; perhaps others of the same process, too."""
        try:
            statements = json.loads(policy)["Statement"]
            sources = [one["Condition"]["ArnEquals"]["aws:SourceArn"] for one in statements]
        except (ValueError, KeyError, TypeError):
            return False
        flat = [arn for one in sources for arn in ([one] if isinstance(one, str) else one)]
        return self._topic_arn in flat

    def _judge(self, found: list[Found], patience: float) -> list[Found]:
        """Of the queues that may be orphans, those are that never let go of a heartbeat."""
        unread = {one.handle for one in found if one.verdict == ORPHAN and self._beat(one.handle)}
        deadline = self._clock.monotonic() + patience
        while unread and self._clock.monotonic() < deadline:
            self._clock.sleep(_PAUSE)
            unread = {url for url in unread if self._lies_there(url)}
        return [
            replace(one, verdict="is read")
            if one.verdict == ORPHAN and one.handle not in unread
            else one
            for one in found
        ]

    def _beat(self, url: str) -> bool:
        """Put a heartbeat into the queue; False when the queue has just gone."""
        try:
            message = encode(Heartbeat(), self._node_id)
            self._sqs().send_message(QueueUrl=url, MessageBody=message)
        except Exception as error:
            if is_gone(error):
                return False
            raise
        return True

    def _lies_there(self, url: str) -> bool:
        """Whether there is something in the queue that nobody has received."""
        try:
            found = self._sqs().get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
        except Exception as error:
            if is_gone(error):
                return False
            raise
        waiting, received = (int(found["Attributes"].get(name, "0")) for name in _COUNTS)
        return waiting > 0 and received == 0

    # -- subscriptions -------------------------------------------------------------------

    def _subscriptions(self, queues: Collection[str]) -> Iterator[Found]:
        """Those that lead to queues of ours which are gone."""
        for one in self._all_subscriptions():
            match = _ARN.fullmatch(one["Endpoint"]) if one["Protocol"] == "sqs" else None
            arn = one["SubscriptionArn"]
            if match is None or match["region"] != self._region or not arn.startswith("arn:"):
                continue
            name = match["name"]
            if name in queues or not _MADE.fullmatch(name):
                continue
            if self._is_there(name, match["account"]):
                continue
            yield Found("subscription", name, ORPHAN, arn)

    def _is_there(self, name: str, account: str) -> bool:
        try:
            self._sqs().get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
        except Exception as error:
            if is_gone(error):
                return False
            raise
        return True

    def _all_subscriptions(self) -> Iterator[dict[str, str]]:
        more: dict[str, str] = {}
        while True:
            answer = self._sns().list_subscriptions_by_topic(TopicArn=self._topic_arn, **more)
            yield from answer.get("Subscriptions") or ()
            token = answer.get("NextToken")
            if not token:
                return
            more = {"NextToken": token}

    def _unsubscribe(self, subscription_arn: str) -> None:
        if subscription_arn.startswith("arn:"):
            self._sns().unsubscribe(SubscriptionArn=subscription_arn)

    def _sns(self) -> Client:
        return self._clients.sns(parse_topic(self._topic_arn).region)

    def _sqs(self) -> Client:
        return self._clients.sqs(self._region)
