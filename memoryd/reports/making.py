"""One run as the report tells it: each fact with where it was read and how sure that is.

Prompts are told of, never told: a report is handed on, and what was asked for is the studio's own. Of a tool's other
settings only those are told that are named here, since some tools repeat the prompt among them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from memoryd.catalog.asset_view import GenerationView, ModelView
from memoryd.foundation.canonical_json import Json
from memoryd.reports.facts import Occasion, Subject

TOLD_SETTINGS = frozenset(
    # A1111's family.
    {"clip skip", "rng", "ensd", "eta", "schedule type", "distilled cfg scale", "shift", "tiling", "face restoration"}
    | {"denoising strength", "hires upscale", "hires upscaler", "hires steps", "hires resize", "hires cfg scale"}
    | {"refiner", "refiner switch at", "module 1", "module 2", "module 3", "vae", "vae hash", "version", "app"}
    | {"variation seed", "variation seed strength", "eta noise seed delta", "beta schedule alpha"}
    | {"adetailer model", "adetailer version", "adetailer confidence", "adetailer denoising strength", "mask blur"}
    | {"model hash", "sampler sigma", "pipeline", "operations"}
    # Midjourney's options; `--no`, `--sref` and the like hold words or addresses.
    | {"--ar", "--v", "--niji", "--seed", "--stylize", "--s", "--chaos", "--c", "--weird", "--w", "--quality", "--q"}
    | {"--raw", "--tile", "--iw", "--stop", "job", "place in grid", "upscaled"}
    # Fooocus, InvokeAI, NovelAI.
    | {"performance", "sharpness", "guidance scale", "adm guidance", "refiner_switch", "generation_mode", "rand_device"}
    | {"cfg_rescale_multiplier", "request_type", "sm", "sm_dyn", "noise_schedule", "cfg_rescale", "uncond_scale"}
    | {"clip_skip", "adm_guidance", "aspectratio", "controlnet_strength", "extra_noise_seed", "upscaler"}
    # What labels say: who says that it is generated.
    | {"digital source type", "claim generator", "aigc label", "aigc contentproducer", "aigc produceid"}
    | {"aigc contentpropagator", "aigc propagateid"}
)
"""Names of settings (lower case) that a report tells: what a run needs to be judged or repeated, and no words of it."""

SETTING_LIMIT = 200
"""Characters of a setting that is told: what is longer is a text, not a setting."""


def told_settings(settings: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Return those settings that a report tells, in their order."""
    return ((name, value) for name, value in settings if name.lower() in TOLD_SETTINGS and len(value) <= SETTING_LIMIT)


def show_run(run: GenerationView, subject: Subject, occasion: Occasion) -> dict[str, Json]:
    """Return one run as the report tells it: every fact with its source and confidence, no prompt's words."""
    workflow = subject.workflows.get(run.exact) if run.exact else None
    return {
        "id": str(run.id),
        "origin": run.origin.value,
        "run_key": run.run_key,
        "node": run.node,
        "batch_index": run.batch_index,
        "certain": run.certain,
        "generates": run.generates,
        "project": occasion.projects.get(run.project_id) if run.project_id else None,
        "person": run.person,
        "attribution_source": run.attribution_source,
        "comfyui_version": run.comfyui_version,
        "gpu": run.gpu,
        "environment": run.environment.hex() if run.environment else None,
        "started_at": moment(run.started_at) if run.started_at else None,
        "ended_at": moment(run.ended_at) if run.ended_at else None,
        "workflow": None
        if run.exact is None
        else {
            "recipe": workflow.recipe if workflow else None,
            "exact": run.exact.hex(),
            "workflow": workflow.workflow if workflow else None,
            "structure": workflow.structure if workflow else None,
        },
        "samplers": [
            {
                "class": use.class_type,
                "seed": None if use.seed is None else str(use.seed),
                "steps": use.steps,
                "cfg": use.cfg,
                "sampler": use.sampler,
                "scheduler": use.scheduler,
                "denoise": use.denoise,
                "source": use.source.value,
                "final": use.final,
                "confidence": use.confidence.value,
            }
            for use in run.samplers
        ],
        "models": [_model(model) for model in run.models],
        "inputs": [
            {
                "name": use.name,
                "sha256": use.sha256.hex() if use.sha256 else None,
                "asset_id": str(use.parent.id) if use.parent else None,
                "source": use.source.value,
                "confidence": use.confidence.value,
            }
            for use in run.inputs
        ],
        "tool": run.tool,
        "tool_version": run.tool_version,
        "width": run.width,
        "height": run.height,
        "settings": [{"name": name, "value": value} for name, value in told_settings(run.settings)],
        "prompts": [
            {
                "polarity": use.polarity.value,
                "is_template": use.is_template,
                "source": use.source.value,
                "confidence": use.confidence.value,
            }
            for use in run.prompts
        ],
    }


def _model(model: ModelView) -> dict[str, Json]:
    licence: dict[str, Json] = {"state": "unknown", "name": None, "source": None}
    if model.licence is not None:
        # INV-7: what a file says of itself is a statement, not a permission.
        state = "stated by the file" if model.licence.source == "header" else "stated"
        licence = {"state": state, "name": model.licence.name, "source": model.licence.source}
    return {
        "role": model.role,
        "name": model.name,
        "sha256": model.sha256.hex() if model.sha256 else None,
        "identified": model.identified,
        "strength_model": model.strength_model,
        "strength_clip": model.strength_clip,
        "licence": licence,
        "source": model.source.value,
        "confidence": model.confidence.value,
        "evidence": model.evidence,
        "claimed_hash": model.claimed_hash,
        "air": model.air,
    }


def moment(at: datetime.datetime) -> str:
    """Return a time as reports spell it: ISO 8601, UTC, `Z`."""
    return at.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
