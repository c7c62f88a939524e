"""Four nodes at random: in the end all show the same tree, and it is the bucket's."""

import random
import threading

import pytest

from tests.cluster.nodes import Cluster, Node, aws
from tests.mount.program import eventually

pytestmark = pytest.mark.mount

ROUNDS = 60

STEP = """
verb, name, other, text = args
try:
    if verb == 'write':
        write(name, text)
    elif verb == 'append':
        write(name, text, 'ab')
    elif verb == 'replace':
        write(name + '~', text); os.replace(at(name + '~'), at(name))
    elif verb == 'truncate':
        os.truncate(at(name), len(text))
    elif verb == 'chmod':
        os.chmod(at(name), 0o600 + len(text) % 64)
    elif verb == 'rename':
        os.rename(at(name), at(other))
    elif verb == 'unlink':
        os.unlink(at(name))
    elif verb == 'mkdir':
        os.mkdir(at(name))
    elif verb == 'rmdir':
        os.rmdir(at(name))
    elif verb == 'symlink':
        os.symlink(text[:20], at(name))
    else:
        tree()
except OSError as error:
    answer = errno.errorcode[error.errno]
"""
VERBS = ["write", "append", "replace", "truncate", "chmod", "rename", "unlink", "mkdir", "rmdir",
         "symlink", "look", "look"]  # fmt: skip
MAY_FAIL = {"ENOENT", "EEXIST", "ENOTEMPTY", "EISDIR", "ENOTDIR", "ESTALE", "EINVAL", "ELOOP"}


def work(node: Node, number: int, seed: int, failures: list[str], rounds: int = ROUNDS) -> None:
    """Own names are nobody else's; shared ones are anybody's, so that verbs on them may fail."""
    draw = random.Random(seed * 10 + number)
    names = [f"own{number}-{n}" for n in range(4)] + [f"shared-{n}" for n in range(4)]
    names += [f"shared-0/{n}" for n in "ab"]
    try:
        for turn in range(rounds):
            verb, name, other = draw.choice(VERBS), draw.choice(names), draw.choice(names)
            text = f"{number}:{turn}" * draw.randrange(1, 200)
            refused = node.do(STEP, verb, name, other, text)
            if refused and refused not in MAY_FAIL:
                failures.append(f"{verb} {name} {other}: {refused}")
    except BaseException as error:
        failures.append(repr(error))


def bucket_tree(cluster: Cluster) -> dict[str, str]:
    """What is under each key that is shown: of a file and a directory of one name, the latter."""
    s3 = aws(cluster.s3, "s3")
    listed = s3.list_objects_v2(Bucket=cluster.bucket, Prefix="data/").get("Contents", [])
    names = [one["Key"].removeprefix("data/") for one in listed]
    files = [name for name in names if name and not name.endswith("/")]
    return {
        name: cluster.object(name).decode()
        for name in files
        if not any(other.startswith(f"{name}/") for other in names)
    }


def flat(tree: dict[str, object], folder: str = "") -> dict[str, object]:
    """A tree as the child tells it, by path: directories end with a slash and are None."""
    found: dict[str, object] = {}
    for name, what in tree.items():
        if isinstance(what, dict):
            found[f"{folder}{name}/"] = None
            found.update(flat(what, f"{folder}{name}/"))
        else:
            found[folder + name] = what
    return found


def contents(tree: dict[str, object]) -> dict[str, object]:
    """What a bucket shows of a tree: files by their content, links by their target."""
    return {
        name: what[1] if isinstance(what, list) else what
        for name, what in flat(tree).items()
        if what is not None
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_all_trees_are_one(cluster: Cluster, seed: int) -> None:
    nodes = cluster.start(4, transport="sqs" if seed == 1 else "http")
    failures: list[str] = []
    threads = [
        threading.Thread(target=work, args=(node, number, seed, failures), daemon=True)
        for number, node in enumerate(nodes)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert not failures, "\n".join(node.log.read_text()[-3000:] for node in nodes)
    assert not any(thread.is_alive() for thread in threads)
    trees: list[dict[str, object]] = []

    def settled() -> bool:
        trees[:] = [node.do("answer = tree()") for node in nodes]
        return all(tree == trees[0] for tree in trees) and contents(trees[0]) == bucket_tree(
            cluster
        )

    try:
        eventually(settled, 60.0, "one tree")
    except AssertionError as error:
        found: list[dict[str, object]] = [flat(tree) for tree in trees]
        names = sorted({name for one in found for name in one})
        wrong = {
            name: [str(one.get(name, "is not there"))[:30] for one in found]
            for name in names
            if any(one.get(name, ...) != found[0].get(name, ...) for one in found)
        }
        listed = aws(cluster.s3, "s3").list_objects_v2(Bucket=cluster.bucket, Prefix="data/")
        stored = [(one["Key"], one["Size"]) for one in listed.get("Contents", [])]
        raise AssertionError(f"by node: {wrong}; in the bucket: {stored}") from error
