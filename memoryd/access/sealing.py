"""Sealing a person's parts under a key of their own, so that destroying the key erases them.

Each person has a key (256 bit), stored sealed under one key file of the server. Sealed bytes are
`nonce (12) + AES-256-GCM ciphertext and tag`, bound to what they are about. Source: NIST SP 800-38D.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memoryd.access import queries
from memoryd.foundation.database import Session
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import PersonId
from memoryd.foundation.settings import write_secret

WRAPPING_KEY_FILE = "people.key"
KEY_BYTES = 32
NONCE_BYTES = 12
"""Source: NIST SP 800-38D, the size that GCM is defined for; random nonces serve 2^32 seals of one key."""

_WRAPPING = b"person key"


class SealBroken(MemorydError):
    """A sealed part cannot be opened with the key it belongs to."""


def seal(key: bytes, plain: bytes, *, about: bytes) -> bytes:
    """Return `plain` sealed under `key`; only the same `about` opens it."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, about)


def unseal(key: bytes, sealed: bytes, *, about: bytes) -> bytes:
    """Return what was sealed. Raises: SealBroken."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about)
    except (InvalidTag, ValueError):
        raise SealBroken(
            "the sealed bytes, or the key file, are not those that belong together",
            hint=f"restore {WRAPPING_KEY_FILE} from the backup that the database came from",
        ) from None


def wrapping_key(keys: Path) -> bytes:
    """Return the server's key for people's keys, made at first need. Raises: SealBroken for a file that is no key."""
    return server_key(keys, WRAPPING_KEY_FILE)


def server_key(keys: Path, name: str) -> bytes:
    """Return the key (256 bit) in one of the server's key files, made at first need. Raises: SealBroken."""
    path = keys / name
    if not path.exists():
        make_key_file(path, os.urandom(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise SealBroken(f"{path} holds {len(key)} bytes, not {KEY_BYTES}", hint="restore it from a backup")
    return key


def person_keys(session: Session, keys: Path, people: Collection[PersonId]) -> dict[PersonId, bytes | None]:
    """Return each person's key, made at first need; None for those whose key was destroyed."""
    wrapping = wrapping_key(keys)
    known = {row.person_id for row in queries.list_person_keys(session, list(people))}
    for person in sorted(set(people) - known):
        fresh = seal(wrapping, os.urandom(KEY_BYTES), about=_WRAPPING + person.bytes)
        queries.insert_person_key(session, person_id=person, wrapped=fresh)
    return {
        row.person_id: None
        if row.wrapped is None
        else unseal(wrapping, row.wrapped, about=_WRAPPING + row.person_id.bytes)
        for row in queries.list_person_keys(session, list(people))
    }


def make_key_file(path: Path, content: bytes) -> None:
    """Make a key file (mode 600) unless it is there: of two processes that start at once, the first one's stands."""
    fresh = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    write_secret(fresh, content)
    try:
        os.link(fresh, path)
    except FileExistsError:
        return
    finally:
        fresh.unlink()
