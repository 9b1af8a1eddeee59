"""The embedded Postgres, borrowed by a command that is not the server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from memoryd.app.connecting import embedded_cluster
from memoryd.foundation.settings import Settings


@contextlib.contextmanager
def borrowed_postgres(settings: Settings) -> Iterator[None]:
    """Leave the embedded Postgres at the block's end as it was: stopped, where nobody had started it before."""
    cluster = embedded_cluster(settings)
    ran_before = cluster is None or (cluster.is_made() and cluster.is_running())
    try:
        yield
    finally:
        if cluster is not None and not ran_before:
            cluster.stop()
