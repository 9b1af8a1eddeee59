"""What goes into a bundle: everything that making an asset again takes, as far as it is known and held."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import mimetypes
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import memoryd
from memoryd.access.facts import Caller
from memoryd.catalog.content import ContentMissing, find_copies, open_copy
from memoryd.catalog.environments import EnvironmentNotFound
from memoryd.foundation.canonical_json import canonical_bytes
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import Conflict, TooLarge
from memoryd.foundation.ids import AssetId
from memoryd.model_registry.facts import LicenceStated
from memoryd.model_registry.looking_up import ModelNotFound, show_model
from memoryd.reproduction import queries as attempts
from memoryd.reproduction.bundles import queries
from memoryd.reproduction.bundles.bare.opening import is_plain_name
from memoryd.reproduction.bundles.instructions import RUN_PY, readme, sums
from memoryd.reproduction.bundles.wire import (
    AssetPart,
    CausePart,
    DocumentPart,
    EnvironmentPart,
    FilePart,
    InputPart,
    LicencePart,
    Manifest,
    ModelPart,
    PlanPart,
    VerdictPart,
)
from memoryd.reproduction.environments import exported, finding
from memoryd.reproduction.facts import Cause, Plan
from memoryd.reproduction.making import keep_inputs
from memoryd.reproduction.planning import extra_data_of, make_plan
from memoryd.storage.blob_store import BlobStore
from memoryd.submission.graph_needs import folders_of
from memoryd.workflows.documents import load_document

BUNDLE_LIMIT = 4 * 2**30
"""Bytes of all files of one bundle: an original, its inputs and a hundred packs' sources are below 1 GB."""
NAMES_LIMIT = 10
VERDICTS_LIMIT = 20

_BARE = Path(__file__).parent / "bare"


class NothingToBundle(Conflict):
    """Nobody knows how this asset was made."""


class BundleTooLarge(TooLarge):
    """This would be too large for one bundle."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a bundle: its bytes, or from where they are read. `sha256` is 32 bytes."""

    name: str
    what: str
    sha256: bytes
    size: int
    source: BinaryIO

    @classmethod
    def of(cls, name: str, what: str, content: bytes | str) -> Entry:
        """Return a small file."""
        raw = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
        return cls(name=name, what=what, sha256=hashlib.sha256(raw).digest(), size=len(raw), source=io.BytesIO(raw))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A bundle before it is written: bundle.json as it will be signed, and all other files in their order."""

    asset_sha256: str
    manifest: bytes
    entries: tuple[Entry, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What the database tells of an asset, read at once."""

    plan: Plan
    prompt: bytes
    asset: attempts.Found
    original: attempts.Found
    names: tuple[str, ...]
    models: tuple[ModelPart, ...]
    verdicts: Sequence[attempts.Found]
    environment: Mapping[str, bytes] | None


@contextlib.contextmanager
def gathering(
    database: Database,
    store: BlobStore,
    caller: Caller,
    asset_id: AssetId,
    *,
    with_original: bool = True,
    with_receipts: bool = True,
) -> Iterator[Gathered]:
    """Yield what goes into the bundle of an asset; its files are open within the block.

    Opens units of work of its own; the inputs' bytes are brought into the store between them. Raises: AssetNotFound,
    NothingToBundle, BundleTooLarge, ExportTooLarge.
    """
    with database.tenant_work(caller.tenant) as session:
        known = _known(session, store, caller, asset_id, with_receipts=with_receipts)
        copies = find_copies(session, known.plan.asset_id) if with_original else None
    lost = keep_inputs(database, store, caller, known.plan)
    with contextlib.ExitStack() as opened:
        entries = list(_files(known))
        inputs = []
        for file in known.plan.inputs:
            if store.exists(caller.tenant.slug, file.sha256):
                stream = opened.enter_context(store.open_verified(caller.tenant.slug, file.sha256))
                name = f"inputs/{file.sha256.hex()}"
                entries.append(Entry(name=name, what="input", sha256=file.sha256, size=file.size, source=stream))
                inputs.append(
                    InputPart.model_validate(
                        {
                            "name": file.name,
                            "subfolder": file.subfolder,
                            "type": file.type,
                            "sha256": file.sha256.hex(),
                            "size": file.size,
                            "file": name,
                        }
                    )
                )
        original = None
        if copies is not None:
            with contextlib.suppress(ContentMissing):
                stream = opened.enter_context(open_copy(store, caller.tenant, copies))
                original = f"original/{copies.sha256.hex()}{_ending(copies.media_type)}"
                entries.append(
                    Entry(name=original, what="original", sha256=copies.sha256, size=copies.size, source=stream)
                )
        yield _finished(known, entries, inputs, original, lost)


