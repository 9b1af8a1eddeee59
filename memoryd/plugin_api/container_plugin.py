"""A plugin for a container: how its files begin, and the reader of its structure; the graphs are found here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import BinaryIO, Protocol

from memoryd.plugin_api.container import Structure
from memoryd.plugin_api.facts import Completeness, Reading
from memoryd.plugin_api.graph_carriers import find_graphs


class StructureReader(Protocol):
    """Reads the structure of a file in a seekable stream, from its start; with `texts=False` without reading texts."""

    def __call__(self, stream: BinaryIO, *, texts: bool = True) -> Structure:
        """Return what the file says; raise nothing but the stream's OSError."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlugin:
    """A plugin made of two functions. `version` changes whenever the same file would read otherwise than before."""

    name: str
    version: str
    begins: Callable[[bytes], bool]
    structure: StructureReader

    def sniff(self, head: bytes) -> bool:
        """Tell by the first bytes."""
        return self.begins(head)

    def completeness(self, stream: BinaryIO) -> Completeness:
        """Tell by the container's own rules."""
        return self.structure(stream, texts=False).completeness

    def read(self, stream: BinaryIO) -> Reading:
        """Return size, frames and all texts, and which of them are graphs."""
        return reading_of(self.name, self.version, self.structure(stream))


def reading_of(name: str, version: str, structure: Structure) -> Reading:
    """Return the reading of a structure by a plugin of that name and version."""
    graphs = find_graphs(structure.carriers) if structure.carriers else None
    return Reading(
        plugin=name,
        version=version,
        media_type=structure.media_type,
        kind=structure.kind,
        width=structure.width,
        height=structure.height,
        frames=structure.frames,
        carriers=graphs.carriers if graphs else (),
        prompt=graphs.prompt if graphs else None,
        workflow=graphs.workflow if graphs else None,
        has_manifest=structure.has_manifest,
        completeness=structure.completeness,
        findings=(*structure.findings, *graphs.findings) if graphs else structure.findings,
    )
