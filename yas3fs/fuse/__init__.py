"""The kernel edge: what Linux sees of the file system. Decode, call the core, encode.

:class:`Session` mounts and serves; :mod:`yas3fs.fuse.mounts` looks at the mount table;
:mod:`yas3fs.fuse.errno` says which errno each failure becomes. Importing this package does not
load libfuse: a session does, and says so when it is missing.
"""

from yas3fs.fuse.options import SessionOptions
from yas3fs.fuse.session import Session

__all__ = ["Session", "SessionOptions"]
