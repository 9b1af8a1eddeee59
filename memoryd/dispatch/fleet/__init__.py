"""The workers over HTTP: for the people who run them, and for the workers themselves.

Promises: a worker reaches only what its key and its leases name; what a worker shows of a run is shown only while it holds
that run's lease; a removed worker is refused within RECOGNISED_FOR_S, everywhere.
"""
