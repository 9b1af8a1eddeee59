"""Records a batch in one transaction: from its commit on, every file of it is found, or in quarantine with its reason."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog import new_files
from memoryd.catalog.environments import keep_environment
from memoryd.catalog.facts import AssetKind, AssetRecord, RecordedAsset
from memoryd.catalog.recording import record_assets
from memoryd.dispatch import chores
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.copying import RowExists
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.ingest import quarantine, queries
from memoryd.ingest.enrichment import CHORES, CLEAR, FOR_KINDS
from memoryd.ingest.facts import FileState, JobFacts, JobOutput, Prepared, PreparedFile, Recorded, StoredFile
from memoryd.ingest.job_outputs import PreparedJob, prepare_job
from memoryd.ingest.merkle import merkle_root
from memoryd.ingest.rewriting import succession
from memoryd.storage.blobs import register
from memoryd.storage.facts import StoredBlob
from memoryd.workflows.documents import keep_documents, keep_graphs, keep_ready
from memoryd.workflows.editor import known_orders
from memoryd.workflows.facts import PreparedDocument, PreparedGraph


class NotAlone(Exception):
    """The memory has to do with some of these files: they must be read whole. `paths` name them; nothing was recorded."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """`paths` are those of the batch that this is about, in order."""
        super().__init__(f"{len(paths)} files")
        self.paths = frozenset(paths)


class _Content(NamedTuple):
    """What is told of a recorded content."""

    sha256: bytes
    size: int
    kind: AssetKind
    project_id: UUID | None


def record(
    session: Session, prepared: Prepared, *, scope: TenantScope, caller: Caller | None = None, enrich: bool = True
) -> Recorded:
    """Record a prepared batch (at most BATCH_LIMIT files) and return what became of it.

    `session` is a unit of work of the tenant `scope`, and is one again afterwards; the farm's rows are written last
    (lock order). Recording the same batch again changes nothing. `caller` None is the server itself (the watcher).
    Without `enrich` no chores follow: there are no bytes to be decoded.

    Raises: NotAlone, before anything is kept, where files that were made rows are not surely new.
    """
    now = datetime.datetime.now(datetime.UTC)
    good = prepared.in_state(FileState.READ, FileState.UNREAD)
    ready = [file for file in good if file.ready is not None]
    whole = [file for file in good if file.ready is None]
    _refuse_known(session, ready)
    assets = _with_predecessors(session, whole)
    recorded = [*_record_ready(session, ready), *_record(session, whole, assets)]
    contents = [*_contents(ready), *(_Content(a.sha256, a.size, a.kind, a.project_id) for a in assets)]
    places = [quarantine.place_of(file) for file in good]
    quarantine.resolve(session, places, resolution="recorded", now=now)
    passed = [quarantine.place_of(file) for file in prepared.in_state(FileState.IGNORED)]
    quarantine.resolve(session, passed, resolution="passed by", now=now)
    gone = [quarantine.place_of(file) for file in prepared.in_state(FileState.VANISHED)]
    quarantine.resolve(session, gone, resolution="gone", now=now)
    known_orders.keep(session, [order for file in whole for order in file.learned])
    refused = quarantine.put(session, prepared.folder, prepared.in_state(FileState.REFUSED), now)
    outcome = Recorded(
        assets=tuple(recorded),
        new=len({asset.asset_id for asset in recorded if asset.new}),
        known=sum(not asset.new for asset in recorded),
        quarantined=refused,
        waiting=len(prepared.in_state(FileState.WAITING)),
        ignored=len(prepared.in_state(FileState.IGNORED)),
        vanished=len(gone),
        findings=sum(len(file.findings) if file.ready is None else file.ready.asset.findings for file in good),
        size=sum(content.size for content in contents),
        merkle_root=merkle_root(content.sha256 for content in contents),
    )
    if outcome.new or outcome.quarantined:
        # An announcement of several projects' pictures is for those who see them all.
        whose = {content.project_id for content in contents} or {prepared.folder.project_id}
        project_id = next(iter(whose)) if len(whose) == 1 else None
        _tell(session, outcome, caller, project_id=project_id, subject=_subject(prepared))
    if enrich:
        _add_chores(session, scope, recorded, contents)
    return outcome


def record_job_outputs(
    session: Session,
    *,
    scope: TenantScope,
    job: JobFacts,
    outputs: Sequence[JobOutput],
    prepared: PreparedJob | None = None,
) -> Recorded:
    """Record what a job made and return it; who and what are the job's facts, never the files' own claims.

    `prepared` is `prepare_job(job, outputs)` where the caller made it before the transaction, as it should for files
    of any size. `session` as in `record`. A watcher that meets the same files later finds them known.
    """
    ready = prepared if prepared is not None else prepare_job(job, outputs)
    if ready.environment is not None:
        keep_environment(session, ready.environment)
    recorded = _record_outputs(session, ready, [output.stored for output in outputs])
    outcome = Recorded(
        assets=tuple(recorded),
        new=len({asset.asset_id for asset in recorded if asset.new}),
        known=sum(not asset.new for asset in recorded),
        findings=sum(len(asset.findings) for asset in ready.assets),
        size=sum(output.size for output in outputs),
        merkle_root=merkle_root(output.sha256 for output in outputs),
    )
    if outputs:
        _tell(session, outcome, None, project_id=job.project_id, subject=f"job:{job.job_id}")
    _add_chores(session, scope, recorded, [_Content(a.sha256, a.size, a.kind, a.project_id) for a in ready.assets])
    return outcome


def _record_outputs(session: Session, ready: PreparedJob, stored: Sequence[StoredFile]) -> list[RecordedAsset]:
    """Record a job's outputs: as rows that are only appended where nothing of them is known, which is nearly always."""
    if not ready.assets:
        return []
    _keep_beside(session, ready.documents, ready.graphs, stored)
    try:
        with session.begin_nested():
            return new_files.record_outputs(session, ready.assets)
    except new_files.NotSurelyNew:
        return record_assets(session, ready.assets)


