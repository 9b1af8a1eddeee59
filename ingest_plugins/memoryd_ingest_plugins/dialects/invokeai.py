"""InvokeAI, all generations: `invokeai_metadata` (3 and later), `sd-metadata` and `Dream` (2), its first log lines."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from memoryd.plugin_api.facts import FileTexts, NamedInput, NamedModel, Pass, Polarity, Recipe, Said
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.json_recipe import name_and_hash
from memoryd_ingest_plugins.dialects.spoken import texts_under
from memoryd_ingest_plugins.dialects.values import Json

_KEYS = ("invokeai_metadata", "invokeai", "sd-metadata", "sd_metadata", "dream")

_SLOTS = (
    ("refiner_model", "checkpoints"),
    ("vae", "vae"),
    ("t5_encoder", "text_encoders"),
    ("clip_embed_model", "text_encoders"),
    ("clip_l_model", "text_encoders"),
    ("clip_g_model", "text_encoders"),
    ("qwen3_encoder", "text_encoders"),
    ("qwen_vl_encoder", "text_encoders"),
    ("control_lora", "loras"),
)
_LISTS = (
    ("controlnets", "control_model", "controlnet", "control_weight"),
    ("t2iAdapters", "t2i_adapter_model", "t2i_adapter", "weight"),
    ("ipAdapters", "ip_adapter_model", "ipadapter", "weight"),
)
_KNOWN = frozenset(
    (
        *("positive_prompt", "negative_prompt", "width", "height", "seed", "cfg_scale", "steps", "scheduler", "model"),
        *("loras", "vae", "app_version", "controlnets", "ipAdapters", "t2iAdapters", "strength", "guidance"),
        *(slot for slot, _ in _SLOTS),
        *("image", "model_weights", "model_hash", "app_id", "canvas_v2_metadata", "ref_images"),
    )
)
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")


class InvokeAI:
    """Understands InvokeAI."""

    name = "invokeai"
    version = "1"
    rank = 10

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what the newest of its texts says; the older forms beside it are claimed with it."""
        found = {file.carriers[index].key.lower(): (index, text) for index, text in texts_under(file, *_KEYS)}
        claimed = tuple(sorted(index for index, _ in found.values()))
        for key in _KEYS:
            if key not in found:
                continue
            said = values.object_of(found[key][1])
            recipe = None
            if said is None:
                recipe = self._dream(found[key][1])
            elif isinstance(said.get("image"), dict) and "app_version" in said:
                recipe = self._second(said)
            elif said:
                recipe = self._third(said)
            if recipe is not None:
                return dataclasses.replace(recipe, claimed=claimed)
        return None

    def _third(self, said: dict[str, Json]) -> Recipe:
        texts = _said("invokeai_metadata", said.get("positive_prompt"), said.get("negative_prompt"))
        texts += _said("style prompt", said.get("positive_style_prompt"), said.get("negative_style_prompt"))
        is_first = values.word(said.get("refiner_model")) is None and not isinstance(said.get("refiner_model"), dict)
        main = Pass(
            place="invokeai_metadata",
            seed=values.whole(said.get("seed")),
            steps=values.count(said.get("steps")),
            cfg=_first_number(said.get("cfg_scale"), said.get("guidance")),
            sampler=values.word(said.get("scheduler")),
            denoise=values.number(said.get("strength")),
            final=is_first,
        )
        passes = (main,) if is_first else (main, _refiner(said))
        return Recipe(
            dialect=self.name,
            version=self.version,
            tool="invokeai",
            tool_version=values.word(said.get("app_version")),
            generated=True,
            passes=passes if any(value is not None for value in (main.seed, main.steps, main.sampler)) else (),
            texts=texts,
            models=tuple(_models(said)),
            inputs=tuple(_inputs(said)),
            width=values.pixels(said.get("width")),
            height=values.pixels(said.get("height")),
            settings=values.plain_settings(said, _KNOWN),
        )

    def _second(self, said: dict[str, Json]) -> Recipe:
        image = values.part(said, "image")
        positive, negative = _prompt_of(image.get("prompt"))
        name = values.word(said.get("model_weights")) or values.word(said.get("model"))
        seed = values.whole(image.get("seed"))
        return Recipe(
            dialect=self.name,
            version=self.version,
            tool="invokeai",
            tool_version=values.word(said.get("app_version")),
            generated=True,
            passes=(
                Pass(
                    place="sd-metadata",
                    seed=seed,
                    steps=values.count(image.get("steps")),
                    cfg=values.number(image.get("cfg_scale")),
                    sampler=values.word(image.get("sampler")),
                    denoise=values.number(image.get("strength")),
                    final=True,
                ),
            ),
            texts=_said("sd-metadata", positive, negative),
            models=(
                NamedModel(
                    place="model_weights",
                    role="checkpoints",
                    name=name,
                    claimed_hash=values.word(said.get("model_hash")),
                ),
            )
            if name
            else (),
            width=values.pixels(image.get("width")),
            height=values.pixels(image.get("height")),
            settings=values.plain_settings(
                image, frozenset(("prompt", "steps", "cfg_scale", "seed", "sampler", "width", "height", "strength"))
            ),
        )

    def _dream(self, text: str) -> Recipe | None:
        prompt, options = _dream_parts(text)
        seed, steps = values.whole(options.get("-S")), values.count(options.get("-s"))
        if seed is None and steps is None:
            return None
        positive, negative = _without_brackets(prompt)
        return Recipe(
            dialect=self.name,
            version=self.version,
            tool="invokeai",
            generated=True,
            passes=(
                Pass(
                    place="Dream",
                    seed=seed,
                    steps=steps,
                    cfg=values.number(options.get("-C")),
                    sampler=values.word(options.get("-A")),
                    denoise=values.number(options.get("-f")),
                    final=True,
                ),
            ),
            texts=_said("Dream", positive, negative),
            inputs=tuple(NamedInput(place="-I", name=name) for name in (values.word(options.get("-I")),) if name),
            width=values.pixels(options.get("-W")),
            height=values.pixels(options.get("-H")),
            settings=tuple((name, value) for name, value in options.items() if name not in "-S -s -C -A -f -I -W -H"),
        )


