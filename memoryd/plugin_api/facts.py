"""The values that pass through the plugin door."""

from __future__ import annotations

import dataclasses
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

    `place` names the container's slot (`png:tEXt`, `png:iTXt`, `png:zTXt`), `key` its keyword, `raw` the value's bytes
    after decompression, exactly as they were.
    """

    place: str
    key: str
    raw: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a plugin read from one file.

    `carriers` are all texts in order (verbatim: reproduction to the byte needs them); `prompt` and `workflow` name the
    carriers that hold the executed and the editor's graph, by index, or are None. Width and height in pixels.
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
    findings: tuple[Finding, ...] = ()
