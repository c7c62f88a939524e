"""One directory as the store lists it, sorted into files, folders and keys that are no names."""

import logging
from collections.abc import Container
from dataclasses import dataclass, field

from yas3fs.fs.keys import KeyMap, key_to_name
from yas3fs.objectstore.protocol import ListedObject, ObjectStore

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Listing:
    """``marker`` is the directory's own object, ``skipped`` the keys that cannot be file names."""

    files: list[tuple[str, ListedObject]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    marker: ListedObject | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the store has nothing at all of the directory."""
        return not (self.files or self.folders or self.skipped or self.marker)


def read_listing(
    store: ObjectStore,
    keys: KeyMap,
    path: str,
    hidden: Container[str],
    max_pages: int | None = None,
) -> Listing | None:
    """List the directory, leaving out the keys in ``hidden``; None when it has more pages.

    Raises StoreError.
    """
    prefix = keys.children(path)
    listing = Listing()
    token, pages = "", 0
    while True:
        page = store.list_page(prefix, delimiter="/", token=token)
        pages += 1
        for listed in page.objects:
            _sort_file(listing, prefix, listed, hidden)
        for folder in page.prefixes:
            name = key_to_name(folder[len(prefix) : -1])
            if name is None:
                listing.skipped.append(folder)
            else:
                listing.folders.append(name)
        token = page.token
        if not token:
            break
        if pages == max_pages:
            return None
    if listing.skipped:
        _log.warning(
            "%d keys below %r cannot be file names and are not shown, such as %r",
            len(listing.skipped),
            path,
            listing.skipped[0],
        )
    return listing


def _sort_file(listing: Listing, prefix: str, listed: ListedObject, hidden: Container[str]) -> None:
    key = listed.key
    if key == prefix:
        listing.marker = listed
    elif (not prefix and key == ".") or key in hidden:
        return
    elif (name := key_to_name(key[len(prefix) :])) is None:
        listing.skipped.append(key)
    else:
        listing.files.append((name, listed))
