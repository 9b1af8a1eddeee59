"""SwarmUI: JSON with `sui_image_params`, under `parameters` or in a comment; its resolved prompt, all its model slots."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from memoryd.plugin_api.facts import FileTexts, NamedInput, NamedModel, Pass, Recipe
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.json_recipe import recipe_from
from memoryd_ingest_plugins.dialects.spoken import objects_under
from memoryd_ingest_plugins.dialects.values import Json

_SLOTS = (
    ("refinermodel", "checkpoints"),
    ("videomodel", "diffusion_models"),
    ("videoswapmodel", "diffusion_models"),
    ("segmentmodel", "checkpoints"),
    ("regionalmodel", "checkpoints"),
    ("vae", "vae"),
    ("refinervae", "vae"),
    ("cliplmodel", "text_encoders"),
    ("clipgmodel", "text_encoders"),
    ("clipvisionmodel", "clip_vision"),
    ("t5xxlmodel", "text_encoders"),
    ("llavamodel", "text_encoders"),
    ("llamamodel", "text_encoders"),
    ("qwenmodel", "text_encoders"),
    ("mistralmodel", "text_encoders"),
    ("gemmamodel", "text_encoders"),
    ("controlnetmodel", "controlnet"),
    ("controlnettwomodel", "controlnet"),
    ("controlnetthreemodel", "controlnet"),
    ("ipadaptermodel", "ipadapter"),
    ("stylemodel", "style_models"),
)
_SAME = frozenset(("(use base)", "(none)", "automatic"))
_UNRESOLVED = re.compile(r"<(?:random|wildcard|setvar|setmacro|macro|var|alternate)\b", re.IGNORECASE)
"""What stands for words that were chosen while it ran: older versions kept only this."""

_UPSCALE = ("model-", "latentmodel-")
_NOT_SETTINGS = frozenset(name for name, _ in _SLOTS) | {"swarm_version"}


class SwarmUI:
    """Understands SwarmUI's parameters."""

    name = "swarmui"
    version = "1"
    rank = 10

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what `sui_image_params` says, with the hashes of `sui_models`."""
        for index, found in objects_under(file, "parameters"):
            parameters = found.get("sui_image_params")
            if isinstance(parameters, dict):
                return self._recipe(found, parameters, index)
        return None

    def _recipe(self, found: dict[str, Json], parameters: dict[str, Json], index: int) -> Recipe:
        recipe = recipe_from(
            parameters,
            dialect=self.name,
            version=self.version,
            tool="swarmui",
            place="sui_image_params",
            claimed=(index,),
            known=_NOT_SETTINGS,
        )
        hashes = dict(_hashes(found.get("sui_models")))
        models = [model for model in recipe.models if model.role not in ("vae",) and model.name.lower() not in _SAME]
        base = [model for model in models if model.role == "loras" or model.name == parameters.get("model")]
        base += list(_slots(parameters))
        extra = values.part(found, "sui_extra_data")
        settings = [*recipe.settings]
        if original := values.text(extra.get("original_prompt")):
            settings.append(("original_prompt", original))
        return dataclasses.replace(
            recipe,
            tool_version=values.word(parameters.get("swarm_version")),
            passes=_passes(recipe, parameters),
            texts=tuple(
                dataclasses.replace(said, is_template=_UNRESOLVED.search(said.text) is not None)
                for said in recipe.texts
            ),
            models=tuple(dataclasses.replace(model, claimed_hash=_hash(model.name, hashes)) for model in base),
            inputs=tuple(_inputs(parameters)),
            settings=tuple(settings),
            made_at=values.when(extra.get("date")),
        )


def _passes(recipe: Recipe, parameters: dict[str, Json]) -> tuple[Pass, ...]:
    passes = tuple(
        dataclasses.replace(one, denoise=values.number(parameters.get("initimagecreativity"))) for one in recipe.passes
    )
    control = values.number(parameters.get("refinercontrolpercentage"))
    if control is None or not control or not passes or "refinermethod" not in parameters:
        return passes
    main = passes[-1]
    refiner = Pass(
        place="refiner",
        steps=values.count(parameters.get("refinersteps")) or main.steps,
        cfg=values.number(parameters.get("refinercfgscale")) or main.cfg,
        sampler=values.word(parameters.get("refinersampler")) or main.sampler,
        scheduler=values.word(parameters.get("refinerscheduler")) or main.scheduler,
        denoise=control,
        final=True,
    )
    return (dataclasses.replace(main, final=False), refiner)


def _slots(parameters: dict[str, Json]) -> Iterator[NamedModel]:
    for slot, role in _SLOTS:
        name = values.word(parameters.get(slot))
        if name and name.lower() not in _SAME:
            yield NamedModel(place=slot, role=role, name=name)
    method = values.word(parameters.get("refinerupscalemethod")) or ""
    for prefix in _UPSCALE:
        if method.startswith(prefix):
            yield NamedModel(place="refinerupscalemethod", role="upscale_models", name=method.removeprefix(prefix))


def _hashes(models: Json) -> Iterator[tuple[str, str]]:
    for model in values.items(models):
        if isinstance(model, dict):
            name, hashed = values.word(model.get("name")), values.word(model.get("hash"))
            if name and hashed:
                yield _bare(name), hashed


def _hash(name: str, hashes: dict[str, str]) -> str | None:
    return hashes.get(_bare(name))


def _bare(name: str) -> str:
    for suffix in (".safetensors", ".sft", ".gguf", ".ckpt", ".pth", ".pt"):
        name = name.removesuffix(suffix)
    return name.replace("\\", "/").casefold()


def _inputs(parameters: dict[str, Json]) -> Iterator[NamedInput]:
    for key in ("initimage", "controlnetimageinput", "promptimages"):
        name = values.word(parameters.get(key))
        if name and len(name) < 300 and not name.startswith("data:"):
            yield NamedInput(place=key, name=name)


dialect = SwarmUI()
