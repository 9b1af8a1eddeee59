"""Everything that is worth keeping about one model file, except its hash."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.weights.kinds import ModelKind, guess_base, guess_kind
from memoryd.weights.safetensors import SUFFIXES, SafetensorsHeader, read_header
from memoryd.weights.sidecars import Sidecar

MODEL_SUFFIXES = frozenset({*SUFFIXES, ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx"})
"""Files that are weights. Of those that are no safetensors only bytes are read: a pickle can run code."""

STATED_ENTRIES_LIMIT = 64
STATED_NAME_LIMIT = 100
STATED_TEXT_LIMIT = 2_000
"""Characters kept of one entry of a file's metadata; real titles and descriptions are below it."""
LICENCE_LIMIT = 500
"""Characters kept of a stated licence: a name or an address, not the text."""

_LICENCE_KEYS = ("modelspec.license", "license")
_ALIAS_KEYS = {
    "sshs_model_hash": "sshs",
    "sshs_legacy_hash": "sshs_legacy",
    "modelspec.hash_sha256": "modelspec",
}
"""Hashes of the tensors alone, by which other tools name a model. Source: kohya-ss train_util; Stability-AI/ModelSpec."""
_NOT_KEPT = ("modelspec.thumbnail", "ss_tag_frequency", "ss_bucket_info", "prompt", "workflow")
"""Pictures, other people's training captions and graphs: large, and nothing that identifies or licenses a model."""
_HEX = re.compile(r"^[0-9a-f]{8,64}$")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a model file says and shows."""

    kind: ModelKind
    base: str | None
    stated: Mapping[str, Json]
    """Shortened: `metadata`, `tensors`, `parameters`, `dtypes`; empty for formats without a header."""
    licence: str | None
    """As the file itself states it, unverified."""
    aliases: Mapping[str, str]
    """Algorithm to hex value, as the file itself states them, unverified."""
    findings: tuple[Finding, ...]
    format: str = "unknown"
    """A `ModelFormat`: what the bytes are, whatever the suffix says."""
    measured: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Algorithm to hex value, as we measured them: `autov2`, `autov3`, `blake3`."""
    triggers: tuple[str, ...] = ()
    """Words that call up what was trained, as header and sidecars state them, the most frequent first."""
    parents: tuple[str, ...] = ()
    """Hashes or names of the models it was made from, as the header states them."""
    base_name: str | None = None
    """The model it was trained on, as the header states it."""
    sidecars: Sidecar | None = None
    """What the files beside it say; None where there are none that can be believed."""


def describe_model(path: Path, name: PurePath | str) -> ModelFacts:
    """Return what a model file says; `name` is its path below the models folder. An unreadable header is a finding.

    Raises: OSError.
    """
    header, findings = None, []
    if path.suffix.lower() in SUFFIXES:
        try:
            header = read_header(path)
        except MemorydError as error:
            findings.append(Finding(code=error.slug, detail=error.detail, where="header"))
    if header is not None and header.missing_bytes:
        findings.append(
            Finding(
                code="model-incomplete",
                detail=f"{header.missing_bytes} bytes are missing: an interrupted download?",
                where="tensors",
            )
        )
    metadata = {} if header is None else header.metadata
    return ModelFacts(
        kind=guess_kind(header, name),
        base=guess_base(header),
        stated={} if header is None else _shortened(header),
        licence=_stated_licence(metadata),
        aliases=_stated_aliases(metadata),
        findings=tuple(findings),
    )


def _shortened(header: SafetensorsHeader) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    for name in sorted(header.metadata, key=lambda name: (not name.startswith("modelspec."), name)):
        if name not in _NOT_KEPT and len(kept) < STATED_ENTRIES_LIMIT:
            kept[_fit(name, STATED_NAME_LIMIT)] = _fit(header.metadata[name], STATED_TEXT_LIMIT)
    dtypes = Counter(tensor.dtype for tensor in header.tensors.values())
    return {
        "metadata": kept,
        "tensors": len(header.tensors),
        "parameters": sum(tensor.parameters for tensor in header.tensors.values()),
        "dtypes": {_fit(dtype, STATED_NAME_LIMIT): count for dtype, count in dtypes.most_common(STATED_ENTRIES_LIMIT)},
    }


def _stated_licence(metadata: Mapping[str, str]) -> str | None:
    for key in _LICENCE_KEYS:
        stated = _fit(" ".join(metadata.get(key, "").split()), LICENCE_LIMIT)
        if stated:
            return stated
    return None


def _stated_aliases(metadata: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for key, algorithm in _ALIAS_KEYS.items():
        value = metadata.get(key, "").strip().lower().removeprefix("0x")
        # Zeros stand where a writer had no hash.
        if _HEX.match(value) and value.strip("0"):
            found[algorithm] = value
    return found


def _fit(text: str, limit: int) -> str:
    clean, _ = storable(text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