def _said(place: str, positive: Json, negative: Json) -> tuple[Said, ...]:
    return tuple(
        Said(place=place, polarity=polarity, text=text)
        for polarity, value in ((Polarity.POSITIVE, positive), (Polarity.NEGATIVE, negative))
        if (text := values.text(value)) is not None
    )


def _refiner(said: dict[str, Json]) -> Pass:
    return Pass(
        place="refiner",
        seed=values.whole(said.get("seed")),
        steps=values.count(said.get("refiner_steps")),
        cfg=values.number(said.get("refiner_cfg_scale")),
        sampler=values.word(said.get("refiner_scheduler")),
        final=True,
    )


def _first_number(*candidates: Json) -> float | None:
    # A list is one scale a step.
    return next((found for value in candidates if (found := values.number(value)) is not None), None)


def _model(value: Json, place: str, role: str, weight: Json = None) -> Iterator[NamedModel]:
    name, hashed = name_and_hash(value)
    if name is not None:
        yield NamedModel(place=place, role=role, name=name, claimed_hash=hashed, strength_model=values.number(weight))


def _models(said: dict[str, Json]) -> Iterator[NamedModel]:
    yield from _model(said.get("model"), "model", "checkpoints")
    for slot, role in _SLOTS:
        yield from _model(said.get(slot), slot, role)
    for lora in values.items(said.get("loras")):
        if isinstance(lora, dict):
            yield from _model(lora.get("model") or lora.get("lora"), "loras", "loras", lora.get("weight"))
    for listed, member, role, weight in _LISTS:
        for unit in values.items(said.get(listed)):
            if isinstance(unit, dict):
                yield from _model(unit.get(member) or unit.get("model"), listed, role, unit.get(weight))
    for reference in values.items(said.get("ref_images")):
        if isinstance(reference, dict):
            config = values.part(reference, "config")
            yield from _model(config.get("model"), "ref_images", "ipadapter", config.get("weight"))


def _inputs(said: dict[str, Json]) -> Iterator[NamedInput]:
    if name := values.word(said.get("init_image")):
        yield NamedInput(place="init_image", name=name)
    for listed, _, _, _ in _LISTS:
        for unit in values.items(said.get(listed)):
            if name := values.word(values.part(unit, "image").get("image_name")):
                yield NamedInput(place=listed, name=name)


def _prompt_of(value: Json) -> tuple[str, str]:
    """The second generation's prompt: a text, or a list of weighted texts; what is in brackets is negative."""
    if isinstance(value, list):
        parts = [values.text(item.get("prompt")) if isinstance(item, dict) else values.text(item) for item in value]
        return _without_brackets(", ".join(part for part in parts if part))
    return _without_brackets(value if isinstance(value, str) else "")


def _without_brackets(prompt: str) -> tuple[str, str]:
    negative = ", ".join(part.strip() for part in _BRACKETS.findall(prompt) if part.strip())
    return re.sub(r"[ \t]+", " ", _BRACKETS.sub(" ", prompt)).strip(), negative


def _dream_parts(text: str) -> tuple[str, dict[str, str]]:
    """Prompt and options of a command line: the prompt in quotes, or all before the first option."""
    text = text.strip()
    if text[:1] == '"' and (end := text.rfind('"', 1)) > 0:
        prompt, rest = text[1:end], text[end + 1 :]
    else:
        first = re.search(r"\s-[A-Za-z]", text)
        prompt, rest = (text, "") if first is None else (text[: first.start()], text[first.start() :])
    options: dict[str, str] = {}
    for name, value in re.findall(r"(?:^|\s)(--[a-z_]+|-[A-Za-z])[ =]?((?!-[A-Za-z-])\S*)", rest):
        options.setdefault(name, value.strip("\"'"))
    return prompt.strip(), options


dialect = InvokeAI()
