"""Everything that is worth keeping about one model file, except its hash."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import assert_never

from memoryd.foundation.canonical_json import Json
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.weights import gguf, safetensors, torch_files
from memoryd.weights.families import guess_base
from memoryd.weights.hashing import FileDigest
from memoryd.weights.headers import Header, ModelFormat
from memoryd.weights.kinds import ModelKind, guess_kind
from memoryd.weights.pickled_code import code_findings
from memoryd.weights.sidecars import Sidecar, read_sidecars
from memoryd.weights.training import stated_base_name, stated_parents, stated_triggers, words_of

_BY_SUFFIX = {
    **dict.fromkeys(safetensors.SUFFIXES, ModelFormat.SAFETENSORS),
    **dict.fromkeys((".ckpt", ".pt", ".pth", ".bin"), ModelFormat.PICKLE),
    ".gguf": ModelFormat.GGUF,
    ".onnx": ModelFormat.ONNX,
}
MODEL_SUFFIXES = frozenset(_BY_SUFFIX)
"""Files that are weights. None is ever loaded: a pickle can run code, so that its opcodes are only listed."""

START_SIZE = 512
"""Bytes by which formats are told apart: a tar says its name in the first block."""
FINDINGS_LIMIT = 20
"""Findings kept of one file."""

STATED_ENTRIES_LIMIT = 64
STATED_NAME_LIMIT = 100
STATED_TEXT_LIMIT = 2_000
"""Characters kept of one entry of a file's metadata; real titles and descriptions are below it."""
LICENCE_LIMIT = 500
"""Characters kept of a stated licence: a name or an address, not the text."""

_LICENCE_KEYS = ("modelspec.license", "license", "general.license")
_ALIAS_KEYS = {
    "sshs_model_hash": "sshs",
    "sshs_legacy_hash": "sshs_legacy",
    "modelspec.hash_sha256": "modelspec",
}
"""Hashes of the tensors alone, by which other tools name a model. Source: kohya-ss train_util; Stability-AI/ModelSpec."""
_NOT_KEPT = (
    "modelspec.thumbnail", "ss_tag_frequency", "ss_bucket_info", "prompt", "workflow", "tokenizer.chat_template",
)  # fmt: skip
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


def describe_model(path: Path, name: PurePath | str, digest: FileDigest | None = None) -> ModelFacts:
    """Return what a model file says; `name` is its path below the models folder. What cannot be read is a finding.

    With its `digest` sidecars that name another file are told from those that name this one. Raises: OSError.
    """
    form, header, findings = _read(path)
    if header is not None and header.missing_bytes:
        findings.append(
            Finding(
                code="model-incomplete",
                detail=f"{header.missing_bytes} bytes are missing: an interrupted download?",
                where="tensors",
            )
        )
    sidecars, said = read_sidecars(path, sha256=None if digest is None else digest.sha256, suffixes=MODEL_SUFFIXES)
    metadata = {} if header is None else header.metadata
    return ModelFacts(
        kind=guess_kind(header, name),
        base=guess_base(header),
        stated={} if header is None else _shortened(header),
        licence=_stated_licence(metadata),
        aliases=_stated_aliases(metadata),
        findings=(*findings, *said)[:FINDINGS_LIMIT],
        format=form.value,
        measured={} if digest is None else dict(digest.aliases),
        triggers=words_of([*stated_triggers(metadata), *(() if sidecars is None else sidecars.triggers)]),
        parents=stated_parents(metadata),
        base_name=stated_base_name(metadata),
        sidecars=sidecars,
    )


def _read(path: Path) -> tuple[ModelFormat, Header | None, list[Finding]]:
    """Return what the bytes are, their header where it can be read, and what is wrong with it."""
    named = _BY_SUFFIX.get(path.suffix.lower(), ModelFormat.UNKNOWN)
    findings: list[Finding] = []
    with path.open("rb") as file:
        form = _format_of(file.read(START_SIZE), named)
    if form is not named and not (named is ModelFormat.PICKLE and form in (ModelFormat.UNKNOWN, ModelFormat.ONNX)):
        detail = f"its name says {named}, its bytes {form}"
        findings.append(Finding(code="model-format-differs", detail=detail, where="header"))
    header: Header | None = None
    try:
        match form:
            case ModelFormat.SAFETENSORS:
                header = safetensors.read_header(path)
            case ModelFormat.GGUF:
                header = gguf.read_header(path)
            case ModelFormat.PICKLE:
                header = loaded = torch_files.read_header(path)
                findings += code_findings(loaded)
            case ModelFormat.ONNX | ModelFormat.UNKNOWN:
                pass
            case _ as never:
                assert_never(never)
    except MemorydError as error:
        findings.append(Finding(code=error.slug, detail=error.detail, where="header"))
    return form, header, findings


def _format_of(start: bytes, named: ModelFormat) -> ModelFormat:
    if start.startswith(gguf.MAGIC):
        return ModelFormat.GGUF
    # A zip, the opcode PROTO with its protocol, a tar; older pickles begin with any opcode.
    if start.startswith(b"PK\3\4") or (start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5")):
        length = int.from_bytes(start[:8], "little")
        json_follows = start[8:9] == b"{" and length <= safetensors.HEADER_LIMIT
        return ModelFormat.SAFETENSORS if json_follows and named is ModelFormat.SAFETENSORS else ModelFormat.PICKLE
    if start[257:262] == b"ustar" or start.startswith(b"sys_info\0"):
        return ModelFormat.PICKLE
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= safetensors.HEADER_LIMIT:
        return ModelFormat.SAFETENSORS
    return named


def _shortened(header: Header) -> dict[str, Json]:
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
