"""Messages that no node sends, made from a number each: what is malformed in every way we know."""

import json
import random
from typing import Any

from tests.unit.notify.doubles import OTHER_TOPIC, TOPIC, enveloped

ACTIONS = (
    *("mkdir", "rmdir", "mknod", "unlink", "symlink", "rename", "flush", "upload", "md", "reset"),
    *("cache", "buffer", "prefetch", "multipart", "url", "ping", "status", "heartbeat", "dance"),
)
WORDS = (
    *("entries", "size", "mem", "disk", "prefetch", "on", "off", "num", "retries", "attr", "xattr"),
    *("s3://bucket/path", "s3://bucket", "s3://../..", "s3:///x", "http://x", "s3://b/a/../c"),
)
PATHS = (
    *("/", "//", "/f", "/d/f", "/d", "/none", "/f/below", "f", "", "/..", "/../etc", "/a/../b"),
    *("/.", "/a//b", "/\0", "/é", "/\udc80", "/\ud800", "/" + "x" * 300, "/" + "y/" * 600),
)
NUMBERS = (
    *(0, 1, -1, 5, 7, 1.0, 0.5, -0.0, 2**31, 2**40, 2**63, 2**64, -(2**63), 10**30),
    *(1e400, -1e400, float("nan"), True, False),
)
EVENTS = ("ObjectCreated:Put", "s3:ObjectRemoved:Delete", "ObjectRestore:Completed", "x", "", None)


def message(seed: int) -> str:
    """The body of one message in a queue."""
    draw = random.Random(seed)
    kind = draw.randrange(10)
    if kind < 5:
        text = json.dumps(_array(draw))
    elif kind < 7:
        text = json.dumps(_records(draw))
    elif kind == 7:
        text = json.dumps(_anything(draw, 4))
    else:
        text = "".join(chr(draw.choice((draw.randrange(128), draw.randrange(0xD7FF)))) for _ in
                       range(draw.randrange(60)))  # fmt: skip
    if draw.random() < 0.2:
        text = _broken(draw, text)
    place = draw.random()
    if place < 0.7:
        return enveloped(text)
    if place < 0.8:
        return enveloped(text, draw.choice((OTHER_TOPIC, "", "arn:x", TOPIC + "x")))
    if place < 0.9:
        return _broken(draw, enveloped(text))
    return text


FORMS = (
    *(("cache", word, None) for word in ("entries", "size", "mem", "disk")),
    *(("buffer", word, None) for word in ("size", "prefetch")),
    *(("multipart", word, None) for word in ("size", "num", "retries")),
    *(("prefetch", "on"), ("prefetch", "off"), ("url", "s3://bucket/path"), ("ping",), ("reset",)),
    *((verb, "/f") for verb in ("mkdir", "rmdir", "mknod", "unlink", "symlink", "reset")),
    *(("rename", "/f", "/d/f"), ("flush", "/f", "x"), ("md", "attr", "/d"), ("heartbeat", 5)),
)
"""What nodes say; None stands for any value."""


def _array(draw: random.Random) -> list[Any]:
    if draw.random() < 0.4:
        said = ["other", *(_value(draw) if one is None else one for one in draw.choice(FORMS))]
        if draw.random() < 0.4:
            said[draw.randrange(len(said))] = _value(draw)
        return said
    sender = draw.choice(("other", "node", "", "x" * 300, None, 5, "a\nb"))
    values: list[Any] = [sender if draw.random() < 0.3 else "other", draw.choice(ACTIONS)]
    for _ in range(draw.randrange(9)):
        values.append(_value(draw))
    if draw.random() < 0.1:
        draw.shuffle(values)
    return values


def _value(draw: random.Random) -> Any:
    kind = draw.randrange(8)
    if kind < 3:
        return draw.choice(PATHS)
    if kind < 5:
        return draw.choice(NUMBERS)
    if kind < 7:
        return draw.choice(WORDS)
    return _anything(draw, 2)


def _anything(draw: random.Random, depth: int) -> Any:
    kind = draw.randrange(6 if depth else 4)
    if kind == 4:
        return [_anything(draw, depth - 1) for _ in range(draw.randrange(4))]
    if kind == 5:
        return {
            draw.choice(("Records", "Event", "Type", "TopicArn", "x")): _anything(draw, depth - 1)
            for _ in range(draw.randrange(4))
        }
    return draw.choice((None, draw.choice(PATHS), draw.choice(NUMBERS), draw.choice(WORDS)))


def _records(draw: random.Random) -> Any:
    thing: Any = {
        "key": draw.choice(("f", "d%2Ff", "%", "%ff", "a%00b", "..%2F..", "", "k" * 4000, None, 5)),
        "eTag": draw.choice(("0" * 32, '"x"', "", None, 5, "e" * 300)),
        "size": draw.choice(NUMBERS),
        "sequencer": draw.choice(("00AA", "", None, "zz", "F" * 300, 7)),
    }
    inner: Any = {"bucket": {"name": draw.choice(("bucket", "x", "", None))}, "object": thing}
    record: Any = {"eventSource": "aws:s3", "eventName": draw.choice(EVENTS), "s3": inner}
    for holder in (thing, inner, record):
        if draw.random() < 0.2:
            holder[draw.choice(list(holder))] = _anything(draw, 2)
        if draw.random() < 0.1:
            del holder[draw.choice(list(holder))]
    return {"Records": [record] * draw.choice((1, 1, 1, 0, 2, 50))}


def _broken(draw: random.Random, text: str) -> str:
    """Cut, doubled, or with a character of another kind somewhere."""
    at = draw.randrange(len(text) + 1)
    return draw.choice(
        (
            text[:at],
            text + text,
            text[:at] + draw.choice(("\0", '"', "\\", "]", "{", "\ud800", "é")) + text[at:],
            "[" * 2000 + text,
            text.replace('"', "'"),
        )
    )
