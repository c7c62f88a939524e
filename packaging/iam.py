"""Writes the IAM policies in etc/aws/iam, from the calls that the program makes.

    python3 packaging/iam.py etc/aws/iam

For SNS and SQS the calls are found in the source; for S3 they are the methods of the object store.
"""

import ast
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import botocore.session
from botocore import xform_name

ROOT = Path(__file__).resolve().parents[1]
NOTIFY = ROOT / "yas3fs" / "notify"
NODE = ("publisher", "queues", "sqs", "subscriptions")
ADMINISTRATOR = (*NODE, "orphans", "visitor")
"""The modules of ``yas3fs/notify`` that speak to SNS and SQS, for nodes and for yas3fsctl."""

STORE = {
    "head": ["s3:GetObject"],
    "get": ["s3:GetObject"],
    "put": ["s3:PutObject"],
    "create_multipart": ["s3:PutObject"],
    "upload_part": ["s3:PutObject"],
    "copy_part": ["s3:GetObject", "s3:PutObject"],
    "complete_multipart": ["s3:PutObject"],
    "abort_multipart": ["s3:AbortMultipartUpload"],
    "list_multipart": ["s3:ListBucketMultipartUploads"],
    "copy": ["s3:GetObject", "s3:PutObject"],
    "delete": ["s3:DeleteObject"],
    "delete_many": ["s3:DeleteObject"],
    "list_page": ["s3:ListBucket"],
    "presign": ["s3:GetObject"],
    "close": [],
}
"""What each method of the object store must be allowed."""
READING = ("head", "get", "list_page", "presign")
CLEANING = ("list_multipart", "abort_multipart")
"""What yas3fsctl cleanup does in a bucket; nodes know their own uploads."""
SAME = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
}
"""Operations that an action of another name allows."""
BESIDE = {"sqs:CreateQueue": ["sqs:TagQueue"]}
"""What an operation needs besides: our queues are tagged when they are made."""
ON_ALL_TOPICS = {"sns:Unsubscribe"}
"""Their resource is a subscription, whose ARN is the topic's with more behind it."""
BUCKET, OBJECTS = "arn:aws:s3:::BUCKET", "arn:aws:s3:::BUCKET/PATH/*"
TOPIC, QUEUES = "arn:aws:sns:REGION:ACCOUNT:TOPIC", "arn:aws:sqs:REGION:ACCOUNT:yas3fs-*"


def operations() -> dict[str, set[str]]:
    """The methods of boto3's clients of SNS and SQS, with the actions that they stand for."""
    session = botocore.session.get_session()
    found: dict[str, set[str]] = {}
    for service in ("sns", "sqs"):
        for name in session.get_service_model(service).operation_names:
            found.setdefault(xform_name(name), set()).add(f"{service}:{name}")
    return found


def calls(path: Path) -> set[str]:
    """The actions that the source at ``path`` calls.

    Arguments of boto3 begin with a capital, which those of our own methods do not.
    """
    known, found = operations(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            names = [word.arg for word in node.keywords]
            if any(name is None or name[0].isupper() for name in names):
                found |= known.get(node.func.attr, set())
    return found


def actions(modules: Iterable[str]) -> set[str]:
    """What modules of ``yas3fs/notify`` must be allowed."""
    found = set().union(*(calls(NOTIFY / f"{name}.py") for name in modules))
    found |= {action for one in found for action in BESIDE.get(one, [])}
    return {SAME.get(action, action) for action in found}


def statement(sid: str, allowed: Iterable[str], *resources: str) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(allowed), "Resource": list(resources)}


def store_statements(methods: Iterable[str]) -> list[dict[str, Any]]:
    allowed = {action for method in methods for action in STORE[method]}
    of_bucket = {action for action in allowed if action.startswith("s3:ListBucket")}
    return [
        statement("Bucket", of_bucket, BUCKET),
        statement("Objects", allowed - of_bucket, OBJECTS),
    ]


def notify_statements(modules: Iterable[str]) -> list[dict[str, Any]]:
    found = actions(modules)
    listing = {action for action in found if action.startswith("sqs:List") and action.endswith("s")}
    listing -= {"sqs:ListQueueTags"}
    sns = {action for action in found if action.startswith("sns:")}
    sqs = {action for action in found if action.startswith("sqs:")} - listing
    every = [
        statement("Topic", sns - ON_ALL_TOPICS, TOPIC),
        statement("Subscriptions", sns & ON_ALL_TOPICS, f"{TOPIC}:*", TOPIC),
        statement("Queues", sqs, QUEUES),
    ]
    if listing:
        every.append(statement("AllQueues", listing, "*"))
    return every


def policies() -> dict[str, dict[str, Any]]:
    """The documents by the names of their files."""
    serving = STORE.keys() - {"list_multipart"}
    found = {
        "node.json": [*store_statements(serving), *notify_statements(NODE)],
        "node-without-topic.json": store_statements(serving),
        "read-only.json": store_statements(READING),
        "administrator.json": [*store_statements(CLEANING), *notify_statements(ADMINISTRATOR)],
    }
    return {name: {"Version": "2012-10-17", "Statement": every} for name, every in found.items()}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, policy in policies().items():
        (folder / name).write_text(json.dumps(policy, indent=2) + "\n", encoding="utf-8")
