"""What a file's carriers say of how it was made: its graph first, then the texts of tools. No database.

One function for recording and for `memoryd extract`, so that what is shown is what is kept.
"""

from __future__ import annotations

import dataclasses
import datetime
import re

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.findings import Finding
from memoryd.ingest.merging import believed, merged, parameters_of
from memoryd.plugin_api.dialects import understand_texts
from memoryd.plugin_api.facts import FileTexts, Reading, Recipe
from memoryd.plugin_api.texts import graph_text
from memoryd.workflows.alike import AlikeGraph, find_alike
from memoryd.workflows.editor.converting import convert
from memoryd.workflows.editor.facts import WidgetOrder
from memoryd.workflows.editor.lessons import Lessons
from memoryd.workflows.editor.naming import Orders
from memoryd.workflows.facts import Graph, Identities, Parameters, PreparedGraph, Source
from memoryd.workflows.graph_reading import parse_graph
from memoryd.workflows.parameters import read_parameters
from memoryd.workflows.preparing import prepare_graph

_GRAPH_KEYS = frozenset(("prompt", "workflow"))

_JOB_IN_NAME = re.compile(r"_[0-9a-f]{8}-[0-9a-f]{4}-", re.IGNORECASE)
"""What the name of a file from Midjourney has in it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadGraph:
    """An executed prompt, understood as far as possible: without a graph the findings say why."""

    graph: Graph | None
    prepared: PreparedGraph | None
    findings: tuple[Finding, ...] = ()
    alike: AlikeGraph | None = None
    """Where others like it were read before: what it says is known but for its seeds and prompts."""

    def parameters(self, graph: Graph, filename: str, specs: NodeSpecs | None) -> Parameters:
        """Return what its graph says of how the file of this name was made."""
        if self.alike is not None:
            return self.alike.parameters(filename, specs)
        return read_parameters(graph, filename=filename, specs=specs)

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
    made_at: datetime.datetime | None = None
    """When it was made, as its texts say it."""
    links: tuple[tuple[str, str], ...] = ()
    """Files it belongs with: ((`grid`, `upscale-of`, …), name)."""
    learned: tuple[WidgetOrder, ...] = ()
    """Widget orders that its two graphs taught, which nobody knew."""
    findings: tuple[Finding, ...] = ()


def read_graph(raw: bytes) -> ReadGraph:
    """Return the graph of a prompt document (JSON bytes) with its identities and searchable values.

    Identities are those of the document alone: what a worker's nodes accept today must not make another graph of it.
    """
    alike = find_alike(raw)
    graph, findings = (alike.graph, ()) if alike is not None else parse_graph(raw)
    if graph is None:
        return ReadGraph(graph=None, prepared=None, findings=findings)
    try:
        prepared = prepare_graph(graph, nodes=None if alike is None else alike.nodes)
    except MemorydError as error:
        finding = Finding(code=error.slug, detail=error.detail)
        return ReadGraph(graph=graph, prepared=None, findings=(*findings, finding), alike=alike)
    return ReadGraph(graph=graph, prepared=prepared, findings=(*findings, *prepared.identities.findings), alike=alike)


def understand(
    reading: Reading,
    filename: str,
    specs: NodeSpecs | None = None,
    orders: Orders | None = None,
    lessons: Lessons | None = None,
) -> Understood:
    """Return what a reading says of how its file was made. `filename` is the file's plain name.

    `specs` are the node specifications of a ComfyUI that may have made it, `orders` widget orders learned from files,
    `lessons` what is still to be learned: without it nothing is.
    The executed graph counts before the editor's, the editor's before texts; what texts add or contradict is kept.
    """
    read, parameters, findings = _of_graph(reading, filename, specs, orders)
    recipes, troubles = _recipes(reading, filename)
    told = parameters_of(recipes)
    executed = read.graph is not None
    if parameters is None or not (parameters.samplers or parameters.prompts or parameters.models or parameters.inputs):
        whole = _replaced(parameters, told)
    elif told is None:
        whole = parameters
    elif not executed and told.samplers and told.tool not in ("comfyui", "unknown"):
        whole = told  # the tool that wrote the text ran, the editor's graph only lies beside it
    else:
        whole = merged(parameters, told)
    if whole is not None and (templates := _templates(whole)) is not None:
        whole = dataclasses.replace(whole, findings=(*whole.findings, templates))
    return Understood(
        parameters=whole,
        read=read,
        ai_generated=_is_generated(executed and parameters is not None and parameters.generates, recipes),
        made_at=next((recipe.made_at for recipe in recipes if recipe.made_at is not None), None),
        learned=_learned(reading, read.graph, lessons),
        links=tuple(dict.fromkeys(link for recipe in recipes for link in recipe.links)),
        findings=tuple(
            dict.fromkeys(
                (
                    *findings,
                    *(whole.findings if whole else ()),
                    *(finding for recipe in recipes for finding in recipe.findings),
                    *troubles,
                )
            )
        ),
    )


def _learned(reading: Reading, graph: Graph | None, lessons: Lessons | None) -> tuple[WidgetOrder, ...]:
    if lessons is None or graph is None or reading.workflow is None or not lessons.wants(graph):
        return ()
    try:
        return lessons.take(graph, graph_text(reading.carriers[reading.workflow]))
    except MemorydError:
        # A workflow that cannot be read teaches nothing; what could not be read of the file is told elsewhere.
        return ()


def _of_graph(
    reading: Reading, filename: str, specs: NodeSpecs | None, orders: Orders | None
) -> tuple[ReadGraph, Parameters | None, tuple[Finding, ...]]:
    """The executed graph's word; the editor's where there is no executed one."""
    read = ReadGraph(graph=None, prepared=None)
    if reading.prompt is not None:
        read = read_graph(graph_text(reading.carriers[reading.prompt]))
        if read.graph is not None:
            return read, read.parameters(read.graph, filename, specs), read.findings
    if reading.workflow is None:
        nothing = Parameters(node=None, certain=False) if reading.prompt is not None else None
        return read, nothing, read.findings
    graph, findings = _of_editor(graph_text(reading.carriers[reading.workflow]), specs, orders)
    if graph is None:
        return read, Parameters(node=None, certain=False), (*read.findings, *findings)
    told = read_parameters(graph, filename=filename, specs=specs, source=Source.EDITOR)
    return read, dataclasses.replace(told, certain=False), (*read.findings, *findings)


def _of_editor(raw: bytes, specs: NodeSpecs | None, orders: Orders | None) -> tuple[Graph | None, tuple[Finding, ...]]:
    try:
        converted = convert(raw, specs=specs, orders=orders)
    except MemorydError as error:
        return None, (Finding(code=error.slug, detail=error.detail),)
    return converted.graph, converted.findings


def _recipes(reading: Reading, filename: str) -> tuple[tuple[Recipe, ...], tuple[Finding, ...]]:
    if not may_speak(reading, filename):
        return (), ()
    recipes, findings = understand_texts(
        FileTexts(
            carriers=reading.carriers,
            name=filename,
            media_type=reading.media_type,
            width=reading.width,
            height=reading.height,
        )
    )
    return believed(recipes), findings


def may_speak(reading: Reading, filename: str) -> bool:
    """Tell whether any dialect can have a word here: a file with nothing but its two graphs costs nothing more."""
    graphs = (reading.prompt, reading.workflow)
    for index, carrier in enumerate(reading.carriers):
        if index not in graphs or carrier.key not in _GRAPH_KEYS:
            return True
    return bool(_JOB_IN_NAME.search(filename))


def _replaced(graph: Parameters | None, told: Parameters | None) -> Parameters | None:
    if graph is None or told is None:
        return told if graph is None else graph
    return dataclasses.replace(told, findings=(*graph.findings, *told.findings))


def _templates(parameters: Parameters) -> Finding | None:
    nodes = [use.node for use in parameters.prompts if use.is_template]
    if not nodes:
        return None
    detail = "the text was made at run time: what is kept here is its template"
    return Finding(code="template-prompt", detail=detail, where=", ".join(dict.fromkeys(nodes))[:200])


def _is_generated(by_graph: bool, recipes: tuple[Recipe, ...]) -> bool | None:
    if by_graph or any(recipe.generated for recipe in recipes):
        return True
    return False if any(recipe.generated is False for recipe in recipes) else None
