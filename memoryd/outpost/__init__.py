"""The watcher on a workstation: reads a folder where it lies, and sends what it read to a memoryd server elsewhere.

It holds no database and no signing key, speaks HTTP with one person's key, and runs wherever Python does (Linux, macOS,
Windows). What was read is on disk before it is sent: a server that is away, or a kill -9, loses nothing and doubles nothing.
"""
