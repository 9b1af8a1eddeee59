"""Fooocus and its forks: JSON under `parameters` (scheme `fooocus`), the labels of its log, and RuinedFooocus.

Its other scheme, `a1111`, is a settings text, and is read as one.
"""

from __future__ import annotations

import dataclasses
import json

from memoryd.plugin_api.facts import FileTexts, Recipe
from memoryd_ingest_plugins.dialects.json_recipe import meanings_of, recipe_from, speaks
from memoryd_ingest_plugins.dialects.spoken import objects_under
from memoryd_ingest_plugins.dialects.values import Json

_SIGNS = frozenset(("metadata_scheme", "full_prompt", "base_model", "styles", "performance", "fooocus_v2_expansion"))
"""Keys of its own, as they are without capitals and blanks."""


class Fooocus:
    """Understands Fooocus."""

    name = "fooocus"
    version = "1"
    rank = 12

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what the JSON of a scheme or a log says."""
        for index, found in objects_under(file, "parameters", "fooocus"):
            if (tool := _tool(found)) is not None and speaks(meanings_of(found)):
                return self._recipe(found, tool, index)
        return None

    def _recipe(self, found: dict[str, Json], tool: str, index: int) -> Recipe:
        recipe = recipe_from(
            found,
            dialect=self.name,
            version=self.version,
            tool=tool,
            place="parameters",
            claimed=(index,),
            known=frozenset(("metadata_scheme", "software")),
        )
        version = recipe.tool_version
        if version is not None:
            version = version.removeprefix("Fooocus ").strip()
        settings = tuple((name, _joined(value)) for name, value in recipe.settings)
        return dataclasses.replace(recipe, tool_version=version, settings=settings)


def _tool(found: dict[str, Json]) -> str | None:
    if str(found.get("software", "")).lower() == "ruinedfooocus":
        return "ruinedfooocus"
    keys = {key.lower().replace(" ", "_") for key in found}
    version = str(found.get("version", found.get("Version", "")))
    if found.get("metadata_scheme") in ("fooocus", "simple") or version.startswith("Fooocus") or len(_SIGNS & keys) > 1:
        return "fooocus"
    if {"base_model_name", "sampler_name"} <= keys:
        return "ruinedfooocus"
    return None


def _joined(value: str) -> str:
    """A list of texts (the full prompts are lists) as its lines."""
    if value[:1] == "[":
        try:
            lines = json.loads(value)
        except ValueError:
            return value
        if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            return "\n".join(lines)
    return value


dialect = Fooocus()
