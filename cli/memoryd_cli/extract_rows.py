"""What `extract --jsonl` prints: one object a file, with every fact's source and confidence. Files need no server."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from memoryd.comfyui.specs import NodeSpecs
from memoryd.foundation.findings import Finding
from memoryd.foundation.texts import storable
from memoryd.ingest.beside import whole_reading
from memoryd.ingest.media import is_taken
from memoryd.ingest.merging import BASE_ROLES
from memoryd.ingest.understanding import Understood, understand
from memoryd.plugin_api.door import HEAD_SIZE, choose_plugin, read_stream
from memoryd.plugin_api.facts import Carrier, Polarity, Reading
from memoryd.workflows.facts import Parameters
from memoryd.workflows.graph_reading import DOCUMENT_LIMIT
from memoryd.workflows.wire import show_finding

_NEVER_WALKED = frozenset((".git", "__MACOSX", "@eaDir"))

_JSON = "application/json"

LORA_ROLES = frozenset(("loras", "xlabs_loras", "lycoris", "lora"))


def rows_of(paths: Iterable[Path], specs: NodeSpecs | None = None) -> Iterator[dict[str, Any]]:
    """Yield one object for each file named, and in a folder named for each that is media by its name or content, or a graph
    as JSON.
    """
    for path in paths:
        if not path.is_dir():
            yield row_of(path, specs)
            continue
        for file in _files(path):
            row = row_of(file, specs)
            if row["media_type"] == _JSON:
                if row["tool"] is not None:
                    yield row  # whatever else is JSON says nothing here
            elif is_taken(os.fsencode(file.name)) or row["media_type"] is not None:
                yield row


def row_of(path: Path, specs: NodeSpecs | None = None) -> dict[str, Any]:
    """Return what one file says (`specs`: of a ComfyUI that may have made it); what cannot be read is a finding."""
    reading, findings = _read(path)
    if reading is None:
        return _shape(path, None, None, findings)
    understood = understand(reading, path.name, specs)
    return _shape(path, reading, understood, (*findings, *reading.findings, *understood.findings))


def _files(path: Path) -> Iterator[Path]:
    # Hidden folders are walked too: nothing is recorded, and who names a folder wants to see what is in it.
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if name not in _NEVER_WALKED)
        for name in sorted(names):
            yield Path(folder) / name


def _read(path: Path) -> tuple[Reading | None, tuple[Finding, ...]]:
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_SIZE)
            plugin = choose_plugin(head)
            if plugin is not None:
                return whole_reading(read_stream(plugin, stream), stream, path.absolute()), ()
            if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                stream.seek(0)
                return json_reading(stream.read(DOCUMENT_LIMIT + 1)), ()
    except OSError as error:
        return None, (Finding(code="file-not-readable", detail=str(error.strerror or error)),)
    return None, (Finding(code="no-plugin", detail="no installed format plugin reads this content"),)


def json_reading(raw: bytes) -> Reading:
    """Return a JSON file as a reading: the editor's graph where it has nodes and links, else an executed one."""
    is_editor = b'"nodes"' in raw and b'"links"' in raw
    return Reading(
        plugin="json",
        version="1",
        media_type=_JSON,
        kind="other",
        carriers=(Carrier(place="json:file", key="workflow" if is_editor else "prompt", raw=raw),),
        prompt=None if is_editor else 0,
        workflow=0 if is_editor else None,
    )


