"""Larger copies of a picture that are known already: in its line, in its family, or recognised by what they show."""

from __future__ import annotations

import io
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.catalog.asset_view import AssetView, LineMember
from memoryd.catalog.facts import Succession
from memoryd.catalog.lineage import ancestors, descendants
from memoryd.foundation.database import Session
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import AssetId
from memoryd.imaging.decoding import opened_picture
from memoryd.imaging.derived import TakenFingerprint
from memoryd.imaging.fingerprints import fingerprints
from memoryd.recognition.candidates import candidates
from memoryd.recognition.facts import LikenessKind
from memoryd.recognition.resembling import COPY_DISTANCE, SAME_SHAPE
from memoryd.reproduction.enlargements import queries
from memoryd.reproduction.enlargements.facts import Larger

VIA_UPSCALED = "upscaled"
"""The child is the parent's picture, larger."""
_COPIES = frozenset({Succession.DISCLOSED, Succession.EXPORTED, Succession.REENCODED})


def original_of(view: AssetView) -> AssetId:
    """Return what an asset is a copy of in its line, itself where it is none. What was rewritten is another picture."""
    return AssetId(_top(view, view.id))


def codes_of(content: bytes) -> tuple[TakenFingerprint, ...]:
    """Return what a picture shows, as codes; none of one that cannot be decoded."""
    try:
        with opened_picture(io.BytesIO(content)) as picture:
            picture.load()
            return fingerprints(picture)
    except (MemorydError, OSError):
        return ()


def find_larger(
    session: Session,
    view: AssetView,
    codes: tuple[TakenFingerprint, ...],
    *,
    size: tuple[int, int],
    to: tuple[int, int],
    sees: Sees,
) -> list[Larger]:
    """Return what is larger than `size` and shows the same as far as can be told, the smallest that reaches `to` first.

    A picture of its family counts where somebody or a run says that it was upscaled, or where its fingerprint is that of
    a copy; another picture that was made from it does not. `size` is how large the asset is to be seen.
    """
    related = {AssetId(member.face.id): _in_line(view, member) for member in view.line if _is_copy(view, member)}
    for relatives, words in (
        (descendants(session, view.id, sees), "upscaled from it"),
        (ancestors(session, view.id, sees), "what it was made from"),
    ):
        for relative in relatives:
            if relative.via == VIA_UPSCALED and relative.distance == 1:
                related.setdefault(relative.face.id, words)
    for likeness in candidates(session, codes, within=COPY_DISTANCE, leave_out=(view.id,)):
        if likeness.kind is LikenessKind.FINGERPRINT:
            related.setdefault(
                likeness.asset_id, f"shows the same: {likeness.distance} of 256 bits of their fingerprints differ"
            )
    related.pop(view.id, None)
    rows = queries.list_sized(session, related, sees)
    found = [
        Larger(
            asset_id=AssetId(row.id),
            sha256=bytes(row.sha256),
            width=row.width,
            height=row.height,
            relation=related[AssetId(row.id)],
            reaches=row.width >= to[0] and row.height >= to[1],
        )
        for row in rows
        if row.width * row.height > size[0] * size[1] and _same_shape((row.width, row.height), size, to)
    ]
    return sorted(found, key=lambda one: (not one.reaches, one.width * one.height * (1 if one.reaches else -1)))


def _is_copy(view: AssetView, member: LineMember) -> bool:
    """Whether a member of the line shows what the asset shows: one is a copy of the other, over any number of copies."""
    return member.face.id != view.id and _top(view, member.face.id) == original_of(view)


def _top(view: AssetView, asset: UUID) -> UUID:
    members = {member.face.id: member for member in view.line}
    seen: set[UUID] = set()
    here = members.get(AssetId(asset))
    while here is not None and here.succession in _COPIES and here.succeeds_id in members and here.face.id not in seen:
        seen.add(here.face.id)
        here = members[here.succeeds_id]
    return here.face.id if here is not None else asset


def _in_line(view: AssetView, member: LineMember) -> str:
    if member.face.id == original_of(view):
        return "the original that this is a copy of"
    return f"another copy of the same original ({member.succession.value if member.succession else 'first'})"


def _same_shape(found: tuple[int, int], *others: tuple[int, int]) -> bool:
    """Whether a copy has the picture's shape, or the one that is asked for (it was cropped or padded to it)."""
    return any(abs(found[0] * height / (found[1] * width) - 1) <= SAME_SHAPE for width, height in others)
