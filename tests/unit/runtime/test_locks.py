"""A lock whose waiters can be interrupted."""

import threading

import pytest

from yas3fs.errors import Interrupted
from yas3fs.runtime import interrupts
from yas3fs.runtime.locks import InterruptibleLock


def test_it_is_reentrant_and_excludes_others() -> None:
    lock = InterruptibleLock()
    order: list[str] = []

    def other() -> None:
        with lock:
            order.append("other")

    with lock, lock:
        thread = threading.Thread(target=other)
        thread.start()
        order.append("first")
    thread.join(30)
    assert order == ["first", "other"]


def test_who_waits_is_interrupted_and_the_lock_stays_whole() -> None:
    lock = InterruptibleLock()
    ended: list[BaseException] = []

    def wait() -> None:
        with interrupts.serve(lambda: True):
            try:
                with lock:
                    pass
            except Interrupted as error:
                ended.append(error)

    with lock:
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(30)
        assert len(ended) == 1
    with lock:
        pass


def test_a_free_lock_is_taken_even_by_who_was_interrupted() -> None:
    with interrupts.serve(lambda: True), InterruptibleLock(), pytest.raises(Interrupted):
        interrupts.check()
