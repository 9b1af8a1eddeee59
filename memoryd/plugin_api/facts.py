"""The values that pass through the plugin door."""

from __future__ import annotations

import dataclasses
import datetime
import enum

from memoryd.foundation.findings import Finding


class DocumentKind(enum.StrEnum):
    """What a verbatim text from a file is."""

    PROMPT = "prompt"
    """The executed graph, API format."""
    WORKFLOW = "workflow"
    """The editor's graph."""
    EXTRA = "extra"
    """Any other text that came with it, under its own key."""


class Polarity(enum.StrEnum):
    """Which conditioning a text went to."""

    POSITIVE = "positive"
    NEGATIVE = "negative"


class Confidence(enum.StrEnum):
    """How sure a reader is of a fact. A wrong value said with confidence is worse than none."""

    HIGH = "high"
    """Said in so many words, at a place that is known to mean it."""
    MEDIUM = "medium"
    """By a rule that holds for most files."""
    LOW = "low"
    """A guess, shown as one."""


class Completeness(enum.StrEnum):
    """What a file's own container rules say of it."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    """Cut off where more must follow: somebody may still be writing."""
    BROKEN = "broken"
    """Can never become a whole file of this format by appending."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """One text in a file, verbatim and in file order.

    `place` names the container and its slot (`png:tEXt`, `jpeg:exif`, `webp:xmp`, `mp4:meta`), `key` the keyword or the
    tag's name there, `raw` the value's bytes after decompression, exactly as they were. `texts.text_of` decodes it.
    """

    place: str
    key: str
    raw: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a plugin read from one file.

    `carriers` are all texts in order (verbatim: reproduction to the byte needs them); `prompt` and `workflow` name the
    carriers that hold the executed and the editor's graph, by index, or are None. Width and height in pixels.
    `has_manifest`: the file carries C2PA content credentials, which the server reads by itself. `completeness` where reading
    told it anyway: it spares the server to ask for it.
    """

    plugin: str
    version: str
    media_type: str
    kind: str = "image"
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    carriers: tuple[Carrier, ...] = ()
    prompt: int | None = None
    workflow: int | None = None
    has_manifest: bool = False
    completeness: Completeness | None = None
    findings: tuple[Finding, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileTexts:
    """What a dialect sees of a file: its carriers, its plain name (never a path), media type and size in pixels."""

    carriers: tuple[Carrier, ...]
    name: str = ""
    media_type: str = ""
    width: int | None = None
    height: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One sampling pass as a text tells it. `place` is where it says so (`parameters`, `hires`, `adetailer 1`).

    Seeds are whole numbers of any size the tool writes, never placeholders (-1 means: not known). None is an unknown.
    """

    place: str
    seed: int | None = None
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    denoise: float | None = None
    final: bool = False
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One prompt text. `is_template`: the tool filled in the real words while it ran, and did not keep them here."""

    place: str
    polarity: Polarity
    text: str
    is_template: bool = False
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """One model file or model named. `role` is the models folder (checkpoints, loras, vae, embeddings, …).

    `claimed_hash` as written (`6ce0161689`, `blake3:…`, 64 hex digits), `air` the model site's name (urn:air:…).
    """

    place: str
    role: str
    name: str
    claimed_hash: str | None = None
    air: str | None = None
    strength_model: float | None = None
    strength_clip: float | None = None
    confidence: Confidence = Confidence.HIGH


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NamedInput:
    """One picture or other file that the making started from, by the name written."""

    place: str
    name: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a dialect read of how a file was made.

    `tool` is a stable short word (`automatic1111`, `forge`, `sdnext`, `invokeai`, `midjourney`, …). `generated` is what the
    file says of itself: True made by generative AI, False expressly not, None nothing. Width and height are those asked for,
    in pixels. `settings` are all other named facts, as written. `claimed` are the indices of the carriers it understood.
    `links` name the file it belongs with ((`grid`, `upscale-of`, …), name). Passes stand in order, the final one last.
    """

    dialect: str
    version: str
    tool: str
    tool_version: str | None = None
    generated: bool | None = None
    passes: tuple[Pass, ...] = ()
    texts: tuple[Said, ...] = ()
    models: tuple[NamedModel, ...] = ()
    inputs: tuple[NamedInput, ...] = ()
    width: int | None = None
    height: int | None = None
    settings: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    made_at: datetime.datetime | None = None
    claimed: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()
