"""Draw Things: XMP with the program's name, the recipe as JSON in `exif:UserComment`, and a text in `dc:description`."""

from __future__ import annotations

import dataclasses

from memoryd.plugin_api.facts import FileTexts, NamedModel, Recipe
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.json_recipe import loras_of, recipe_from
from memoryd_ingest_plugins.dialects.spoken import free_texts
from memoryd_ingest_plugins.dialects.values import Json
from memoryd_ingest_plugins.dialects.xmp import packets_of, property_of


class DrawThings:
    """Understands Draw Things."""

    name = "draw_things"
    version = "1"
    rank = 10

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what the JSON says: `c` is the prompt, `uc` the negative one."""
        for index, packet in packets_of(file):
            if (property_of(packet, "CreatorTool") or "").strip().lower() != "draw things":
                continue
            found = values.object_of(property_of(packet, "UserComment") or "")
            if found is not None and "c" in found:
                return self._recipe(found, index)
        for index, text in free_texts(file):
            if '"c"' in text and '"uc"' in text:
                found = values.object_of(text)
                if found is not None and {"c", "uc", "seed_mode"} <= found.keys():
                    return self._recipe(found, index)
        return None

    def _recipe(self, found: dict[str, Json], index: int) -> Recipe:
        plain = {key: value for key, value in found.items() if key not in ("lora", "v2", "c", "uc")}
        recipe = recipe_from(
            {"prompt": found.get("c"), "negative_prompt": found.get("uc"), **plain},
            dialect=self.name,
            version=self.version,
            tool="draw-things",
            place="exif:UserComment",
            claimed=(index,),
        )
        loras = tuple(loras_of(found.get("lora"), "exif:UserComment"))
        refiner = values.word(values.part(found, "v2").get("refinerModel"))
        models = [*recipe.models, *loras]
        if refiner:
            models.append(NamedModel(place="v2.refinerModel", role="checkpoints", name=refiner))
        return dataclasses.replace(recipe, models=tuple(models))


dialect = DrawThings()
