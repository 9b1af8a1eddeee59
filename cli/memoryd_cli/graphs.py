"""`extract` and `diff`: what a file says about how it was made, and what differs between two. Files need no server."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.canonical_json import NotJson, canonical_bytes, read_json
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.findings import Finding
from memoryd.ingest.beside import whole_reading
from memoryd.ingest.understanding import understand
from memoryd.plugin_api.door import HEAD_SIZE, choose_plugin, installed_plugins, read_stream
from memoryd.plugin_api.facts import Completeness, Reading
from memoryd.workflows.difference import diff_graphs
from memoryd.workflows.facts import Graph, Identities, Parameters
from memoryd.workflows.graph_reading import DOCUMENT_LIMIT
from memoryd.workflows.wire import show_difference, show_finding, show_identities, show_parameters
from memoryd_cli.client import server
from memoryd_cli.extract_rows import json_reading, rows_of
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_SPECS_HINT = "save what GET /object_info of a ComfyUI answers"
_SHOWN_LIMIT = 300
"""Characters of a value that are shown in plain output; JSON has them all."""


class FileNotReadable(NotFound):
    """This file cannot be read."""


class FormatNotKnown(NotAcceptable):
    """No installed plugin reads this file."""


class NoNodeSpecifications(NotAcceptable):
    """This file holds no node specifications."""


class SeveralFiles(NotAcceptable):
    """Only one file is shown at a time."""


class FileHasNoGraph(NotAcceptable):
    """This file does not carry an executed graph."""


class NoSuchDocument(NotFound):
    """This file carries no text under that key."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Extract:
    """What a file says."""

    reading: Reading | None
    completeness: Completeness | None
    graph: Graph | None
    identities: Identities | None
    parameters: Parameters | None
    findings: tuple[Finding, ...]


def register(app: typer.Typer) -> None:
    """Add `extract` and `diff`."""
    app.command("extract")(extract)
    app.command("diff")(diff)


def _specs(path: Path) -> NodeSpecs:
    try:
        told = read_json(path.read_bytes())
    except OSError as error:
        raise _not_readable(path, error) from error
    except NotJson as error:
        raise NoNodeSpecifications(f"{path}: {error.detail}", hint=_SPECS_HINT) from error
    if not isinstance(told, dict):
        raise NoNodeSpecifications(str(path), hint=_SPECS_HINT)
    return NodeSpecs(told)


