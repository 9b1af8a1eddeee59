"""Bundles from elsewhere, taken by this server: checked whole, recorded as what somebody said, and made again.

What a bundle says of a run is declared: it never outweighs what this memory saw itself, nor what a file says of itself.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, cast

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.catalog.environments import keep_environment
from memoryd.catalog.facts import (
    AssetKind,
    AssetRecord,
    Custody,
    GenerationOrigin,
    GenerationRecord,
    MadeSource,
    OutputRecord,
)
from memoryd.catalog.looking_up import AssetNotFound, find_asset
from memoryd.catalog.search_document import search_words
from memoryd.comfyui.input_names import input_place
from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import Anchors
from memoryd.foundation.canonical_json import Json, canonical_digest, read_json
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import Conflict, NotAcceptable
from memoryd.foundation.ids import AssetId, ProjectId
from memoryd.foundation.texts import storable
from memoryd.ingest.assembling import Assembled, Content
from memoryd.ingest.facts import FileState, Folder, Prepared, PreparedFile
from memoryd.ingest.job_outputs import parameters_of_output
from memoryd.ingest.knowledge import knowing
from memoryd.ingest.recording import record
from memoryd.ingest.understanding import ReadGraph, read_graph
from memoryd.ingest.uploads import NAME_LIMIT, understand_stored
from memoryd.plugin_api.facts import DocumentKind
from memoryd.reproduction import queries as attempts
from memoryd.reproduction.bundles import queries
from memoryd.reproduction.bundles.checking import TEXT_LIMIT, BundleVerdict, check_bundle, documents_of
from memoryd.reproduction.bundles.wire import Manifest
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd.storage.facts import StoredBlob
from memoryd.workflows.facts import Parameters
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.preparing import prepare_document

PLUGIN = "bundle"
_KINDS = {"image": AssetKind.IMAGE, "video": AssetKind.VIDEO, "audio": AssetKind.AUDIO, "model": AssetKind.MODEL3D}


class BundleRefused(NotAcceptable):
    """This bundle is not taken."""


class SignerUnknown(Conflict):
    """Nobody who is trusted here vouches for this bundle."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A bundle that was recorded. `recorded_here`: this server saw a run of it itself, which counts more."""

    asset_id: AssetId
    verdict: BundleVerdict
    has_original: bool
    recorded_here: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a bundle says of a run, with its bytes in the store."""

    said: Manifest
    run_key: str
    graph: ReadGraph
    prompt: bytes
    extras: tuple[tuple[str, bytes], ...]
    environment: Mapping[str, Json] | None
    inputs: Mapping[tuple[str, str, str], StoredBlob]
    original: StoredBlob | None


def take(
    database: Database,
    store: BlobStore,
    caller: Caller,
    anchors: Anchors,
    stream: BinaryIO,
    *,
    project_id: ProjectId,
    trust_unknown: bool = False,
) -> Taken:
    """Check a bundle and record what it says; return the asset that it is here. Opens its own units of work.

    `trust_unknown`: the caller knows whom it is from, though it is unsigned or its signer is not known here. What was
    changed after it was signed is never taken. Raises: BundleRefused; SignerUnknown.
    """
    verdict = check_bundle(stream, anchors)
    _refuse(verdict, trust_unknown)
    assert verdict.manifest is not None
    stream.seek(0)
    with zipfile.ZipFile(stream) as archive:
        read = _read(archive, store, caller, verdict.manifest)
    assembled = _assembled(database, store, caller, read, project_id)
    folder = Folder(path=Path("/"), project_id=project_id, person_id=caller.person_id, custody=Custody.KEEP)
    with database.tenant_work(caller.tenant) as session:
        _refuse_contradiction(session, caller, read, assembled)
        register(session, list(read.inputs.values()))
        if read.environment is not None:
            keep_environment(session, read.environment)
        prepared = Prepared(folder=folder, files=(_file(read, assembled, folder),))
        recorded = record(
            session, prepared, scope=caller.tenant, caller=caller, enrich=read.original is not None
        ).assets[0]
        facts: dict[str, Json] = {
            "bundle": read.run_key,
            "signer": verdict.seal.signer,
            "trusted": verdict.seal.state is SealState.INTACT,
        }
        audit.note(session, caller, "bundle.take", f"asset:{recorded.asset_id}", facts)
        run = attempts.find_run(session, recorded.asset_id, caller.sees)
        own = run is not None and queries.find_origin(session, run.generation_id) == GenerationOrigin.JOB
    return Taken(asset_id=recorded.asset_id, verdict=verdict, has_original=read.original is not None, recorded_here=own)


def _refuse(verdict: BundleVerdict, trust_unknown: bool) -> None:
    if not verdict.whole:
        raise BundleRefused(
            "; ".join(verdict.troubles[:5]), hint="`memoryd bundle verify FILE` tells all; ask its maker for it again"
        )
    if not verdict.signed and not verdict.unsigned:
        raise BundleRefused(verdict.seal.detail, hint="ask its maker for it again")
    if verdict.seal.state is not SealState.INTACT and not trust_unknown:
        detail = (
            "it is not signed" if verdict.unsigned else f"{verdict.seal.signer} signed it, whom nobody here vouches for"
        )
        raise SignerUnknown(
            detail,
            hint="put their root certificate into the folder pki/anchors, or, if you know whom it is from, --trust-unknown",
        )


def _read(archive: zipfile.ZipFile, store: BlobStore, caller: Caller, said: Manifest) -> _Read:
    documents = documents_of(archive, said)
    graph = read_graph(documents.prompt)
    if graph.graph is None:
        raise BundleRefused("; ".join(finding.detail for finding in graph.findings) or "its graph cannot be read")
    inputs: dict[tuple[str, str, str], StoredBlob] = {
        (i.subfolder, i.name, i.type): _kept(archive, store, caller, i.file, i.sha256) for i in said.inputs
    }
    original = said.asset.original_file
    return _Read(
        said=said,
        run_key=f"bundle:{hashlib.sha256(archive.read('bundle.json')).hexdigest()}",
        graph=graph,
        prompt=documents.prompt,
        extras=documents.extras,
        environment=_environment(archive, said),
        inputs=inputs,
        original=_kept(archive, store, caller, original, said.asset.original_sha256) if original else None,
    )


def _kept(archive: zipfile.ZipFile, store: BlobStore, caller: Caller, name: str, sha256: str) -> StoredBlob:
    with archive.open(name) as opened:
        content = cast("BinaryIO", opened)
        # What is refused below has no row, and is collected.
        stored = store.put_stream(caller.tenant.slug, content)
    if stored.sha256.hex() != sha256:
        raise BundleRefused(f"{name!r} is not what it is said to be", hint="ask its maker for the bundle again")
    return stored


def _environment(archive: zipfile.ZipFile, said: Manifest) -> Mapping[str, Json] | None:
    if said.environment is None or said.environment.folder is None:
        return None
    name = f"{said.environment.folder}/environment.json"
    if not any(file.name == name and file.size <= TEXT_LIMIT for file in said.files):
        return None
    document = read_json(archive.read(name))
    if not isinstance(document, dict) or canonical_digest(document).hex() != said.environment.sha256:
        raise BundleRefused(f"{name!r} is another environment than the one that is named")
    return document


def _assembled(
    database: Database, store: BlobStore, caller: Caller, read: _Read, project_id: ProjectId
) -> Assembled | None:
    """Return what the original's own bytes tell, None where they did not come along."""
    if read.original is None:
        return None
    folder = Folder(path=Path("/"), project_id=project_id, person_id=caller.person_id, custody=Custody.KEEP)
    content = Content(
        sha256=read.original.sha256,
        size=read.original.size,
        made_at=datetime.datetime.now(datetime.UTC),
        made_source=MadeSource.DECLARED,
        location=None,
        filename=_name(read.said),
    )
    with store.open_verified(caller.tenant.slug, read.original.sha256) as body:
        return understand_stored(body, content, knowing(folder, database, caller.tenant))


