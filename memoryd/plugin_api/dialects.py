"""The door for dialects: what a tool's own words in a file mean, whatever the container that carries them.

A dialect is any object with the members of `Dialect`, named by an entry point of the group `memoryd.dialects`. Containers
find the texts (`door.IngestPlugin`), dialects understand them; `dialect_trials` holds the trials that each must pass.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import FileTexts, Recipe
from memoryd.plugin_api.installed import load_installed

ENTRY_POINT_GROUP = "memoryd.dialects"


@runtime_checkable
class Dialect(Protocol):
    """Understands one tool's (or one family of tools') texts.

    It never raises for what a text says: what it cannot read is a finding of its recipe.
    """

    @property
    def name(self) -> str:
        """Stable word; facts are kept under it."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same texts would be understood otherwise than before."""
        ...

    @property
    def rank(self) -> int:
        """Where two dialects understand the same carrier, the lower rank is believed: particular ones before general ones."""
        ...

    def understand(self, file: FileTexts) -> Recipe | None:
        """Return what the file says in this dialect, None where it does not speak it."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dialects:
    """The installed dialects by rank and name, and what is wrong with those that cannot be used."""

    dialects: tuple[Dialect, ...]
    findings: tuple[Finding, ...] = ()


@functools.cache
def discover_dialects() -> Dialects:
    """Return the installed dialects. One that cannot be loaded is a finding and stops nobody else's files."""
    found, findings = load_installed(ENTRY_POINT_GROUP, Dialect, "dialect")  # type: ignore[type-abstract]
    ordered = sorted(found.values(), key=lambda dialect: (dialect.rank, dialect.name))
    return Dialects(dialects=tuple(ordered), findings=findings)


def understand_texts(
    file: FileTexts, dialects: Sequence[Dialect] | None = None
) -> tuple[tuple[Recipe, ...], tuple[Finding, ...]]:
    """Return what every dialect understands of a file, most particular first; what one raises becomes a finding.

    `dialects` defaults to the installed ones.
    """
    recipes: list[Recipe] = []
    findings: list[Finding] = []
    for dialect in discover_dialects().dialects if dialects is None else dialects:
        try:
            recipe = dialect.understand(file)
        except Exception as error:  # a stranger's code must not stop the batch that its file came in
            detail = f"{dialect.name} {dialect.version}: {type(error).__name__}: {error}"
            findings.append(Finding(code="dialect-failed", detail=detail))
            continue
        if recipe is not None:
            recipes.append(recipe)
    return tuple(recipes), tuple(findings)
