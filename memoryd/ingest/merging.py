"""One account of a making out of several: the graph's, and those of the texts beside it.

The graph says what was executed: its files and seeds stand. The texts fill in what it does not say, give its models their
hashes, and where the two contradict each other, that is a finding which names both.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence

from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.plugin_api.facts import Confidence, Recipe
from memoryd.workflows.facts import (
    InputUse,
    ModelUse,
    Parameters,
    Polarity,
    PromptUse,
    SamplerUse,
    Source,
)

BASE_ROLES = frozenset(("checkpoints", "diffusion_models", "unet", "unet_gguf", "diffusers"))
"""Folders of the models that a picture is made by."""

_SHOWN = 120
"""Characters of a value that a finding shows."""

_NOBODY = "unknown"

_SETTINGS_TEXT_TOOLS = frozenset(("automatic1111", "forge", "reforge", "forge-neo", "forge-classic", _NOBODY))
"""Whose grammar ComfyUI's savers write: beside a graph it does not tell the tool."""

_SUFFIX = re.compile(r"\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft|onnx)$", re.IGNORECASE)

_PRIVATE_NAME = re.compile(r"EMS-\d+(?:-[A-Z]+)?(?:\.\w+)?")
"""Names that a site's own graphs use for its files, and nobody else knows. Source: files of Tensor.Art."""


def believed(recipes: Sequence[Recipe]) -> tuple[Recipe, ...]:
    """Return the recipes without those whose carriers more particular dialects have understood already."""
    claimed: set[int] = set()
    kept = []
    for recipe in recipes:
        if recipe.claimed and claimed.issuperset(recipe.claimed):
            continue
        claimed.update(recipe.claimed)
        kept.append(recipe)
    return tuple(kept)


def parameters_of(recipes: Sequence[Recipe]) -> Parameters | None:
    """Return what the recipes say together, the first one's word counting; None where they name nothing of a making."""
    if not recipes:
        return None
    base: Parameters | None = None
    for recipe in recipes:
        told = _parameters(recipe)
        base = told if base is None else _filled(base, told)
    if base is None or not (
        base.samplers or base.prompts or base.models or base.generates or any(recipe.links for recipe in recipes)
    ):
        return None
    return base


def merged(graph: Parameters, text: Parameters) -> Parameters:
    """Return the graph's parameters, completed by a text's, with a finding for each contradiction."""
    findings = [*graph.findings, *text.findings]
    if graph.generates:
        findings += _contradictions(graph, text)
    prompts = _prompts(graph, text)
    return dataclasses.replace(
        graph,
        samplers=graph.samplers or text.samplers,
        prompts=prompts,
        models=_models(graph, text),
        inputs=graph.inputs or text.inputs,
        width=graph.width or text.width,
        height=graph.height or text.height,
        generates=graph.generates or text.generates,
        tool=graph.tool if text.tool in _SETTINGS_TEXT_TOOLS else text.tool or graph.tool,
        tool_version=None if text.tool in _SETTINGS_TEXT_TOOLS or text.tool == "comfyui" else text.tool_version,
        settings=text.settings,
        findings=tuple(findings),
    )


def same_name(name: str) -> str:
    """Return a model's name as two carriers can be compared: without folder, suffix and case."""
    return _SUFFIX.sub("", re.split(r"[\\/]", name)[-1]).casefold()


def _parameters(recipe: Recipe) -> Parameters:
    tool = storable(recipe.tool)[0]

    def clean(text: str) -> str:
        return storable(text)[0]

    def word(text: str | None) -> str | None:
        return None if text is None else storable(text)[0]

    return Parameters(
        node=None,
        certain=False,
        samplers=tuple(
            SamplerUse(
                node=one.place,
                class_type=tool,
                seed=one.seed,
                steps=one.steps,
                cfg=one.cfg,
                sampler=word(one.sampler),
                scheduler=word(one.scheduler),
                denoise=one.denoise,
                source=Source.TEXT,
                confidence=one.confidence,
                final=one.final,
            )
            for one in recipe.passes
        ),
        prompts=tuple(
            PromptUse(
                node=said.place,
                input="",
                polarity=said.polarity,
                text=clean(said.text),
                is_template=said.is_template,
                source=Source.TEXT,
                confidence=said.confidence,
            )
            for said in recipe.texts
        ),
        models=tuple(
            ModelUse(
                node=model.place,
                input="",
                class_type=tool,
                role=model.role,
                name=clean(model.name),
                strength_model=model.strength_model,
                strength_clip=model.strength_clip,
                claimed_hash=word(model.claimed_hash),
                air=word(model.air),
                evidence="text",
                source=Source.TEXT,
                confidence=model.confidence,
            )
            for model in recipe.models
        ),
        inputs=tuple(
            InputUse(node=given.place, input="", class_type=tool, name=clean(given.name), source=Source.TEXT)
            for given in recipe.inputs
        ),
        width=recipe.width,
        height=recipe.height,
        generates=bool(recipe.generated),
        tool=tool,
        tool_version=word(recipe.tool_version),
        settings=tuple((clean(key), clean(value)) for key, value in recipe.settings),
        findings=recipe.findings,
    )


