"""A disclosed copy of an asset: a new asset of the same line. The original is never changed.

Facts are read in one unit of work, the copy is signed and hashed in none, and recorded in a second: no transaction waits
for a file of gigabytes.
"""

from __future__ import annotations

import dataclasses
import datetime
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller, Sees
from memoryd.catalog.asset_view import AssetView
from memoryd.catalog.content import ContentMissing, Copies, find_copies, open_copy
from memoryd.catalog.facts import AssetRecord, Succession, SuccessionRecord
from memoryd.catalog.looking_up import check_seen, find_asset
from memoryd.catalog.marks import FLAG_DISCLOSED, set_marks
from memoryd.catalog.recording import record_assets
from memoryd.catalog.showing import show_asset
from memoryd.disclosure import queries
from memoryd.disclosure.containers import check_can_carry, media_type_of
from memoryd.disclosure.evidence import evidence_in_file, with_memory
from memoryd.disclosure.facts import (
    Disclosed,
    Evidence,
    Signed,
    SourceType,
    State,
    Statement,
    Undecided,
)
from memoryd.disclosure.manifest import SPEC_VERSION, generation_assertion
from memoryd.disclosure.pki import SigningIdentity
from memoryd.disclosure.signing import sign_file, statement_digest
from memoryd.disclosure.statement import what_to_say
from memoryd.disclosure.tables import Disclosure
from memoryd.events import outbox
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import AssetId, DisclosureId, new_id
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register

PROFILES = f"c2pa-{SPEC_VERSION}"
LAYERS = "metadata"
"""Of the two layers that the EU code of practice asks for, the one that is put in; the report says so."""

INPUT_FILES_LIMIT = 4
"""Continued or placed pictures whose own manifests are taken along; others are named by their hash."""

_PIECE = 1 << 20


class AlreadySigned(Conflict):
    """This asset is a signed copy itself."""


class DisclosureNotFound(NotFound):
    """There is no such disclosure."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the first unit of work read: the asset, how its inputs were made, and where their contents lie."""

    view: AssetView
    source_types: dict[bytes, SourceType]
    content: Copies
    inputs: tuple[Copies, ...]


def disclose_asset(
    database: Database, store: BlobStore, caller: Caller, ref: str, identity: SigningIdentity
) -> Disclosed | Undecided:
    """Return the signed copy of the asset that `ref` means, made now or found, or why nothing can be said of it.

    Opens its own units of work. Raises: AssetNotFound, AssetAmbiguous, AlreadySigned, ContentMissing,
    CannotCarry, CannotSign, SignedCopyFails, NotKept.
    """
    with database.tenant_work(caller.tenant) as session:
        known = _read(session, caller, ref)
    with tempfile.TemporaryDirectory(prefix="memoryd-disclose-") as folder:
        place = Path(folder)
        source = _copy(store, caller, known.content, place / "original")
        check_can_carry(media_type_of(source))
        evidence = with_memory(evidence_in_file(source, name=_name(known.view)), known.view, known.source_types)
        statement = what_to_say(evidence)
        if isinstance(statement, Undecided):
            return statement
        digest = statement_digest(statement, known.view.sha256)
        with database.tenant_work(caller.tenant) as session:
            before = queries.find_same(session, known.view.id, digest, identity.fingerprint)
            if before is not None:
                return _shown(before, new=False)
        files = _input_files(store, caller, known.inputs, place)
        signed = sign_file(source, place / "signed", statement, identity, input_files=files)
        blob = store.put_file(caller.tenant.slug, place / "signed", sha256=signed.sha256)
    with database.tenant_work(caller.tenant) as session:
        register(session, [blob])
        return _record(session, caller, known.view, statement, digest, signed, identity)


def list_disclosures(session: Session, asset: AssetId, sees: Sees) -> list[Disclosed]:
    """Return the disclosures of an asset's line, newest first. Raises: AssetNotFound."""
    view = show_asset(session, asset, sees)
    return [_shown(row, new=False) for row in queries.list_disclosures(session, [m.face.id for m in view.line])]


def find_disclosure(session: Session, id_: UUID, sees: Sees) -> Disclosed:
    """Return one disclosure. Raises: DisclosureNotFound, also for what the caller may not see."""
    row = queries.find_disclosure(session, id_)
    missing = DisclosureNotFound(f"disclosure {id_}", hint="GET /assets/{ref}/disclosures lists those of an asset")
    if row is None:
        raise missing
    try:
        check_seen(session, AssetId(row.original_id), sees)
    except NotFound:
        raise missing from None
    return _shown(row, new=False)


