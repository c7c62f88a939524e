"""Handles that gather until they are worth a request."""

import threading

from yas3fs.notify.deletes import Deletes

WAIT = 30.0


class Deleted:
    """What was asked for, and by which thread."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: list[str] = []
        self.changed = threading.Condition()

    def __call__(self, handles: list[str]) -> None:
        with self.changed:
            self.batches.append(handles)
            self.threads.append(threading.current_thread().name)
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: sum(map(len, self.batches)) == count, WAIT)


def test_handles_gather_and_the_end_waits_for_none() -> None:
    deleted = Deleted()
    deletes = Deletes(deleted, delay=3600.0)
    deletes.add(["a"])
    deletes.add(["b", "c"])
    assert not deleted.batches
    deletes.close()
    assert deleted.batches == [["a", "b", "c"]]


def test_a_full_batch_is_deleted_at_once_by_whoever_fills_it() -> None:
    deleted = Deleted()
    deletes = Deletes(deleted, delay=3600.0)
    deletes.add([str(n) for n in range(7)])
    deletes.add([str(n) for n in range(7, 13)])
    assert deleted.batches == [[str(n) for n in range(10)]]
    assert deleted.threads == [threading.current_thread().name]
    deletes.close()
    assert deleted.batches[1:] == [["10", "11", "12"]]


def test_one_handle_is_deleted_without_others() -> None:
    deleted = Deleted()
    deletes = Deletes(deleted, delay=0.0)
    for count in range(1, 4):
        deletes.add([str(count)])
        deleted.wait_for(count)
    assert threading.current_thread().name not in deleted.threads
    deletes.close()
    assert deleted.batches == [["1"], ["2"], ["3"]]


def test_it_can_be_used_again_after_its_end() -> None:
    deleted = Deleted()
    deletes = Deletes(deleted, delay=3600.0)
    for name in ("first", "second"):
        deletes.add([name])
        deletes.close()
    assert deleted.batches == [["first"], ["second"]]
    deletes.close()
