"""What people decide about pictures, over HTTP: whose they are, how they were made, what they came from, what goes.

Part of the catalogue: its router is included by the catalogue's own.
"""
