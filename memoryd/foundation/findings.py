"""Findings: what could not be read or decided, said in words and kept. Never an exception swallowed, never a guess."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that could not be read or decided.

    `code` is a stable kebab-case word for programs (`text-too-large`, `not-a-number`, `graph-has-cycle`);
    `detail` is a sentence for people and names the limit that was met, if any; `where` is a place in the file or graph.
    """

    code: str
    detail: str
    where: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding as stored and shown."""
        return {"code": self.code, "detail": self.detail, "where": self.where}
