"""What approved pictures need is held: their own bytes, the inputs and sources they came from, the models that made them.

The last copy of a held content is removed only after somebody let go of it, by name and with a reason. Nothing marks a
content as held: it is worked out from the approvals whenever bytes are about to go, so that an approval that is given,
withdrawn or given again counts at once. Models lie on workers, where nothing here deletes; they are told as held.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Scope, Sees
from memoryd.access.projects import find_project
from memoryd.access.roles import sees_with
from memoryd.catalog.queries import holding as queries
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, NotAllowed
from memoryd.foundation.ids import AssetId, new_id
from memoryd.foundation.paging import Page, decode_id, encode_cursor, page_size
from memoryd.foundation.reasons import checked_reason

NAMED_LIMIT = 5
"""Approved pictures that a refusal names."""
DIGEST_DIGITS = 64

MODEL = "model"


class NotYoursToRelease(NotAllowed):
    """Projects that you do not decide for hold this content."""


class BadDigest(NotAcceptable):
    """This is no SHA-256."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Who holds a content: approved pictures that the caller sees, and how many others there are."""

    sha256: bytes
    assets: tuple[AssetId, ...]
    others: int = 0

    @property
    def told(self) -> str:
        """Why it stays, as a refusal says it."""
        named = ", ".join(str(asset) for asset in self.assets[:NAMED_LIMIT])
        more = len(self.assets) - NAMED_LIMIT
        parts = [f"{named}{f' and {more} more' if more > 0 else ''}"] if named else []
        if self.others:
            parts.append(f"{self.others} in projects that you do not see")
        return f"it is the last copy of what approved pictures need: {' and '.join(parts)}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldContent:
    """A content that an approved picture holds. `kind`: approved, source, input, model.

    `copies` are those known in the store, folders and trashes (of a model None: they lie on workers).
    `released`: the reason with which it was let go, where that counts for this approval.
    """

    kind: str
    sha256: bytes
    name: str | None
    asset_id: AssetId | None
    copies: int | None
    released: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldPicture:
    """An approved picture, whose projects approved it, and what it holds."""

    asset_id: AssetId
    projects: tuple[str, ...]
    contents: tuple[HeldContent, ...]


def holders_of(session: Session, digests: Collection[bytes], sees: Sees = None) -> dict[bytes, Holders]:
    """Return who holds these contents (pictures, inputs, sources); those that nobody holds are left out."""
    return _grouped(queries.list_holders(session, sorted(set(digests))), sees)


def model_holders_of(session: Session, digests: Collection[bytes], sees: Sees = None) -> dict[bytes, Holders]:
    """Return who holds these models; those that nobody holds are left out."""
    return _grouped(queries.list_model_holders(session, sorted(set(digests))), sees)


def _grouped(rows: Iterable[queries.AnyRow], sees: Sees) -> dict[bytes, Holders]:
    seen: dict[bytes, dict[AssetId, None]] = {}
    unseen: dict[bytes, set[UUID]] = {}
    for row in rows:
        if sees is None or row.project_id in sees:
            seen.setdefault(bytes(row.sha256), {})[AssetId(row.asset_id)] = None
        else:
            unseen.setdefault(bytes(row.sha256), set()).add(row.asset_id)
    return {
        sha256: Holders(
            sha256=sha256,
            assets=tuple(seen.get(sha256, ())),
            # A picture that the caller sees in one project is no other one in the next.
            others=len(unseen.get(sha256, set()) - set(seen.get(sha256, ()))),
        )
        for sha256 in {*seen, *unseen}
    }


def begin_removing(session: Session) -> None:
    """Return when no approval is being given: until this transaction ends, what nobody holds stays so."""
    queries.lock_for_removing(session)


def last_copies(session: Session, store: ByteStore, tenant: str, assets: Sequence[UUID]) -> dict[UUID, bytes]:
    """Return those of these assets, with their SHA-256, that lie nowhere but in a trash as far as this machine can tell.

    A copy on another machine counts as it was last seen there, one on this machine only where it lies there now.
    """
    digests = queries.list_digests(session, assets)
    elsewhere = {row.asset_id for row in queries.list_other_places(session, list(digests)) if _lies(row)}
    return {
        asset: sha256
        for asset, sha256 in digests.items()
        if asset not in elsewhere and not store.exists(tenant, sha256)
    }


