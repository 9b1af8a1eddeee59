"""What a header says about how its model was made: words that call it up, models it was made from.

Source: kohya-ss/sd-scripts, train_network.py (`ss_*`); AUTOMATIC1111, extras.py (`sd_merge_*`); Stability-AI/ModelSpec;
ggml-org/ggml, docs/gguf.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from memoryd.foundation.canonical_json import Json, JsonTooDeep, NotJson, read_json
from memoryd.foundation.texts import storable

TRIGGERS_LIMIT = 50
TRIGGER_LIMIT = 200
"""Characters of one word that calls a model up; whole prompts stand there, too."""
PARENTS_LIMIT = 64
"""Models that one was made from; merges of merges name a few dozen."""
PARENT_LIMIT = 300
JSON_LIMIT = 4 * 2**20
"""Bytes of an entry that is JSON itself; tag counts of large data sets have 1 MB."""

FREQUENT = 0.5
"""Tags count as calling words that stand at half as many pictures as the most frequent one does, or more."""
FREQUENT_TAGS = 10
"""More than these are a caption, and training captions are private."""

_HASH_KEYS = ("ss_new_sd_model_hash", "ss_sd_model_hash")
_NAME_KEYS = ("ss_sd_model_name", "general.base_model.0.repo_url", "general.base_model.0.name")
_MERGE_KEYS = ("modelspec.merged_from", "sd_merge_parents")
_BASE_MODEL = re.compile(r"^general\.base_model\.\d{1,3}\.(?:repo_url|name)$")
_REPEATS = re.compile(r"^\d{1,6}_")


def words_of(texts: Iterable[object]) -> tuple[str, ...]:
    """Return texts as calling words: trimmed, storable, each once, within TRIGGERS_LIMIT."""
    words = (" ".join(storable(text)[0].split())[:TRIGGER_LIMIT] for text in texts if isinstance(text, str))
    return tuple(dict.fromkeys(word for word in words if word))[:TRIGGERS_LIMIT]


def stated_triggers(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that call up what was trained: the stated phrase first, then what most pictures were tagged with."""
    phrase = metadata.get("modelspec.trigger_phrase", "")[:JSON_LIMIT]
    return words_of([*phrase.split(","), *_frequent_tags(metadata), *_concepts(metadata)])


def stated_parents(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return hashes or names of the models that this one was made from."""
    found = [metadata[key] for key in _HASH_KEYS if key in metadata]
    for key in _MERGE_KEYS:
        found += re.split(r"[,;\n]", metadata.get(key, "")[:JSON_LIMIT])
    merged = _json(metadata.get("sd_merge_models", ""))
    if isinstance(merged, dict):
        found += list(merged)[:PARENTS_LIMIT]
    found += [metadata[key] for key in sorted(metadata) if _BASE_MODEL.match(key)][:PARENTS_LIMIT]
    return names_of(found)


def stated_base_name(metadata: Mapping[str, str]) -> str | None:
    """Return the model that this one was trained on, as the header says."""
    return next(iter(names_of(metadata[key] for key in _NAME_KEYS if key in metadata)), None)


def names_of(texts: Iterable[object]) -> tuple[str, ...]:
    """Return texts as names or hashes of models: trimmed, storable, each once, within PARENTS_LIMIT."""
    names = (" ".join(storable(text)[0].split())[:PARENT_LIMIT] for text in texts if isinstance(text, str))
    return tuple(dict.fromkeys(name for name in names if name and name.lower() not in ("none", "null")))[:PARENTS_LIMIT]


def _frequent_tags(metadata: Mapping[str, str]) -> list[str]:
    counts: dict[str, float] = {}
    for tags in _members(_json(metadata.get("ss_tag_frequency", ""))):
        for tag, count in tags.items():
            if isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**53:
                counts[tag.strip()] = counts.get(tag.strip(), 0) + count
    most = max(counts.values(), default=0)
    frequent = sorted((tag for tag in counts if counts[tag] >= FREQUENT * most), key=lambda tag: (-counts[tag], tag))
    return frequent[:FREQUENT_TAGS]


def _concepts(metadata: Mapping[str, str]) -> Iterator[str]:
    """Names of the folders of pictures, `10_sks person`, where the number is a count of repeats."""
    folders = _json(metadata.get("ss_dataset_dirs", ""))
    if isinstance(folders, dict):
        yield from (_REPEATS.sub("", folder) for folder in list(folders)[:TRIGGERS_LIMIT] if _REPEATS.match(folder))


def _members(value: Json) -> Iterator[dict[str, Json]]:
    if isinstance(value, dict):
        yield from (member for member in value.values() if isinstance(member, dict))


def _json(text: str) -> Json:
    if not text or len(text) > JSON_LIMIT:
        return None
    try:
        return read_json(text)
    except (NotJson, JsonTooDeep):
        return None
