"""SNS and SQS in memory, as far as the room uses them, with failures by script."""

import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from yas3fs.notify.aws import AwsAccess, Clients

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:changes"
OTHER_TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:others"
WITHIN = 10.0
"""Seconds a test waits for another thread before it fails."""


class ServiceError(Exception):
    """Has what botocore's ClientError has."""

    def __init__(self, code: str) -> None:
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}}


class Scripted:
    """Records calls; raises what the script has for a method, one entry per call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failures: defaultdict[str, list[Exception]] = defaultdict(list)
        self.changed = threading.Condition()

    def enter(self, name: str, arguments: dict[str, Any]) -> None:
        with self.changed:
            self.calls.append((name, arguments))
            self.changed.notify_all()
            if self.failures[name]:
                raise self.failures[name].pop(0)

    def named(self, name: str) -> list[dict[str, Any]]:
        with self.changed:
            return [arguments for called, arguments in self.calls if called == name]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, WITHIN)

    def close(self) -> None:
        pass


class FakeSqs(Scripted):
    """Queues by URL; a long poll waits for a message or a deletion."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: dict[str, list[dict[str, Any]]] = {}
        self.attributes: dict[str, dict[str, str]] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.deleted: list[str] = []
        self.most = 10
        """Messages that one request gives at most."""
        self._handles = itertools.count(1)

    def get_queue_url(self, *, QueueName: str) -> dict[str, Any]:
        self.enter("get_queue_url", {"QueueName": QueueName})
        self._known(f"https://sqs/{QueueName}")
        return {"QueueUrl": f"https://sqs/{QueueName}"}

    def create_queue(self, **arguments: Any) -> dict[str, Any]:
        self.enter("create_queue", arguments)
        name = arguments["QueueName"]
        url = f"https://sqs/{name}"
        self.queues[url] = []
        arn = f"arn:aws:sqs:eu-west-1:{ACCOUNT}:{name}"
        self.attributes[url] = {"QueueArn": arn, **arguments["Attributes"]}
        self.tags[url] = arguments.get("tags", {})
        return {"QueueUrl": url}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        self.enter("get_queue_attributes", {})
        self._known(QueueUrl)
        found = self.attributes[QueueUrl]
        return {"Attributes": {name: found[name] for name in AttributeNames if name in found}}

    def set_queue_attributes(self, *, QueueUrl: str, Attributes: dict[str, str]) -> None:
        self.enter("set_queue_attributes", Attributes)
        self._known(QueueUrl)
        self.attributes[QueueUrl].update(Attributes)

    def delete_queue(self, *, QueueUrl: str) -> None:
        self.enter("delete_queue", {"QueueUrl": QueueUrl})
        with self.changed:
            self.queues.pop(QueueUrl, None)
            self.changed.notify_all()

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:
        self.enter("send_message", {"MessageBody": MessageBody})
        self.put(QueueUrl, MessageBody)

    def put(self, url: str, body: str, receives: int = 1) -> str:
        handle = f"handle-{next(self._handles)}"
        message = {
            "Body": body,
            "ReceiptHandle": handle,
            "Attributes": {"ApproximateReceiveCount": str(receives)},
        }
        with self.changed:
            self.queues[url].append(message)
            self.changed.notify_all()
        return handle

    def receive_message(self, **arguments: Any) -> dict[str, Any]:
        self.enter("receive_message", arguments)
        url, most = arguments["QueueUrl"], min(self.most, arguments["MaxNumberOfMessages"])
        with self.changed:
            self._known(url)
            if arguments["WaitTimeSeconds"]:
                self.changed.wait_for(
                    lambda: url not in self.queues or bool(self.queues[url]), WITHIN
                )
            self._known(url)
            taken, self.queues[url] = self.queues[url][:most], self.queues[url][most:]
        return {"Messages": taken} if taken else {}

    def delete_message_batch(
        self, *, QueueUrl: str, Entries: list[dict[str, str]]
    ) -> dict[str, Any]:
        self.enter("delete_message_batch", {"Entries": Entries})
        with self.changed:
            self.deleted += [entry["ReceiptHandle"] for entry in Entries]
            self.changed.notify_all()
        return {}

    def _known(self, url: str) -> None:
        if url not in self.queues:
            raise ServiceError("AWS.SimpleQueueService.NonExistentQueue")


class FakeSns(Scripted):
    """Subscriptions and what was published."""

    def __init__(self) -> None:
        super().__init__()
        self.subscriptions: dict[str, tuple[str, str, str]] = {}
        self.refused: list[dict[str, str]] = []
        """Code and Message for the next entries, one each; empty ones are accepted."""
        self.published: list[list[Any]] = []
        self._numbers = itertools.count(1)

    def subscribe(self, **arguments: Any) -> dict[str, Any]:
        self.enter("subscribe", arguments)
        wanted = (arguments["TopicArn"], arguments["Protocol"], arguments["Endpoint"])
        for arn, known in self.subscriptions.items():
            if known == wanted:
                return {"SubscriptionArn": arn}
        arn = f"{arguments['TopicArn']}:{next(self._numbers)}"
        self.subscriptions[arn] = wanted
        return {"SubscriptionArn": arn}

    def unsubscribe(self, *, SubscriptionArn: str) -> None:
        self.enter("unsubscribe", {"SubscriptionArn": SubscriptionArn})
        self.subscriptions.pop(SubscriptionArn, None)

    def confirm_subscription(self, **arguments: Any) -> dict[str, Any]:
        self.enter("confirm_subscription", arguments)
        return {"SubscriptionArn": f"{arguments['TopicArn']}:confirmed"}

    def publish_batch(
        self, *, TopicArn: str, PublishBatchRequestEntries: list[dict[str, str]]
    ) -> dict[str, Any]:
        self.enter("publish_batch", {"Entries": PublishBatchRequestEntries})
        failed = []
        with self.changed:
            for entry in PublishBatchRequestEntries:
                refusal = self.refused.pop(0) if self.refused else {}
                if refusal:
                    failed.append({"Id": entry["Id"], **refusal})
                else:
                    self.published.append(json.loads(entry["Message"])[1:])
            self.changed.notify_all()
        failures = {one["Id"] for one in failed}
        entries = PublishBatchRequestEntries
        successful = [{"Id": one["Id"]} for one in entries if one["Id"] not in failures]
        return {"Successful": successful, "Failed": failed}


class FakeClients(Clients):
    """Hands out the doubles, whatever the region."""

    def __init__(self) -> None:
        super().__init__(AwsAccess())
        self.fake_sns = FakeSns()
        self.fake_sqs = FakeSqs()

    def sns(self, region: str) -> Any:
        return self.fake_sns

    def sqs(self, region: str) -> Any:
        return self.fake_sqs


def enveloped(message: str, topic: str = TOPIC, timestamp: str = "2026-01-01T00:00:00Z") -> str:
    """``message`` as SNS puts it into a queue."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "11111111-1111-1111-1111-111111111111",
            "TopicArn": topic,
            "Message": message,
            "Timestamp": timestamp,
        }
    )
