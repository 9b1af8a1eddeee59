"""What the readers of containers share: bounded access to a file's bytes, the texts gathered, the findings.

Every reader walks parts (chunks, boxes, segments) by their lengths, reads those that hold texts and seeks over the rest.
Whatever the bytes are, it takes at most PARTS_LIMIT steps and keeps at most ALL_TEXTS_LIMIT bytes.
"""

from __future__ import annotations

import dataclasses
import os
import zlib
from typing import BinaryIO

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import Carrier, Completeness

TEXT_LIMIT = 32 * 1024 * 1024
"""Bytes of one text after decompression. The largest real workflow among 1,206 files measured has 1.6 MB."""

ALL_TEXTS_LIMIT = 64 * 1024 * 1024
"""Bytes of all texts of one file after decompression."""

TEXTS_LIMIT = 1_000
"""Texts of one file."""

PARTS_LIMIT = 200_000
"""Parts of one file that are looked at. An hour of video in clusters of half a second has 7,200."""

FINDINGS_LIMIT = 50
"""Findings about one file; more of the same say nothing new."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """What a container says, whatever the format. Width and height in pixels; `frames` None for a single picture."""

    completeness: Completeness
    media_type: str
    kind: str = "image"
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    carriers: tuple[Carrier, ...] = ()
    has_manifest: bool = False
    findings: tuple[Finding, ...] = ()


@dataclasses.dataclass(slots=True)
class Walk:
    """A walk over one file: `container` is the first word of its carriers' places, `media_type` what it is so far."""

    stream: BinaryIO
    container: str
    media_type: str
    with_texts: bool = True
    kind: str = "image"
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    has_manifest: bool = False
    size: int = 0
    steps: int = 0
    text_bytes: int = 0
    carriers: list[Carrier] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = self.stream.seek(0, os.SEEK_END)
        self.stream.seek(0)

    def at(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, fewer than `length` at the file's end; none where the place is outside the file."""
        if not 0 <= offset < self.size or length <= 0:
            return b""
        self.stream.seek(offset)
        return self.stream.read(min(length, self.size - offset))

    def step(self) -> bool:
        """Count one part; False (with a finding) where there were too many."""
        self.steps += 1
        if self.steps == PARTS_LIMIT + 1:
            self.find("too-many-parts", f"more than {PARTS_LIMIT} parts (PARTS_LIMIT): the rest is not looked at")
        return self.steps <= PARTS_LIMIT

    def find(self, code: str, detail: str, where: str = "") -> None:
        """Keep a finding."""
        if len(self.findings) < FINDINGS_LIMIT:
            self.findings.append(Finding(code=code, detail=detail, where=where))

    def fits(self, length: int, where: str) -> bool:
        """Tell whether a text of this length may be read; where not, that is a finding."""
        if not self.with_texts:
            return False
        if len(self.carriers) >= TEXTS_LIMIT:
            if not any(finding.code == "too-many-texts" for finding in self.findings):
                self.find("too-many-texts", f"more than {TEXTS_LIMIT} texts (TEXTS_LIMIT): the rest is left out", where)
            return False
        if length > TEXT_LIMIT or self.text_bytes + length > ALL_TEXTS_LIMIT:
            limit = "TEXT_LIMIT" if length > TEXT_LIMIT else "ALL_TEXTS_LIMIT"
            self.find("text-too-large", f"a text of {length} bytes is beyond {limit}", where)
            return False
        return True

    def carry(self, slot: str, key: str, raw: bytes) -> None:
        """Keep a text under `<container>:<slot>`, within the limits."""
        if self.fits(len(raw), f"{slot} {key[:80]}"):
            self.text_bytes += len(raw)
            self.carriers.append(Carrier(place=f"{self.container}:{slot}", key=key, raw=bytes(raw)))

    def inflated(self, packed: bytes, where: str, *, wbits: int = zlib.MAX_WBITS) -> bytes | None:
        """Return decompressed bytes, never more than fit; None with a finding. `wbits` as zlib has them."""
        room = min(TEXT_LIMIT, ALL_TEXTS_LIMIT - self.text_bytes)
        inflater = zlib.decompressobj(wbits)
        try:
            raw = inflater.decompress(packed, room + 1)
        except zlib.error as error:
            self.find("text-malformed", f"it cannot be decompressed: {error}", where)
            return None
        if len(raw) > room:
            self.find("text-too-large", f"a compressed text of {len(packed)} bytes grows beyond TEXT_LIMIT", where)
            return None
        return raw

    def truncated(self, where: str = "") -> Structure:
        """The structure of a file that ends where more must follow."""
        self.find("truncated", f"the file ends after {self.size} bytes, before its end", where)
        return self.structure(Completeness.PARTIAL)

    def broken(self, detail: str, where: str = "") -> Structure:
        """The structure of a file that can never become a whole one."""
        self.findings.insert(0, Finding(code=f"broken-{self.container}", detail=detail, where=where))
        return self.structure(Completeness.BROKEN)

    def complete(self) -> Structure:
        """The structure of a whole file."""
        return self.structure(Completeness.COMPLETE)

    def structure(self, completeness: Completeness) -> Structure:
        """What was seen so far."""
        return Structure(
            completeness=completeness,
            media_type=self.media_type,
            kind=self.kind,
            width=self.width or None,
            height=self.height or None,
            frames=self.frames,
            carriers=tuple(self.carriers),
            has_manifest=self.has_manifest,
            findings=tuple(self.findings),
        )
