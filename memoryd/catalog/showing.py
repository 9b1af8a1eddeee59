"""Shows one asset with everything that is known of it, as far as the caller may see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from memoryd.access.facts import Sees
from memoryd.catalog import lineage
from memoryd.catalog.asset_view import (
    AssetView,
    DocumentView,
    ExtractionView,
    GenerationView,
    InputView,
    LicenceView,
    LineMember,
    ModelView,
    PastPlaceView,
    PlaceView,
    PromptView,
    SamplerView,
)
from memoryd.catalog.attached import annotations_of
from memoryd.catalog.column_limits import seed_from
from memoryd.catalog.enrichment import find_traits
from memoryd.catalog.facts import AssetKind, GenerationOrigin, LocationState, MadeSource, Succession
from memoryd.catalog.looking_up import AssetNotFound
from memoryd.catalog.marks import FLAG_DISCLOSED
from memoryd.catalog.queries import showing as queries
from memoryd.catalog.root_paths import spelled_paths
from memoryd.catalog.sequences import find_sequence
from memoryd.foundation.database import Session
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import AssetId, GenerationId
from memoryd.model_registry.licensing.granting import grants_of, shown_of
from memoryd.model_registry.licensing.terms import Grant
from memoryd.model_registry.naming import resolve_names
from memoryd.plugin_api.facts import Confidence
from memoryd.storage.blobs import find_blob
from memoryd.storage.facts import BlobState
from memoryd.workflows.facts import Polarity, Source

__all__ = ["AssetNotFound", "show_asset"]


def show_asset(session: Session, asset_id: AssetId, sees: Sees) -> AssetView:
    """Return everything about an asset. Raises: AssetNotFound, also for what the caller may not see."""
    row = queries.find_asset(session, asset_id, sees)
    if row is None:
        raise AssetNotFound(f"asset {asset_id}", hint="`memoryd search` finds assets")
    asset = row.Asset
    places = _places(session, asset_id, sees)
    blob = find_blob(session, asset.sha256)
    line = _line(session, asset.root_id, sees)
    flags = tuple(row.flags)
    return AssetView(
        id=asset_id,
        root_id=AssetId(asset.root_id),
        sha256=asset.sha256,
        size=asset.size,
        kind=AssetKind(asset.kind),
        media_type=asset.media_type,
        width=asset.width,
        height=asset.height,
        frames=asset.frames,
        made_at=asset.made_at,
        made_source=MadeSource(asset.made_source),
        recorded_at=asset.recorded_at,
        pixel_recipe=asset.pixel_recipe,
        pixel_digest=asset.pixel_digest,
        head=row.head,
        present=(blob is not None and blob.state is BlobState.PRESENT)
        or bool(queries.list_copies_of_content(session, asset_id)),
        disclosed=FLAG_DISCLOSED in flags or any(member.succession is Succession.DISCLOSED for member in line),
        flags=flags,
        generations=_generations(session, asset_id, sees),
        annotations=annotations_of(session, asset.root_id, asset_id, sees),
        places=places,
        past_places=tuple(
            PastPlaceView(shown_path=past.shown_path, reason=past.reason, until=past.until)
            for past in queries.list_past_places(session, asset_id, sees)
        ),
        extractions=_extractions(session, asset_id),
        line=line,
        parents=tuple(lineage.ancestors(session, asset_id, sees)),
        children=tuple(lineage.descendants(session, asset_id, sees)),
        traits=find_traits(session, asset_id, sees),
        sequence=find_sequence(session, asset_id, sees),
    )


def _line(session: Session, root: UUID, sees: Sees) -> tuple[LineMember, ...]:
    return tuple(
        LineMember(
            face=face,
            succeeds_id=None if row.succeeds_id is None else AssetId(row.succeeds_id),
            succession=None if row.succession is None else Succession(row.succession),
            head=row.head,
        )
        for face, row in queries.list_line(session, root, sees)
    )


def _places(session: Session, asset_id: AssetId, sees: Sees) -> tuple[PlaceView, ...]:
    return tuple(
        PlaceView(
            shown_path=row.Location.shown_path,
            state=LocationState(row.Location.state),
            project_id=row.Location.project_id,
            root_state=None if row.WatchRoot is None else row.WatchRoot.state,
            paths=()
            if row.WatchRoot is None
            else spelled_paths(
                row.WatchRoot.host, row.WatchRoot.shown_path, row.WatchRoot.aliases, row.Location.shown_path
            ),
            last_seen=row.Location.last_seen,
            gone_at=row.Location.gone_at,
        )
        for row in queries.list_places(session, asset_id, sees)
    )


def _extractions(session: Session, asset_id: AssetId) -> tuple[ExtractionView, ...]:
    return tuple(
        ExtractionView(
            plugin=row.plugin,
            version=row.version,
            state=row.state,
            at=row.at,
            current=row.current,
            findings=tuple(Finding(**{key: str(value) for key, value in found.items()}) for found in row.findings),
        )
        for row in queries.list_extractions(session, asset_id)
    )


def _generations(session: Session, asset_id: AssetId, sees: Sees) -> tuple[GenerationView, ...]:
    rows = queries.list_generations(session, asset_id, sees)
    facts = queries.list_facts(session, {(row.Generation.id, row.GenerationOutput.node) for row in rows})
    samplers, prompts = _by_output(facts["samplers"], _sampler), _by_output(facts["prompts"], _prompt)
    models = _models(session, facts["models"])
    inputs = _inputs(session, facts["inputs"], sees)
    views = []
    for row in rows:
        run, output, named = row.Generation, row.GenerationOutput, row.named
        key = (run.id, output.node)
        views.append(
            GenerationView(
                id=GenerationId(run.id),
                run_key=run.run_key if named else "",
                origin=GenerationOrigin(run.origin),
                exact=run.exact,
                node=output.node,
                output=output.output,
                batch_index=output.batch_index,
                certain=output.certain,
                generates=output.generates,
                width=output.width,
                height=output.height,
                environment=run.environment,
                comfyui_version=row.comfyui_version,
                gpu=row.gpu,
                job_id=run.job_id if named else None,
                project_id=run.project_id if named else None,
                person_id=run.person_id if named else None,
                person=row.person if named else None,
                attribution_source=run.attribution_source if named else None,
                started_at=run.started_at,
                ended_at=run.ended_at,
                cached=run.cached,
                samplers=tuple(samplers[key]),
                prompts=tuple(prompts[key]),
                models=tuple(models[key]),
                inputs=tuple(inputs[key]),
                documents=_documents(run.prompt_document, run.extra_documents),
                tool=run.tool,
                tool_version=run.tool_version,
                settings=tuple((key, str(value)) for key, value in run.settings.items()),
            )
        )
    return tuple(views)


def _by_output(rows: list[Any], view: Any) -> defaultdict[tuple[UUID, str], list[Any]]:
    grouped: defaultdict[tuple[UUID, str], list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.generation_id, row.output_node].append(view(row))
    return grouped


def _sampler(row: Any) -> SamplerView:
    return SamplerView(
        node=row.node,
        class_type=row.class_type,
        seed=seed_from(row.seed),
        steps=row.steps,
        cfg=row.cfg,
        sampler=row.sampler,
        scheduler=row.scheduler,
        denoise=row.denoise,
        source=Source(row.source),
        final=row.final,
        confidence=Confidence(row.confidence),
    )


def _prompt(row: Any) -> PromptView:
    return PromptView(
        node=row.node,
        input=row.input,
        polarity=Polarity(row.polarity),
        text=row.text,
        is_template=row.is_template,
        source=Source(row.source),
        confidence=Confidence(row.confidence),
    )


def _models(session: Session, rows: list[Any]) -> defaultdict[tuple[UUID, str], list[Any]]:
    # A model that was unknown when the file was read may have been scanned since: shown, and said to be known by name now.
    unknown = sorted({(row.role, row.name) for row in rows if row.sha256 is None})
    now = resolve_names(session, unknown) if unknown else {}
    digests = {row.sha256 for row in rows if row.sha256 is not None} | set(now.values())
    grants = grants_of(session, sorted(digests))

    def view(row: Any) -> ModelView:
        sha256 = row.sha256 if row.sha256 is not None else now.get((row.role, row.name))
        return ModelView(
            node=row.node,
            class_type=row.class_type,
            role=row.role,
            name=row.name,
            sha256=sha256,
            identified=row.identified if row.sha256 is not None else None if sha256 is None else "name-now",
            strength_model=row.strength_model,
            strength_clip=row.strength_clip,
            evidence=row.evidence,
            source=Source(row.source),
            licence=None if sha256 is None else _licence(grants[sha256]),
            confidence=Confidence(row.confidence),
            claimed_hash=row.claimed_hash,
            air=row.air,
        )

    return _by_output(rows, view)


def _licence(grants: Sequence[Grant]) -> LicenceView | None:
    shown = shown_of(grants)
    return None if shown is None else LicenceView(name=shown.name, source=shown.source.value)


def _inputs(session: Session, rows: list[Any], sees: Sees) -> defaultdict[tuple[UUID, str], list[Any]]:
    known = queries.list_faces_by_digest(session, {row.sha256 for row in rows if row.sha256 is not None}, sees)

    def view(row: Any) -> InputView:
        return InputView(
            node=row.node,
            class_type=row.class_type,
            name=row.name,
            sha256=row.sha256,
            source=Source(row.source),
            parent=None if row.sha256 is None else known.get(row.sha256),
            confidence=Confidence(row.confidence),
        )

    return _by_output(rows, view)


def _documents(prompt: bytes | None, extra: list[dict[str, object]]) -> tuple[DocumentView, ...]:
    found = [] if prompt is None else [DocumentView(kind="prompt", key="prompt", sha256=prompt)]
    for document in extra:
        key = str(document["key"])
        kind = "workflow" if key == "workflow" else "extra"
        found.append(DocumentView(kind=kind, key=key, sha256=bytes.fromhex(str(document["sha256"]))))
    return tuple(found)
