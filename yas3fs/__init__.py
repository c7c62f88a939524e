"""yas3fs: a shared POSIX file system over S3."""

__version__ = "3.0.0.dev0"
