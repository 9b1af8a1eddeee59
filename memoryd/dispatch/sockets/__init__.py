"""The workers' WebSockets over HTTP: quicker words in both directions, and pictures of runs in progress.

Nothing depends on them: work is asked for by long poll, and leases live by heartbeats.
"""
