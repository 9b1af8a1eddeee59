"""What a person declares of how a picture was made, kept as declared: it never overrides what files or jobs say (INV-3).

Each declaration is a run of its own, of origin `declared`, so that everything that shows runs shows it beside the others.
"""

from __future__ import annotations

import dataclasses
import datetime
from uuid import UUID

from memoryd.access import audit, people
from memoryd.access.facts import Caller, Sees
from memoryd.catalog import run_facts
from memoryd.catalog.annotations import BadAnnotation
from memoryd.catalog.column_limits import SEED_LIMIT, seed_bytes, seed_from
from memoryd.catalog.declaring import project_of, remark, root_of
from memoryd.catalog.facts import GenerationOrigin
from memoryd.catalog.queries import attesting as queries
from memoryd.catalog.queries import recording
from memoryd.catalog.search_document import person_mark, quoted, search_words
from memoryd.events.outbox import announce
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import AssetId, PersonId, ProjectId, new_id
from memoryd.foundation.texts import storable
from memoryd.plugin_api.facts import Confidence
from memoryd.workflows.facts import ModelUse, Parameters, Polarity, PromptUse, SamplerUse, Source

TOOL_LIMIT = 80
"""Characters of a tool's or version's name."""

MODEL_LIMIT = 300
"""Characters of a model's name."""

PROMPT_LIMIT = 50_000
"""Characters of a declared prompt. Source: the longest prompts of A1111's users stay below 10,000."""

EVIDENCE = "declared"
"""How a declared model is known."""


class AttestationNotFound(NotFound):
    """There is no such declaration."""


class AttestationWithdrawn(Conflict):
    """This declaration was withdrawn already."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What somebody says of a picture's making. `generated`: that a trained model made it; `person`: the maker's login."""

    made_by: str
    prompt: str | None = None
    negative: str | None = None
    model: str | None = None
    seed: int | None = None
    tool_version: str | None = None
    note: str | None = None
    person: str | None = None
    generated: bool = True


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttestationView:
    """A declaration, as it was made; `person` is the maker's name, `by` the declarer's."""

    id: UUID
    made_by: str
    generated: bool
    tool_version: str | None
    prompt: str | None
    negative: str | None
    model: str | None
    seed: int | None
    note: str | None
    project: str | None
    person: str | None
    by: str | None
    at: datetime.datetime
    withdrawn_at: datetime.datetime | None


def attest(session: Session, caller: Caller, asset_id: AssetId, said: Declaration, project: str | None = None) -> UUID:
    """Record what a person declares of an asset's making; return the declaration's id. Several stand side by side.

    Raises: AssetNotFound, ProjectUnclear, BadAnnotation, PersonNotFound.
    """
    clean = _checked(said)
    root = root_of(session, asset_id, caller.sees)
    owner = project_of(session, caller, root, project)
    maker = people.find_person(session, clean.person) if clean.person else caller.person_id
    own_id, run = new_id(), new_id()
    parameters = _parameters(clean)
    _insert_run(session, run, own_id, asset_id, owner, maker, parameters)
    marks = [] if maker is None else [quoted(person_mark(maker))]
    queries.insert_attestation(
        session,
        " ".join([search_words(parameters), *marks]),
        id=own_id,
        asset_id=asset_id,
        project_id=owner,
        generation_id=run,
        made_by=clean.made_by,
        generated=clean.generated,
        tool_version=clean.tool_version,
        prompt=clean.prompt,
        negative=clean.negative,
        model=clean.model,
        seed=seed_bytes(clean.seed),
        note=clean.note,
        person_id=maker,
        by_person=caller.person_id,
    )
    queries.settle_words(session, [asset_id])
    facts: dict[str, Json] = {
        "attestation": str(own_id),
        "made_by": clean.made_by,
        "generated": clean.generated,
        "said": [name for name in ("prompt", "negative", "model", "seed") if getattr(clean, name) is not None],
    }
    _tell(session, caller, "asset.attest", asset_id, owner, facts)
    return own_id


def withdraw(session: Session, caller: Caller, asset_id: AssetId, attestation: UUID) -> None:
    """Take a declaration back: it no longer shows as a run and nothing is found by it; the trail keeps it.

    Raises: AssetNotFound, AttestationNotFound, AttestationWithdrawn.
    """
    root_of(session, asset_id, caller.sees)
    row = queries.find_attestation(session, attestation)
    unseen = row is not None and caller.sees is not None and row.project_id not in caller.sees
    if row is None or row.asset_id != asset_id or unseen:
        raise AttestationNotFound(f"declaration {attestation}", hint="`memoryd attest ASSET --list` shows them")
    if row.withdrawn_at is not None:
        raise AttestationWithdrawn(
            f"at {row.withdrawn_at:%Y-%m-%d %H:%M} UTC", hint="declare anew if it holds after all"
        )
    queries.withdraw(session, attestation, caller.person_id)
    queries.settle_words(session, [asset_id])
    project = None if row.project_id is None else ProjectId(row.project_id)
    _tell(session, caller, "asset.attest.withdraw", asset_id, project, {"attestation": str(attestation)})


