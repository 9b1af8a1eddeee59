"""Environments: how near two of them are, which runs and workers had one, and how one is built again.

The documents themselves are kept by `catalog.environments`; what a worker states of its own comes with its registration.
"""
