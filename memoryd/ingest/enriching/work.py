"""The chore of deriving: a batch of assets, each decoded once, in a bounded number of processes beside this one.

Done again it does no harm, and goes on where it stopped: what has the present version is passed by, unless it was asked
for again.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol
from uuid import UUID

from memoryd.catalog import disclosing_roots, enrichment, sequences
from memoryd.catalog.content import Copies, find_copies, open_copy
from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.errors import NotFound, Unavailable
from memoryd.foundation.ids import AssetId
from memoryd.foundation.logging import log_for
from memoryd.imaging.decoders import Decoders
from memoryd.imaging.derived import Derived
from memoryd.imaging.recipes import Part, read_recipes
from memoryd.ingest.enriching.input_keeping import keep_inputs
from memoryd.recognition import keeping, resembling
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd.storage.facts import StoredBlob

ENRICH = "enrich"
ENRICH_AGAIN = "enrich_again"
"""As ENRICH, also for what has the present version."""
ENRICH_LACKING = "enrich_lacking"
"""As ENRICH, because a person asked."""
RESEMBLANCE = "resemblance"
DISCLOSE = "disclose"
"""What a folder asks for whose files are disclosed as they come; a room above does it."""
SEQUENCE = "sequence"

STORED_AT_ONCE = 20
EXTENDED_EVERY_S = 20.0
AHEAD = 4
"""Assets that may wait to be stored, for each that is being derived: decoders go on while a batch is written."""

_log = log_for(__name__)
_decoders = Decoders()


class ContentsMissing(Unavailable):
    """The bytes of some assets cannot be read now."""


class Means(chores.Means, Protocol):
    """What a handler of enrichment works with: bytes, too."""

    @property
    def store(self) -> BlobStore:
        """Kept bytes."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    asset_id: AssetId
    parts: frozenset[Part]
    derived: Derived
    blobs: tuple[StoredBlob, ...]


def enrich(means: Means, chore: Chore) -> None:
    """Derive what is wanted of each subject and store it. Raises: ContentsMissing where some could not be read."""
    wanted = read_recipes(chore.recipe)
    subjects = [AssetId(subject) for subject in chore.subjects]
    if chore.kind == ENRICH:
        # First of all: the next file of the same name replaces it.
        keep_inputs(means.database, means.store, means.tenant, subjects)
    # A second try does what the first left undone, not all of it again.
    since = _asked_at(chore) if chore.kind == ENRICH_AGAIN else None
    with means.database.tenant_work(means.tenant) as session:
        tasks = enrichment.list_lacking(session, subjects, wanted, since=since)
    missing: list[AssetId] = []
    made: list[_Made] = []
    extended = time.monotonic()
    for one in _each(means, tasks, missing):
        made.append(one)
        if len(made) >= STORED_AT_ONCE:
            _store(means, made)
            made = []
        if time.monotonic() - extended > EXTENDED_EVERY_S:
            with means.database.farm_work() as session:
                chores.extend(session, chore)
            extended = time.monotonic()
    _store(means, made)
    _follow_up(means, wanted, [asset for asset in tasks if asset not in set(missing)])
    if chore.kind == ENRICH:
        _follow_folders(means, subjects)
    if missing:
        raise ContentsMissing(
            f"{len(missing)} of {len(chore.subjects)} could not be read, {missing[0]} first",
            hint="their folder may be offline: `memoryd watch list`",
        )


def _asked_at(chore: Chore) -> datetime.datetime:
    """When a chore was written, as its id says. Source: RFC 9562, UUID version 7: milliseconds in the first 48 bits."""
    return datetime.datetime.fromtimestamp(int.from_bytes(chore.id.bytes[:6], "big") / 1000, datetime.UTC)


def propose_resembling(means: Means, chore: Chore) -> None:
    """Ask people about the subjects that look like others and do not say how they were made."""
    with means.database.tenant_work(means.tenant) as session:
        asked = resembling.propose_resembling(session, [AssetId(subject) for subject in chore.subjects])
    if asked:
        _log.info("%s new pictures resemble known ones: `memoryd proposals list`", asked)


