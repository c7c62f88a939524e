"""Stand-ins for S3: servers in child processes, a faulty proxy, a store that fails by count."""
