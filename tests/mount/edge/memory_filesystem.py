"""A file system of a few lines that speaks the core's API, to test the kernel edge alone.

It counts its calls, and has names that misbehave: ``/raise-NAME`` raises that member of
:mod:`yas3fs.errors` (or a stray exception) when looked at, ``/block-VERB`` waits, interruptibly,
until it is let go, ``/forget`` invalidates itself whenever it is touched.
"""

import builtins
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from yas3fs import errors
from yas3fs.fs.types import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    XATTR_CREATE,
    XATTR_REPLACE,
    Attributes,
    Caller,
    Changes,
    DirectoryEntry,
    FilesystemStatistics,
)
from yas3fs.runtime import interrupts
from yas3fs.runtime.memory import Room, Send


@dataclass
class Node:
    attributes: Attributes
    data: bytearray = field(default_factory=bytearray)
    xattrs: dict[str, bytes] = field(default_factory=dict)
    target: str = ""
    names: set[str] = field(default_factory=set)
    generation: int = 0


def parent_of(path: str) -> str:
    return path.rpartition("/")[0] or "/"


class MemoryFile:
    def __init__(self, filesystem: "MemoryFilesystem", path: str, node: Node, flags: int) -> None:
        self.filesystem, self.path, self.node, self.flags = filesystem, path, node, flags
        self.writable = flags & os.O_ACCMODE != os.O_RDONLY
        self.keep_cache = filesystem.keep_cache

    def getattr(self) -> Attributes:
        self.filesystem.counts["fgetattr"] += 1
        return self.filesystem.attributes_of(self.node)

    def read_into(self, target: memoryview, offset: int) -> int:
        filesystem = self.filesystem
        filesystem.counts["read"] += 1
        filesystem.misbehave(self.path, "read")
        if filesystem.endless:
            return len(target)
        data = memoryview(self.node.data)[offset : offset + len(target)]
        target[: len(data)] = data
        return len(data)

    def send(self, size: int, offset: int, room: Room, send: Send) -> None:
        buffer = room(size)
        send(buffer.address, self.read_into(buffer.view[:size], offset))

    def write(self, data: memoryview, offset: int) -> int:
        self.filesystem.counts["write"] += 1
        self.filesystem.misbehave(self.path, "write")
        if self.filesystem.endless:
            return len(data)
        with self.filesystem.lock:
            if self.flags & os.O_APPEND:
                offset = max(offset, len(self.node.data))
            if len(self.node.data) < offset:
                self.node.data.extend(bytes(offset - len(self.node.data)))
            self.node.data[offset : offset + len(data)] = data
            self.filesystem.touch(self.node)
        return len(data)

    def flush(self) -> None:
        self.filesystem.counts["flush"] += 1
        self.filesystem.misbehave(self.path, "flush")

    def fsync(self) -> None:
        self.filesystem.counts["fsync"] += 1

    def reopen(self, flags: int) -> "MemoryFile":
        self.filesystem.counts["reopen"] += 1
        return MemoryFile(self.filesystem, self.path, self.node, flags)

    def release(self) -> None:
        self.filesystem.counts["release"] += 1


class MemoryDirectory:
    def __init__(self, filesystem: "MemoryFilesystem", path: str, node: Node) -> None:
        self.filesystem, self.path, self.node = filesystem, path, node
        self.names = sorted(node.names)
        self.keep_cache = filesystem.listed.get(path) == node.generation
        filesystem.listed[path] = node.generation

    def entries(self, offset: int) -> Iterator[DirectoryEntry]:
        self.filesystem.counts["entries"] += 1
        prefix = "" if self.path == "/" else self.path
        for name in self.names[offset:]:
            node = self.filesystem.nodes.get(f"{prefix}/{name}")
            if node is None:
                continue
            mode = node.attributes.mode
            if name.startswith("typed"):
                yield DirectoryEntry(name, stat.S_IFMT(mode), None)
            elif name.startswith("unknown"):
                yield DirectoryEntry(name, 0, None)
            else:
                yield DirectoryEntry(name, mode, self.filesystem.attributes_of(node))

    def getattr(self) -> Attributes:
        return self.filesystem.attributes_of(self.node)

    def fsync(self) -> None:
        self.filesystem.counts["fsyncdir"] += 1

    def release(self) -> None:
        self.filesystem.counts["releasedir"] += 1


