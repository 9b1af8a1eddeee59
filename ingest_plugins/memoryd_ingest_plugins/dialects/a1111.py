"""AUTOMATIC1111's web UI and its family: Forge, reForge, Forge Neo and Classic, SD.Next, Civitai, ComfyUI's savers.

The text stands under the PNG keyword `parameters`, or in any slot for comments; there it must show by a settings line
that it is one.
"""

from __future__ import annotations

import dataclasses
import re

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import Confidence, FileTexts, Recipe
from memoryd_ingest_plugins.dialects import values
from memoryd_ingest_plugins.dialects.a1111_models import named_models
from memoryd_ingest_plugins.dialects.a1111_passes import passes_of, texts_of
from memoryd_ingest_plugins.dialects.a1111_text import SettingsText, read_settings_text
from memoryd_ingest_plugins.dialects.spoken import free_texts, texts_under

_KEYS = ("parameters", "parameter", "sd-parameters")
_ELSEWHERE = frozenset(
    ("steps", "sampler", "schedule type", "cfg scale", "seed", "size", "model", "negative prompt", "app", "version")
)
"""Settings that have a place of their own among the facts."""

_APPS = {"sd.next": "sdnext", "sd next": "sdnext", "sdnext": "sdnext"}
_VERSIONS = (
    (re.compile(r"comfyui", re.IGNORECASE), "comfyui"),
    (re.compile(r"neo\b", re.IGNORECASE), "forge-neo"),
    (re.compile(r"classic\b", re.IGNORECASE), "forge-classic"),
    (re.compile(r"fooocus", re.IGNORECASE), "fooocus"),
    (re.compile(r"f1\.\d"), "reforge"),
    (re.compile(r"f[02]\.\d"), "forge"),
    (re.compile(r"easy ?diffusion", re.IGNORECASE), "easydiffusion"),
    (re.compile(r"v?\d+\.\d+"), "automatic1111"),
)
"""What a `Version` begins with, and whose it is. Source: the programs' own version files."""

_COMFYUI_SAMPLER = re.compile(r"[a-z][a-z0-9]*_[a-z0-9_]+")
_FILE = re.compile(r"\.(?:safetensors|ckpt|gguf|sft)$")
"""The web UI writes neither a sampler in ComfyUI's words nor the ending of a model's file: savers for ComfyUI do."""

_PLACEHOLDER = "unknown"


class A1111:
    """Understands the settings text."""

    name = "a1111"
    version = "1"
    rank = 50

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what the first such text says; the texts of the file that say the same are claimed with it."""
        for index, text in (*texts_under(file, *_KEYS), *free_texts(file)):
            if text.strip()[:1] in "{[" and values.json_of(text) is not None:
                continue  # a tool's JSON under the same keyword
            read = read_settings_text(text)
            named = file.carriers[index].key.lower() in _KEYS
            if read.speaks or (named and (read.has_settings or _is_prompt(text))):
                same = tuple(
                    other
                    for other, words in (*texts_under(file, *_KEYS), *free_texts(file))
                    if other == index or words == text
                )
                return recipe_of(read, "parameters", claimed=tuple(sorted(set(same))))
        return None


def recipe_of(read: SettingsText, place: str, *, claimed: tuple[int, ...] = ()) -> Recipe:
    """Return the recipe of a settings text. A text without a settings line is a prompt, with low confidence."""
    confidence = Confidence.HIGH if read.has_settings else Confidence.LOW
    texts = texts_of(read, place, confidence)
    tool = tool_of(read)
    if tool == "comfyui":
        # A saver that was not told the prompt writes this word. It stays what the file says, but is hardly believed.
        if any(said.text.strip().lower() == _PLACEHOLDER for said in texts):
            confidence = Confidence.LOW
        texts = tuple(
            dataclasses.replace(said, confidence=confidence) if said.text.strip().lower() == _PLACEHOLDER else said
            for said in texts
        )
    width, height = values.size(read.value("size"))
    width, height = width or values.pixels(read.value("width")), height or values.pixels(read.value("height"))
    findings: tuple[Finding, ...] = ()
    if not read.has_settings:
        findings = (Finding(code="no-settings-line", detail="the text has no line of settings", where=place),)
    return Recipe(
        dialect=A1111.name,
        version=A1111.version,
        tool=tool,
        tool_version=values.word(read.value("version")),
        generated=True,
        passes=passes_of(read, place, confidence) if read.has_settings else (),
        texts=texts,
        models=named_models(read, [said.text for said in texts]),
        width=width,
        height=height,
        settings=_settings(read),
        made_at=values.when(read.value("created date", "date created", "date")),
        claimed=claimed,
        findings=findings,
    )


def tool_of(read: SettingsText) -> str:
    """Return whose text it is: by `App`, by `Version`, by what only one of the family writes."""
    app = (read.value("app") or "").strip().lower()
    if app:
        return _APPS.get(app, re.sub(r"[^a-z0-9]+", "-", app).strip("-") or "automatic1111")
    version = (read.value("version") or "").strip()
    for pattern, tool in _VERSIONS:
        if pattern.match(version):
            return tool
    if read.value("civitai resources") is not None or read.value("civitai metadata") is not None:
        return "civitai"
    if _COMFYUI_SAMPLER.fullmatch(read.value("sampler") or "") or _FILE.search(read.value("model") or ""):
        return "comfyui"
    return "automatic1111"


def _settings(read: SettingsText) -> tuple[tuple[str, str], ...]:
    has_model = values.word(read.value("model")) is not None
    left_out = _ELSEWHERE | ({"model hash"} if has_model else frozenset())
    return tuple((key, value) for key, value in read.settings if key.lower() not in left_out and value)


def _is_prompt(text: str) -> bool:
    return len(text.strip()) > 1 and all(letter.isprintable() or letter in "\n\r\t" for letter in text)


dialect = A1111()
