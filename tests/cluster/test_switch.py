"""Nodes that are told to mount another bucket or path in place of theirs."""

import pytest

from tests.cluster.nodes import Cluster, Node, aws
from tests.cluster.test_settings import status
from tests.doubles import servers
from tests.mount.program import eventually

pytestmark = pytest.mark.mount


def put(cluster: Cluster, key: str, body: bytes) -> None:
    aws(cluster.s3, "s3").put_object(Bucket=cluster.bucket, Key=key, Body=body)


def get(cluster: Cluster, key: str) -> bytes:
    found = aws(cluster.s3, "s3").get_object(Bucket=cluster.bucket, Key=key)
    return bytes(found["Body"].read())


def switch(cluster: Cluster, nodes: list[Node], prefix: str) -> None:
    """Tell all, and wait until they have done so."""
    url = f"s3://{cluster.bucket}/{prefix}"
    cluster.say("admin", "url", url)
    for node in nodes:
        eventually(lambda node=node: node.logged(f"serving {url} now"), 60.0, "the switch")


def test_everything_is_the_other_trees(cluster: Cluster) -> None:
    nodes = cluster.start(2)
    one, other = nodes
    put(cluster, "next/f", b"of the other tree")
    put(cluster, "next/only/here", b"x")
    one.do("write('f', 'first'); os.makedirs(at('d/e')); write('d/e/g', 'deep')")
    other.sees("answer = tree()", one.do("answer = tree()"))
    other.do("kept = open(at('f')); kept.read(); os.listdir(at('')); os.stat(at('d/e/g'))")
    one.do("unsaved = open(at('unsaved'), 'w'); unsaved.write('before '); unsaved.flush()")
    switch(cluster, nodes, "next")
    assert get(cluster, "data/unsaved") == b"before "  # what was unsaved went to the old place
    wanted = {"f": [0o644, "of the other tree"], "only": {"here": [0o644, "x"]}}
    for node in nodes:
        assert node.do("answer = tree()") == wanted
        assert node.do("answer = os.stat(at('f')).st_size") == 17
        assert not node.do("answer = exists('d') or exists('unsaved')")
    # what is open is where it was
    assert other.do("kept.seek(0); answer = kept.read()") == "first"
    one.do("unsaved.write('and after'); unsaved.close()")
    assert get(cluster, "data/unsaved") == b"before and after"
    other.do("kept.close()")
    # what is done now is done in the new place, and the other hears of it
    one.do("write('f', 'changed'); os.mkdir(at('new'))")
    other.sees("answer = [read('f'), exists('new')]", ["changed", True])
    assert get(cluster, "next/f") == b"changed"
    assert get(cluster, "data/f") == b"first"
    # and back
    switch(cluster, nodes, "data")
    for node in nodes:
        assert node.do("answer = [read('f'), read('d/e/g'), read('unsaved')]") == [
            "first", "deep", "before and after",
        ]  # fmt: skip
    assert one.terminate() == 0


def test_there_and_back_with_a_file_that_is_not_closed(cluster: Cluster) -> None:
    """What is closed later in the place of before is seen in the present one of the same URL."""
    (node,) = cluster.start(1)
    node.do("write('f', 'old'); late = open(at('f'), 'r+'); new = open(at('g'), 'w')")
    switch(cluster, [node], "next")
    node.do("late.write('new and more'); new.write('made')")
    cluster.say("admin", "url", f"s3://{cluster.bucket}/data")
    node.sees("answer = exists('f') and read('f')", "old")
    assert node.do("answer = [sorted(os.listdir(at(''))), read('g')]") == [["f", "g"], ""]
    node.do("late.close(); new.close()")
    node.sees("answer = [read('f'), read('g')]", ["new and more", "made"])
    assert get(cluster, "data/f") == b"new and more"


def test_a_place_that_nobody_uses_any_more_is_left(cluster: Cluster) -> None:
    """As soon as nothing can be under way there; one with an open file only after that."""
    (node,) = cluster.start(1, "--retry-budget", 1, "--read-timeout", 1)
    node.do("write('f', 'x'); kept = open(at('f')); kept.read()")
    switch(cluster, [node], "second")
    switch(cluster, [node], "third")
    base = f"s3://{cluster.bucket}"
    eventually(lambda: node.logged(f"nobody uses {base}/second any more"), 60.0, "the end of it")
    assert not node.logged(f"nobody uses {base}/data any more")
    assert node.do("kept.seek(0); answer = kept.read()") == "x"
    node.do("kept.close()")
    switch(cluster, [node], "fourth")
    eventually(lambda: node.logged(f"nobody uses {base}/data any more"), 60.0, "the end of it")
    node.do("write('f', 'of the fourth')")
    assert get(cluster, "fourth/f") == b"of the fourth"
    assert node.terminate() == 0


def test_another_bucket_and_settings_that_were_made(
    cluster: Cluster, sns_server: servers.Server
) -> None:
    (node,) = cluster.start(1)
    cluster.say("admin", "cache", "mem", 7)
    bucket = f"{cluster.bucket}-second"
    servers.create_bucket(sns_server, bucket)
    cluster.say("admin", "url", f"s3://{bucket}")
    eventually(lambda: node.logged(f"serving s3://{bucket}/ now"), 60.0, "the switch")
    node.do("write('f', 'x')")
    said = status(cluster).details
    assert said["url"] == f"s3://{bucket}/"
    assert said["cache_memory"] == 7 << 20
    assert said["control_switches"] == 1
    node.sees("answer = os.listdir(at(''))", ["f"])


def test_what_cannot_be_reached_is_refused_and_all_stays(cluster: Cluster) -> None:
    (node,) = cluster.start(1)
    node.do("write('f', 'first'); kept = open(at('g'), 'w'); kept.write('x'); kept.flush()")
    cluster.say("admin", "url", "s3://no-such-bucket-anywhere/path")
    eventually(lambda: node.logged("not switching to s3://no-such-bucket-anywhere/path"), 60.0)
    line = node.logged("not switching to")
    assert f"staying with s3://{cluster.bucket}/data" in line
    assert "wrong bucket" in line
    node.do("write('h', 'y'); kept.close()")
    assert node.do("answer = tree()") == {
        "f": [0o644, "first"], "g": [0o644, "x"], "h": [0o644, "y"],
    }  # fmt: skip
    assert status(cluster).details["control_switches_failed"] == 1
    assert "Traceback" not in node.log.read_text()


def test_whoever_may_not_switch_does_not(cluster: Cluster) -> None:
    (node,) = cluster.start(1, "--remote-control", "cache,buffer")
    node.do("write('f', 'first')")
    cluster.say("admin", "url", f"s3://{cluster.bucket}/next")
    eventually(lambda: node.logged("is not obeyed"), 60.0, "the refusal")
    assert node.do("answer = read('f')") == "first"
    assert status(cluster).details["url"] == f"s3://{cluster.bucket}/data"