class MemoryFilesystem:
    block_size = 1 << 20

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.counts: Counter[str] = Counter()
        self.keep_cache = False
        self.endless = False
        self.invalidate: Callable[[str], None] | None = None
        self.listed: dict[str, int] = {}
        self.waiting = threading.Condition()
        self.let_go = False
        self.stuck = 0
        self.nodes: dict[str, Node] = {}
        self.nodes["/"] = Node(self._new(stat.S_IFDIR | 0o755, Caller(os.getuid(), os.getgid())))

    # -- making the test's world ----------------------------------------------------------------

    def _new(self, mode: int, caller: Caller) -> Attributes:
        now = self.now_ns()
        return Attributes(mode, 0, caller.uid, caller.gid, now, now, now)

    def _add(self, path: str, mode: int, caller: Caller) -> Node:
        with self.lock:
            if path in self.nodes:
                raise errors.Exists(path)
            parent = self._node(parent_of(path))
            node = self.nodes[path] = Node(self._new(mode, caller))
            parent.names.add(path.rpartition("/")[2])
            parent.generation += 1
            return node

    def _drop(self, path: str) -> Node:
        parent = self._node(parent_of(path))
        parent.names.discard(path.rpartition("/")[2])
        parent.generation += 1
        self.nodes[path].attributes.nlink = 0
        return self.nodes.pop(path)

    def _node(self, path: str) -> Node:
        try:
            return self.nodes[path]
        except KeyError:
            raise errors.NoEntry(path) from None

    def attributes_of(self, node: Node) -> Attributes:
        size = len(node.data) if not node.target else len(node.target.encode())
        if self.endless and stat.S_ISREG(node.attributes.mode):
            size = 1 << 40
        return replace(node.attributes, size=size)

    def touch(self, node: Node) -> None:
        node.attributes.mtime_ns = node.attributes.ctime_ns = self.now_ns()

    def misbehave(self, path: str, verb: str) -> None:
        name = path.rpartition("/")[2]
        if name.startswith("forget") and self.invalidate is not None:
            self.invalidate(path)
            self.invalidate(parent_of(path))
        if verb == "getattr" and name.startswith("raise-"):
            kind = name.removeprefix("raise-")
            raise (getattr(errors, kind, None) or getattr(builtins, kind))("as told")
        if name == f"block-{verb}":
            with self.waiting:
                self.stuck += 1
                self.waiting.notify_all()
                try:
                    interrupts.wait_for(self.waiting, lambda: self.let_go)
                finally:
                    self.stuck -= 1
                    self.waiting.notify_all()

    # -- the API --------------------------------------------------------------------------------

    def now_ns(self) -> int:
        return time.time_ns()

    def getattr(self, path: str) -> Attributes:
        self.counts["getattr"] += 1
        node = self.nodes.get(path)  # an answer that is held up is as old as the question
        self.misbehave(path, "getattr")
        if node is None:
            raise errors.NoEntry(path)
        return self.attributes_of(node)

    def readlink(self, path: str) -> str:
        return self._node(path).target

    def mknod(self, path: str, mode: int, rdev: int, caller: Caller) -> None:
        self._add(path, mode, caller).attributes.rdev = rdev

    def mkdir(self, path: str, mode: int, caller: Caller) -> None:
        self._add(path, stat.S_IFDIR | mode, caller)

    def unlink(self, path: str) -> None:
        self.counts["unlink"] += 1
        with self.lock:
            self._node(path)
            self._drop(path)

    def rmdir(self, path: str) -> None:
        with self.lock:
            if self._node(path).names:
                raise errors.NotEmpty(path)
            self._drop(path)

    def symlink(self, target: str, path: str, caller: Caller) -> None:
        self._add(path, stat.S_IFLNK | 0o777, caller).target = target

    def rename(self, old: str, new: str, flags: int = 0) -> None:
        with self.lock:
            if flags & RENAME_EXCHANGE:
                first, second = self._node(old), self._node(new)
                self.nodes[old], self.nodes[new] = second, first
                return
            if flags & RENAME_NOREPLACE and new in self.nodes:
                raise errors.Exists(new)
            node = self._node(old)
            if new in self.nodes:
                if self.nodes[new].names:
                    raise errors.NotEmpty(new)
                self._drop(new)
            self._drop(old)
            node.attributes.nlink = 1
            self.nodes[new] = node
            parent = self._node(parent_of(new))
            parent.names.add(new.rpartition("/")[2])
            parent.generation += 1
            for path in [path for path in self.nodes if path.startswith(old + "/")]:
                self.nodes[new + path[len(old) :]] = self.nodes.pop(path)

    def _of(self, path: str, handle: MemoryFile | None) -> Node:
        return self._node(path) if handle is None else handle.node

    def setattr(self, path: str, changes: Changes, handle: MemoryFile | None = None) -> Attributes:
        node = self._of(path, handle)
        attributes = node.attributes
        if changes.size is not None:
            self.truncate(path, changes.size, handle)
        if changes.mode is not None:
            attributes.mode = stat.S_IFMT(attributes.mode) | stat.S_IMODE(changes.mode)
        for name in ("uid", "gid", "atime_ns", "mtime_ns"):
            value = getattr(changes, name)
            if value is not None:
                setattr(attributes, name, value)
        return self.attributes_of(node)

    def chmod(self, path: str, mode: int, handle: MemoryFile | None = None) -> None:
        attributes = self._of(path, handle).attributes
        attributes.mode = stat.S_IFMT(attributes.mode) | stat.S_IMODE(mode)

    def chown(self, path: str, uid: int, gid: int, handle: MemoryFile | None = None) -> None:
        attributes = self._of(path, handle).attributes
        attributes.uid = attributes.uid if uid == -1 else uid
        attributes.gid = attributes.gid if gid == -1 else gid

    def utimens(
        self,
        path: str,
        atime_ns: int | None,
        mtime_ns: int | None,
        handle: MemoryFile | None = None,
    ) -> None:
        attributes = self._of(path, handle).attributes
        attributes.atime_ns = attributes.atime_ns if atime_ns is None else atime_ns
        attributes.mtime_ns = attributes.mtime_ns if mtime_ns is None else mtime_ns

    def truncate(self, path: str, size: int, handle: MemoryFile | None = None) -> None:
        self.counts["truncate"] += 1
        node = self._of(path, handle)
        with self.lock:
            del node.data[size:]
            node.data.extend(bytes(size - len(node.data)))
            self.touch(node)

    def create(self, path: str, flags: int, mode: int, caller: Caller) -> MemoryFile:
        return MemoryFile(self, path, self._add(path, stat.S_IFREG | mode, caller), flags)

    def open(self, path: str, flags: int, *, aside: bool = False) -> MemoryFile:
        self.counts["open"] += 1
        self.misbehave(path, "open")
        node = self._node(path)
        if flags & os.O_TRUNC:
            self.truncate(path, 0)
        return MemoryFile(self, path, node, flags)

    def opendir(self, path: str) -> MemoryDirectory:
        self.counts["opendir"] += 1
        return MemoryDirectory(self, path, self._node(path))

    def statfs(self) -> FilesystemStatistics:
        return FilesystemStatistics(4096, 1000, 600, 500, 400, 255)

    def setxattr(
        self, path: str, name: str, value: bytes, flags: int, handle: MemoryFile | None = None
    ) -> None:
        xattrs = self._of(path, handle).xattrs
        if flags & XATTR_CREATE and name in xattrs:
            raise errors.Exists(name)
        if flags & XATTR_REPLACE and name not in xattrs:
            raise errors.NoAttribute(name)
        xattrs[name] = value

    def getxattr(self, path: str, name: str, handle: MemoryFile | None = None) -> bytes:
        self.counts["getxattr"] += 1
        try:
            return self._of(path, handle).xattrs[name]
        except KeyError:
            raise errors.NoAttribute(name) from None

    def listxattr(self, path: str, handle: MemoryFile | None = None) -> list[str]:
        return list(self._of(path, handle).xattrs)

    def removexattr(self, path: str, name: str, handle: MemoryFile | None = None) -> None:
        if self._of(path, handle).xattrs.pop(name, None) is None:
            raise errors.NoAttribute(name)

    # -- changes that another node makes, behind the kernel's back --------------------------------

    def behind(self, change: str, path: str, content: str = "") -> None:
        """``change``: write, remove, mkdir."""
        caller = Caller(os.getuid(), os.getgid())
        with self.lock:
            if path in self.nodes and change != "write":
                self._drop(path)
            if change == "write":
                node = self.nodes.get(path) or self._add(path, stat.S_IFREG | 0o644, caller)
                node.data[:] = content.encode()
                self.touch(node)
            elif change == "mkdir":
                self._add(path, stat.S_IFDIR | 0o755, caller)

    def fill(self, directory: str, count: int, name: str = "file-{:06}") -> None:
        caller: Any = Caller(os.getuid(), os.getgid())
        for number in range(count):
            self._add(f"{directory}/{name.format(number)}", stat.S_IFREG | 0o644, caller)
