"""The door to stored bytes, as rooms below `storage` need to name it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol


class ByteStore(Protocol):
    """Bytes by their SHA-256 (32 bytes), one namespace per tenant slug. `storage.BlobStore` is one."""

    def open(self, tenant: str, sha256: bytes) -> BinaryIO:
        """Open a blob for reading from its start. Raises: NotFound."""
        ...

    def path(self, tenant: str, sha256: bytes) -> Path:
        """Return where the blob lies, or would lie."""
        ...

    def exists(self, tenant: str, sha256: bytes) -> bool:
        """Tell whether the blob is there."""
        ...
