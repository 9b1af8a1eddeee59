"""What a file's carriers say of how it was made: its graph first, then the texts of tools. No database.

One function for recording and for `memoryd extract`, so that what is shown is what is kept.
"""

from __future__ import annotations

import dataclasses

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.findings import Finding
from memoryd.plugin_api.facts import Reading
from memoryd.workflows.facts import Graph, Identities, Parameters, PreparedGraph
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.preparing import prepare_graph


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadGraph:
    """An executed prompt, understood as far as possible: without a graph the findings say why."""

    graph: Graph | None
    prepared: PreparedGraph | None
    findings: tuple[Finding, ...] = ()

    @property
    def identities(self) -> Identities | None:
        """The graph's identities, where it has a graph."""
        return self.prepared.identities if self.prepared else None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """What is known of one file's making. `parameters` None: nothing in it speaks of one.

    `ai_generated`: True where anything shows that generative AI made it, False where the file says that none did.
    """

    parameters: Parameters | None
    read: ReadGraph
    ai_generated: bool | None = None
    findings: tuple[Finding, ...] = ()


def read_graph(raw: bytes, specs: NodeSpecs | None = None) -> ReadGraph:
    """Return the graph of a prompt document (JSON bytes) with its identities and searchable values."""
    graph, findings = parse_graph(raw)
    if graph is None:
        return ReadGraph(graph=None, prepared=None, findings=findings)
    try:
        prepared = prepare_graph(graph, specs)
    except MemorydError as error:
        finding = Finding(code=error.slug, detail=error.detail)
        return ReadGraph(graph=graph, prepared=None, findings=(*findings, finding))
    return ReadGraph(graph=graph, prepared=prepared, findings=(*findings, *prepared.identities.findings))


def understand(reading: Reading, filename: str, specs: NodeSpecs | None = None) -> Understood:
    """Return what a reading says of how its file was made. `filename` is the file's plain name."""
    if reading.prompt is None and reading.workflow is None:
        return Understood(parameters=None, read=ReadGraph(graph=None, prepared=None))
    read = ReadGraph(graph=None, prepared=None)
    parameters = Parameters(node=None, certain=False)
    if reading.prompt is not None:
        read = read_graph(reading.carriers[reading.prompt].raw, specs)
    if read.graph is not None:
        parameters = read_parameters(read.graph, filename=filename, specs=specs)
    return Understood(
        parameters=parameters,
        read=read,
        ai_generated=True if parameters.generates else None,
        findings=(*read.findings, *parameters.findings),
    )
