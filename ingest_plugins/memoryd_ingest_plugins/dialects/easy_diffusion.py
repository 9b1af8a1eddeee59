"""Easy Diffusion: one PNG text a field, by the names of its program or by the labels of its page; sidecar texts."""

from __future__ import annotations

import re

from memoryd.plugin_api.facts import FileTexts, Recipe
from memoryd_ingest_plugins.dialects.json_recipe import meanings_of, recipe_from, speaks
from memoryd_ingest_plugins.dialects.spoken import words_of
from memoryd_ingest_plugins.dialects.values import Json

_SIGNS = frozenset(("usestablediffusionmodel", "stablediffusionmodel", "numinferencesteps", "numberofinferencesteps"))
_FIELD_LIMIT = 100_000
_LABEL = re.compile(r"^([A-Z][A-Za-z ]{2,40}): (.*)$", re.MULTILINE)


class EasyDiffusion:
    """Understands Easy Diffusion."""

    name = "easy_diffusion"
    version = "1"
    rank = 20

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what the fields say together; JSON in comments is left to the general reader of JSON."""
        fields: dict[str, Json] = {}
        claimed: list[int] = []
        for index, carrier in enumerate(file.carriers):
            if carrier.place.startswith("png:") and len(carrier.raw) <= _FIELD_LIMIT:
                fields.setdefault(carrier.key, words_of(carrier))
                claimed.append(index)
            elif carrier.place == "sidecar:text" and len(carrier.raw) <= _FIELD_LIMIT:
                labels: dict[str, Json] = dict(_LABEL.findall(words_of(carrier)))
                if _is_its_own(labels):
                    fields, claimed = labels, [index]
                    break
        if not _is_its_own(fields) or not speaks(meanings_of(fields)):
            return None
        return recipe_from(
            fields,
            dialect=self.name,
            version=self.version,
            tool="easydiffusion",
            place="fields",
            claimed=tuple(claimed),
        )


def _is_its_own(fields: dict[str, Json]) -> bool:
    return any(re.sub(r"[^a-z]", "", key.lower()) in _SIGNS for key in fields)


dialect = EasyDiffusion()