def _lies(row: queries.AnyRow) -> bool:
    if row.host is not None and row.host != socket.gethostname():
        return True
    whole = row.path if row.root is None else row.root.rstrip(b"/") + b"/" + row.path
    try:
        return bool(Path(whole.decode("utf-8", "surrogateescape")).stat().st_size == row.size)
    except (OSError, ValueError):
        return False


def release(session: Session, caller: Caller, digests: Collection[bytes], reason: str) -> list[bytes]:
    """Let go of contents; return those that somebody held. The approvals of now count no more for them, later ones do.

    Raises: ReasonMissing; NotYoursToRelease, where a project holds one in which the caller may not approve.
    """
    clean = checked_reason(reason)
    begin_removing(session)
    decides = sees_with(caller, Scope.APPROVE)
    held = holders_of(session, digests, decides)
    for sha256, models in model_holders_of(session, digests, decides).items():
        held.setdefault(sha256, models)
    foreign = [holders for holders in held.values() if holders.others]
    if foreign:
        raise NotYoursToRelease(
            f"{foreign[0].sha256.hex()}: {foreign[0].others} approved pictures of other projects need it",
            hint="ask somebody who may approve in all of them, such as an administrator",
        )
    if not held:
        return []
    queries.insert_releases(
        session,
        [{"id": new_id(), "sha256": sha256, "reason": clean, "by_person": caller.person_id} for sha256 in sorted(held)],
    )
    for sha256, holders in sorted(held.items()):
        facts: dict[str, Json] = {
            "sha256": sha256.hex(),
            "reason": clean,
            "needed_by": [str(asset) for asset in holders.assets],
        }
        audit.note(session, caller, "hold.release", f"content:{sha256.hex()}", facts)
    return sorted(held)


def hold_again(session: Session, caller: Caller, sha256: bytes) -> bool:
    """Take back that a content was let go; return whether it had been. Raises: NotYoursToRelease."""
    if sees_with(caller, Scope.APPROVE) is not None:
        raise NotYoursToRelease(
            "a hold is about every project's approvals", hint="ask somebody who may approve in all projects"
        )
    if not queries.delete_releases(session, sha256):
        return False
    audit.note(session, caller, "hold.again", f"content:{sha256.hex()}", {"sha256": sha256.hex()})
    return True


def who_holds(session: Session, sha256: bytes, sees: Sees) -> Holders:
    """Return who holds a content, of whatever kind: with neither assets nor others nobody does, and it may go."""
    found = holders_of(session, [sha256], sees).get(sha256) or model_holders_of(session, [sha256], sees).get(sha256)
    return found or Holders(sha256=sha256, assets=())


def list_holds(
    session: Session, sees: Sees, *, project: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Page[HeldPicture]:
    """Return approved pictures of projects that the caller sees with what each holds, by id.

    Raises: BadCursor, BadPageSize, ProjectNotFound.
    """
    size = page_size(limit)
    of = find_project(session, project, sees) if project is not None else None
    after = decode_id(cursor)
    rows = queries.list_approvals(session, sees, of, after, size + 1)
    shown = rows[:size]
    contents: dict[UUID, list[HeldContent]] = {}
    for row in queries.list_held(session, [one.asset_id for one in shown], sees):
        contents.setdefault(row.approved, []).append(_content(row))
    pictures = [
        HeldPicture(
            asset_id=AssetId(row.asset_id),
            projects=tuple(row.projects),
            contents=tuple(contents.get(row.asset_id, ())),
        )
        for row in shown
    ]
    return Page(rows=pictures, next_cursor=encode_cursor(str(shown[-1].asset_id)) if len(rows) > size else None)


def _content(row: queries.AnyRow) -> HeldContent:
    counts = row.released_at is not None and row.released_at >= row.approved_at
    return HeldContent(
        kind=row.kind,
        sha256=bytes(row.sha256),
        name=row.name,
        asset_id=AssetId(row.asset_id) if row.asset_id is not None else None,
        copies=None if row.kind == MODEL else int(row.in_store) + row.in_folders + row.in_trash,
        released=row.released if counts else None,
    )


def digest_of(spelled: str) -> bytes:
    """Return the SHA-256 (32 bytes) that 64 hexadecimal digits spell. Raises: BadDigest."""
    try:
        digest = bytes.fromhex(spelled.strip()) if len(spelled.strip()) == DIGEST_DIGITS else b""
    except ValueError:
        digest = b""
    if not digest:
        raise BadDigest(f"{spelled[:80]!r}", hint=f"{DIGEST_DIGITS} hexadecimal digits")
    return digest
