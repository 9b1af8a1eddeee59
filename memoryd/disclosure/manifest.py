"""The C2PA manifest of a statement: pure, from a statement to the definition that the signer takes.

What is a studio's secret stays out: no prompt, no person, no file or folder name, no thumbnail (INV-10).
Every integer that may exceed 2^53 is text. Source: C2PA 2.4 as the public conformance rubric checks it, measured with
c2pa-rs 0.91 (integers of 2^63 and more fail in CBOR; what is not listed as created is not attributed to the signer).
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
from pathlib import Path, PurePosixPath

from memoryd.disclosure.facts import Deed, InputEvidence, InputPart, ModelEvidence, SourceType, Statement
from memoryd.foundation.canonical_json import Json

GENERATION_LABEL = "org.memoryd.generation"
GENERATION_VERSION = 1
SPEC_VERSION = "2.4"
"""The C2PA specification whose rules the manifest follows."""

CREATED_LABELS = ("c2pa.actions", "c2pa.actions.v2", "c2pa.ai-disclosure", GENERATION_LABEL)
"""Assertions that are attributed to the signer. Source: C2PA 2.2 section 10, created_assertions."""

INGREDIENT_LIMIT = 64
"""Input pictures that are named in one manifest; each that carries a history adds its whole manifest store."""

MODEL_LIMIT = 64
"""Models that are named in one manifest."""

_PRIMARY_ROLES = frozenset({"checkpoints", "diffusion_models", "unet", "unet_gguf", "diffusers"})
_MODEL_TYPES = {
    ".ckpt": "c2pa.types.model.pytorch",
    ".pt": "c2pa.types.model.pytorch",
    ".pth": "c2pa.types.model.pytorch",
    ".bin": "c2pa.types.model.pytorch",
    ".onnx": "c2pa.types.model.onnx",
}
_ANY_MODEL = "c2pa.types.model"
"""A safetensors file names no framework; the generic type is the one that is true."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IngredientSource:
    """One ingredient: what it is to the file, and its bytes where we have them (with its own manifest, if any)."""

    label: str
    relationship: str
    title: str
    sha256: bytes | None
    media_type: str
    path: Path | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPlan:
    """A manifest definition and the ingredients to add to it, in order; parent first."""

    definition: dict[str, Json]
    ingredients: tuple[IngredientSource, ...]


def plan_manifest(
    statement: Statement,
    *,
    original_sha256: bytes,
    disclosed_at: datetime.datetime,
    signed_source: IngredientSource | None = None,
    signed_source_says_ai: bool = False,
    input_files: dict[bytes, tuple[Path, str]] | None = None,
) -> ManifestPlan:
    """Return the manifest that says `statement` of the file with content `original_sha256` (32 bytes).

    `signed_source` is the source file itself where it carries a manifest already: it becomes the parent, so that what
    it says is never silently dropped. `input_files` gives path and media type of input pictures by their SHA-256.
    """
    ingredients = _ingredients(statement, signed_source, input_files or {})
    assertions: list[Json] = [
        {"label": "c2pa.actions.v2", "data": _actions(statement, ingredients, signed_source, signed_source_says_ai)}
    ]
    if statement.source_type in (SourceType.TRAINED, SourceType.COMPOSITE_TRAINED):
        assertions += [
            {"label": "c2pa.ai-disclosure", "data": _ai_disclosure(statement, model)}
            for model in _primary_models(statement)
        ]
    assertions.append(
        {
            "label": GENERATION_LABEL,
            "kind": "Json",
            "data": generation_assertion(statement, original_sha256=original_sha256, disclosed_at=disclosed_at),
        }
    )
    definition: dict[str, Json] = {
        "claim_generator_info": [
            {"name": "memoryd", "version": importlib.metadata.version("memoryd"), "specVersion": SPEC_VERSION}
        ],
        "assertions": assertions,
    }
    return ManifestPlan(definition=definition, ingredients=ingredients)


def generation_assertion(
    statement: Statement, *, original_sha256: bytes, disclosed_at: datetime.datetime | None
) -> dict[str, Json]:
    """Return what `org.memoryd.generation` says: digests, seeds as text, models by name and hash; no prompt, no person."""
    evidence = statement.evidence
    body: dict[str, Json] = {
        "version": GENERATION_VERSION,
        "digital_source_type": statement.source_type.value,
        "reasons": list(statement.reasons),
        "original_sha256": original_sha256.hex(),
        "engine": {
            "name": evidence.engine.name,
            "version": evidence.engine.version,
            "stand_in": evidence.engine.stand_in,
        },
        "models": [
            {
                "role": model.role,
                "name": base_name(model.name),
                "sha256": model.sha256.hex() if model.sha256 else None,
                "strength": None if model.strength is None else repr(model.strength),
            }
            for model in evidence.models[:MODEL_LIMIT]
        ],
        "inputs": [
            {"part": use.part.value, "sha256": use.sha256.hex() if use.sha256 else None}
            for use in statement.inputs[:INGREDIENT_LIMIT]
        ],
    }
    if evidence.recipe is not None:
        body["graph"] = {
            "recipe": evidence.recipe,
            "exact": evidence.exact.hex() if evidence.exact else None,
            "workflow": evidence.workflow.hex() if evidence.workflow else None,
            "structure": evidence.structure.hex() if evidence.structure else None,
        }
    if evidence.parameters is not None:
        body["samplers"] = [
            {
                "class": use.class_type,
                "seed": None if use.seed is None else str(use.seed),
                "steps": use.steps,
                "cfg": None if use.cfg is None else repr(use.cfg),
                "sampler": use.sampler,
                "scheduler": use.scheduler,
                "denoise": None if use.denoise is None else repr(use.denoise),
                "source": use.source.value,
            }
            for use in evidence.parameters.samplers
        ]
    if evidence.made_at is not None:
        body["made_at"] = _moment(evidence.made_at)
    if disclosed_at is not None:
        body["disclosed_at"] = _moment(disclosed_at)
    return body


