"""How one looks into the process and asks something of it: a Unix socket, and HTTP for metrics."""