def _known(session: Session, store: BlobStore, caller: Caller, asset_id: AssetId, *, with_receipts: bool) -> _Known:
    plan = make_plan(session, asset_id, caller.sees)
    run = attempts.find_run(session, asset_id, caller.sees)
    if run is None or not plan.prompt:
        raise NothingToBundle(
            "; ".join(cause.detail for cause in plan.missing),
            hint=next((cause.next_step for cause in plan.missing if cause.next_step), None),
        )
    assets = list(dict.fromkeys((asset_id, plan.asset_id)))
    sites = queries.list_sites(session, run.generation_id)
    named = [queries.list_names(session, each, caller.sees, NAMES_LIMIT) for each in assets]
    names = [PurePosixPath(path.replace("\\", "/")).name for paths in named for path in paths]
    return _Known(
        plan=plan,
        prompt=load_document(session, run.prompt_document),
        asset=attempts.find_original(session, asset_id),
        original=attempts.find_original(session, plan.asset_id),
        names=tuple(dict.fromkeys(names))[:NAMES_LIMIT],
        models=tuple(
            _model(session, pin.folder, pin.name, pin.sha256, sites.get((pin.folder, pin.name), ()))
            for pin in plan.pins
        ),
        verdicts=queries.list_verdicts(session, assets, caller.sees, VERDICTS_LIMIT) if with_receipts else (),
        environment=_environment(session, store, caller, plan.environment),
    )


def _environment(
    session: Session, store: BlobStore, caller: Caller, digest: bytes | None
) -> Mapping[str, bytes] | None:
    if digest is None:
        return None
    try:
        return exported.export_members(session, store, caller, finding.find_environment(session, caller, digest.hex()))
    except EnvironmentNotFound:
        return None


def _model(session: Session, folder: str, name: str, sha256: bytes | None, sites: Sequence[str]) -> ModelPart:
    size, kind, hashes, licence = None, None, dict[str, str](), None
    if sha256 is not None:
        # What a run used need not lie anywhere that was scanned.
        with contextlib.suppress(ModelNotFound):
            detail = show_model(session, sha256)
            size, kind, hashes = detail.model.size, detail.model.kind, dict(detail.aliases)
            licence = _licence(detail.model.licence)
    return ModelPart(
        folder=folder,
        folders=sorted(folders_of(folder)),
        name=name,
        sha256=sha256.hex() if sha256 else None,
        size=size,
        kind=kind,
        hashes=hashes,
        sources=list(sites),
        licence=licence,
    )


def _licence(stated: LicenceStated | None) -> LicencePart | None:
    if stated is None:
        return None
    return LicencePart(
        name=stated.name,
        version=stated.version,
        url=stated.url,
        stated_by=stated.source.value,
        text_sha256=stated.text_sha256.hex() if stated.text_sha256 else None,
        also=list(stated.also),
    )


