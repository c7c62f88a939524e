"""The queue of one process: its name, its policy, its making and its end.

A queue that was made for this process (``QueueOptions.name`` empty) is tagged with the node and the
time it was made, so that orphans can be found, and is deleted in the end. A queue that has been
given a name is made when it is absent, and left in place.
"""

import hashlib
import json
import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from yas3fs.errors import ConfigError
from yas3fs.notify.aws import Client, NotifyFailed, error_code, one_line
from yas3fs.runtime.clock import Clock

log = logging.getLogger(__name__)

BATCH = 10
"""Most messages SQS gives or deletes in one request."""
MAX_NAME = 80
"""SQS's longest queue name: letters, digits, hyphens and underscores."""
TAG_NODE = "yas3fs:node"
TAG_CREATED = "yas3fs:created"
"""Seconds since the epoch, as a decimal text."""
_GONE = (
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "NonExistentQueue",
)
_EXISTS = ("QueueAlreadyExists", "QueueNameExists")
_DELETED_RECENTLY = ("AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently")
_STATEMENT = "yas3fs"
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """``name`` is of a queue to keep; empty: one is made, named after ``hint`` and the node.

    ``retention`` is how long a made queue keeps messages: seconds from 60 to 1,209,600. What is
    older was missed, and everything is dropped once; more would only keep an orphan's longer.
    ``visibility`` is after how many seconds a message is seen again that was not deleted: because
    the answer that had it was lost, or a mount failed. Applying takes milliseconds.
    """

    region: str
    name: str = ""
    hint: str = "yas3fs"
    retention: int = 3600
    visibility: int = 10


def queue_name(hint: str, node_id: str) -> str:
    """A legal name of at most 80 characters that ends with the whole ``node_id``.

    Characters a queue cannot have become hyphens; an id that does not survive that, or fills the
    name alone, gets (or becomes) a digest, so that two ids never share a queue.
    """
    node = _ILLEGAL.sub("-", node_id)
    if node != node_id:
        node = f"{node}-{_digest(node_id)}"
    if len(node) > MAX_NAME:
        node = f"{node[: MAX_NAME - 17]}-{_digest(node_id)}"
    room = MAX_NAME - len(node) - 1
    front = _ILLEGAL.sub("-", hint).strip("-")[: max(0, room)].rstrip("-")
    return f"{front}-{node}" if front else node


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def queue_policy(present: str, queue_arn: str, topics: Sequence[str]) -> str:
    """The policy that lets ``topics``, and no other topic, send to the queue; JSON.

    Statements of others in the ``present`` policy (JSON or empty) stay.
    """
    try:
        found = json.loads(present) if present else {}
    except ValueError:
        found = {}
    statements = found.get("Statement", []) if isinstance(found, dict) else []
    if isinstance(statements, dict):
        statements = [statements]
    kept: list[Any] = [
        one for one in statements if isinstance(one, dict) and one.get("Sid") != _STATEMENT
    ]
    ours = {
        "Sid": _STATEMENT,
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": sorted(topics)}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [*kept, *([ours] if topics else [])]})


def is_gone(error: BaseException) -> bool:
    """Whether ``error`` says that the queue does not exist."""
    return error_code(error) in _GONE


class Queue:
    """One process' queue. Not thread-safe: the transport has a lock."""

    def __init__(self, client: Client, options: QueueOptions, node_id: str, clock: Clock) -> None:
        self._client = client
        self._options = options
        self._node_id = node_id
        self._clock = clock
        self.url = ""
        self.arn = ""
        self.retention = options.retention
        """Seconds the queue keeps a message; a kept queue has its own."""

    @property
    def is_kept(self) -> bool:
        """Whether the queue outlives the process."""
        return bool(self._options.name)

    def open(self) -> None:
        """Find the queue, or make it. ConfigError for an illegal name, NotifyFailed."""
        options = self._options
        name = options.name or queue_name(options.hint, self._node_id)
        if _ILLEGAL.search(name) or len(name) > MAX_NAME:
            raise ConfigError(
                f"{name!r} is not a queue's name: at most {MAX_NAME} letters, digits, hyphens "
                "and underscores"
            )
        try:
            self.url = self._find(name) if self.is_kept else ""
            if not self.url:
                self.url = self._make(name)
            found = self._client.get_queue_attributes(
                QueueUrl=self.url, AttributeNames=["QueueArn", "MessageRetentionPeriod"]
            )["Attributes"]
            self.arn = found["QueueArn"]
            self.retention = int(found.get("MessageRetentionPeriod", options.retention))
        except Exception as error:
            raise NotifyFailed(
                f"cannot use the queue {name}: {one_line(error)}", error_code(error)
            ) from error

    def _find(self, name: str) -> str:
        try:
            return str(self._client.get_queue_url(QueueName=name)["QueueUrl"])
        except Exception as error:
            if is_gone(error):
                return ""
            raise

    def _make(self, name: str) -> str:
        attributes = {
            "MessageRetentionPeriod": str(self._options.retention),
            "VisibilityTimeout": str(self._options.visibility),
        }
        tags = {
            TAG_NODE: re.sub(r"[^\w .:/=+@-]", "_", self._node_id)[:256],
            TAG_CREATED: str(int(self._clock.time())),
        }
        if self.is_kept:
            tags = {}  # it is nobody's orphan
        try:
            return self._create(name, attributes, tags)
        except Exception as error:
            code = error_code(error)
            if code in _EXISTS:  # left by a process that died, with other attributes
                url = self._find(name)
                self._client.set_queue_attributes(QueueUrl=url, Attributes=attributes)
                return url
            if code not in _DELETED_RECENTLY or self.is_kept:
                raise
        # SQS refuses a deleted queue's name for a minute: a service that restarts takes another
        again = queue_name(self._options.hint, f"{self._node_id}-{secrets.token_hex(4)}")
        return self._create(again, attributes, tags)

    def _create(self, name: str, attributes: dict[str, str], tags: dict[str, str]) -> str:
        more = {"tags": tags} if tags else {}
        answer = self._client.create_queue(QueueName=name, Attributes=attributes, **more)
        return str(answer["QueueUrl"])

    def allow(self, topics: Sequence[str]) -> None:
        """Let these topics send to the queue. NotifyFailed."""
        try:
            answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["Policy"])
            present = answer.get("Attributes", {}).get("Policy", "")
            wanted = queue_policy(present, self.arn, topics)
            if present != wanted:
                self._client.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": wanted})
        except Exception as error:
            raise NotifyFailed(
                f"cannot set the policy of the queue {self.url}: {one_line(error)}",
                error_code(error),
            ) from error

    def close(self) -> None:
        """Delete the queue if it was made for this process; a failure is one line in the log."""
        if self.is_kept or not self.url:
            return
        try:
            self._client.delete_queue(QueueUrl=self.url)
        except Exception as error:  # noqa: BLE001 - stopping goes on
            if not is_gone(error):
                log.warning("cannot delete the queue %s: %s", self.url, one_line(error))
