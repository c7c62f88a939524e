"""A mount to try yas3fs with: an S3 of its own on this machine, no account, no configuration."""