def _files(known: _Known) -> Iterator[Entry]:
    """Yield the files that are texts."""
    extra = extra_data_of(known.plan)
    prompt = known.plan.prompt.decode("ascii")
    yield Entry.of("prompt.json", "the graph as it is submitted", prompt)
    yield Entry.of("extra_data.json", "what goes along with it", extra)
    yield Entry.of(
        "request.json", "both, as ComfyUI's POST /prompt takes them", f'{{"prompt": {prompt}, "extra_data": {extra}}}'
    )
    yield Entry.of("documents/prompt.json", "document", known.prompt)
    for (_, raw), part in zip(known.plan.extras, _documents(known.plan)[1:], strict=True):
        yield Entry.of(part.file, "document", raw)
    for name, content in sorted((known.environment or {}).items()):
        if is_plain_name(f"environment/{name}"):
            yield Entry.of(f"environment/{name}", "environment", content)
    for row in known.verdicts:
        if row.receipt is not None:
            yield Entry.of(f"receipts/{row.id}.json", "receipt", bytes(row.receipt))
    licences = [
        {
            "folder": m.folder,
            "name": m.name,
            "sha256": m.sha256,
            "licence": m.licence.model_dump() if m.licence else None,
        }
        for m in known.models
    ]
    yield Entry.of("licences.json", "licences", json.dumps(licences, indent=1, sort_keys=True) + "\n")
    yield Entry.of("models.sha256", "models, for sha256sum -c", sums(known.models))
    yield Entry.of("run.py", "program", RUN_PY)
    for path in sorted(_BARE.glob("*.py")):
        yield Entry.of(f"bare/{path.name}", "program", path.read_bytes())


def _documents(plan: Plan) -> list[DocumentPart]:
    parts = [DocumentPart(kind="prompt", key="prompt", file="documents/prompt.json")]
    for number, (key, _) in enumerate(plan.extras, 1):
        word = re.sub(r"[^A-Za-z0-9]+", "-", key).strip("-")[:40]
        parts.append(DocumentPart(kind="extra", key=key, file=f"documents/{number:02}-{word or 'text'}.json"))
    return parts


def _finished(
    known: _Known, entries: list[Entry], inputs: list[InputPart], original: str | None, lost: Sequence[Cause]
) -> Gathered:
    plan = known.plan
    unplain = [name for name in known.environment or {} if not is_plain_name(f"environment/{name}")]
    left_out = [
        Cause(code="sources-left-out", detail=f"{name!r} has no plain name, and is not here") for name in unplain
    ]
    said = Manifest(
        format="memoryd.bundle/1",
        maker=f"memoryd {memoryd.__version__}",
        asset=AssetPart(
            sha256=bytes(known.asset.sha256).hex(),
            size=known.asset.size,
            media_type=known.asset.media_type,
            names=list(known.names),
            original_sha256=bytes(known.original.sha256).hex(),
            original_size=known.original.size,
            original_media_type=known.original.media_type,
            original_file=original,
        ),
        plan=PlanPart(
            node=plan.node,
            batch_index=plan.batch_index,
            batch_size=plan.batch_size,
            certain=plan.certain,
            missing=[_cause(each) for each in (*plan.missing, *lost)],
            notices=[_cause(each) for each in (*plan.notices, *left_out)],
        ),
        documents=_documents(plan),
        inputs=inputs,
        models=list(known.models),
        environment=EnvironmentPart(
            sha256=plan.environment.hex(), folder="environment" if known.environment is not None else None
        )
        if plan.environment
        else None,
        verdicts=[
            VerdictPart(
                id=row.id,
                verdict=row.verdict,
                decided_at=row.decided_at,
                environment=bytes(row.environment).hex() if row.environment else None,
                receipt=f"receipts/{row.id}.json" if row.receipt is not None else None,
            )
            for row in known.verdicts
        ],
        files=[],
    )
    entries.append(Entry.of("README.md", "what to do", readme(said)))
    # The same content may be an input and the original: each file has a name of its own, and each name stands once.
    unique = {entry.name: entry for entry in entries}
    ordered = tuple(unique[name] for name in sorted(unique))
    if (size := sum(entry.size for entry in ordered)) > BUNDLE_LIMIT:
        raise BundleTooLarge(
            f"{size} bytes", hint=f"at most {BUNDLE_LIMIT} (BUNDLE_LIMIT); --no-original leaves the original out"
        )
    said.files = [FilePart(name=e.name, sha256=e.sha256.hex(), size=e.size, what=e.what) for e in ordered]
    document = said.model_dump(mode="json")
    return Gathered(asset_sha256=said.asset.sha256, manifest=canonical_bytes(document) + b"\n", entries=ordered)


def _cause(cause: Cause) -> CausePart:
    return CausePart.model_validate(cause.as_json())


def _ending(media_type: str) -> str:
    return re.sub(r"[^.A-Za-z0-9]", "", mimetypes.guess_extension(media_type) or ".bin")
