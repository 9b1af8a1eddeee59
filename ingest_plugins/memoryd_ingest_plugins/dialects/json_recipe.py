"""A recipe from a JSON object, or from single texts by name, whatever a tool calls its parts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping

from memoryd.plugin_api.facts import Confidence, NamedModel, Pass, Polarity, Recipe, Said
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.values import Json

_NAMES: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "positiveprompt", "positive"),
    "negative": ("negativeprompt", "negative", "negprompt", "uc"),
    "steps": ("steps", "numinferencesteps", "inferencesteps", "numberofinferencesteps", "samplingsteps", "numsteps"),
    "cfg": ("cfgscale", "cfg", "guidancescale", "scale", "guidance"),
    "seed": ("seed", "noiseseed"),
    "sampler": ("sampler", "samplername", "ksamplername", "samplermethod", "samplingmethod"),
    "scheduler": ("scheduler", "schedulername", "scheduletype", "schedule", "noiseschedule"),
    "denoise": ("denoisingstrength", "denoise", "promptstrength", "strength"),
    "width": ("width",),
    "height": ("height",),
    "size": ("resolution", "size", "imagesize"),
    "model": (
        "modelname",
        "basemodelname",
        "basemodel",
        "sdmodelname",
        "usestablediffusionmodel",
        "stablediffusionmodel",
        "checkpointname",
        "checkpoint",
        "ckptname",
        "model",
    ),
    "model_hash": ("modelhash", "basemodelhash", "sdmodelhash", "checkpointhash"),
    "vae": ("vae", "vaename", "usevaemodel", "vaemodel", "sdvae"),
    "refiner": ("refinermodel", "refinermodelname", "refiner"),
    "loras": ("loras", "lora", "useloramodel", "loramodel"),
    "lora_weights": ("loraweights", "loraalpha", "lorastrength"),
    "version": ("version", "appversion", "swarmversion"),
    "created": ("createdat", "created", "createddate", "date", "timestamp"),
}
_MEANING = {name: meaning for meaning, names in _NAMES.items() for name in names}
_LORA_NUMBERED = re.compile(r"lora(?:combined)?(\d+)")
_TAG = re.compile(r"<(?:lora:)?([^<>:]+)(?::(-?\d+(?:\.\d+)?))?>")
_WEIGHT_BEFORE = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s+-\s+(.+)")
_WEIGHT_BEHIND = re.compile(r"(.+?)\s*:\s*(-?\d+(?:\.\d+)?)\s*")
_BUILT_IN = frozenset(("automatic", "auto", "default", "default (model)", "built-in", "false", "true"))


def meanings_of(source: Mapping[str, Json]) -> dict[str, Json]:
    """Return the object's values by what they mean; of two names for one thing the more particular one counts."""
    found: dict[str, tuple[int, Json]] = {}
    for key, value in source.items():
        name = re.sub(r"[^a-z0-9]", "", key.lower())
        meaning = _MEANING.get(name)
        if meaning is None or value is None:
            continue
        order = _NAMES[meaning].index(name)
        if meaning not in found or order < found[meaning][0]:
            found[meaning] = order, value
    return {meaning: value for meaning, (_, value) in found.items()}


def speaks(meanings: Mapping[str, Json], *, least: int = 2) -> bool:
    """Tell whether an object surely is a recipe: a prompt, and so many other parts of one."""
    if not isinstance(meanings.get("prompt"), str):
        return False
    others = ("steps", "cfg", "seed", "sampler", "model", "size", "width")
    return sum(1 for other in others if other in meanings) >= least


def recipe_from(
    source: Mapping[str, Json],
    *,
    dialect: str,
    version: str,
    tool: str,
    place: str,
    claimed: tuple[int, ...] = (),
    known: frozenset[str] = frozenset(),
) -> Recipe:
    """Return the recipe of an object. `known` are names that the caller reads itself: they are left out of the settings."""
    said = meanings_of(source)
    width, height = values.pixels(said.get("width")), values.pixels(said.get("height"))
    if width is None or height is None:
        width, height = values.size(said.get("size"))
    mapped = frozenset(key for key in source if re.sub(r"[^a-z0-9]", "", key.lower()) in _MEANING)
    numbered = frozenset(key for key in source if _LORA_NUMBERED.match(re.sub(r"[^a-z0-9]", "", key.lower())))
    return Recipe(
        dialect=dialect,
        version=version,
        tool=tool,
        tool_version=values.word(said.get("version")),
        generated=True,
        passes=_passes(said, place),
        texts=texts_of(said, place),
        models=tuple(_models(source, said, place)),
        width=width,
        height=height,
        settings=values.plain_settings(source, mapped | numbered | known),
        made_at=values.when(said.get("created")),
        claimed=claimed,
    )


def texts_of(said: Mapping[str, Json], place: str) -> tuple[Said, ...]:
    """Return the prompt and the negative prompt, where they are not blank."""
    return tuple(
        Said(place=place, polarity=polarity, text=written)
        for meaning, polarity in (("prompt", Polarity.POSITIVE), ("negative", Polarity.NEGATIVE))
        if values.word(said.get(meaning)) and (written := values.text(said.get(meaning)))
    )