def _name(said: Manifest) -> str:
    names = [storable(each.replace("\\", "/").rpartition("/")[2])[0] for each in said.asset.names]
    return next((name[:NAME_LIMIT] for name in names if name), said.asset.original_sha256[:16])


def _refuse_contradiction(session: Session, caller: Caller, read: _Read, assembled: Assembled | None) -> None:
    """Refuse what contradicts the file, or the memory. Raises: BundleRefused."""
    sha256 = bytes.fromhex(read.said.asset.original_sha256)
    exact = read.graph.identities.exact if read.graph.identities else None
    told = {assembled.graph.identities.exact} if assembled is not None and assembled.graph is not None else set()
    if sha256 in attempts.find_assets_by_digest(session, [sha256]):
        try:
            asset = find_asset(session, sha256.hex(), caller.sees)
        except AssetNotFound:
            if read.original is None:
                # What others own is claimed only by whoever can show it (INV-6).
                raise BundleRefused(
                    "without the original's bytes it is not taken here", hint="ask for a bundle with the original in it"
                ) from None
        else:
            told |= queries.list_exacts(session, asset, caller.sees)
    if told and exact not in told:
        raise BundleRefused(
            "the original's own text, or a run that is recorded here, tells another graph than the bundle",
            hint="`memoryd bundle run FILE --comfyui URL` runs what the bundle says, without recording it",
        )


