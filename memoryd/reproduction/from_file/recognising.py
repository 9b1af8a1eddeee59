"""Which asset is this file, or of which may it be a copy: everything that speaks for each, and how sure it is.

Opens units of work of its own: decoding, hashing and comparing pictures happen between them.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog import faces, thumbnails
from memoryd.catalog.asset_view import AssetView, Face
from memoryd.catalog.content import ContentMissing, Copies, find_copies, open_copy
from memoryd.catalog.showing import show_asset
from memoryd.disclosure.pki import Anchors
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import AssetId
from memoryd.imaging.sight import Sight, alike, sight
from memoryd.recognition.facts import By, Match
from memoryd.recognition.identifying import identify
from memoryd.reproduction.from_file import queries
from memoryd.reproduction.from_file.facts import Candidate, FileRead, Held, Identification, Standing
from memoryd.reproduction.from_file.judging import Evidence, plausible, settle
from memoryd.reproduction.from_file.reading import read_file
from memoryd.reproduction.from_file.telling import facts_of, how_recognised
from memoryd.reproduction.planning import make_plan

LOOKED_AT_LIMIT = 60
"""Assets whose small pictures are compared with the file's: 2 ms each."""

NAMED_LIMIT = 50
"""Assets that a file's own text may name; a graph that made more is no evidence for one."""

SIBLINGS_LIMIT = 2_000
"""Pictures of the same runs that are counted."""

READ_BACK_LIMIT = 256 * 1024 * 1024
"""Bytes of originals that are read back for one answer; what is beyond is verified when it is downloaded."""

_COPIED = "copied"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the memory told: evidence by original, their small pictures, how copies came about, who made what."""

    evidence: tuple[Evidence, ...]
    small: Mapping[AssetId, bytes]
    copies: Mapping[AssetId, str]
    runs: Mapping[str, Mapping[AssetId, bool]]
    faces: Mapping[AssetId, Face]


def recognise(
    database: Database, store: ByteStore, caller: Caller, anchors: Anchors, stream: BinaryIO, *, name: str
) -> Identification:
    """Return what a file is, or may be a copy of, as far as the caller may see; kept is one entry of the audit trail.

    `stream` must be seekable. Raises: as read_file.
    """
    file = read_file(database, caller.tenant, anchors, stream, name=name)
    with database.tenant_work(caller.tenant) as session:
        found = _ask(session, caller, file)
    ranked = plausible(_looked_at(store, caller, file, found))
    with database.tenant_work(caller.tenant) as session:
        views = {one.original: show_asset(session, one.original, caller.sees) for one in ranked}
        unseen = _unseen_siblings(session, caller, ranked, found)
        copies = [find_copies(session, one.original, caller.sees) for one in ranked]
    standing, doubts = settle(ranked, unseen_siblings=unseen)
    held = _read_back(store, caller, copies)
    candidates = [
        _candidate(one, file, found, views[one.original], held[one.original], () if place else doubts)
        for place, one in enumerate(ranked)
    ]
    with database.tenant_work(caller.tenant) as session:
        _note(session, caller, file, standing, ranked)
    return Identification(file=file, standing=standing, candidates=tuple(candidates))


def _ask(session: Session, caller: Caller, file: FileRead) -> _Found:
    matches = {match.asset_id: match for match in identify(session, file.shown, sees=caller.sees)}
    named = _named(session, caller, file)
    signed = _with_content(session, caller, file.signed_original)
    for asset in signed:
        known = matches.get(asset)
        if known is None or known.by is not By.FILE:
            matches[asset] = Match(asset_id=asset, by=By.SIGNED, distance=0)
    everything = {*matches, *named}
    shown = faces.list_faces(session, everything, caller.sees)
    originals, copies = _originals(session, caller, {AssetId(id_): face for id_, face in shown.items()})
    wanted = [AssetId(original) for original in dict.fromkeys(originals.values())]
    seen = faces.list_faces(session, wanted, caller.sees)
    runs, own = _runs(session, caller, wanted)
    best: dict[AssetId, Evidence] = {}
    order = list(By)
    # By line, which is what people mean by one picture; where two of it are as near, the original, else the older.
    for asset in sorted(everything, key=lambda one: (originals.get(one) != one, one)):
        original = originals.get(asset)
        if original is None or original not in seen:
            continue
        line = seen[original].root_id
        match = matches.get(asset)
        one = Evidence(
            original=original,
            matched=asset,
            by=match.by if match else By.TEXT,
            distance=match.distance if match else None,
            mirrored=match.mirrored if match else False,
            text=asset in named,
            runs=own.get(original, frozenset()),
        )
        before = best.get(line)
        if before is None or _rank(one, order) < _rank(before, order):
            best[line] = dataclasses.replace(one, text=one.text or (before is not None and before.text))
        elif one.text:
            best[line] = dataclasses.replace(before, text=True)
    return _Found(
        evidence=tuple(sorted(best.values(), key=lambda one: _rank(one, order))),
        small=_small_pictures(session, caller, best),
        copies=copies,
        runs=runs,
        faces={AssetId(id_): face for id_, face in seen.items()},
    )


def _rank(one: Evidence, order: Sequence[By]) -> tuple[int, int]:
    return order.index(one.by), 256 if one.distance is None else one.distance


def _named(session: Session, caller: Caller, file: FileRead) -> frozenset[AssetId]:
    """Return the assets that the file's own texts name."""
    told = (file.graph, file.claimed_job, file.claimed_asset, file.claimed_original)
    if not any(told):
        return frozenset()
    found = queries.list_named(
        session,
        graph=file.graph,
        job=file.claimed_job,
        asset=file.claimed_asset,
        sha256=file.claimed_original,
        sees=caller.sees,
        limit=NAMED_LIMIT + 1,
    )
    return frozenset(map(AssetId, found)) if len(found) <= NAMED_LIMIT else frozenset()


