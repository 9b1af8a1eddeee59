"""NovelAI: its PNG texts, its JSON in comments and in the hidden alpha layer; version 4 captions; director tools."""

from __future__ import annotations

from collections.abc import Iterator

from memoryd.plugin_api.facts import FileTexts, NamedModel, Pass, Polarity, Recipe, Said
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.spoken import free_texts, texts_under
from memoryd_ingest_plugins.dialects.values import Json

_KNOWN = frozenset(
    (
        *("prompt", "uc", "steps", "scale", "seed", "sampler", "noise_schedule", "strength", "width", "height"),
        *("v4_prompt", "v4_negative_prompt", "signed_hash", "extra_passthrough_testing"),
        *("reference_image_multiple", "reference_image", "director_reference_images", "image", "mask"),
    )
)


class NovelAI:
    """Understands NovelAI."""

    name = "novelai"
    version = "1"
    rank = 10

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what `Comment` says, wherever it stands, together with `Source`, `Description` and `Software`."""
        fields: dict[str, Json] = {}
        claimed: list[int] = []
        for index, text in texts_under(
            file, "comment", "description", "source", "software", "title", "generation time"
        ):
            if file.carriers[index].place.startswith("png:t") or file.carriers[index].place.startswith("png:i"):
                fields.setdefault(file.carriers[index].key.capitalize(), text)
                claimed.append(index)
        if _is_its_own(fields):
            return self._recipe(fields, tuple(claimed), "Comment")
        for index, text in free_texts(file):
            inner = values.object_of(text)
            if inner is None:
                continue
            if _is_its_own(inner):
                return self._recipe(inner, (index,), file.carriers[index].key)
            if "signed_hash" in inner and ("uc" in inner or "v4_prompt" in inner or "request_type" in inner):
                return self._recipe({"Comment": inner}, (index,), file.carriers[index].key)
        return None

    def _recipe(self, fields: dict[str, Json], claimed: tuple[int, ...], place: str) -> Recipe:
        comment = fields.get("Comment")
        said = comment if isinstance(comment, dict) else values.object_of(comment if isinstance(comment, str) else "")
        said = said or {}
        one = Pass(
            place=place,
            seed=values.whole(said.get("seed")),
            steps=values.count(said.get("steps")),
            cfg=values.number(said.get("scale")),
            sampler=values.word(said.get("sampler")),
            scheduler=values.word(said.get("noise_schedule")),
            denoise=values.number(said.get("strength")) if "strength" in said else None,
            final=True,
        )
        model = values.word(fields.get("Source"))
        return Recipe(
            dialect=self.name,
            version=self.version,
            tool="novelai",
            tool_version=None,
            generated=True,
            passes=(one,) if one.steps is not None or one.sampler is not None else (),
            texts=tuple(_texts(said, fields, place)),
            models=(NamedModel(place="Source", role="checkpoints", name=model),) if model else (),
            width=values.pixels(said.get("width")),
            height=values.pixels(said.get("height")),
            settings=values.plain_settings(said, _KNOWN),
            claimed=claimed,
        )


def _is_its_own(fields: dict[str, Json]) -> bool:
    software = str(fields.get("Software", "")).strip().lower()
    return software == "novelai" and ("Comment" in fields or "Description" in fields)


def _texts(said: dict[str, Json], fields: dict[str, Json], place: str) -> Iterator[Said]:
    if "req_type" in said and "prompt" not in said:
        return  # a director tool works on a picture, without a prompt
    positive = values.part(values.part(said, "v4_prompt"), "caption")
    negative = values.part(values.part(said, "v4_negative_prompt"), "caption")
    for polarity, caption, plain in (
        (Polarity.POSITIVE, positive, said.get("prompt") or fields.get("Description")),
        (Polarity.NEGATIVE, negative, said.get("uc")),
    ):
        text = values.text(caption.get("base_caption")) or values.text(plain)
        if text is not None:
            yield Said(place=place, polarity=polarity, text=text)
        for index, character in enumerate(values.items(caption.get("char_captions")), start=1):
            if isinstance(character, dict) and (own := values.text(character.get("char_caption"))) is not None:
                yield Said(place=f"character {index}", polarity=polarity, text=own)


dialect = NovelAI()
