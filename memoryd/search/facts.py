"""The values this room hands out: a query as understood, and what it finds."""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeAlias

from memoryd.catalog.asset_view import Face, SequenceView


class Compare(enum.StrEnum):
    """How a filter compares."""

    IS = ":"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """Words to be found in prompts: in this order where `phrase`, as beginnings where `prefix`."""

    text: str
    phrase: bool = False
    prefix: bool = False
    place: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A named condition; `place` is where it stands in the text, from 0."""

    field: str
    value: str
    compare: Compare = Compare.IS
    place: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """What must not hold."""

    part: Part


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """What must all hold, two at least."""

    parts: tuple[Part, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Any:
    """Of which one must hold, two at least."""

    parts: tuple[Part, ...]


Part: TypeAlias = "Term | Filter | Not | All | Any"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search as understood; `part` None finds everything. `everything` asks for overwritten and copied assets too."""

    part: Part | None
    everything: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One asset that was found. `prompt` is the beginning of its first positive text; `seed` that of its final sampler.

    Projects, tags, rating and approval are those of projects that the caller sees; of several ratings the highest.
    """

    face: Face
    prompt: str | None
    models: tuple[str, ...]
    seed: int | None
    projects: tuple[str, ...]
    tags: tuple[str, ...]
    rating: int | None
    approval: str | None
    flags: tuple[str, ...]
    head: bool
    sequence: SequenceView | None = None
    """The numbered frames that it stands for, or is one of."""

    @property
    def disclosed(self) -> bool:
        """Whether a signed copy of it exists."""
        return "disclosed" in self.flags
