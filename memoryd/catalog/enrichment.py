"""What was derived from assets' contents, kept: small pictures, digests, traits, and what could not be derived.

Everything of one recipe is replaced together, when the new is there.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.catalog import marks
from memoryd.catalog.facts import AssetKind
from memoryd.catalog.looking_up import check_seen
from memoryd.catalog.queries import enrichment as queries
from memoryd.foundation.database import Session
from memoryd.foundation.ids import AssetId
from memoryd.imaging.derived import ColourProfile, Derived, SmallPicture, Traits
from memoryd.imaging.previews import MIDDLE_RECIPE, PREVIEW_RECIPE
from memoryd.imaging.recipes import VERSIONS, Part, spelled_all
from memoryd.imaging.thumbnails import THUMBNAIL_RECIPE

ENRICHED_KINDS = (AssetKind.IMAGE, AssetKind.VIDEO, AssetKind.AUDIO)
"""What the recipes are for."""

PLUGIN = "enrichment"
"""Under which name the findings of deriving stand among an asset's readings."""

_QUIET = frozenset({"no-decoder"})
"""Findings that say something of this installation and nothing of the file: shown with the asset, not searched for."""

_SHOWN_BY = (
    (Part.THUMBNAIL, "", (THUMBNAIL_RECIPE,)),
    (Part.POSTER, "middle", (MIDDLE_RECIPE,)),
    (Part.POSTER, "preview", (PREVIEW_RECIPE,)),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment:
    """What came of one asset. `blobs`: the SHA-256 of each of its small pictures, in their order, stored already."""

    asset_id: AssetId
    parts: frozenset[Part]
    derived: Derived
    blobs: tuple[bytes, ...]


def store(session: Session, made: Sequence[Enrichment]) -> None:
    """Record what was derived from some assets; what older recipes made of them goes where there is something new."""
    # In one order: two that store of the same assets then wait for each other instead of deadlocking.
    ordered = sorted({one.asset_id: one for one in made}.values(), key=lambda one: one.asset_id)
    queries.upsert_thumbnails(session, [row for one in ordered for row in _pictures(one)])
    for part, shows, recipes in _SHOWN_BY:
        fresh = [one.asset_id for one in ordered if any(p.recipe in recipes for p in one.derived.pictures)]
        if fresh and any(part in one.parts for one in ordered):
            queries.delete_old_thumbnails(session, fresh, shows, recipes)
    digests = [
        {"asset_id": one.asset_id, "recipe": one.derived.pixels.recipe, "digest": one.derived.pixels.digest}
        for one in ordered
        if one.derived.pixels is not None
    ]
    queries.update_pixel_digests(session, digests)
    queries.update_missing_sizes(session, [_size(one.asset_id, one.derived.traits) for one in ordered])
    queries.upsert_traits(session, [_traits(one) for one in ordered if Part.TRAITS in one.parts])
    _store_findings(session, ordered)
    queries.upsert_enriched(session, [row for one in ordered for row in _done(one)])


def list_to_enrich(
    session: Session, parts: Collection[Part], *, again: bool = False, before: AssetId | None = None, limit: int
) -> list[AssetId]:
    """Return assets that lack the present version of one of the parts (with `again` all), latest recorded first."""
    versions = None if again else {part.value: VERSIONS[part] for part in parts}
    kinds = [kind.value for kind in ENRICHED_KINDS]
    return [AssetId(id_) for id_ in queries.list_to_enrich(session, versions, kinds, before, limit)]


def list_lacking(
    session: Session,
    assets: Collection[AssetId],
    parts: Collection[Part],
    *,
    since: datetime.datetime | None = None,
) -> dict[AssetId, frozenset[Part]]:
    """Return which of the parts each of these assets lacks in its present version; assets that lack none are left out.

    With `since` only what was done from then on counts.
    """
    done: dict[UUID, set[str]] = {}
    present = {(part.value, version) for part, version in VERSIONS.items()}
    for row in queries.list_enriched(session, assets):
        if (row.part, row.version) in present and (since is None or row.at >= since):
            done.setdefault(row.asset_id, set()).add(row.part)
    lacking = {asset: frozenset(p for p in parts if p.value not in done.get(asset, set())) for asset in assets}
    return {asset: lacks for asset, lacks in lacking.items() if lacks}


def find_traits(session: Session, asset_id: AssetId, sees: Sees) -> Traits | None:
    """Return what an asset's content is like, None where it was not looked at. Raises: AssetNotFound."""
    check_seen(session, asset_id, sees)
    row = queries.find_traits(session, asset_id)
    if row is None:
        return None
    profile = (
        None
        if row.profile_name is None or row.profile_sha256 is None
        else ColourProfile(name=row.profile_name, sha256=row.profile_sha256)
    )
    return Traits(
        duration=row.duration,
        frame_rate=row.frame_rate,
        sample_rate=row.sample_rate,
        channels=row.channels,
        profile=profile,
        layers=tuple(row.layers),
    )


def _pictures(one: Enrichment) -> list[dict[str, object]]:
    return [
        {
            "asset_id": one.asset_id,
            "recipe": picture.recipe,
            "size": picture.size,
            "sha256": sha256,
            "media_type": picture.media_type,
            "width": picture.width,
            "height": picture.height,
        }
        for picture, sha256 in zip(one.derived.pictures, one.blobs, strict=True)
    ]


def _size(asset_id: AssetId, traits: Traits) -> dict[str, object]:
    return {"asset_id": asset_id, "width": traits.width, "height": traits.height, "frames": traits.frames}


def _traits(one: Enrichment) -> dict[str, object]:
    traits = one.derived.traits
    return {
        "asset_id": one.asset_id,
        "duration": traits.duration,
        "frame_rate": traits.frame_rate,
        "sample_rate": traits.sample_rate,
        "channels": traits.channels,
        "profile_name": None if traits.profile is None else traits.profile.name,
        "profile_sha256": None if traits.profile is None else traits.profile.sha256,
        "layers": list(traits.layers),
    }


def _done(one: Enrichment) -> list[dict[str, object]]:
    derived = one.derived
    made: Mapping[Part, bool] = {
        Part.THUMBNAIL: _has(derived.pictures, THUMBNAIL_RECIPE),
        Part.POSTER: _has(derived.pictures, MIDDLE_RECIPE) or _has(derived.pictures, PREVIEW_RECIPE),
        Part.PIXEL_DIGEST: derived.pixels is not None,
        Part.FINGERPRINT: bool(derived.fingerprints),
        Part.TRAITS: derived.traits != Traits(),
    }
    missing = "failed" if derived.findings else "nothing"
    return [
        {
            "asset_id": one.asset_id,
            "part": part.value,
            "version": VERSIONS[part],
            "state": "made" if made[part] else missing,
        }
        for part in sorted(one.parts)
    ]


def _has(pictures: Sequence[SmallPicture], recipe: str) -> bool:
    return any(picture.recipe == recipe for picture in pictures)


def _store_findings(session: Session, made: Sequence[Enrichment]) -> None:
    rows = [
        {
            "asset_id": one.asset_id,
            "state": "read" if one.derived.pictures else "unread",
            "findings": [finding.as_json() for finding in one.derived.findings],
        }
        for one in made
    ]
    queries.replace_enrichment_findings(session, PLUGIN, spelled_all(Part), rows)
    told = [one.asset_id for one in made if any(f.code not in _QUIET for f in one.derived.findings)]
    if told:
        roots = queries.list_roots_of(session, told)
        marks.set_marks(session, set(roots.values()), add=[marks.FLAG_FINDING])
