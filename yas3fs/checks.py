"""Whether a mount would work, tried without mounting it: what ``check-config --live`` asks."""

import os
from collections.abc import Callable, Iterator

from yas3fs.config.mount_config import MountConfig
from yas3fs.errors import Yas3fsError
from yas3fs.events import Heartbeat
from yas3fs.fuse import mountpoint, mounts
from yas3fs.hub import Hub
from yas3fs.notify.visitor import Visitor
from yas3fs.objectstore.factory import check_access, open_store
from yas3fs.place import prove_folders, store_options


def check_mount(config: MountConfig) -> Iterator[tuple[str, str]]:
    """What was tried, and why it does not work (empty: it does); in the order of a start."""
    tries: list[tuple[str, Callable[[MountConfig], object]]] = [
        ("credentials and bucket", _check_bucket),
        ("cache and state folders", prove_folders),
        ("mount point", _check_mountpoint),
    ]
    if config.topic:
        tries.append(("topic", _check_topic))
    for what, attempt in tries:
        try:
            attempt(config)
        except Yas3fsError as error:
            yield what, " ".join(str(error).split())
        else:
            yield what, ""


def _check_bucket(config: MountConfig) -> None:
    store = open_store(store_options(config))
    try:
        check_access(store, f"{config.prefix}/" if config.prefix else "")
    finally:
        store.close()


def _check_mountpoint(config: MountConfig) -> None:
    found = mounts.mount_at(config.mountpoint)
    if found is not None and found.fstype == mounts.FUSE_TYPE and found.source == config.url:
        return  # it is mounted, and works
    if config.mkdir and not os.path.lexists(config.mountpoint):
        return
    mountpoint.prepare(config.mountpoint, mkdir=False, nonempty=config.nonempty)


def _check_topic(config: MountConfig) -> None:
    """Every node ignores a heartbeat but its own."""
    hub = Hub()
    try:
        Visitor(hub.clients(config), config.topic, config.region).publish(Heartbeat(0))
    finally:
        hub.close()
