"""From what a plugin read in a file to what is recorded of it: documents, graph, parameters, words. No database."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Mapping

from memoryd.catalog.facts import (
    AssetKind,
    AssetRecord,
    GenerationOrigin,
    GenerationRecord,
    LocationRecord,
    MadeSource,
    OutputRecord,
)
from memoryd.catalog.own_text import read_claim
from memoryd.catalog.search_document import search_words
from memoryd.foundation.findings import Finding
from memoryd.ingest.facts import Folder, Knowledge
from memoryd.ingest.manifests import STORE_PLACE
from memoryd.ingest.understanding import ReadGraph, Understood, understand
from memoryd.plugin_api.facts import Carrier, DocumentKind, Reading
from memoryd.plugin_api.texts import graph_text
from memoryd.workflows.editor.facts import WidgetOrder
from memoryd.workflows.facts import Parameters, PreparedDocument, PreparedGraph
from memoryd.workflows.preparing import prepare_document

NOTHING_KNOWN = Knowledge()
"""Without knowledge a file is read by what is shipped, and teaches nothing: it is not known whose lessons they would be."""

UNKNOWN_NODE = ""
"""The node of an output whose file does not let it be told."""

_GRID = "grid"
"""The link of files that one job made at once."""

_JOB_LIMIT = 100

_FIRST_YEAR = 2020
"""Before it no tool whose texts are read here existed."""

_CLOCKS_DIFFER = datetime.timedelta(days=1)
"""What a date without a time zone, and another machine's clock, may be off."""

_MIDNIGHT = datetime.time(tzinfo=datetime.UTC)