def _with_content(session: Session, caller: Caller, sha256: bytes | None) -> list[AssetId]:
    if sha256 is None:
        return []
    found = queries.list_named(
        session, graph=None, job=None, asset=None, sha256=sha256, sees=caller.sees, limit=NAMED_LIMIT
    )
    return [AssetId(id_) for id_ in found]


def _originals(
    session: Session, caller: Caller, shown: Mapping[AssetId, Face]
) -> tuple[dict[AssetId, AssetId], dict[AssetId, str]]:
    """Return of which original each asset is, itself mostly, and how those that are copies came about."""
    back = queries.list_originals(session, shown, caller.sees)
    copied = queries.list_copied_lines(session, {face.root_id for face in shown.values()}, caller.sees)
    originals: dict[AssetId, AssetId] = {}
    how: dict[AssetId, str] = {}
    for asset, face in shown.items():
        if face.root_id in copied:
            originals[asset], how[asset] = AssetId(copied[face.root_id]), _COPIED
        elif asset in back:
            originals[asset], how[asset] = AssetId(back[asset][0]), back[asset][1]
        else:
            originals[asset] = asset
    return originals, how


def _runs(
    session: Session, caller: Caller, assets: Sequence[AssetId]
) -> tuple[dict[str, dict[AssetId, bool]], dict[AssetId, frozenset[str]]]:
    """Return what each run made (asset -> whether it has a fingerprint), and which runs made each asset."""
    made: dict[str, dict[AssetId, bool]] = defaultdict(dict)
    own: dict[AssetId, set[str]] = defaultdict(set)
    for row in queries.list_runs_of(session, assets, caller.sees, SIBLINGS_LIMIT):
        made[row.run][AssetId(row.asset_id)] = row.fingerprinted
        own[AssetId(row.asset_id)].add(row.run)
    return dict(made), {asset: frozenset(runs) for asset, runs in own.items()}


