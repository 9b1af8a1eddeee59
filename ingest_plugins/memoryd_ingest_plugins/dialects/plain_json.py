"""Recipes as JSON of tools that have no dialect of their own: spaces of Hugging Face, Easy Diffusion in JPEG, scripts.

An object counts only where it says a prompt and at least three other parts of a recipe.
"""

from __future__ import annotations

import dataclasses

from memoryd.plugin_api.facts import Confidence, FileTexts, Recipe
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.json_recipe import lowered, meanings_of, recipe_from, speaks
from memoryd_ingest_plugins.dialects.spoken import objects_under
from memoryd_ingest_plugins.dialects.values import Json


class PlainJson:
    """Understands an object by the names of its parts."""

    name = "plain_json"
    version = "1"
    rank = 80

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what the first object with a prompt and three other parts says."""
        for index, found in objects_under(file, "parameters", "metadata", "generation_parameters", "sd-metadata"):
            if not speaks(meanings_of(found), least=3):
                continue
            tool = _tool(found)
            recipe = recipe_from(
                found,
                dialect=self.name,
                version=self.version,
                tool=tool,
                place=file.carriers[index].key,
                claimed=(index,),
            )
            upscaled = found.get("use_upscaler")
            if isinstance(upscaled, dict):
                recipe = dataclasses.replace(
                    recipe, settings=(*recipe.settings, ("upscaled", values.word(upscaled.get("new_resolution")) or ""))
                )
            return recipe if tool != "unknown" else lowered(recipe, Confidence.MEDIUM)
        return None


def _tool(found: dict[str, Json]) -> str:
    for key in ("software", "Software", "app", "generator", "tool"):
        if (name := values.word(found.get(key))) is not None:
            return name.lower().replace(" ", "-")[:60]
    if {"resolution", "num_inference_steps", "guidance_scale"} <= found.keys():
        return "hf-space"
    if {"use_stable_diffusion_model", "num_inference_steps"} & found.keys():
        return "easydiffusion"
    return "unknown"


dialect = PlainJson()
