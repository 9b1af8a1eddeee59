"""The `memoryd` command: speaks HTTP to a server, or runs one of its processes."""
