"""What this process counts for its operator: since it started, and of nobody in particular.

Read by whoever scrapes the process. Facts that must outlive it are in the database.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()
"""Our own: what libraries count of themselves is not told."""

LATE_REPORTS = Counter(
    "memoryd_stale_reports",
    "Reports of workers that were refused because the lease was another's by then",
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "memoryd_request_seconds",
    "Time to the first byte of an answer, by kind of address",
    ("method", "route", "status"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