def list_attestations(session: Session, asset_id: AssetId, sees: Sees) -> list[AttestationView]:
    """Return what was declared of an asset in projects that the caller sees, newest first, withdrawn ones included.

    Raises: AssetNotFound.
    """
    root_of(session, asset_id, sees)
    return [
        AttestationView(
            id=row.Attestation.id,
            made_by=row.Attestation.made_by,
            generated=row.Attestation.generated,
            tool_version=row.Attestation.tool_version,
            prompt=row.Attestation.prompt,
            negative=row.Attestation.negative,
            model=row.Attestation.model,
            seed=seed_from(row.Attestation.seed),
            note=row.Attestation.note,
            project=row.slug,
            person=row.person,
            by=row.by,
            at=row.Attestation.at,
            withdrawn_at=row.Attestation.withdrawn_at,
        )
        for row in queries.list_attestations(session, asset_id, sees)
    ]


def _checked(said: Declaration) -> Declaration:
    made_by = _short(said.made_by, TOOL_LIMIT)
    if made_by is None:
        raise BadAnnotation("no tool is named", hint="say what made it: --made-by midjourney")
    if said.seed is not None and not 0 <= said.seed <= SEED_LIMIT:
        raise BadAnnotation(f"seed {str(said.seed)[:40]}", hint=f"0 to {SEED_LIMIT}")
    return dataclasses.replace(
        said,
        made_by=made_by.lower(),
        tool_version=_short(said.tool_version, TOOL_LIMIT),
        model=_short(said.model, MODEL_LIMIT),
        prompt=_text(said.prompt),
        negative=_text(said.negative),
        note=remark(said.note),
    )


def _short(word: str | None, limit: int) -> str | None:
    clean = " ".join(storable(word or "")[0].split())
    if len(clean) > limit:
        raise BadAnnotation(f"{clean[:60]!r}… has {len(clean)} characters", hint=f"at most {limit}")
    return clean or None


def _text(text: str | None) -> str | None:
    clean = storable((text or "").strip())[0]
    if len(clean) > PROMPT_LIMIT:
        raise BadAnnotation(f"{len(clean)} characters", hint=f"at most {PROMPT_LIMIT}")
    return clean or None


def _parameters(said: Declaration) -> Parameters:
    prompts = [
        PromptUse(
            node="",
            input=polarity.value,
            polarity=polarity,
            text=text,
            source=Source.DECLARED,
            confidence=Confidence.MEDIUM,
        )
        for polarity, text in ((Polarity.POSITIVE, said.prompt), (Polarity.NEGATIVE, said.negative))
        if text
    ]
    samplers = [] if said.seed is None else [_sampler(said, said.seed)]
    models = [] if said.model is None else [_model(said, said.model)]
    return Parameters(
        node=None,
        samplers=tuple(samplers),
        prompts=tuple(prompts),
        models=tuple(models),
        generates=said.generated,
        tool=said.made_by,
        tool_version=said.tool_version,
    )


def _sampler(said: Declaration, seed: int) -> SamplerUse:
    return SamplerUse(
        node="",
        class_type=said.made_by,
        seed=seed,
        source=Source.DECLARED,
        confidence=Confidence.MEDIUM,
        final=True,
        steps=None,
        cfg=None,
        sampler=None,
        scheduler=None,
        denoise=None,
    )


def _model(said: Declaration, model: str) -> ModelUse:
    return ModelUse(
        node="",
        input="model",
        class_type=said.made_by,
        role="checkpoints",
        name=model,
        evidence=EVIDENCE,
        source=Source.DECLARED,
        confidence=Confidence.MEDIUM,
    )


def _insert_run(
    session: Session,
    run: UUID,
    attestation: UUID,
    asset: AssetId,
    project: ProjectId | None,
    person: PersonId | None,
    parameters: Parameters,
) -> None:
    nothing = (
        "exact",
        "prompt_document",
        "environment",
        "job_id",
        "started_at",
        "ended_at",
        "extracted_by",
        "adopted_by",
    )
    row: dict[str, object] = {
        "id": run,
        "run_key": f"declared:{attestation}",
        "origin": GenerationOrigin.DECLARED.value,
        **dict.fromkeys(nothing),
        "extra_documents": "[]",
        "settings": "{}",
        "cached": False,
        "project_id": project,
        "person_id": person,
        "attribution_source": "declared",
        "tool": parameters.tool,
        "tool_version": parameters.tool_version,
    }
    recording.insert_runs(session, [row])
    output: dict[str, object] = {
        "generation_id": run,
        "node": "",
        "output": "declared",
        **dict.fromkeys(("batch_index", "output_digest", "width", "height")),
        "asset_id": asset,
        "certain": True,
        "generates": parameters.generates,
    }
    recording.insert_outputs(session, [output])
    rows = run_facts.sampler_rows(run, "", parameters)
    recording.copy_facts(session, "generation_sampler", run_facts.SAMPLER_COLUMNS, list(rows))
    rows = run_facts.prompt_rows(run, "", parameters)
    recording.copy_facts(session, "generation_prompt", run_facts.PROMPT_COLUMNS, list(rows))
    rows = run_facts.model_rows(run, "", parameters, {}, {})
    recording.copy_facts(session, "generation_model", run_facts.MODEL_COLUMNS, list(rows))


def _tell(
    session: Session, caller: Caller, action: str, asset: AssetId, project: ProjectId | None, facts: dict[str, Json]
) -> None:
    about: dict[str, Json] = {**facts, "project_id": str(project) if project else None}
    audit.note(session, caller, action, str(asset), about)
    announce(session, action, asset, about)
