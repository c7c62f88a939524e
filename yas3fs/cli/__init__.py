"""The commands: arguments to a configuration, exit statuses, nothing else."""
