"""Stability Matrix: `parameters-json`, beside a settings text and the graph it had executed."""

from __future__ import annotations

from memoryd.plugin_api.facts import FileTexts, Recipe
from memoryd_ingest_plugins.dialects.json_recipe import meanings_of, recipe_from, speaks
from memoryd_ingest_plugins.dialects.spoken import texts_under
from memoryd_ingest_plugins.dialects.values import object_of


class StabilityMatrix:
    """Understands Stability Matrix."""

    name = "stability_matrix"
    version = "1"
    rank = 10

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what `parameters-json` says; the settings text beside it says the same and is claimed with it."""
        for index, text in texts_under(file, "parameters-json"):
            found = object_of(text)
            if found is None or not speaks(meanings_of(found), least=1):
                continue
            beside = tuple(other for other, _ in texts_under(file, "parameters", "smproj"))
            return recipe_from(
                found,
                dialect=self.name,
                version=self.version,
                tool="stability-matrix",
                place="parameters-json",
                claimed=(index, *beside),
            )
        return None


dialect = StabilityMatrix()
