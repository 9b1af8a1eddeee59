"""What is installed under a group of entry points. A stranger's code that cannot be used is a finding, and stops nobody."""

from __future__ import annotations

import importlib.metadata
from typing import Protocol, TypeVar

from memoryd.foundation.findings import Finding


class Named(Protocol):
    """Whatever comes in by a door has a name of its own."""

    @property
    def name(self) -> str:
        """Stable word."""
        ...


One = TypeVar("One", bound=Named)


def load_installed(group: str, kind: type[One], word: str) -> tuple[dict[str, One], tuple[Finding, ...]]:
    """Return the installed objects of a kind by their names, in the order of the entry points, and what cannot be used.

    `kind` is a runtime-checkable protocol; `word` names it in findings (`plugin-not-loaded`).
    """
    found: dict[str, One] = {}
    findings: list[Finding] = []
    for entry in sorted(importlib.metadata.entry_points(group=group), key=lambda entry: entry.name):
        try:
            loaded: object = entry.load()
        except Exception as error:  # whatever it raises is its finding
            detail = f"{type(error).__name__}: {error}"
            findings.append(Finding(code=f"{word}-not-loaded", detail=detail, where=entry.value))
            continue
        if not isinstance(loaded, kind):
            detail = f"it lacks members of {kind.__name__}"
            findings.append(Finding(code=f"{word}-not-a-{word}", detail=detail, where=entry.value))
        elif loaded.name in found:
            findings.append(Finding(code=f"{word}-name-taken", detail=f"{loaded.name!r} twice", where=entry.value))
        else:
            found[loaded.name] = loaded
    return found, tuple(findings)
