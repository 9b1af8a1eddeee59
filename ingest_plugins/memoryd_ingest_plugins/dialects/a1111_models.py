"""The model files that a settings line and the tags of a prompt name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator

from memoryd.plugin_api.facts import Confidence, NamedModel
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.a1111_text import SettingsText, read_pairs

TAGS_LIMIT = 500
"""Network tags of one prompt that are read."""

_TAG = re.compile(r"<(lora|lyco|hypernet):([^:<>\n]{1,200})((?::[^:<>\n]{0,60}){0,8})>", re.IGNORECASE)
_WITH_HASH = re.compile(r"(.+?)\s*\[([0-9a-fA-F]{6,64})\]")
_BARE_HASH = re.compile(r"[0-9a-fA-F]{8,64}")
_SUFFIX = re.compile(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft)$", re.IGNORECASE)
_ROLES = {"lora": "loras", "lyco": "loras", "hypernet": "hypernetworks"}
_BUILT_IN_VAE = frozenset(
    ("automatic", "auto", "default", "default (model)", "built-in", "built in", "baked vae", "baked", "unknown")
)
_SDNEXT_FILES = (
    ("unet", "diffusion_models"),
    ("te", "text_encoders"),
    ("embeddings", "embeddings"),
    ("control model", "controlnet"),
    ("detailer", "ultralytics"),
)
"""Settings that name files, in SD.Next's words."""

_BUILT_IN_UPSCALERS = ("latent", "lanczos", "nearest", "bicubic", "bilinear", "area", "pixelart", "resize")
_ENCODER_WORDS = re.compile(r"clip|t5|qwen|llama|gemma|mistral|text_enc|textenc|llm|byt5|bert", re.IGNORECASE)
_CONTROL_UNIT = re.compile(r"controlnet[ -](\d+)")


def named_models(read: SettingsText, prompts: Iterable[str]) -> tuple[NamedModel, ...]:
    """Return every model that the text names, base models first; each once, with its hash where the text has one."""
    hashes = _hashes(read)
    found = [
        *_base(read, hashes),
        *_vae_and_encoders(read, hashes),
        *_networks(read, prompts, hashes),
        *_embeddings(read, hashes),
        *_control_units(read),
        *_upscalers(read),
        *_detectors(read),
    ]
    distinct: dict[tuple[str, str], NamedModel] = {}
    for model in found:
        distinct.setdefault((model.role, plain_name(model.name)), model)
    return tuple(distinct.values())


def plain_name(name: str) -> str:
    """Return a model's name as compared: without folder, suffix and case."""
    return _SUFFIX.sub("", re.split(r"[\\/]", name)[-1]).casefold()


def network_tags(prompt: str, place: str) -> Iterator[NamedModel]:
    """Yield the networks that a prompt's tags name: `<lora:name:text encoder weight:model weight>`."""
    for index, found in enumerate(_TAG.finditer(prompt)):
        if index == TAGS_LIMIT:
            return
        clip, model = _weights(found[3].split(":")[1:])
        yield NamedModel(
            place=place, role=_ROLES[found[1].lower()], name=found[2].strip(), strength_model=model, strength_clip=clip
        )


def _weights(parts: list[str]) -> tuple[float | None, float | None]:
    named: dict[str, float | None] = {}
    plain: list[float] = []
    for written in parts:
        name, equals, value = written.partition("=")
        if equals:
            named[name.strip().lower()] = values.number(value)
        elif (weight := values.number(written)) is not None:
            plain.append(weight)
    clip = named.get("te", plain[0] if plain else None)
    return clip, named.get("unet", plain[1] if len(plain) > 1 else clip)