def _file(read: _Read, assembled: Assembled | None, folder: Folder) -> PreparedFile:
    said, graph = read.said, read.graph
    prompt = prepare_document(DocumentKind.PROMPT, "prompt", read.prompt)
    extras = [
        prepare_document(DocumentKind.WORKFLOW if key == "workflow" else DocumentKind.EXTRA, storable(key)[0], raw)
        for key, raw in read.extras
    ]
    parameters = _parameters(read)
    outputs = graph.identities.outputs if graph.identities else ()
    node = parameters.node or next((each.node for each in outputs), None)
    if node is None:
        raise BundleRefused("its graph saves nothing, so that nothing of it can be made again")
    generation = GenerationRecord(
        run_key=read.run_key,
        origin=GenerationOrigin.DECLARED,
        exact=graph.identities.exact if graph.identities else None,
        prompt_document=prompt.sha256,
        extra_documents=tuple((each.key, each.sha256) for each in extras),
        output=OutputRecord(
            node=node,
            batch_index=said.plan.batch_index,
            certain=said.plan.certain and said.plan.node is not None,
            output_digest=next((each.exact for each in outputs if each.node == node), None),
        ),
        parameters=parameters,
        project_id=folder.project_id,
        person_id=folder.person_id,
        environment=canonical_digest(dict(read.environment)) if read.environment is not None else None,
        pins={(model.folder, model.name): bytes.fromhex(model.sha256) for model in said.models if model.sha256},
    )
    asset = assembled.asset if assembled is not None else _claimed(said, folder)
    words = asset.words or search_words(parameters)
    name = _name(said)
    return PreparedFile(
        path=Path("/") / name,
        place=name.encode(),
        shown=name,
        state=FileState.READ,
        asset=dataclasses.replace(asset, generation=generation, words=words),
        documents=(prompt, *extras, *(assembled.documents if assembled else ())),
        graph=graph.prepared,
        stored=read.original,
        findings=asset.findings,
        learned=assembled.learned if assembled else (),
    )


def _claimed(said: Manifest, folder: Folder) -> AssetRecord:
    media_type = said.asset.original_media_type
    return AssetRecord(
        sha256=bytes.fromhex(said.asset.original_sha256),
        size=said.asset.original_size,
        kind=_KINDS.get(media_type.partition("/")[0], AssetKind.OTHER),
        media_type=media_type[:100],
        made_at=datetime.datetime.now(datetime.UTC),
        made_source=MadeSource.DECLARED,
        plugin=PLUGIN,
        project_id=folder.project_id,
        person_id=folder.person_id,
    )


def _parameters(read: _Read) -> Parameters:
    assert read.graph.graph is not None
    node, name = read.said.plan.node, _name(read.said)
    if node is not None:
        found = parameters_of_output(read.graph, node, name)
    else:
        found = read_parameters(read.graph.graph, filename=name)
    inputs = []
    for use in found.inputs:
        stored = read.inputs.get(input_place(use.name))
        inputs.append(use if stored is None else dataclasses.replace(use, sha256=stored.sha256))
    return dataclasses.replace(found, inputs=tuple(inputs))
