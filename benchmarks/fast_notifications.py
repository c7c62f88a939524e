"""SNS and SQS as far as one node needs them, fast enough to be ahead of it.

moto delivers about a thousand messages a second, which measures moto. This stand-in keeps one queue
of ready-made bodies, hands out ten at a time, and notes when each was deleted, which a node does
after it has applied it; or it posts them, signed, to the node's HTTP endpoint.

Run as a process of its own; it reads commands as JSON lines and answers so, too:
``["load", [text, …], batch]`` (``batch`` at most for each request), ``["post", [text, …]]``,
``["state"]``.
"""

import asyncio
import base64
import json
import sys
import time
import urllib.parse
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:benchmark"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:benchmark"
CERTIFICATE = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
"""As SNS names it; the node asks its own endpoint for it."""
POSTERS = 4
"""Connections that post at a time."""


class Notifications:
    """The state of both services."""

    def __init__(self) -> None:
        self.url = ""
        self.queue: deque[str] = deque()
        self.arrived = asyncio.Event()
        self.batch = 10
        self.deleted = 0
        self.last_delete = 0.0
        self.endpoint = ""
        self.handles = 0
        self.posting: set[asyncio.Task[None]] = set()
        self.key = rsa.generate_private_key(65537, 2048)
        self.certificate = _certificate(self.key)

    # -- what is sent ------------------------------------------------------------------------

    def envelope(self, text: str, **other: str) -> dict[str, str]:
        """A notification as SNS would deliver it, signed."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.handles += 1
        fields = {
            "Type": "Notification",
            "MessageId": f"message-{self.handles}",
            "TopicArn": TOPIC,
            "Message": text,
            "Timestamp": now,
            **other,
        }
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        signed = "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields)
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {
            **fields,
            "SignatureVersion": "2",
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": CERTIFICATE,
        }

    def publish(self, text: str) -> None:
        if self.endpoint:
            self.later([self.envelope(text)])
        else:
            self.queue.append(json.dumps(self.envelope(text)))
            self.arrived.set()

    def later(self, envelopes: list[dict[str, str]]) -> None:
        """Post them beside whatever else there is to do."""
        task = asyncio.get_running_loop().create_task(self.post(envelopes))
        self.posting.add(task)
        task.add_done_callback(self.posting.discard)

    async def post(self, envelopes: list[dict[str, str]]) -> None:
        """Post one after the other over one connection, each when the one before was taken."""
        target = urllib.parse.urlsplit(self.endpoint)
        try:
            reader, writer = await asyncio.open_connection(target.hostname, target.port)
        except OSError:
            return  # the node has ended
        for envelope in envelopes:
            body = json.dumps(envelope).encode()
            head = (
                f"POST {target.path or '/'} HTTP/1.1\r\nhost: {target.netloc}\r\n"
                f"x-amz-sns-message-type: {envelope['Type']}\r\n"
                f"x-amz-sns-topic-arn: {TOPIC}\r\ncontent-type: text/plain; charset=UTF-8\r\n"
                f"content-length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            status = await _answer(reader)
            if status == 200:
                self.deleted += 1
                self.last_delete = time.monotonic()
        writer.close()

    # -- what is asked -----------------------------------------------------------------------

    async def sqs(self, action: str, asked: dict[str, Any]) -> dict[str, Any]:
        if action == "ReceiveMessage":
            if not self.queue and asked.get("WaitTimeSeconds"):
                self.arrived.clear()
                try:
                    await asyncio.wait_for(self.arrived.wait(), asked["WaitTimeSeconds"])
                except TimeoutError:
                    return {}
            bodies = [self.queue.popleft() for _ in range(min(self.batch, len(self.queue)))]
            return {"Messages": [self._message(body) for body in bodies]}
        if action == "DeleteMessageBatch":
            entries = asked["Entries"]
            self.deleted += len(entries)
            self.last_delete = time.monotonic()
            return {"Successful": [{"Id": one["Id"]} for one in entries], "Failed": []}
        if action == "SendMessage":
            self.queue.append(asked["MessageBody"])
            self.arrived.set()
            return {"MessageId": "m", "MD5OfMessageBody": ""}
        if action == "GetQueueAttributes":
            return {"Attributes": {"QueueArn": QUEUE, "MessageRetentionPeriod": "3600"}}
        return {"QueueUrl": f"{self.url}/{ACCOUNT}/benchmark"}

    def _message(self, body: str) -> dict[str, Any]:
        self.handles += 1
        attributes = {"ApproximateReceiveCount": "1"}
        handle = f"handle-{self.handles}"
        return {"MessageId": handle, "ReceiptHandle": handle, "Body": body,
                "Attributes": attributes}  # fmt: skip

    def sns(self, asked: dict[str, str]) -> str:
        action = asked["Action"]
        inside = ""
        if action == "Subscribe":
            inside = f"<SubscriptionArn>{TOPIC}:subscription</SubscriptionArn>"
            if asked["Protocol"] != "sqs":
                self.endpoint = asked["Endpoint"]
                confirm = self.envelope(
                    "confirm", Type="SubscriptionConfirmation", Token="t", SubscribeURL=self.url
                )
                self.later([confirm])
        elif action == "ConfirmSubscription":
            inside = f"<SubscriptionArn>{TOPIC}:subscription</SubscriptionArn>"
        elif action == "PublishBatch":
            prefix = "PublishBatchRequestEntries.member."
            numbers = {name[len(prefix) :].split(".")[0] for name in asked if prefix in name}
            done = ""
            for number in sorted(numbers, key=int):
                self.publish(asked[f"{prefix}{number}.Message"])
                identity = asked[f"{prefix}{number}.Id"]
                done += f"<member><Id>{identity}</Id><MessageId>m</MessageId></member>"
            inside = f"<Failed/><Successful>{done}</Successful>"
        return (
            f'<{action}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><{action}Result>'
            f"{inside}</{action}Result><ResponseMetadata><RequestId>r</RequestId>"
            f"</ResponseMetadata></{action}Response>"
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                kind, content = await self._answer(head[0], headers, body)
                stamp = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
                writer.write(
                    f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ndate: {stamp}\r\n"
                    f"content-length: {len(content)}\r\n\r\n".encode()
                    + content
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, line: str, headers: dict[str, str], body: bytes) -> tuple[str, bytes]:
        if line.startswith("GET"):
            return "text/plain", self.certificate
        target = headers.get("x-amz-target", "")
        if target:
            answer = await self.sqs(target.rsplit(".", 1)[1], json.loads(body))
            return "application/x-amz-json-1.0", json.dumps(answer).encode()
        return "text/xml", self.sns(dict(urllib.parse.parse_qsl(body.decode()))).encode()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    for line in head.split("\r\n"):
        if line.startswith("content-length:"):
            await reader.readexactly(int(line.split(":")[1]))
    return int(head.split(" ", 2)[1])


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


async def main() -> None:
    services = Notifications()
    server = await asyncio.start_server(services.serve, "127.0.0.1", 0)
    services.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    lines = asyncio.StreamReader(limit=1 << 30)
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    answer: Any = services.url
    print(json.dumps(answer), flush=True)
    while line := await lines.readline():
        command, *rest = json.loads(line)
        answer = None
        if command in ("load", "post"):
            envelopes = [services.envelope(text) for text in rest[0]]
            services.deleted = 0
            answer = time.monotonic()
            if command == "load":
                services.batch = rest[1]
                services.queue.extend(json.dumps(one) for one in envelopes)
                services.arrived.set()
            else:
                for number in range(POSTERS):
                    services.later(envelopes[number::POSTERS])
        elif command == "state":
            answer = {"deleted": services.deleted, "last": services.last_delete}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