def _small_pictures(session: Session, caller: Caller, best: Mapping[AssetId, Evidence]) -> dict[AssetId, bytes]:
    """Return the SHA-256 of the small pictures of the nearest ones."""
    order = list(By)
    nearest = sorted(best.values(), key=lambda one: _rank(one, order))[:LOOKED_AT_LIMIT]
    found = {}
    for one in nearest:
        try:
            found[one.original] = thumbnails.find(session, one.original, caller.sees).sha256
        except NotFound:
            continue
    return found


def _looked_at(store: ByteStore, caller: Caller, file: FileRead, found: _Found) -> list[Evidence]:
    """Return the evidence with how alike the pictures look, as far as there are small ones of both."""
    own = sight(file.small) if file.small is not None else None
    if own is None:
        return list(found.evidence)
    seen = []
    for one in found.evidence:
        other = _sight_of(store, caller, found.small.get(one.original))
        if other is None:
            seen.append(one)
            continue
        near = alike(own, other, mirrored=one.mirrored)
        if one.by is By.TEXT and one.distance is None:
            near = max(near, alike(own, other, mirrored=True))
        seen.append(dataclasses.replace(one, alike=near))
    return seen


def _sight_of(store: ByteStore, caller: Caller, sha256: bytes | None) -> Sight | None:
    if sha256 is None:
        return None
    try:
        with store.open(caller.tenant.slug, sha256) as small:
            return sight(small.read())
    except (NotFound, OSError):
        return None


def _unseen_siblings(session: Session, caller: Caller, ranked: Sequence[Evidence], found: _Found) -> int:
    """Return how many pictures the first one's run made that the file was not compared with."""
    if not ranked or ranked[0].certain:
        return 0
    first = ranked[0]
    asked = make_plan(session, first.original, caller.sees).batch_size or 1
    made = [found.runs[run] for run in first.runs]
    compared = max((sum(each.values()) for each in made), default=0)
    known = max(map(len, made), default=0)
    return max(0, max(asked, known) - compared)


def _read_back(store: ByteStore, caller: Caller, copies: Sequence[Copies]) -> dict[AssetId, Held]:
    """Return whether the originals' bytes can be had: read and verified, the likeliest first, within READ_BACK_LIMIT."""
    left = READ_BACK_LIMIT
    held = {}
    for each in copies:
        if each.size > left:
            there = store.exists(caller.tenant.slug, each.sha256) or bool(each.paths)
            held[each.asset_id] = Held.UNREAD if there else Held.MISSING
            continue
        left -= each.size
        try:
            open_copy(store, caller.tenant, each).close()
            held[each.asset_id] = Held.VERIFIED
        except ContentMissing:
            held[each.asset_id] = Held.MISSING
    return held


def _candidate(
    one: Evidence, file: FileRead, found: _Found, view: AssetView, held: Held, doubts: tuple[str, ...]
) -> Candidate:
    matched_as = found.copies.get(one.matched) if one.matched != one.original else None
    return Candidate(
        face=found.faces[one.original],
        matched=one.matched,
        matched_as=matched_as,
        by=one.by,
        exact=one.exact,
        distance=one.distance,
        mirrored=one.mirrored,
        alike=one.alike,
        text=one.text,
        how=how_recognised(one, file, view, matched_as),
        doubts=doubts,
        held=held,
        size=view.size,
        facts=facts_of(view),
        has_run=any(run.exact is not None for run in view.generations),
    )


def _note(session: Session, caller: Caller, file: FileRead, standing: Standing, ranked: Sequence[Evidence]) -> None:
    facts: dict[str, Json] = {
        "standing": standing.value,
        "size": file.size,
        "candidates": [str(one.original) for one in ranked],
        "by": ranked[0].by.value if ranked else None,
    }
    audit.note(session, caller, "file.identify", f"file:{file.sha256.hex()}", facts)
