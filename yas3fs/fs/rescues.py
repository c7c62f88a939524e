"""Storing rescued files after all, at the path they were meant for."""

from yas3fs.errors import Busy, Exists, InvalidArgument, StaleHandle
from yas3fs.fs.attributes import content_type_of
from yas3fs.fs.namespace import has_local_content
from yas3fs.fs.volume import Volume
from yas3fs.objectstore.protocol import Headers
from yas3fs.writeback.rescue import Rescued
from yas3fs.writeback.upload import ANY, Condition


def store_again(volume: Volume, rescued: Rescued, *, force: bool = False) -> str:
    """Upload a rescued file, and drop it from its folder when S3 has it; returns its path.

    Without ``force`` only over the version that it was written over, or where there is nothing.
    Raises Conflict or Exists when that is not what is there, StaleHandle when bytes of that version
    are needed and it is gone, Busy while the path is being written here, InvalidArgument when it is
    of another mount or its note cannot be read, StoreError, OSError; nothing is lost then.
    """
    if rescued.unreadable:
        raise InvalidArgument(rescued.unreadable)
    path = volume.keys.path(rescued.key)
    if path is None or rescued.bucket != volume.settings.bucket:
        raise InvalidArgument(
            f"s3://{rescued.bucket}/{rescued.key} is not below {volume.settings.url}"
        )
    with volume.claims.claim(path):
        entry = volume.names.known(path)
        if entry is not None and has_local_content(entry):
            raise Busy(f"{path} is being written here: close it first")
        if not rescued.tells_base and not force and volume.exists(path):
            raise Exists(f"{path} is there, and the note does not say what was to be replaced")
        _upload(volume, rescued, ANY if force else _condition(rescued))
    volume.forget(path)
    rescued.remove()
    return path


def _condition(rescued: Rescued) -> Condition:
    return Condition(new=True) if rescued.base is None else Condition(rescued.base.etag)


def _upload(volume: Volume, rescued: Rescued, condition: Condition) -> None:
    base = rescued.base if rescued.missing else None
    if rescued.missing and base is None:
        raise StaleHandle(
            f"{rescued.missing} of {rescued.size} bytes are missing, and the note does not say "
            "which version has them"
        )

    def read_base(target: memoryview, offset: int) -> int:
        assert base is not None
        return volume.parts.reader.read_into(base, target, offset)

    staging = rescued.stage(volume.parts.staging_folder, read_base)
    headers = rescued.headers or Headers(content_type=content_type_of(rescued.key))
    volume.parts.uploader.upload(rescued.key, staging, headers, base, condition)
