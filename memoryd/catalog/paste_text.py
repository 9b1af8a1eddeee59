"""An asset's recipe as the text that AUTOMATIC1111's web UI and its family paste: verbatim where the file carried one.

Where it did not, the text is made from stored facts; what is unknown, or has no word in that grammar, is left out.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping

from memoryd.catalog.asset_view import AssetView, GenerationView, ModelView, SamplerView
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.plugin_api.facts import Carrier
from memoryd.plugin_api.texts import text_of
from memoryd.workflows.documents import load_documents
from memoryd.workflows.facts import Polarity

TEXT_LIMIT = 4_000_000
"""Bytes of a document that is looked at for a verbatim text."""

_KEYS = {"parameters": "png:tEXt", "UserComment": "jpeg:exif", "comment": "jpeg:com"}
_STEPS = re.compile(r"^\s*Steps:\s*\d+", re.MULTILINE)
_PLAIN = re.compile(r"[^,:\"{}\[\]\n]*")
_HASH = re.compile(r"[0-9a-fA-F]{8,10}")
_SUFFIX = re.compile(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft)$", re.IGNORECASE)
_BASE = frozenset(("checkpoints", "diffusion_models", "unet", "unet_gguf"))

_SAMPLERS = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "lms": "LMS",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_sde_gpu": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_gpu": "DPM++ 2M SDE",
    "dpmpp_3m_sde": "DPM++ 3M SDE",
    "dpmpp_3m_sde_gpu": "DPM++ 3M SDE",
    "lcm": "LCM",
    "ddim": "DDIM",
    "uni_pc": "UniPC",
    "uni_pc_bh2": "UniPC",
}
"""ComfyUI's names of samplers in the other programs' words. Source: both programs' lists of k-diffusion samplers."""

_SCHEDULERS = {
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
    "normal": "Normal",
    "ddim_uniform": "DDIM",
    "beta": "Beta",
}

_COPIED = ("Clip skip", "RNG", "ENSD", "Distilled CFG Scale", "Shift")
"""Settings that mean the same everywhere."""


class RecipeNotKnown(NotFound):
    """How this asset was made is not known well enough for a text."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PasteText:
    """A recipe to paste. `verbatim`: exactly as the file carries it; else made from facts."""

    text: str
    verbatim: bool


def paste_text(session: Session, asset: AssetView) -> PasteText:
    """Return the recipe of an asset. Raises: RecipeNotKnown."""
    if (carried := _carried(session, asset)) is not None:
        return PasteText(text=carried, verbatim=True)
    for run in asset.generations:
        if text := text_of_facts(run):
            return PasteText(text=text, verbatim=False)
    raise RecipeNotKnown(asset.sha256.hex()[:12], hint="`memoryd attest` records what a person knows of it")


def _carried(session: Session, asset: AssetView) -> str | None:
    documents = [one for one in asset.documents if one.key in _KEYS]
    found: Mapping[bytes, bytes] = load_documents(session, [one.sha256 for one in documents]) if documents else {}
    for document in documents:
        raw = found.get(document.sha256, b"")
        if 0 < len(raw) <= TEXT_LIMIT:
            text = text_of(Carrier(place=_KEYS[document.key], key=document.key, raw=raw))
            if _STEPS.search(text) and not text.lstrip().startswith('{"'):
                return text
    return None


def text_of_facts(run: GenerationView) -> str | None:
    """Return one run's recipe as a text, None where it has neither a prompt nor a sampler."""
    positive = _joined(run, Polarity.POSITIVE)
    negative = _joined(run, Polarity.NEGATIVE)
    settings = [f"{name}: {_spelled(value)}" for name, value in _settings(run)]
    if not positive and not settings:
        return None
    tags = [tag for model in run.models if model.role == "loras" and (tag := _tag(model)) and tag not in positive]
    lines = [" ".join((positive, *(tag for tag in tags if _bare(tag) not in positive))).strip()]
    if negative:
        lines.append(f"Negative prompt: {negative}")
    if settings:
        lines.append(", ".join(settings))
    return "\n".join(lines)


def _joined(run: GenerationView, polarity: Polarity) -> str:
    return "\n".join(
        dict.fromkeys(use.text.strip() for use in run.prompts if use.polarity is polarity and use.text.strip())
    )


def _tag(model: ModelView) -> str:
    weight = 1.0 if model.strength_model is None else model.strength_model
    return f"<lora:{_name(model.name)}:{weight:g}>"


def _bare(tag: str) -> str:
    """The beginning of a tag, whatever its weight."""
    return tag.rpartition(":")[0] + ":"


def _settings(run: GenerationView) -> Iterator[tuple[str, str]]:
    last = next((use for use in run.samplers if use.final), run.samplers[-1] if run.samplers else None)
    if last is not None:
        yield from _sampling(last)
    if run.width and run.height:
        yield "Size", f"{run.width}x{run.height}"
    base = next((model for model in run.models if model.role in _BASE), None)
    if base is not None:
        if hashed := _model_hash(base):
            yield "Model hash", hashed
        yield "Model", _name(base.name)
    vae = next((model for model in run.models if model.role == "vae"), None)
    if vae is not None:
        yield "VAE", re.split(r"[\\/]", vae.name)[-1]
    given = dict(run.settings)
    yield from ((name, given[name]) for name in _COPIED if given.get(name))
    if last is not None and last.denoise is not None and last.denoise < 1:
        yield "Denoising strength", f"{last.denoise:g}"


def _sampling(use: SamplerView) -> Iterator[tuple[str, str]]:
    if use.steps is not None:
        yield "Steps", str(use.steps)
    if use.sampler:
        yield "Sampler", _SAMPLERS.get(use.sampler.removeprefix("sample_"), use.sampler)
    if use.scheduler and not (use.sampler or "").endswith(use.scheduler):
        yield "Schedule type", _SCHEDULERS.get(use.scheduler, use.scheduler)
    if use.cfg is not None:
        yield "CFG scale", f"{use.cfg:g}"
    if use.seed is not None:
        yield "Seed", str(use.seed)


def _model_hash(model: ModelView) -> str | None:
    """Ten digits of the content's SHA-256, as those programs show it; else what the file claims, if it is of that kind."""
    if model.sha256 is not None:
        return model.sha256.hex()[:10]
    return model.claimed_hash if model.claimed_hash and _HASH.fullmatch(model.claimed_hash) else None


def _name(name: str) -> str:
    return _SUFFIX.sub("", re.split(r"[\\/]", name)[-1])


def _spelled(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