def find_sequences(means: Means, chore: Chore) -> None:
    """Find out which of the subjects are numbered frames that are one item."""
    with means.database.tenant_work(means.tenant) as session:
        subjects = [AssetId(subject) for subject in chore.subjects]
        sequences.gather(session, subjects, lambda assets: keeping.codes(session, assets))


def _follow_up(means: Means, wanted: frozenset[Part], done: Sequence[AssetId]) -> None:
    if Part.FINGERPRINT not in wanted or not done:
        return
    with means.database.farm_work() as session:
        for kind in (RESEMBLANCE, SEQUENCE):
            chores.add(session, means.tenant.id, kind, "v1", list(done))


def _follow_folders(means: Means, subjects: Sequence[AssetId]) -> None:
    """New files of folders that ask for it are disclosed. All of a chore's subjects: a try may have ended before this."""
    with means.database.tenant_work(means.tenant) as session:
        asked = list(dict.fromkeys(file.asset_id for file in disclosing_roots.list_to_disclose(session, subjects)))
    if asked:
        with means.database.farm_work() as session:
            chores.add(session, means.tenant.id, DISCLOSE, "v1", asked)


def _store(means: Means, made: Sequence[_Made]) -> None:
    if not made:
        return
    with means.database.tenant_work(means.tenant) as session:
        register(session, [blob for one in made for blob in one.blobs])
        enrichment.store(
            session,
            [
                enrichment.Enrichment(
                    asset_id=one.asset_id,
                    parts=one.parts,
                    derived=one.derived,
                    blobs=tuple(blob.sha256 for blob in one.blobs),
                )
                for one in made
            ],
        )
        keeping.store(session, {one.asset_id: one.derived.fingerprints for one in made})


def _each(means: Means, tasks: dict[AssetId, frozenset[Part]], missing: list[AssetId]) -> Iterator[_Made]:
    """Yield what came of each asset, in order, a few ahead: as many as there are decoding processes, and one being read."""
    ahead: collections.deque[tuple[AssetId, Future[_Made | None]]] = collections.deque()
    waiting = list(reversed(tasks.items()))
    with ThreadPoolExecutor(_decoders.processes + 1, thread_name_prefix="deriving") as threads:
        while waiting or ahead:
            while waiting and len(ahead) < AHEAD * (_decoders.processes + 1):
                asset, parts = waiting.pop()
                ahead.append((asset, threads.submit(_derive_one, means, asset, parts)))
            asset, future = ahead.popleft()
            made = future.result()
            if made is None:
                missing.append(asset)
            else:
                yield made


def _derive_one(means: Means, asset_id: AssetId, parts: frozenset[Part]) -> _Made | None:
    """Return what came of an asset, its small pictures stored; None where its bytes cannot be read now."""
    try:
        with means.database.tenant_work(means.tenant) as session:
            copies: Copies = find_copies(session, asset_id)
        # Outside of the transaction: it reads and checks all bytes.
        with open_copy(means.store, means.tenant, copies) as content:
            derived = _decoders.derive(content, copies.media_type, parts)
    except NotFound as error:
        _log.info("deriving of %s: %s", asset_id, error.detail)
        return None
    blobs = tuple(means.store.put_bytes(means.tenant.slug, picture.content) for picture in derived.pictures)
    return _Made(asset_id=asset_id, parts=parts, derived=derived, blobs=blobs)


Handler = Callable[[Means, Chore], None]

HANDLERS: dict[str, Handler] = {
    ENRICH: enrich,
    ENRICH_AGAIN: enrich,
    ENRICH_LACKING: enrich,
    RESEMBLANCE: propose_resembling,
    SEQUENCE: find_sequences,
    # Chores that an older memoryd wrote.
    "thumbnail": lambda means, chore: enrich(means, _renamed(chore, Part.THUMBNAIL)),
    "pixel_digest": lambda means, chore: enrich(means, _renamed(chore, Part.PIXEL_DIGEST)),
}


def _renamed(chore: Chore, part: Part) -> Chore:
    return Chore(
        id=chore.id,
        tenant_id=chore.tenant_id,
        kind=ENRICH,
        recipe=part.value,
        subjects=tuple(UUID(str(subject)) for subject in chore.subjects),
        attempt=chore.attempt,
        lease_token=chore.lease_token,
    )