def _extract(path: Path, specs: NodeSpecs | None = None) -> _Extract:
    """Read a file through the plugin door; a JSON file counts as a prompt in API format."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_SIZE)
            plugin = choose_plugin(head)
            if plugin is None:
                if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                    raise _not_known(path, head)
                stream.seek(0)
                return _understood(json_reading(stream.read(DOCUMENT_LIMIT + 1)), None, path, specs)
            reading = whole_reading(read_stream(plugin, stream), stream, path.absolute())
            stream.seek(0)
            completeness = plugin.completeness(stream)
    except OSError as error:
        raise _not_readable(path, error) from error
    return _understood(reading, completeness, path, specs)


def _not_readable(path: Path, error: OSError) -> FileNotReadable:
    hint = "check the path and who may read it"
    if isinstance(error, FileNotFoundError):
        hint = f"check the path: it is looked for in {Path.cwd()}" if not path.is_absolute() else "check the path"
    return FileNotReadable(f"{path}: {error.strerror or error}", hint=hint)


def _not_known(path: Path, head: bytes) -> FormatNotKnown:
    if not head:
        return FormatNotKnown(f"{path} is empty", hint="copy it again: there is nothing in it to read")
    known = ", ".join(sorted(plugin.name for plugin in installed_plugins()))
    return FormatNotKnown(str(path), hint=f"formats are known by content, not by name; installed readers: {known}")


def _understood(reading: Reading, completeness: Completeness | None, path: Path, specs: NodeSpecs | None) -> _Extract:
    understood = understand(reading, path.name, specs)
    return _Extract(
        reading=None if completeness is None else reading,
        completeness=completeness,
        graph=understood.read.graph,
        identities=understood.read.identities,
        parameters=understood.parameters,
        findings=tuple(dict.fromkeys((*reading.findings, *understood.findings))),
    )


def extract(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="A picture, video or sound, a graph as .json; folders with --jsonl."),
    ],
    document: Annotated[str | None, typer.Option(help="Print only the text under this key, verbatim.")] = None,
    json: AsJson = False,
    object_info: Annotated[
        Path | None, typer.Option(help="What a ComfyUI answers at /object_info: its nodes are read by what it says.")
    ] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a file; folders are walked.")] = False,
) -> None:
    """Show what a file says about how it was made: parameters, texts, and what could not be read. Nothing is recorded."""
    specs = None if object_info is None else _specs(object_info)
    if jsonl:
        for row in rows_of(paths, specs):
            sys.stdout.write(dumps(row) + "\n")
        return
    if len(paths) > 1 or paths[0].is_dir():
        given = f"{paths[0]} is a folder" if len(paths) == 1 else f"{len(paths)} were given"
        raise SeveralFiles(given, hint="one line for each file: memoryd extract --jsonl PATH...")
    file = paths[0]
    read = _extract(file, specs)
    if document is not None:
        _print_document(read, document)
    elif json:
        as_json(_shape(file, read))
    else:
        _show(read)


def _print_document(read: _Extract, key: str) -> None:
    carriers = read.reading.carriers if read.reading else ()
    raw = next((carrier.raw for carrier in carriers if carrier.key == key), None)
    if raw is None:
        keys = ", ".join(dict.fromkeys(carrier.key for carrier in carriers)) or "none"
        raise NoSuchDocument(repr(key), hint=f"its keys are: {keys}")
    sys.stdout.buffer.write(raw)


def _shape(file: Path, read: _Extract) -> dict[str, Any]:
    reading = read.reading
    return {
        "file": str(file),
        "plugin": reading.plugin if reading else None,
        "plugin_version": reading.version if reading else None,
        "media_type": reading.media_type if reading else "application/json",
        "completeness": read.completeness.value if read.completeness else None,
        "width": reading.width if reading else None,
        "height": reading.height if reading else None,
        "identities": show_identities(read.identities).model_dump() if read.identities else None,
        "parameters": show_parameters(read.parameters).model_dump() if read.parameters else None,
        "documents": [
            {
                "place": carrier.place,
                "key": carrier.key,
                "size": len(carrier.raw),
                "sha256": hashlib.sha256(carrier.raw).hexdigest(),
            }
            for carrier in (reading.carriers if reading else ())
        ],
        "findings": [show_finding(finding).model_dump() for finding in read.findings],
    }


def _show(read: _Extract) -> None:
    if read.reading is not None:
        size = f"{read.reading.width} x {read.reading.height}" if read.reading.width else "size unknown"
        say(f"{read.reading.media_type}, {size}, {read.completeness.value if read.completeness else 'unknown'}")
    if read.parameters is not None:
        _show_parameters(read.parameters)
    if read.identities is not None:
        say(f"workflow  {read.identities.workflow.hex()}")
        say(f"exact     {read.identities.exact.hex()}")
    if read.reading is not None and read.reading.carriers:
        say()
        table(
            ("text", "place", "bytes"),
            [(carrier.key, carrier.place, len(carrier.raw)) for carrier in read.reading.carriers],
        )
    if read.graph is None:
        say("no executed graph in this file")
    if read.findings:
        say()
        table(("finding", "where", "detail"), [(f.code, f.where, f.detail) for f in read.findings])


def _show_parameters(parameters: Parameters) -> None:
    if parameters.tool:
        say(f"made by   {' '.join(filter(None, (parameters.tool, parameters.tool_version)))}")
    for use in parameters.prompts:
        say(f"{use.polarity.value:9} {_short(use.text)}{'  (template)' if use.is_template else ''}")
    for sampler in parameters.samplers:
        facts = {
            "seed": sampler.seed,
            "steps": sampler.steps,
            "cfg": sampler.cfg,
            "sampler": sampler.sampler,
            "scheduler": sampler.scheduler,
            "denoise": sampler.denoise,
        }
        told = ", ".join(f"{name} {'unknown' if value is None else value}" for name, value in facts.items())
        say(f"sampling  {told}  ({sampler.class_type} {sampler.node})")
    for model in parameters.models:
        strengths = [s for s in (model.strength_model, model.strength_clip) if s is not None]
        say(f"model     {model.role}: {model.name}{''.join(f'  {strength:g}' for strength in strengths)}")
    for given in parameters.inputs:
        say(f"input     {given.name}{f'  sha256 {given.sha256.hex()}' if given.sha256 else ''}")
    if not parameters.generates:
        say("nothing in this graph generates: no sampler among what the picture came from")
    if not parameters.certain and parameters.node is not None:
        say(f"uncertain: several nodes save; this is what node {parameters.node} saved")


def diff(
    a: Annotated[str, typer.Argument(help="A file, or an asset (id, start of its hash, path).")],
    b: Annotated[str, typer.Argument(help="Another.")],
    json: AsJson = False,
) -> None:
    """Show what differs between two graphs, input by input. Files are compared here, anything else by the server."""
    if Path(a).is_file() and Path(b).is_file():
        difference = show_difference(diff_graphs(_graph(Path(a)), _graph(Path(b)))).model_dump()
    else:
        difference = server().get("/graph-differences", a=a, b=b)
    if json:
        as_json(difference)
    else:
        _show_difference(difference)


def _graph(path: Path) -> Graph:
    read = _extract(path)
    if read.graph is None:
        reasons = "; ".join(finding.detail for finding in read.findings) or "it has no text `prompt`"
        raise FileHasNoGraph(f"{path}: {reasons}", hint=f"see what it carries: memoryd extract {path}")
    return read.graph


def _show_difference(difference: dict[str, Any]) -> None:
    if difference["same"]:
        say("the same graph")
        return
    say("the same workflow, other values" if difference["same_workflow"] else "different workflows")
    rows = [
        (f"{change['class_type']}.{change['input']}", _side(change["before"]), _side(change["after"]))
        for change in difference["changes"]
    ]
    if rows:
        table(("input", "a", "b"), rows)
    for word, nodes in (("only in a", difference["removed"]), ("only in b", difference["added"])):
        for node in nodes:
            say(f"{word}: {node['class_type']} ({node['node']}{': ' + node['title'] if node['title'] else ''})")


def _side(side: dict[str, Any]) -> str:
    if not side["present"]:
        return "(absent)"
    if side["link"]:
        return f"from {side['link']['class_type']} ({side['link']['node']}), output {side['slot']}"
    literal = side["literal"]
    return _short(literal if isinstance(literal, str) else canonical_bytes(literal).decode("ascii"))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_LIMIT else f"{text[:_SHOWN_LIMIT]}… ({len(text)} characters)"