def base_name(name: str) -> str:
    """Return a model's file name without its folders: how a studio sorts its models is its own business."""
    return PurePosixPath(name.replace("\\", "/")).name


def _moment(moment: datetime.datetime) -> str:
    return moment.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _ingredients(
    statement: Statement, signed_source: IngredientSource | None, files: dict[bytes, tuple[Path, str]]
) -> tuple[IngredientSource, ...]:
    ingredients = [signed_source] if signed_source else []
    # One manifest has one parent (c2pa-rs refuses two): the signed source, else the picture that was continued.
    parent_is_free = signed_source is None and statement.deed is Deed.EDITED
    for number, use in enumerate(statement.inputs[:INGREDIENT_LIMIT], start=1):
        relationship = "componentOf" if use.part is InputPart.PLACED else "inputTo"
        if parent_is_free:
            relationship, parent_is_free = "parentOf", False
        path, media_type = _file_of(use, files)
        ingredients.append(
            IngredientSource(
                label=f"input-{number}",
                relationship=relationship,
                title=f"input picture {number}",
                sha256=use.sha256,
                media_type=media_type,
                path=path,
            )
        )
    return tuple(ingredients)


def _file_of(use: InputEvidence, files: dict[bytes, tuple[Path, str]]) -> tuple[Path | None, str]:
    if use.sha256 is not None and use.sha256 in files:
        return files[use.sha256]
    return None, "application/octet-stream"


def _actions(
    statement: Statement,
    ingredients: tuple[IngredientSource, ...],
    signed_source: IngredientSource | None,
    signed_source_says_ai: bool,
) -> dict[str, Json]:
    parent = next((item for item in ingredients if item.relationship == "parentOf"), None)
    actions: list[Json] = []
    if parent is not None:
        actions.append(_on("c2pa.opened", parent))
    if signed_source is None:
        actions.append(_deed(statement, "c2pa.created" if parent is None else "c2pa.edited", statement.source_type))
    elif signed_source_says_ai:
        # What it is, its own manifest says already; we add only the record of how.
        actions.append({"action": "c2pa.edited.metadata"})
    else:
        known = statement.source_type
        edited = SourceType.COMPOSITE_TRAINED if known is SourceType.TRAINED else known
        actions.append(_deed(statement, "c2pa.edited", edited))
    actions += [_on("c2pa.placed", item) for item in ingredients if item.relationship == "componentOf"]
    # With a manifest that somebody else signed, we do not know everything that was done.
    return {"allActionsIncluded": signed_source is None, "actions": actions}


def _on(action: str, ingredient: IngredientSource) -> dict[str, Json]:
    return {"action": action, "parameters": {"ingredientIds": [ingredient.label]}}


def _deed(statement: Statement, action: str, source_type: SourceType) -> dict[str, Json]:
    engine = statement.evidence.engine
    agent: dict[str, Json] = {"name": engine.name}
    if engine.version is not None:
        agent["version"] = engine.version
    body: dict[str, Json] = {"action": action, "digitalSourceType": source_type.value, "softwareAgent": agent}
    if statement.evidence.made_at is not None:
        body["when"] = _moment(statement.evidence.made_at)
    return body


def _primary_models(statement: Statement) -> tuple[ModelEvidence | None, ...]:
    primary = tuple(model for model in statement.evidence.models if model.role in _PRIMARY_ROLES)
    return primary[:MODEL_LIMIT] or (None,)


def _ai_disclosure(statement: Statement, model: ModelEvidence | None) -> dict[str, Json]:
    suffix = PurePosixPath(base_name(model.name)).suffix.lower() if model else ""
    body: dict[str, Json] = {"modelType": _MODEL_TYPES.get(suffix, _ANY_MODEL)}
    if model is not None:
        body["modelName"] = base_name(model.name)
        if model.sha256 is not None:
            body["modelIdentifier"] = f"sha256:{model.sha256.hex()}"
    parameters = statement.evidence.parameters
    # Human oversight is stated from an event alone: a prompt that was given, a picture that a person approved.
    if statement.evidence.reviewed:
        body["contentProfile"] = {"humanOversightLevel": "human_validated"}
    elif parameters is not None and parameters.prompts:
        body["contentProfile"] = {"humanOversightLevel": "prompt_guided"}
    return body
