"""The child: serves a MemoryFilesystem and does what it is told on standard input.

serve_memory.py MOUNTPOINT [OPTIONS-AS-JSON]
"""

import json
import logging
import sys
import threading
from typing import Any

from tests.mount.edge.memory_filesystem import MemoryFilesystem
from yas3fs.fuse import Session, SessionOptions


class Controls:
    """The requests a test may make."""

    def __init__(self, filesystem: MemoryFilesystem, session: Session) -> None:
        self.filesystem, self.session = filesystem, session
        self.answering = threading.Lock()

    def set(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self.filesystem, name, value)

    def fill(self, directory: str, count: int, name: str = "file-{:06}") -> None:
        self.filesystem.fill(directory, count, name)

    def counts(self, reset: bool = False) -> dict[str, int]:
        counts = dict(self.filesystem.counts)
        if reset:
            self.filesystem.counts.clear()
        return counts

    def change(self, change: str, path: str, content: str = "", invalidate: Any = ()) -> bool:
        self.filesystem.behind(change, path, content)
        return self.invalidate(invalidate)

    def forget(self, paths: list[str]) -> None:
        for path in paths:
            self.session.invalidate(path)

    def invalidate(self, paths: list[str]) -> bool:
        self.forget(paths)
        return self.session.drain_invalidations(10)

    def timeouts(self, entry: float, attribute: float, negative: float) -> None:
        self.session.set_timeouts(entry, attribute, negative)

    def inodes(self) -> int:
        return self.session.known_inodes

    def names(self) -> list[str]:
        return sorted(self.filesystem.nodes)

    def wait_stuck(self, count: int) -> bool:
        waiting = self.filesystem.waiting
        with waiting:
            return waiting.wait_for(lambda: self.filesystem.stuck == count, 10)

    def let_go(self) -> None:
        with self.filesystem.waiting:
            self.filesystem.let_go = True
            self.filesystem.waiting.notify_all()

    def negotiated(self) -> dict[str, int]:
        agreed = self.session.negotiated
        assert agreed is not None
        return {"wanted": agreed.wanted, "capable": agreed.capable}

    def unmount(self, lazy: bool = False) -> None:
        self.session.unmount(lazy=lazy)


def answer_requests(controls: Controls) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        with controls.answering:
            try:
                reply = {"result": getattr(controls, request.pop("do"))(**request)}
            except Exception as error:
                reply = {"error": repr(error)}
            print(json.dumps(reply), flush=True)
    controls.session.unmount(lazy=True)  # whoever ran the test is gone


def main() -> int:
    logging.basicConfig(level=logging.DEBUG if "debug" in "".join(sys.argv) else logging.INFO)
    settings = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    settings["extra"] = tuple(settings.get("extra", ()))
    filesystem = MemoryFilesystem()
    session = Session(filesystem, sys.argv[1], SessionOptions(**settings))
    session.mount()
    filesystem.invalidate = session.invalidate
    controls = Controls(filesystem, session)
    threading.Thread(target=answer_requests, args=[controls], daemon=True).start()

    def announce() -> None:
        print("ready" if session.wait_visible() else "invisible", flush=True)

    threading.Thread(target=announce, daemon=True).start()
    session.serve()
    with controls.answering:  # the request that ended the session gets its answer
        return 0


if __name__ == "__main__":
    sys.exit(main())
