"""Files that are alike in all but seeds, prompts and pixels: rows straight from what is their own, without a record each.

Which files these are, `workflows.alike` knows; anything else about a file that has a say in its record is looked at here.
What is not surely alike is read as any other, and gives the same rows.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import time

from memoryd.catalog.alike_words import AlikeWords
from memoryd.catalog.column_limits import TEXT_LIMIT
from memoryd.catalog.facts import LocationRecord
from memoryd.catalog.ready_moulds import AssetMould, OwnFacts, asset_mould
from memoryd.ingest.assembling import NOTHING_KNOWN, Content, Stopwatch, assemble
from memoryd.ingest.facts import Folder, Knowledge, ReadyFile
from memoryd.ingest.understanding import may_speak
from memoryd.plugin_api.facts import DocumentKind, Reading
from memoryd.workflows.alike import AlikeGraph, find_alike
from memoryd.workflows.ready_rows import ReadyDocument, ready_graph, ready_text
from memoryd.workflows.spelling import Remembered
from memoryd.workflows.templates import Told, longest

TRIED_LENGTH = 200
"""Characters of the texts that moulds are tried with."""

REMEMBERED_MOULDS = 256
"""Kinds of alike files of which each generation of the memory holds the rows: about 15 KB each."""

_UNLIKE = "unlike"
_moulds: Remembered[tuple[object, ...], AssetMould | str] = Remembered(REMEMBERED_MOULDS)


def ready_alike(content: Content, reading: Reading, folder: Folder, watch: Stopwatch) -> ReadyFile | None:
    """Return the rows of a file if others like it were read before, None where it is to be read as any other."""
    began = time.perf_counter()
    known = folder.knowledge or NOTHING_KNOWN
    alike = _alike(content, reading, known)
    told = None if alike is None else alike.template.told(alike.values, content.filename, known.specs)
    if alike is None or told is None or told.parameters is None or content.location is None:
        return None
    mould = alike.template.mould
    rows = None if mould is None else _mould(told, alike, content, reading, folder)
    if mould is None or rows is None:
        return None
    graph = mould.filled(alike.values)
    documents = [_document(reading, index) for index in range(len(reading.carriers))]
    understood = time.perf_counter()
    watch.add("graph", understood - began)
    prompt = reading.prompt or 0
    output = told.parameters.node
    own = OwnFacts(
        sha256=content.sha256,
        size=content.size,
        made_at=content.made_at,
        location=content.location,
        exact=graph.exact,
        documents=(documents[prompt].sha256, *[one.sha256 for at, one in enumerate(documents) if at != prompt]),
        output=None if output is None else graph.outputs.get(output),
        values=alike.values,
    )
    made = ReadyFile(rows.filled(own), tuple(documents), graph.ready)
    watch.add("rows", time.perf_counter() - understood)
    return made


def _alike(content: Content, reading: Reading, known: Knowledge) -> AlikeGraph | None:
    """The file's graph, where nothing but the graph has a say in what is recorded of it."""
    if reading.prompt is None or reading.findings or content.findings or reading.has_manifest:
        return None
    graphs = 1 if reading.workflow is None else 2
    if len(reading.carriers) != graphs or may_speak(reading, content.filename):
        return None
    raw = reading.carriers[reading.prompt].raw
    if raw[:1] != b"{" or raw[-1:] != b"}":
        return None
    if reading.workflow is not None and reading.carriers[reading.workflow].raw[:1] != b"{":
        return None
    alike = find_alike(raw)
    if alike is not None and reading.workflow is not None and known.lessons is not None:
        # What a file with both graphs may teach, only its whole record brings.
        return None if known.lessons.wants_any(alike.template.classes) else alike
    return alike


def _document(reading: Reading, index: int) -> ReadyDocument:
    kind = DocumentKind.PROMPT if index == reading.prompt else DocumentKind.WORKFLOW
    return ready_text(kind, reading.carriers[index].raw)


def _mould(told: Told, alike: AlikeGraph, content: Content, reading: Reading, folder: Folder) -> AssetMould | None:
    key = (
        *(told, content.made_source, reading.prompt, len(reading.carriers), reading.kind, reading.media_type),
        *(reading.width, reading.height, reading.frames, reading.plugin, reading.version),
        *(folder.root_id, folder.project_id, folder.person_id, folder.attribution_source),
    )
    known = _moulds.get(key)
    if known is None:
        known = _moulds.keep(key, _tried(told, alike, content, reading, folder) or _UNLIKE)
    return None if isinstance(known, str) else known


def _tried(told: Told, alike: AlikeGraph, content: Content, reading: Reading, folder: Folder) -> AssetMould | None:
    """The mould, where it makes what is recorded of two files with other values."""
    template = alike.template
    assert told.parameters is not None
    if any(longest(parts) > TEXT_LIMIT for _, parts in told.texts):
        return None
    trials = []
    for number in range(2):
        values = [value if isinstance(value, int) else value[:TRIED_LENGTH] for value in template.trial_values(number)]
        carriers = list(reading.carriers)
        for index, carrier in enumerate(carriers):
            # Of the editor's graph nothing is looked at beside an executed one.
            raw = b'{"trial": %d}' % number
            if index == reading.prompt:
                raw = template.written(values)
            carriers[index] = dataclasses.replace(carrier, raw=raw)
        trial = _content(content, folder, number)
        made = assemble(trial, dataclasses.replace(reading, carriers=tuple(carriers)), folder, Stopwatch())
        run, location = made.asset.generation, trial.location
        graph = None if template.mould is None else template.mould.filled(values)
        if graph is None or run is None or run.exact is None or made.graph is None or made.learned or location is None:
            return None
        if ready_graph(made.graph) != graph.ready or run.output.output_digest != graph.outputs.get(run.output.node):
            return None
        own = OwnFacts(
            sha256=trial.sha256,
            size=trial.size,
            made_at=trial.made_at,
            location=location,
            exact=run.exact,
            documents=(run.prompt_document or b"", *[sha256 for _, sha256 in run.extra_documents]),
            output=run.output.output_digest,
            values=values,
        )
        trials.append((made.asset, own))
    return asset_mould(trials, AlikeWords(told.parameters, told.texts))


def _content(content: Content, folder: Folder, number: int) -> Content:
    """A file's own facts that occur in no other's rows."""
    size = (81_264_359_017, 9_350_214_687_123)[number]
    place = (b"a trial/of what is where.png", b"another/\xff\\ \t\ntrial\x01.png")[number]
    location = LocationRecord(
        watch_root_id=folder.root_id,
        path=place,
        size=size,
        mtime_ns=size * 7,
        inode=size * 11,
        device=size * 13,
    )
    made_at = datetime.datetime(1983 + number, 4, 5, 6, 7, 8, 9 * number, tzinfo=datetime.UTC)
    return dataclasses.replace(
        content, sha256=hashlib.sha256(place).digest(), size=size, made_at=made_at, location=location
    )
