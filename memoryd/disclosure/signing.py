"""Writing a signed copy: sign, verify what was written, compare it with the original, only then give it its name."""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from memoryd.disclosure.c2pa_library import C2paError, embed
from memoryd.disclosure.containers import check_can_carry, compare_kept, media_type_of
from memoryd.disclosure.facts import FileVerdict, GeneratedByAi, Signed, State, Statement
from memoryd.disclosure.manifest import IngredientSource, generation_assertion, plan_manifest
from memoryd.disclosure.pki import Anchors, SigningIdentity
from memoryd.disclosure.verifying import VERIFY_BYTES_LIMIT, FileTooLarge, NotAFile, verify_file
from memoryd.foundation.canonical_json import canonical_digest
from memoryd.foundation.errors import Conflict, MemorydError, NotAcceptable
from memoryd.foundation.ids import new_id

SIGN_BYTES_LIMIT = VERIFY_BYTES_LIMIT
"""Bytes of a file that is signed: what we sign, we must be able to verify."""


class CannotSign(NotAcceptable):
    """This file could not be signed."""


class WouldOverwrite(Conflict):
    """There is a file already where the signed copy would be written."""


class SignedCopyFails(MemorydError):
    """The signed copy did not verify, and was thrown away."""


def sign_file(
    source: Path,
    destination: Path,
    statement: Statement,
    identity: SigningIdentity,
    *,
    input_files: Mapping[bytes, tuple[Path, str]] | None = None,
    now: datetime.datetime | None = None,
    overwrite: bool = False,
) -> Signed:
    """Return what was written to `destination`: the source with the signed statement put in, verified and compared.

    The source is never changed. A source that carries a manifest becomes the new one's parent. `input_files` gives path
    and media type of input pictures by SHA-256 (32 bytes); those not there are named by their hash alone. Either the
    finished file appears under its name, or nothing does.

    Raises: CannotCarry, CannotSign, WouldOverwrite, SignedCopyFails, NotKept, FileTooLarge, NotAFile; OSError.
    """
    before = verify_file(source)
    media_type = before.media_type or media_type_of(source)
    check_can_carry(media_type)
    if before.state is State.UNREADABLE:
        raise CannotSign(
            before.reasons[0].detail, hint="the file, or a manifest in it, is damaged: mend or re-export it"
        )
    if destination.exists() and not overwrite:
        raise WouldOverwrite(f"{destination.name} is there already", hint="choose another name")
    signed_source = _as_parent(source, before, media_type)
    assert before.sha256 is not None
    plan = plan_manifest(
        statement,
        original_sha256=before.sha256,
        disclosed_at=now or datetime.datetime.now(datetime.UTC),
        signed_source=signed_source,
        signed_source_says_ai=before.generated_by_ai in (GeneratedByAi.YES, GeneratedByAi.PARTLY),
        input_files=dict(input_files or {}),
    )
    unfinished = destination.with_name(f".{new_id().hex}.unfinished")
    try:
        with source.open("rb") as original, unfinished.open("x+b") as copy:
            # "x+b": the library reads back what it wrote. Source: c2pa-python issue 165.
            try:
                embed(plan, identity, media_type, original, copy)
            except C2paError as error:
                raise CannotSign(str(error), hint="see the reason; the original is untouched") from None
            copy.flush()
            os.fsync(copy.fileno())
        after = _verified(unfinished, before)
        kept = compare_kept(source, unfinished, media_type)
        shutil.copymode(source, unfinished)
        _give_name(unfinished, destination)
    finally:
        unfinished.unlink(missing_ok=True)
    assert after.sha256 is not None
    assert after.size is not None
    assert after.manifest_id is not None
    return Signed(
        sha256=after.sha256,
        size=after.size,
        media_type=media_type,
        manifest_id=after.manifest_id,
        signer=identity.name,
        signer_fingerprint=identity.fingerprint,
        kept=kept,
        parent_kept=signed_source is not None,
    )


def statement_digest(statement: Statement, original_sha256: bytes) -> bytes:
    """Return the SHA-256 (32 bytes) of what would be said of this content: equal for equal statements, at any time."""
    return canonical_digest(generation_assertion(statement, original_sha256=original_sha256, disclosed_at=None))


def _as_parent(source: Path, before: FileVerdict, media_type: str) -> IngredientSource | None:
    elsewhere = any(reason.code == "manifest-elsewhere" for reason in before.reasons)
    if before.state is State.NONE and not elsewhere:
        return None
    return IngredientSource(
        label="source",
        relationship="parentOf",
        title="the file before this disclosure",
        sha256=before.sha256,
        media_type=media_type,
        path=source,
    )


def _verified(unfinished: Path, before: FileVerdict) -> FileVerdict:
    after = verify_file(unfinished, Anchors())
    # A history that was broken before stays broken, and is told so; nothing else may be wrong.
    allowed = {State.VALID, State.TRUSTED}
    if before.state in (State.INVALID, State.HISTORY_BROKEN):
        allowed.add(State.HISTORY_BROKEN)
    if after.state not in allowed:
        raise SignedCopyFails(
            after.headline, hint="the original is untouched; `memoryd pki init` checks the certificate"
        )
    return after


def _give_name(unfinished: Path, destination: Path) -> None:
    unfinished.replace(destination)
    descriptor = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = [
    "SIGN_BYTES_LIMIT",
    "CannotSign",
    "FileTooLarge",
    "NotAFile",
    "SignedCopyFails",
    "WouldOverwrite",
    "sign_file",
    "statement_digest",
]
