"""Tensor.Art: `generation_data`, beside a graph whose model names are its own numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from memoryd.plugin_api.facts import FileTexts, NamedModel, Recipe
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.json_recipe import meanings_of, name_and_hash, recipe_from, speaks
from memoryd_ingest_plugins.dialects.spoken import texts_under
from memoryd_ingest_plugins.dialects.values import Json, object_of

_ROLES = {
    "BASE_MODEL": "checkpoints",
    "CHECKPOINT": "checkpoints",
    "LORA": "loras",
    "LOCON": "loras",
    "DORA": "loras",
    "EMBEDDING": "embeddings",
    "TEXTUAL_INVERSION": "embeddings",
    "CONTROLNET": "controlnet",
    "VAE": "vae",
}


class TensorArt:
    """Understands Tensor.Art."""

    name = "tensorart"
    version = "1"
    rank = 10

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what `generation_data` says."""
        for index, text in texts_under(file, "generation_data"):
            found = object_of(text)
            if found is None or not speaks(meanings_of(found), least=1):
                continue
            recipe = recipe_from(
                found,
                dialect=self.name,
                version=self.version,
                tool="tensorart",
                place="generation_data",
                claimed=(index,),
                known=frozenset(("models",)),
            )
            return dataclasses.replace(recipe, models=(*recipe.models, *_models(found.get("models"))))
        return None


def _models(listed: Json) -> Iterator[NamedModel]:
    for model in values.items(listed):
        name, hashed = name_and_hash(model)
        role = _ROLES.get(str(model.get("type", "")).upper()) if isinstance(model, dict) else None
        if isinstance(model, dict) and name and role:
            yield NamedModel(
                place="generation_data.models",
                role=role,
                name=name,
                claimed_hash=hashed,
                strength_model=values.number(model.get("weight")),
            )


dialect = TensorArt()