def _shape(
    path: Path, reading: Reading | None, understood: Understood | None, findings: tuple[Finding, ...]
) -> dict[str, Any]:
    parameters = (understood.parameters if understood else None) or Parameters(node=None, certain=False)
    # The final pass first: it is the one that the picture shows.
    passes = sorted(parameters.samplers, key=lambda use: not use.final)
    models = parameters.models
    prompts = parameters.prompts
    if parameters.rest_of_run is not None:
        # Of the same run, although not of this picture; `facts` tells them apart.
        passes += parameters.rest_of_run.samplers
        models += parameters.rest_of_run.models
        if not parameters.certain and not any(use.polarity is Polarity.POSITIVE for use in prompts):
            prompts = parameters.rest_of_run.prompts
    return {
        "path": storable(os.fsencode(path).decode("utf-8", "replace"))[0],
        "prompt": [use.text for use in prompts if use.polarity is Polarity.POSITIVE],
        "negative": [use.text for use in prompts if use.polarity is Polarity.NEGATIVE],
        "models": _distinct(use.name for use in models if use.role in BASE_ROLES),
        "loras": _distinct(use.name for use in models if use.role in LORA_ROLES),
        "aux_models": [
            {"role": use.role, "file": use.name} for use in models if use.role not in BASE_ROLES | LORA_ROLES
        ],
        "seeds": _seeds(parameters.tool, [use.seed for use in passes if use.seed is not None]),
        "sampler": _distinct(use.sampler for use in passes if use.sampler),
        "scheduler": _distinct(use.scheduler for use in passes if use.scheduler),
        "steps": _distinct(use.steps for use in passes if use.steps is not None),
        "cfg": _distinct(use.cfg for use in passes if use.cfg is not None),
        "media_type": reading.media_type if reading else None,
        "width": reading.width if reading and reading.width else parameters.width,
        "height": reading.height if reading and reading.width else parameters.height,
        "requested": [parameters.width, parameters.height] if parameters.width else None,
        "ai_generated": understood.ai_generated if understood else None,
        "tool": parameters.tool,
        "tool_version": parameters.tool_version,
        "settings": dict(parameters.settings),
        "is_template": any(use.is_template for use in parameters.prompts),
        "findings": [show_finding(finding).model_dump() for finding in dict.fromkeys(findings)],
        "facts": list(_facts(parameters)),
    }


def _seeds(tool: str | None, seeds: list[int]) -> list[str]:
    # SwarmUI counts the seeds of its later passes up from the one that was asked for: `facts` has them all.
    counted = {seed for seed in seeds if tool == "swarmui" and seed - 1 in seeds}
    return _distinct(str(seed) for seed in seeds if seed not in counted)


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _facts(parameters: Parameters) -> Iterator[dict[str, Any]]:
    def fact(field: str, value: object, use: Any, where: str) -> dict[str, Any]:
        return {
            "field": field,
            "value": value,
            "source": use.source.value,
            "confidence": use.confidence.value,
            "where": where,
        }

    for text in parameters.prompts:
        field = "prompt" if text.polarity is Polarity.POSITIVE else "negative"
        yield {**fact(field, text.text, text, _place(text.node, text.input)), "is_template": text.is_template}
    for use in parameters.samplers:
        told = {
            "seed": None if use.seed is None else str(use.seed),
            "steps": use.steps,
            "cfg": use.cfg,
            "sampler": use.sampler,
            "scheduler": use.scheduler,
            "denoise": use.denoise,
        }
        for field, value in told.items():
            if value is not None:
                yield {**fact(field, value, use, f"{use.class_type} {use.node}".strip()), "final": use.final}
    for model in parameters.models:
        extra = {
            name: value
            for name, value in (
                ("strength_model", model.strength_model),
                ("strength_clip", model.strength_clip),
                ("claimed_hash", model.claimed_hash),
                ("air", model.air),
            )
            if value is not None
        }
        where = _place(model.node, model.input)
        yield {**fact("model", model.name, model, where), "role": model.role, "evidence": model.evidence, **extra}
    for given in parameters.inputs:
        yield fact("input", given.name, given, _place(given.node, given.input))
    if parameters.rest_of_run is not None:
        for told_beside in _facts(parameters.rest_of_run):
            yield {**told_beside, "rest_of_run": True}


def _place(node: str, name: str) -> str:
    return f"{node}.{name}" if node and name else node or name