class Stopwatch:
    """Seconds by stage, for the benchmark's shares."""

    def __init__(self) -> None:
        """Nothing was measured yet."""
        self.seconds: dict[str, float] = {}

    def stage(self, name: str) -> _Stage:
        """Add the block's time to a stage."""
        return _Stage(self.seconds, name)

    def add(self, name: str, seconds: float) -> None:
        """Add to a stage."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class _Stage:
    __slots__ = ("_began", "_name", "_seconds")

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name, self._began = seconds, name, 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._name] = self._seconds.get(self._name, 0.0) + time.perf_counter() - self._began


def output_of(read: ReadGraph, parameters: Parameters) -> OutputRecord:
    """Return which output the parameters were read from, with its own identity."""
    node = parameters.node
    outputs = read.identities.outputs if read.identities else ()
    digest = next((output.exact for output in outputs if output.node == node), None)
    return OutputRecord(
        node=node if node is not None else UNKNOWN_NODE,
        certain=parameters.certain and node is not None,
        output_digest=digest,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """What is recorded of one file's content."""

    asset: AssetRecord
    documents: tuple[PreparedDocument, ...] = ()
    graph: PreparedGraph | None = None
    learned: tuple[WidgetOrder, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file's bytes, named: SHA-256 (32 bytes), size in bytes, when they were made as far as known, where they lie."""

    sha256: bytes
    size: int
    made_at: datetime.datetime
    made_source: MadeSource
    location: LocationRecord | None
    filename: str
    findings: tuple[Finding, ...] = ()


def assemble(
    content: Content,
    reading: Reading,
    folder: Folder,
    watch: Stopwatch,
) -> Assembled:
    """Return what is recorded of a file that a plugin read. Attribution is the folder's; the file's own claim is not used."""
    findings = [*content.findings, *reading.findings]
    documents = _documents(reading)
    generation: GenerationRecord | None = None
    graph: PreparedGraph | None = None
    words = ""
    known = folder.knowledge or NOTHING_KNOWN
    with watch.stage("graph"):
        understood = understand(reading, content.filename, known.specs, known.orders, known.lessons)
    findings += understood.findings
    if (parameters := understood.parameters) is not None:
        with watch.stage("words"):
            words = search_words(parameters)
        graph = understood.read.prepared
        generation = _generation(content, reading, folder, documents, understood, parameters)
    made_at, made_source = _made(content, understood.made_at)
    asset = AssetRecord(
        sha256=content.sha256,
        size=content.size,
        kind=AssetKind(reading.kind),
        media_type=reading.media_type,
        made_at=made_at,
        made_source=made_source,
        width=reading.width,
        height=reading.height,
        frames=reading.frames,
        plugin=reading.plugin,
        plugin_version=reading.version,
        findings=tuple(dict.fromkeys(findings)),
        generation=generation,
        project_id=folder.project_id,
        person_id=folder.person_id,
        locations=() if content.location is None else (content.location,),
        words=words,
        claim=read_claim(reading.carriers),
    )
    return Assembled(asset=asset, documents=documents if generation else (), graph=graph, learned=understood.learned)


def _made(content: Content, said: datetime.datetime | None) -> tuple[datetime.datetime, MadeSource]:
    """When it was made: as its own texts say, unless that lies before the first such tool or after the file's own time."""
    if said is None or content.made_source is not MadeSource.FILE_TIME:
        return content.made_at, content.made_source
    if said.year < _FIRST_YEAR or said > content.made_at + _CLOCKS_DIFFER:
        return content.made_at, content.made_source
    if said.timetz() == _MIDNIGHT and abs(said - content.made_at) < 2 * _CLOCKS_DIFFER:
        return content.made_at, content.made_source  # only a date: the file's own time says more
    return said, MadeSource.FILE_METADATA


def unread(content: Content, kind: AssetKind, media_type: str, folder: Folder) -> Assembled:
    """Return what is recorded of content that no plugin knows: its bytes, and that it was not read."""
    finding = Finding(code="no-plugin", detail="no installed format plugin reads this content", where=media_type)
    return Assembled(
        asset=AssetRecord(
            sha256=content.sha256,
            size=content.size,
            kind=kind,
            media_type=media_type,
            made_at=content.made_at,
            made_source=content.made_source,
            findings=(*content.findings, finding),
            project_id=folder.project_id,
            person_id=folder.person_id,
            locations=() if content.location is None else (content.location,),
        )
    )


def _documents(reading: Reading) -> tuple[PreparedDocument, ...]:
    kinds: Mapping[int | None, DocumentKind] = {
        reading.workflow: DocumentKind.WORKFLOW,
        reading.prompt: DocumentKind.PROMPT,
    }
    return tuple(
        _document(kinds.get(index, DocumentKind.EXTRA), carrier)
        for index, carrier in enumerate(reading.carriers)
        # What a library made of the credentials stands nowhere in the file; it comes last.
        if carrier.place != STORE_PLACE
    )


def _document(kind: DocumentKind, carrier: Carrier) -> PreparedDocument:
    if kind is DocumentKind.EXTRA:
        return prepare_document(kind, carrier.key, carrier.raw)
    # A graph is kept as one, wherever it came from: `WORKFLOW` of a film, `workflow:{...}` of a picture's EXIF.
    raw = carrier.raw if carrier.raw[:1] == b"{" else graph_text(carrier)
    return prepare_document(kind, kind.value, raw)


def _generation(
    content: Content,
    reading: Reading,
    folder: Folder,
    documents: tuple[PreparedDocument, ...],
    understood: Understood,
    parameters: Parameters,
) -> GenerationRecord:
    read = understood.read
    prompt = reading.prompt
    return GenerationRecord(
        run_key=_run_key(content, understood, parameters),
        origin=GenerationOrigin.FILE,
        exact=read.identities.exact if read.identities else None,
        prompt_document=documents[prompt].sha256 if prompt is not None else None,
        extra_documents=tuple((d.key, d.sha256) for index, d in enumerate(documents) if index != prompt),
        output=dataclasses.replace(output_of(read, parameters), batch_index=_place_in_grid(parameters)),
        parameters=parameters,
        project_id=folder.project_id,
        person_id=folder.person_id,
        attribution_source=folder.attribution_source,
    )


def _run_key(content: Content, understood: Understood, parameters: Parameters) -> str:
    """What names the run: a tool's own job where it tells one (its grid and the pictures cut from it), else the file."""
    job = next((name for kind, name in understood.links if kind == _GRID), None)
    if job is not None and parameters.tool and understood.read.graph is None and len(job) <= _JOB_LIMIT:
        return f"told:{parameters.tool}:{job}"
    return f"file:{content.sha256.hex()}"


def _place_in_grid(parameters: Parameters) -> int | None:
    place = dict(parameters.settings).get("place in grid", "")
    return int(place) if place.isascii() and place.isdigit() and len(place) <= 3 else None