def _keep_beside(
    session: Session,
    documents: Sequence[PreparedDocument],
    graphs: Sequence[PreparedGraph],
    stored: Sequence[StoredFile],
) -> None:
    """Keep what records name."""
    register(session, [StoredBlob(sha256=blob.sha256, size=blob.size, key=blob.key) for blob in stored])
    keep_documents(session, documents)
    keep_graphs(session, graphs)


def _refuse_known(session: Session, files: Sequence[PreparedFile]) -> None:
    try:
        new_files.refuse_known(session, [file.ready.asset for file in files if file.ready is not None])
    except new_files.NotSurelyNew as known:
        raise NotAlone([files[index].path for index in known.indexes]) from None


def _record_ready(session: Session, files: Sequence[PreparedFile]) -> list[RecordedAsset]:
    ready = [file.ready for file in files if file.ready is not None]
    if not ready:
        return []
    register(
        session, [StoredBlob(sha256=f.stored.sha256, size=f.stored.size, key=f.stored.key) for f in files if f.stored]
    )
    try:
        keep_ready(
            session,
            [document for file in ready for document in file.documents],
            [file.graph for file in ready if file.graph is not None],
        )
        return new_files.record_new(session, [file.asset for file in ready])
    except (new_files.NotSurelyNew, RowExists):
        # Another recorder was faster with something of it, and has committed: read whole, it is found known.
        raise NotAlone([file.path for file in files]) from None


def _contents(files: Sequence[PreparedFile]) -> list[_Content]:
    ready = [file.ready.asset for file in files if file.ready is not None]
    return [
        _Content(
            one.sha256, one.size, AssetKind(one.kind), None if one.project_id is None else UUID(bytes=one.project_id)
        )
        for one in ready
    ]


def _with_predecessors(session: Session, files: Sequence[PreparedFile]) -> list[AssetRecord]:
    before = queries.list_contents_at(session, [quarantine.place_of(file) for file in files])
    assets: list[AssetRecord] = []
    for file in files:
        assert file.asset is not None
        told = succession(file.asset, before.get(quarantine.place_of(file)))
        assets.append(file.asset if told is None else dataclasses.replace(file.asset, succeeds=told))
    return assets


def _record(session: Session, files: Sequence[PreparedFile], assets: Sequence[AssetRecord]) -> list[RecordedAsset]:
    documents = [document for file in files for document in file.documents]
    graphs = [file.graph for file in files if file.graph is not None]
    stored = [file.stored for file in files if file.stored is not None]
    if not assets:
        return []
    _keep_beside(session, documents, graphs, stored)
    return record_assets(session, assets)


def _tell(session: Session, outcome: Recorded, caller: Caller | None, *, project_id: UUID | None, subject: str) -> None:
    facts: dict[str, Json] = {
        "new": outcome.new,
        "known": outcome.known,
        "quarantined": outcome.quarantined,
        "findings": outcome.findings,
        "bytes": outcome.size,
        "merkle_root": outcome.merkle_root.hex() if outcome.merkle_root else None,
    }
    audit.note(session, caller, "asset.record", subject, facts)
    newest: list[Json] = [str(asset.asset_id) for asset in outcome.assets if asset.new]
    body: dict[str, Json] = {"new": outcome.new, "quarantined": outcome.quarantined, "assets": newest}
    outbox.announce(session, "asset.recorded", None, body | ({"project_id": str(project_id)} if project_id else {}))


def _subject(prepared: Prepared) -> str:
    root = prepared.folder.root_id
    return f"root:{root}" if root is not None else "files"


def _add_chores(
    session: Session, scope: TenantScope, recorded: Sequence[RecordedAsset], assets: Sequence[_Content]
) -> None:
    kinds: dict[bytes, AssetKind] = {asset.sha256: asset.kind for asset in assets}
    new = list(dict.fromkeys(a.asset_id for a in recorded if a.new))
    if not new:
        return
    shown = {a.asset_id for a in recorded if kinds[a.sha256] in FOR_KINDS}
    subjects = [asset for asset in new if asset in shown]
    take_farm(session)
    for kind, recipe in CHORES:
        chores.add(session, scope.id, kind, recipe, subjects)
    chores.add(session, scope.id, *CLEAR, new)
    take_tenant(session, scope)