def _passes(said: Mapping[str, Json], place: str) -> tuple[Pass, ...]:
    one = Pass(
        place=place,
        seed=values.whole(said.get("seed")),
        steps=values.count(said.get("steps")),
        cfg=values.number(said.get("cfg")),
        sampler=values.word(said.get("sampler")),
        scheduler=values.word(said.get("scheduler")),
        denoise=values.number(said.get("denoise")),
        final=True,
    )
    empty = dataclasses.replace(one, place="", final=False)
    return () if empty == Pass(place="") else (one,)


def _models(source: Mapping[str, Json], said: Mapping[str, Json], place: str) -> Iterator[NamedModel]:
    name, hashed = name_and_hash(said.get("model"))
    if name:
        yield NamedModel(
            place=place, role="checkpoints", name=name, claimed_hash=hashed or values.word(said.get("model_hash"))
        )
    for meaning, role in (("refiner", "checkpoints"), ("vae", "vae")):
        name, hashed = name_and_hash(said.get(meaning))
        if name and name.lower() not in _BUILT_IN:
            yield NamedModel(place=place, role=role, name=name, claimed_hash=hashed)
    yield from loras_of(said.get("loras"), place, said.get("lora_weights"))
    for key, value in source.items():
        if _LORA_NUMBERED.fullmatch(re.sub(r"[^a-z0-9]", "", key.lower())) and isinstance(value, str):
            yield from loras_of([value], place)


def name_and_hash(value: Json) -> tuple[str | None, str | None]:
    """Return a model's name and claimed hash: it may be a word, a path, or an object that has them."""
    if not isinstance(value, dict):
        return values.word(value), None
    for key in ("modelFileName", "name", "model_name", "modelName", "file_name", "path", "label", "key"):
        if name := values.word(value.get(key)):
            return name, values.word(value.get("hash"))
    return None, None


def loras_of(value: Json, place: str, weights: Json = None) -> Iterator[NamedModel]:
    """Yield the LoRAs of a list, whatever its items look like: names, `name : weight`, `weight - name`, lists, objects."""
    if isinstance(value, str):
        value = list(value.split(",")) if "," in value else [value]
    heavy: list[Json] = weights if isinstance(weights, list) else [weights]
    if isinstance(weights, str) and "," in weights:
        heavy = list(weights.split(","))
    for index, item in enumerate(values.items(value)):
        found = _lora(item)
        if found is None:
            continue
        name, weight, hashed = found
        if weight is None and index < len(heavy):
            weight = values.number(heavy[index])
        yield NamedModel(place=place, role="loras", name=name, claimed_hash=hashed, strength_model=weight)


def _lora(item: Json) -> tuple[str, float | None, str | None] | None:
    if isinstance(item, str):
        written = values.word(item)
        if written is None:
            return None
        if len(written) > values.NAME_LIMIT:
            return written, None, None
        if tag := _TAG.fullmatch(written):
            return _named(tag[1], values.number(tag[2]), None)
        if before := _WEIGHT_BEFORE.fullmatch(written):
            return before[2].strip(), values.number(before[1]), None
        if behind := _WEIGHT_BEHIND.fullmatch(written):
            return _named(behind[1], values.number(behind[2]), None)
        return written, None, None
    if isinstance(item, list):
        texts = [text for text in item if isinstance(text, str) and values.word(text)]
        weight = next((values.number(other) for other in item if not isinstance(other, str)), None)
        # The longer text with a suffix is the name, the other one its hash.
        texts.sort(key=lambda text: not re.search(r"\.\w{2,12}\b|[\s_-]", text))
        if not texts:
            return None
        inner = _lora(texts[0])
        if inner is None:
            return None
        hashed = next((text for text in texts[1:] if re.fullmatch(r"[0-9A-Fa-f]{8,64}", text)), None)
        return inner[0], inner[1] if inner[1] is not None else weight, hashed
    if isinstance(item, dict):
        name, hashed = name_and_hash(item)
        for inner_key in ("lora", "model"):
            if name is None or isinstance(item.get(inner_key), dict):
                name, hashed = name_and_hash(item.get(inner_key)) if item.get(inner_key) else (name, hashed)
        weight = next(
            (values.number(item[key]) for key in ("weight", "strength", "scale", "alpha", "multiplier") if key in item),
            None,
        )
        return _named(name, weight, hashed or values.word(item.get("hash")))
    return None


def _named(name: str | None, weight: float | None, hashed: str | None) -> tuple[str, float | None, str | None] | None:
    plain = values.word(name)
    return None if plain is None else (plain, weight, hashed)


def lowered(recipe: Recipe, confidence: Confidence) -> Recipe:
    """Return the recipe with every fact said with this confidence."""
    return dataclasses.replace(
        recipe,
        passes=tuple(dataclasses.replace(one, confidence=confidence) for one in recipe.passes),
        texts=tuple(dataclasses.replace(one, confidence=confidence) for one in recipe.texts),
        models=tuple(dataclasses.replace(one, confidence=confidence) for one in recipe.models),
    )
