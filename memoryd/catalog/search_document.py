"""What an asset can be found by: its words, made where the file is read, without a database.

Recipe v1. Words of prompts as the tokeniser gives them; words of negative prompts with `-` before; and names as marks:
`m:` model, `l:` LoRA, `v:` VAE, `e:` embedding, `s:` sampler, `c:` scheduler, `y:` node class, `i:` input file, `k:` the
tool that made it. A name is findable whole, without
folder and ending, and by its parts: `style/tiny-random-lora.safetensors` as `tiny-random-lora`, `tiny`, `random`, `lora`.
Recording adds `p:` (project) and `u:` (person).
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from uuid import UUID

from memoryd.foundation.texts import storable
from memoryd.words.tokens import tsvector_text
from memoryd.workflows.facts import InputUse, ModelUse, Parameters, Polarity, Source
from memoryd.workflows.spelling import Remembered

RECIPE = "v1"

WORDS_TEXT_LIMIT = 50_000
"""Characters of all prompts of one output that become words. A tsvector holds 1 MB; a bigram of Chinese takes about ten
bytes with its place. Source: Postgres 18, section 12.11."""

MARK_LIMIT = 120
"""Characters of one mark; a lexeme may have 2,046 bytes. Source: Postgres 18, section 12.11."""

MARKS_LIMIT = 2_000
"""Marks of one document."""

NAMES_CACHED = 4_096
"""Names whose marks are remembered: the models and samplers of a studio come again in every picture."""

MARKS_CACHED = 256
"""Pictures' facts whose marks are remembered: about 4 KB each."""

NAME_CACHED_LIMIT = 300
"""Characters of a name that is remembered."""

_PARTS = re.compile(r"[^\W_]+")
_FOLDER_OR_ENDING = re.compile(
    r"^.*[/\\]|\.(?:safetensors|ckpt|pt|pth|bin|gguf|sft|onnx|png|jpe?g|webp)$", re.IGNORECASE
)

_MODEL_KINDS = {"loras": "l", "xlabs_loras": "l", "vae": "mv", "embeddings": "me"}
"""Marks by the role of a model; any other is `m`."""


def mark(kind: str, name: str) -> str:
    """Return the one spelling of a mark: `m:tiny-sd15`. Equal names in other case or width are equal marks."""
    stored = storable(name)[0]
    clean = (stored if stored.isascii() else unicodedata.normalize("NFKC", stored)).casefold().strip()
    return f"{kind}:{' '.join(clean.split())}"[:MARK_LIMIT]


def project_mark(project_id: UUID) -> str:
    """Return the mark of a project."""
    return f"p:{project_id.hex}"


def person_mark(person_id: UUID) -> str:
    """Return the mark of a person."""
    return f"u:{person_id.hex}"


def name_marks(kind: str, name: str) -> tuple[str, ...]:
    """Return the marks that a file's name is found by: whole, bare, and its parts."""
    return _name_marks(kind, name) if len(name) <= NAME_CACHED_LIMIT else _name_marks.__wrapped__(kind, name)


@functools.lru_cache(NAMES_CACHED)
def _name_marks(kind: str, name: str) -> tuple[str, ...]:
    whole, bare, parts = name_forms(kind, name)
    return tuple(dict.fromkeys([whole, bare, *parts]))


def name_forms(kind: str, name: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the marks of a name whole, bare (without folder and ending), and of the bare name's parts."""
    bare = _FOLDER_OR_ENDING.sub("", _FOLDER_OR_ENDING.sub("", name))
    return mark(kind, name), mark(kind, bare), tuple(mark(kind, part) for part in _PARTS.findall(bare))


_marks: Remembered[
    tuple[int, int, str | None, tuple[tuple[str | None, str | None, str, Source], ...]],
    tuple[tuple[ModelUse, ...], tuple[InputUse, ...], tuple[str, ...]],
] = Remembered(MARKS_CACHED)
"""Marks of facts that hold no text and no seed: files that are alike have the very same ones."""


def document_marks(parameters: Parameters, class_types: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the marks of one output's facts, sorted, at most MARKS_LIMIT."""
    if class_types:
        return _marks_of(parameters, class_types)
    passes = tuple([(use.sampler, use.scheduler, use.class_type, use.source) for use in parameters.samplers])
    key = (id(parameters.models), id(parameters.inputs), parameters.tool, passes)
    known = _marks.get(key)
    # What is remembered holds the facts, so that their numbers are nothing else's.
    if known is None or known[0] is not parameters.models or known[1] is not parameters.inputs:
        known = _marks.keep(key, (parameters.models, parameters.inputs, _marks_of(parameters, ())))
    return known[2]


def _marks_of(parameters: Parameters, class_types: Iterable[str]) -> tuple[str, ...]:
    marks: set[str] = set()
    for model in parameters.models:
        for kind in _MODEL_KINDS.get(model.role, "m"):
            marks.update(name_marks(kind, model.name))
    for sampler in parameters.samplers:
        marks.update(mark(kind, word) for kind, word in (("s", sampler.sampler), ("c", sampler.scheduler)) if word)
        if sampler.source is not Source.TEXT:  # a text's pass has no node
            marks.add(mark("y", sampler.class_type))
    if parameters.tool:
        marks.update(name_marks("k", parameters.tool))
    for given in parameters.inputs:
        marks.update(name_marks("i", given.name))
    marks.update(mark("y", class_type) for class_type in class_types)
    return tuple(sorted(marks)[:MARKS_LIMIT])


def search_words(parameters: Parameters, class_types: Iterable[str] = ()) -> str:
    """Return the text of the tsvector for `AssetRecord.words`: one output's prompts, negative prompts and names."""
    positive = _texts(parameters, Polarity.POSITIVE)
    negative = _texts(parameters, Polarity.NEGATIVE)
    return tsvector_text(
        positive[:WORDS_TEXT_LIMIT],
        negative[:WORDS_TEXT_LIMIT],
        names=(),
        marks=document_marks(parameters, class_types),
    )


def _texts(parameters: Parameters, polarity: Polarity) -> str:
    # A text that several samplers share is one text.
    return "\n".join(dict.fromkeys(storable(use.text)[0] for use in parameters.prompts if use.polarity is polarity))


def quoted(lexeme: str) -> str:
    """Return a lexeme as the text form of a tsvector or tsquery spells it."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
