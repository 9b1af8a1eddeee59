"""Sources of node packs, kept by their hash: taken from a worker that was allowed to send them, given to an export.

A tenant's sources come only with a job of that tenant, and only those that the job's own environment names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from memoryd.access import audit
from memoryd.catalog import environments
from memoryd.comfyui.source_archive import ARCHIVE_LIMIT, check_archive
from memoryd.dispatch import finished_runs
from memoryd.dispatch.facts import LeaseKey, WorkerIdentity
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Database, Session, TenantScope, take_tenant
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.reproduction.environments import queries
from memoryd.storage import blobs
from memoryd.storage.blob_store import BlobStore
from memoryd.submission.claiming import scope_of


class SourcesNotWanted(NotFound):
    """Nobody asked for these sources."""


class SourcesDiffer(Conflict):
    """These are not the sources that were named."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeptSource:
    """The sources of a pack. `archive`: the SHA-256 of their tar (32 bytes); size in bytes."""

    tree: bytes
    archive: bytes
    name: str
    files: int
    size: int


def find_kept(session: Session, document: Mapping[str, Json]) -> dict[str, KeptSource]:
    """Return which packs of an environment have their sources kept, by tree (lower hex)."""
    trees = [bytes.fromhex(str(pack["tree"])) for pack in packs_of(document) if _is_digest(pack.get("tree"))]
    kept = [
        KeptSource(tree=bytes(row.tree), archive=bytes(row.archive), name=row.name, files=row.files, size=row.size)
        for row in queries.find_sources(session, trees)
    ]
    return {each.tree.hex(): each for each in kept}


def wanted(database: Database, worker: WorkerIdentity, lease: LeaseKey, environment: bytes) -> Sequence[str]:
    """Return the trees (lower hex) whose sources the tenant of a finished job does not hold.

    Raises: SourcesNotWanted, for a job that this worker did not finish.
    """
    with database.farm_work() as session:
        document = _document(session, _scope(session, worker, lease), environment)
        held = find_kept(session, document)
    trees = (pack.get("tree") for pack in packs_of(document))
    return sorted({str(tree) for tree in trees if _is_digest(tree) and tree not in held})


def keep(
    database: Database,
    store: BlobStore,
    worker: WorkerIdentity,
    lease: LeaseKey,
    environment: bytes,
    tree: str,
    archive: BinaryIO,
) -> None:
    """Keep the sources of a tree for the tenant of a finished job; those that are kept already are left.

    Raises: SourcesNotWanted; SourcesDiffer; BadArchive; ArchiveTooLarge; BlobTooLarge.
    """
    with database.farm_work() as session:
        scope = _scope(session, worker, lease)
        document = _document(session, scope, environment)
    pack = next((pack for pack in packs_of(document) if pack.get("tree") == tree), None)
    if pack is None:
        raise SourcesNotWanted(f"tree {tree}", hint="only packs of the job's own environment are taken")
    checked = check_archive(archive)
    if checked.tree != tree:
        raise SourcesDiffer(f"{checked.tree} instead of {tree}", hint="the pack changed meanwhile: the next job tells")
    archive.seek(0)
    stored = store.put_stream(scope.slug, archive, limit=ARCHIVE_LIMIT)
    name, remote, commit = (pack.get(member) for member in ("name", "remote", "commit"))
    with database.tenant_work(scope) as session:
        blobs.register(session, [stored])
        made = queries.insert_source(
            session,
            tree=bytes.fromhex(tree),
            archive=stored.sha256,
            name=str(name),
            remote=remote if isinstance(remote, str) else None,
            commit=commit if isinstance(commit, str) else None,
            files=checked.files,
            size=stored.size,
        )
        if made:
            facts: dict[str, Json] = {"name": str(name), "sha256": stored.sha256.hex(), "worker": worker.label}
            audit.note(session, None, "sources.keep", f"tree:{tree}", facts)


def packs_of(document: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """Return the node packs of an environment."""
    packs = document.get("node_packs")
    return [pack for pack in packs if isinstance(pack, dict)] if isinstance(packs, list) else []


def _scope(session: Session, worker: WorkerIdentity, lease: LeaseKey) -> TenantScope:
    tenant_id = finished_runs.tenant_of_finished(session, worker, lease)
    if tenant_id is None:
        raise SourcesNotWanted(f"job {lease.job_id}", hint="sources are taken from the worker that finished the job")
    return scope_of(session, tenant_id)


def _document(session: Session, scope: TenantScope, environment: bytes) -> Mapping[str, Json]:
    take_tenant(session, scope)
    return environments.load_environment(session, environment)


def _is_digest(tree: Json) -> bool:
    return isinstance(tree, str) and len(tree) == 64 and all(digit in "0123456789abcdef" for digit in tree)
