"""Secrets that are handed out once and stored as hashes.

They are 256 random bits, so that a plain SHA-256 suffices: there is nothing to guess that a slow hash would protect.
"""

from __future__ import annotations

import hashlib
import secrets

SECRET_BYTES = 32
TOKEN_LIMIT = 200
"""Characters of any token; ours are below 130."""


def new_secret() -> str:
    """Return 256 fresh random bits as lower hexadecimal digits."""
    return secrets.token_hex(SECRET_BYTES)


def hash_secret(secret: str) -> bytes:
    """Return what is stored of a secret (32 bytes)."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
