"""The names that are remembered: how many, and how much memory they take."""

import random
import stat
import tracemalloc

from yas3fs.fs.entries import Directory, Entry
from yas3fs.fs.namespace import Namespace, walk
from yas3fs.fs.types import Attributes
from yas3fs.objectstore.protocol import ListedObject

MODIFIED = 1_700_000_000.0


def listed(names: list[str]) -> list[tuple[str, ListedObject]]:
    return [(name, ListedObject(name, 7, f"etag {name}", MODIFIED)) for name in names]


def merge(names: Namespace, directory: Directory, files: list[str], folders: list[str]) -> None:
    touched = names.asking(directory)
    names.merge_listing(directory, listed(files), folders, touched, 0)
    names.answered(directory, touched)


def real_count(names: Namespace) -> int:
    return sum(1 for _ in walk(names.root)) - 1


def real_folders(directory: Directory) -> int:
    return sum(isinstance(child, Directory) for child in directory.children.values())


def test_the_count_is_right_whatever_happens() -> None:
    choose = random.Random(1)
    names = Namespace(30, lambda: 0)
    for _ in range(3000):
        folders = [(p, e) for p, e in all_paths(names) if isinstance(e, Directory)]
        path, directory = choose.choice(folders)
        name = choose.choice("abcdef")
        match choose.randrange(5):
            case 0:
                names.put(directory, name, choose.choice([Entry, Directory])())
            case 1:
                names.remove(directory, name)
            case 2:
                merge(names, directory, ["a", "b", "c"], ["d", "e"])
                names.used(path, directory)
            case 3:
                names.used(path, directory)
                names.trim()
            case _:
                entry = directory.children.get(name)
                target = choose.choice(folders)[0]
                old = f"{path.rstrip('/')}/{name}"
                if entry is not None and not f"{target}/".startswith(f"{old}/"):
                    new = f"{target.rstrip('/')}/{choose.choice('xyz')}"
                    names.move(old, new, entry)
        assert names.count == real_count(names)
        for _, entry in all_paths(names):
            if isinstance(entry, Directory):
                assert entry.folders == real_folders(entry)


def all_paths(names: Namespace) -> list[tuple[str, Entry]]:
    from yas3fs.fs.namespace import walk_paths

    return list(walk_paths("/", names.root))


def test_the_bound_holds_while_names_come_in() -> None:
    names = Namespace(100, lambda: 0)
    for number in range(50):
        directory = Directory()
        names.put(names.root, f"dir-{number}", directory)
        names.used("/", names.root)
        names.used(f"/dir-{number}", directory)
        merge(names, directory, [f"file-{index}" for index in range(20)], [])
        assert names.count <= 100


def test_the_least_recently_used_directory_leaves_first() -> None:
    names = Namespace(45, lambda: 0)
    made = {}
    for name in ("old", "used", "new"):
        made[name] = Directory()
        names.put(names.root, name, made[name])
        merge(names, made[name], [f"file-{index}" for index in range(10)], [])
        names.used(f"/{name}", made[name])
    names.used("/old", made["old"])
    names.resize(25)
    assert len(made["used"].children) < 2  # no more leave than must
    assert len(made["old"].children) == 10
    assert names.count <= 25


def test_a_directory_in_use_stays() -> None:
    names = Namespace(5, lambda: 0)
    held = Directory()
    names.put(names.root, "held", held)
    names.used("/", names.root)
    touched = names.asking(held)
    for number in range(20):
        names.put(names.root, f"file-{number}", Entry())
        names.trim()
    assert names.known("/held") is held
    names.answered(held, touched)


def test_an_answer_is_not_believed_about_what_changed_since() -> None:
    names = Namespace(100, lambda: 0)
    kept, gone = Entry(stat.S_IFREG), Entry(stat.S_IFREG)
    names.put(names.root, "gone", gone)
    touched = names.asking(names.root)
    names.put(names.root, "new", kept)
    names.remove(names.root, "gone")
    later = names.asking(names.root)
    names.merge_listing(names.root, listed(["gone", "other"]), [], touched, 5)
    names.answered(names.root, touched)
    assert sorted(names.root.children) == ["new", "other"]
    assert not later
    names.merge_listing(names.root, listed(["other"]), [], later, 6)
    assert sorted(names.root.children) == ["other"]


def test_what_is_gone_or_replaced_is_told() -> None:
    names = Namespace(100, lambda: 0)
    merge(names, names.root, ["same", "gone"], ["becomes-file"])
    before = dict(names.root.children)
    touched = names.asking(names.root)
    files = [*listed(["same"]), ("becomes-file", ListedObject("k", 7, "e", MODIFIED))]
    told = names.merge_listing(names.root, files, [], touched, 1)
    assert {name for name, _ in told} == {"gone", "becomes-file"}
    assert names.root.children["same"] is before["same"]


def test_memory_of_an_entry() -> None:
    """At most 600 bytes beyond its name, with attributes known."""
    count = 50_000
    names = Namespace(count * 2, lambda: 0)
    keys = [f"a-file-with-a-name-{index:08}" for index in range(count)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for index, name in enumerate(keys):
        etag = f"{index:032x}"
        entry = Entry(0, 1_000_000 + index, etag, (1_700_000_000 + index) * 10**9)
        moment = (1_700_000_000 + index) * 10**9 + 123_456_789
        attributes = Attributes(
            0o100644, 1_000_000 + index, 1000, 1000, moment, moment + 1, moment + 2
        )
        entry.learn(attributes, {})
        entry.checked = 1_700_000_000_000 + index
        names.put(names.root, name, entry)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used / count <= 600