def _hashes(read: SettingsText) -> dict[str, str]:
    """Hash by `model`, `vae`, `lora:name`, `embed:name`, all in lower case."""
    found: dict[str, str] = {}
    for name, value in (values.object_of(read.value("hashes") or "") or {}).items():
        if hashed := values.word(value):
            found.setdefault(name.lower(), hashed)
    for key, kind in (("lora hashes", "lora"), ("ti hashes", "embed"), ("lyco hashes", "lora")):
        for name, hashed in read_pairs(read.value(key) or "").items():
            found.setdefault(f"{kind}:{name}", hashed)
    return found


def _base(read: SettingsText, hashes: dict[str, str]) -> Iterator[NamedModel]:
    name = values.word(read.value("model"))
    claimed = values.word(read.value("model hash")) or hashes.get("model")
    if name:
        yield NamedModel(place="Model", role="checkpoints", name=name, claimed_hash=claimed)
    elif name is None:
        yield from _resources(read, ("checkpoint", "checkpoints", "model"), "checkpoints", claimed)
    for key in ("Refiner", "Hires checkpoint"):
        if (written := values.word(read.value(key.lower()))) and written.lower() != "use same checkpoint":
            plain, hashed = _split(written)
            yield NamedModel(place=key, role="checkpoints", name=plain, claimed_hash=hashed)


def _resources(
    read: SettingsText, kinds: tuple[str, ...], role: str, claimed: str | None = None
) -> Iterator[NamedModel]:
    """What the model site says it used: only what it names."""
    for resource in values.items(values.json_of(read.value("civitai resources") or "")):
        if not isinstance(resource, dict) or str(resource.get("type", "")).lower() not in kinds:
            continue
        if name := values.word(resource.get("modelName")):
            yield NamedModel(
                place="Civitai resources",
                role=role,
                name=name,
                claimed_hash=claimed or values.word(resource.get("hash")),
                air=values.word(resource.get("air")),
                strength_model=values.number(resource.get("weight")) if role == "loras" else None,
            )


def _vae_and_encoders(read: SettingsText, hashes: dict[str, str]) -> Iterator[NamedModel]:
    name = values.word(read.value("vae"))
    if name and name.lower() not in _BUILT_IN_VAE:
        claimed = values.word(read.value("vae hash")) or hashes.get("vae")
        yield NamedModel(place="VAE", role="vae", name=name, claimed_hash=claimed)
    for key, role in _SDNEXT_FILES:
        for name in re.split(r"[,;]", read.value(key) or ""):
            if (plain := values.word(name)) and plain.lower() not in _BUILT_IN_VAE:
                yield NamedModel(place=key, role=role, name=plain)
    for key, value in read.settings:
        # Forge names the files it loads beside the model, without saying what they are.
        if key.lower().startswith("module ") and key[7:].isdigit() and (name := values.word(value)):
            role = "text_encoders" if _ENCODER_WORDS.search(name) else "vae"
            yield NamedModel(place=key, role=role, name=name, confidence=Confidence.MEDIUM)


def _networks(read: SettingsText, prompts: Iterable[str], hashes: dict[str, str]) -> Iterator[NamedModel]:
    known = {
        plain_name(key.partition(":")[2]): value for key, value in hashes.items() if key.startswith(("lora:", "lyco:"))
    }
    named: set[str] = set()
    for prompt in prompts:
        for tag in network_tags(prompt, "prompt"):
            named.add(plain_name(tag.name))
            yield dataclasses.replace(tag, claimed_hash=known.get(plain_name(tag.name)))
    for written, hashed in _as_written(read):
        if plain_name(written) not in named:
            named.add(plain_name(written))
            yield NamedModel(place="Lora hashes", role="loras", name=written, claimed_hash=hashed)
    for name, bare_hash in _sdnext_networks(read):
        if plain_name(name) not in named:
            named.add(plain_name(name))
            yield NamedModel(place="LoRA networks", role="loras", name=name, claimed_hash=bare_hash)
    if not named:
        yield from _resources(read, ("lora", "locon", "dora", "lycoris"), "loras")


