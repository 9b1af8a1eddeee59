"""Civitai's own generator: a comment that is a graph, with `extraMetadata` and AIR names (urn:air:…) beside its nodes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from memoryd.plugin_api.facts import FileTexts, NamedModel, Recipe
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.json_recipe import recipe_from
from memoryd_ingest_plugins.dialects.spoken import objects_under
from memoryd_ingest_plugins.dialects.values import Json

_AIR = re.compile(r"urn:air:[^:]*:([a-z]+):civitai:(\d+)(?:@(\d+))?", re.IGNORECASE)
_ROLES = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "locon": "loras",
    "lycoris": "loras",
    "dora": "loras",
    "embedding": "embeddings",
    "textualinversion": "embeddings",
    "upscaler": "upscale_models",
    "controlnet": "controlnet",
    "vae": "vae",
}


class Civitai:
    """Understands what Civitai's generator writes."""

    name = "civitai"
    version = "1"
    rank = 10

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what `extraMetadata` says, with the models of `extra.airs`."""
        for index, found in objects_under(file, "prompt", "parameters", "extrametadata"):
            extra = found.get("extraMetadata")
            said = values.object_of(extra) if isinstance(extra, str) else extra
            airs = values.items(values.part(found, "extra").get("airs"))
            if not isinstance(said, dict):
                said = {}
            if not said and not airs:
                continue
            recipe = recipe_from(
                # What it calls a base model is a family of models.
                {name: value for name, value in said.items() if name != "baseModel"},
                dialect=self.name,
                version=self.version,
                tool="civitai",
                place="extraMetadata",
                claimed=(index,),
                known=frozenset(("resources",)),
            )
            models = tuple(_models(airs, said.get("resources")))
            return dataclasses.replace(recipe, models=(*recipe.models, *models))
        return None


def _models(airs: list[Json], resources: Json) -> Iterator[NamedModel]:
    weights = {
        str(resource.get("modelVersionId")): values.number(resource.get("strength", resource.get("weight")))
        for resource in values.items(resources)
        if isinstance(resource, dict)
    }
    for air in airs:
        found = _AIR.match(air) if isinstance(air, str) else None
        role = _ROLES.get(found[1].lower()) if found else None
        if found is None or role is None or not isinstance(air, str):
            continue
        strength = weights.get(found[3] or "") if role == "loras" else None
        yield NamedModel(place="extra.airs", role=role, name=air, air=air, strength_model=strength)


dialect = Civitai()
