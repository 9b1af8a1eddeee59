"""What this room's tests share: the server's side is that of the ingest room."""

from __future__ import annotations

from tests.ingest.conftest import app, folder, rows, store

__all__ = ["app", "folder", "rows", "store"]