def _as_written(read: SettingsText) -> Iterator[tuple[str, str]]:
    for key in ("lora hashes", "lyco hashes"):
        for pair in (read.value(key) or "").split(","):
            name, colon, hashed = pair.rpartition(":")
            if colon and (plain := values.word(name)):
                yield plain, hashed.strip()
    for name, hashed_value in (values.object_of(read.value("hashes") or "") or {}).items():
        kind, colon, plain = name.partition(":")
        if colon and kind.lower() in ("lora", "lyco") and plain.strip() and (text := values.word(hashed_value)):
            yield plain.strip(), text


def _sdnext_networks(read: SettingsText) -> Iterator[tuple[str, str | None]]:
    """Names and hashes of SD.Next, which stand in two lists of the same order."""
    hashes = [hashed.strip() for hashed in (read.value("lora hashes") or "").split(",")]
    names = re.split(r"[,;]", read.value("lora networks") or "")
    for index, written in enumerate(names):
        if plain := values.word(written.partition(":")[0]):
            hashed = hashes[index] if len(hashes) == len(names) and _BARE_HASH.fullmatch(hashes[index]) else None
            yield plain, hashed


def _embeddings(read: SettingsText, hashes: dict[str, str]) -> Iterator[NamedModel]:
    names = {name for pair in (read.value("ti hashes") or "").split(",") if (name := pair.rpartition(":")[0].strip())}
    names |= {
        name.partition(":")[2]
        for name in values.object_of(read.value("hashes") or "") or {}
        if name.lower().startswith(("embed:", "embedding:"))
    }
    for name in sorted(names):
        if name.strip():
            yield NamedModel(
                place="TI hashes", role="embeddings", name=name, claimed_hash=hashes.get(f"embed:{name.lower()}")
            )
    if not names:
        yield from _resources(read, ("embed", "embedding", "textualinversion"), "embeddings")


def _control_units(read: SettingsText) -> Iterator[NamedModel]:
    for key, value in read.settings:
        lower = key.lower()
        if _CONTROL_UNIT.fullmatch(lower) or lower == "controlnet":
            unit = read_pairs(value)
            name, weight = values.word(unit.get("model")), values.number(unit.get("weight"))
        elif lower.endswith(" model") and _CONTROL_UNIT.fullmatch(lower.removesuffix(" model")):
            # What was written before units were quoted: `ControlNet-0 Model: …, ControlNet-0 Weight: …`.
            name, weight = values.word(value), values.number(read.value(lower.removesuffix("model") + "weight"))
        elif lower == "controlnet model":
            name, weight = values.word(value), values.number(read.value("controlnet weight"))
        else:
            continue
        if name:
            plain, hashed = _split(name)
            yield NamedModel(place=key, role="controlnet", name=plain, claimed_hash=hashed, strength_model=weight)


def _upscalers(read: SettingsText) -> Iterator[NamedModel]:
    for key, value in read.settings:
        lower = key.lower()
        if lower in ("hires upscaler", "upscaler", "refiner upscaler") or lower.endswith((" upscaler", "upscaler 2")):
            name = values.word(value)
            if name and not name.lower().startswith(_BUILT_IN_UPSCALERS):
                yield NamedModel(place=key, role="upscale_models", name=name)


def _detectors(read: SettingsText) -> Iterator[NamedModel]:
    for key, value in read.settings:
        lower = key.lower()
        if lower.startswith("adetailer model") and (name := values.word(value)) and "mediapipe" not in name.lower():
            yield NamedModel(place=key, role="ultralytics", name=name)
        elif lower.startswith("adetailer checkpoint") and (name := values.word(value)):
            plain, hashed = _split(name)
            if plain.lower() != "use same checkpoint":
                yield NamedModel(place=key, role="checkpoints", name=plain, claimed_hash=hashed)


def _split(written: str) -> tuple[str, str | None]:
    found = _WITH_HASH.fullmatch(written) if len(written) <= values.NAME_LIMIT else None
    return (found[1], found[2]) if found else (written, None)