def _filled(base: Parameters, other: Parameters) -> Parameters:
    return dataclasses.replace(
        base,
        samplers=base.samplers or other.samplers,
        prompts=base.prompts or other.prompts,
        models=_with_hashes(base.models, other.models) or other.models,
        inputs=base.inputs or other.inputs,
        width=base.width or other.width,
        height=base.height or other.height,
        generates=base.generates or other.generates,
        tool=other.tool if base.tool == _NOBODY else base.tool,
        tool_version=other.tool_version if base.tool == _NOBODY else base.tool_version,
        settings=(*base.settings, *(pair for pair in other.settings if pair not in base.settings)),
        findings=(*base.findings, *other.findings),
    )


def _prompts(graph: Parameters, text: Parameters) -> tuple[PromptUse, ...]:
    if not graph.prompts:
        return text.prompts
    kept: list[PromptUse] = []
    is_backend = text.tool not in _SETTINGS_TEXT_TOOLS and text.tool != "comfyui"
    for polarity in Polarity:
        own = [use for use in graph.prompts if use.polarity is polarity]
        others = [
            use
            for use in text.prompts
            if use.polarity is polarity and not use.is_template and use.confidence is not Confidence.LOW
        ]
        if others and all(use.is_template for use in own or graph.prompts):
            # The graph has the template, its saver wrote down what became of it.
            kept += [dataclasses.replace(use, confidence=Confidence.MEDIUM) for use in others]
        elif others and own and is_backend:
            # Where ComfyUI only served another tool, what the person wrote there comes first: the tool takes comments and
            # its own words out of it. Of the graph only what says more is kept.
            written = _words(" ".join(use.text for use in others))
            kept += others
            kept += [use for use in own if not _words(use.text) <= written]
        else:
            kept += own
    return tuple(kept)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text.casefold()))


def _models(graph: Parameters, text: Parameters) -> tuple[ModelUse, ...]:
    bases = [use for use in graph.models if use.role in BASE_ROLES]
    told = [use for use in text.models if use.role in BASE_ROLES]
    models = graph.models
    if len(bases) == len(told) == 1 and _PRIVATE_NAME.fullmatch(bases[0].name):
        named = dataclasses.replace(
            bases[0], name=told[0].name, claimed_hash=told[0].claimed_hash, confidence=Confidence.MEDIUM
        )
        models = tuple(named if use is bases[0] else use for use in models)
    elif not bases and not graph.generates:
        models = (*models, *told)
    if not any(use.role == "loras" for use in models) and not graph.generates:
        models = (*models, *(use for use in text.models if use.role == "loras"))
    return _with_hashes(models, text.models)


def _with_hashes(models: tuple[ModelUse, ...], others: Iterable[ModelUse]) -> tuple[ModelUse, ...]:
    known = {same_name(use.name): use for use in others if use.claimed_hash or use.air}
    if not known:
        return models
    return tuple(
        use
        if (other := known.get(same_name(use.name))) is None
        else dataclasses.replace(use, claimed_hash=use.claimed_hash or other.claimed_hash, air=use.air or other.air)
        for use in models
    )


def _contradictions(graph: Parameters, text: Parameters) -> list[Finding]:
    found = []

    def compare(what: str, said_by: Callable[[Parameters], list[str]], same: Callable[[str], str]) -> None:
        mine, other = said_by(graph), said_by(text)
        if mine and other and not {same(value) for value in mine} & {same(value) for value in other}:
            detail = f"{what}: the graph says {_short(mine)}, {text.tool or 'the text'} says {_short(other)}"
            found.append(Finding(code="carriers-disagree", detail=detail, where=what))

    compare("seed", _seeds, str)
    compare("model", _bases, same_name)
    if not any(use.is_template for use in graph.prompts):
        compare("prompt", _positives, _squeezed)
    return found


def _seeds(side: Parameters) -> list[str]:
    return [str(use.seed) for use in side.samplers if use.seed is not None]


def _bases(side: Parameters) -> list[str]:
    return [
        use.name
        for use in side.models
        if use.role in BASE_ROLES and not _PRIVATE_NAME.fullmatch(use.name) and not use.air
    ]


def _positives(side: Parameters) -> list[str]:
    texts = [
        use.text
        for use in side.prompts
        if use.polarity is Polarity.POSITIVE and use.text.strip() and use.confidence is not Confidence.LOW
    ]
    return [*texts, " ".join(texts)] if len(texts) > 1 else texts


def _squeezed(text: str) -> str:
    return re.sub(r"[\s,]+", " ", text).strip().casefold()


def _short(values: Sequence[str]) -> str:
    told = ", ".join(storable(value)[0] for value in values[:3])
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}…"
