"""Several real mounts of one bucket on one topic, and what children do in them.

Nothing in here touches a mount from the process that runs the tests: each node has a child of its
own that is asked through pipes, with a deadline, and killed when it does not answer.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.doubles import servers
from tests.mount.harness import ROOT
from tests.mount.program import S3Mount, eventually

REGION = "us-east-1"
SECONDS = 60.0
"""For whatever takes well below one on a machine that has nothing else to do."""


class Node(S3Mount):
    """One mount, and a child that makes system calls in it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer = b""

    def do(self, code: str, *arguments: object, timeout: float = SECONDS) -> Any:
        """Run ``code`` in the child; ``at(name)`` is a path in the mount, ``args`` what was given.

        Names stay from one call to the next; what it leaves in ``answer`` is returned through
        JSON, the errno's name of an OSError likewise.
        """
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.cluster.child", str(self.mountpoint)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
            )
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps([code, list(arguments)]).encode() + b"\n")
        self._child.stdin.flush()
        outcome = json.loads(self._answer(timeout))
        assert "failed" not in outcome, outcome["failed"]
        return outcome["answer"]

    def _answer(self, timeout: float) -> bytes:
        assert self._child is not None
        assert self._child.stdout is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self.process.kill()
                    raise AssertionError(f"no answer in {timeout} s\n{self.log.read_text()}")
                piece = os.read(self._child.stdout.fileno(), 1 << 16)
                if not piece:
                    raise AssertionError("the child ended")
                self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def sees(self, code: str, wanted: object, *arguments: object, timeout: float = SECONDS) -> None:
        """Wait until ``code`` answers ``wanted``."""
        last: list[object] = [None]

        def probe() -> bool:
            last[0] = self.do(code, *arguments)
            return last[0] == wanted

        try:
            eventually(probe, timeout, "the change")
        except AssertionError as error:
            log = self.log.read_text()[-3000:]
            raise AssertionError(
                f"{self.mountpoint.name}: {last[0]!r} is not {wanted!r}\n{log}"
            ) from error

    def wait_coherent(self) -> None:
        """Until the last word of the log on it is that the topic delivers."""
        eventually(lambda: self.mode() == "coherent", SECONDS, "coherent mode")

    def mode(self) -> str:
        """What the log says of the mode, last."""
        lines = self.log.read_text(errors="replace").splitlines()
        said = [
            line.split(" is ")[1].split(" now")[0]
            for line in lines
            if " now" in line and " is " in line
        ]
        return next((word for word in reversed(said) if word in ("coherent", "degraded")), "")

    def close(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait(10)
            for stream in (self._child.stdin, self._child.stdout):
                if stream is not None:
                    stream.close()
        super().close()


def aws(endpoint: str, service: str) -> Any:
    """A client of a service with nothing of ours in it."""
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=servers.KEY_ID,
        aws_secret_access_key=servers.SECRET,
    )


class Cluster:
    """Makes nodes; ``notify`` is the endpoint of SNS and SQS, ``s3`` that of the bucket."""

    def __init__(
        self,
        folder: Path,
        bucket: str,
        s3: str,
        notify: str,
        topic: str,
        enter: Callable[[Any], Any],
    ) -> None:
        self.folder, self.bucket, self.s3, self.notify = folder, bucket, s3, notify
        self.topic = topic
        self._enter = enter
        self._count = 0

    def words(self, transport: str = "sqs", *, notify: str = "") -> list[object]:
        """Options of a node."""
        words: list[object] = ["--topic", self.topic, "--notify-endpoint", notify or self.notify]
        if transport == "http":
            return [*words, "--hostname", "127.0.0.1", "--port", servers.free_port()]
        return [*words, "--new-queue"]

    def begin(
        self,
        *options: object,
        transport: str = "sqs",
        notify: str = "",
        python_path: Path | None = None,
    ) -> Node:
        """A node that may not be ready yet; modules in ``python_path`` come before all others."""
        self._count += 1
        name = f"node{self._count}"
        words = [*self.words(transport, notify=notify), "--id", name, *options]
        variables = {} if python_path is None else {"PYTHONPATH": f"{python_path}:{ROOT}"}
        node = Node(self.folder, self.bucket, self.s3, words, name=name, variables=variables)
        self._enter(node)
        return node

    def start(self, count: int, *options: object, **more: Any) -> list[Node]:
        """Nodes that hear each other."""
        nodes = [self.begin(*options, **more) for _ in range(count)]
        for node in nodes:
            node.wait_ready(SECONDS)
        for node in nodes:
            node.wait_coherent()
        return nodes

    def say(self, *elements: object) -> None:
        """Publish a message as a node of another release does."""
        self.publish(json.dumps(elements))

    def publish(self, text: str) -> None:
        aws(self.notify, "sns").publish(TopicArn=self.topic, Message=text)

    def object(self, name: str) -> bytes:
        """What the bucket has under a name."""
        found = aws(self.s3, "s3").get_object(Bucket=self.bucket, Key=f"data/{name}")
        return bytes(found["Body"].read())

    def put(self, name: str, body: bytes) -> None:
        """Store an object as a client does that tells nobody."""
        aws(self.s3, "s3").put_object(Bucket=self.bucket, Key=f"data/{name}", Body=body)

    def queues(self) -> list[str]:
        found = aws(self.notify, "sqs").list_queues(QueueNamePrefix=f"yas3fs-{self.bucket}")
        return list(found.get("QueueUrls", []))

    def subscriptions(self) -> list[str]:
        found = aws(self.notify, "sns").list_subscriptions_by_topic(TopicArn=self.topic)
        return [one["Endpoint"] for one in found["Subscriptions"]]