def _read(session: Session, caller: Caller, ref: str) -> _Known:
    view = show_asset(session, find_asset(session, ref, caller.sees), caller.sees)
    own = next(member for member in view.line if member.face.id == view.id)
    if own.succession is Succession.DISCLOSED:
        raise AlreadySigned(f"asset {view.id}", hint=f"disclose its original instead: {own.succeeds_id}")
    source_types: dict[bytes, SourceType] = {}
    inputs: list[Copies] = []
    for use in {use.sha256: use for run in view.generations for use in run.inputs if use.parent}.values():
        assert use.parent is not None
        assert use.sha256 is not None
        said = _said_of(session, use.parent.id, caller.sees)
        if said is not None:
            source_types[use.sha256] = said
        if len(inputs) < INPUT_FILES_LIMIT:
            inputs.append(find_copies(session, use.parent.id, caller.sees))
    content = find_copies(session, view.id, caller.sees)
    return _Known(view=view, source_types=source_types, content=content, inputs=tuple(inputs))


def _said_of(session: Session, asset: AssetId, sees: Sees) -> SourceType | None:
    """Return what would be said of an input picture, from what the memory knows of it, one step back."""
    said = what_to_say(with_memory(Evidence(parameters=None), show_asset(session, asset, sees), {}))
    return said.source_type if isinstance(said, Statement) else None


def _record(
    session: Session,
    caller: Caller,
    view: AssetView,
    statement: Statement,
    digest: bytes,
    signed: Signed,
    identity: SigningIdentity,
) -> Disclosed:
    (recorded,) = record_assets(
        session,
        [
            AssetRecord(
                sha256=signed.sha256,
                size=signed.size,
                kind=view.kind,
                media_type=view.media_type,
                made_at=view.made_at,
                made_source=view.made_source,
                width=view.width,
                height=view.height,
                frames=view.frames,
                succeeds=SuccessionRecord(of=view.sha256, succession=Succession.DISCLOSED),
                person_id=caller.person_id,
            )
        ],
    )
    id_ = DisclosureId(new_id())
    new = queries.insert_disclosure(
        session,
        {
            "id": id_,
            "original_id": view.id,
            "disclosed_id": recorded.asset_id,
            "profiles": PROFILES,
            "source_type": statement.source_type.value,
            "statement": generation_assertion(statement, original_sha256=view.sha256, disclosed_at=None),
            "statement_digest": digest,
            "manifest_id": signed.manifest_id,
            "signer": signed.signer,
            "signer_fingerprint": identity.fingerprint,
            "development": identity.development,
            "layers": LAYERS,
            "kept": signed.kept.value,
            "state": State.VALID.value,
            "person_id": caller.person_id,
            "verified_at": datetime.datetime.now(datetime.UTC),
        },
    )
    row = queries.find_same(session, view.id, digest, identity.fingerprint)
    assert row is not None
    if new:
        set_marks(session, [recorded.root_id], add=[FLAG_DISCLOSED])
        facts = {
            "original": view.sha256.hex(),
            "disclosed": signed.sha256.hex(),
            "manifest": signed.manifest_id,
            "source_type": statement.source_type.word,
            "signer": identity.fingerprint.hex(),
        }
        audit.note(session, caller, "asset.disclose", str(view.id), facts)
        outbox.announce(session, "asset.disclosed", view.id, {"disclosure": str(id_), "root_id": str(recorded.root_id)})
    return _shown(row, new=new)


def _shown(row: Disclosure, *, new: bool) -> Disclosed:
    return Disclosed(
        id=DisclosureId(row.id),
        original_id=AssetId(row.original_id),
        disclosed_id=AssetId(row.disclosed_id),
        source_type=SourceType(row.source_type),
        statement=dict(row.statement),
        manifest_id=row.manifest_id,
        signer=row.signer,
        development=row.development,
        timestamped=row.timestamped,
        layers=tuple(row.layers.split()),
        kept=row.kept,
        state=row.state,
        created_at=row.created_at,
        new=new,
    )


def _name(view: AssetView) -> str:
    places = [place.shown_path for place in view.places] + [past.shown_path for past in view.past_places]
    return PurePosixPath(places[0].replace("\\", "/")).name if places else ""


def _copy(store: BlobStore, caller: Caller, copies: Copies, target: Path) -> Path:
    with open_copy(store, caller.tenant, copies) as file, target.open("wb") as copy:
        shutil.copyfileobj(file, copy, _PIECE)
    return target


def _input_files(
    store: BlobStore, caller: Caller, inputs: tuple[Copies, ...], place: Path
) -> dict[bytes, tuple[Path, str]]:
    files = {}
    for number, copies in enumerate(inputs):
        try:
            path = _copy(store, caller, copies, place / f"input-{number}")
        except ContentMissing:
            # Its bytes cannot be had now: it is named by its hash.
            continue
        files[copies.sha256] = (path, media_type_of(path))
    return files
