"""Reads what ComfyUI answers: history entries, outputs, system statistics."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from memoryd.comfyui.facts import STAND_IN_MARK, OutputFile, RunFailure, RunRecord, RunState
from memoryd.foundation.canonical_json import Json

_LOCATION_FLAGS = frozenset(
    {
        "--listen",
        "--port",
        "--output-directory",
        "--input-directory",
        "--temp-directory",
        "--user-directory",
        "--base-directory",
        "--models-directory",
        "--extra-model-paths-config",
        "--database-url",
        "--tls-keyfile",
        "--tls-certfile",
        "--front-end-version",
        "--front-end-root",
        "--log-stdout",
        "--verbose",
        "--auto-launch",
        "--disable-auto-launch",
        "--enable-cors-header",
        "--max-upload-size",
        "--dont-print-server",
        "--preview-method",
        "--preview-size",
        "--cuda-device",
        "--default-device",
        "--oneapi-device-selector",
        "--enable-compress-response-body",
        "--comfy-api-base",
    }
)
"""Launch flags that say where ComfyUI lives, on which of equal cards, how it is reached, or what it shows. They cannot
change a pixel of a result, and would make every machine an environment of its own.
Source: ComfyUI 0.29 `main.py --help`."""


def read_outputs(outputs: Json) -> Iterator[OutputFile]:
    """Yield every file that a history entry's `outputs` (or an `executed` message's, by node) names, in order.

    Any list of members with a `filename` counts, whatever its key: savers use `images`, `audio`, `latents`, `3d`, `gifs`.
    """
    for node, kinds in _members(outputs).items():
        for output, items in _members(kinds).items():
            index = 0
            for item in items if isinstance(items, list) else ():
                if isinstance(item, dict) and isinstance(item.get("filename"), str):
                    yield OutputFile(
                        node=node,
                        output=output,
                        batch_index=index,
                        filename=str(item["filename"]),
                        subfolder=_text(item.get("subfolder")),
                        type=_text(item.get("type")) or "output",
                    )
                    index += 1


def read_history_entry(prompt_id: str, entry: Json) -> RunRecord:
    """Return a finished run from its history entry; members that are missing read as empty."""
    members = _members(entry)
    status = _members(members.get("status"))
    messages = _messages(status.get("messages"))
    queued = members.get("prompt")
    item: Sequence[Json] = queued if isinstance(queued, list) else []
    return RunRecord(
        prompt_id=prompt_id,
        state=_state(status.get("status_str"), messages),
        outputs=tuple(read_outputs(members.get("outputs"))),
        cached_nodes=tuple(_cached(messages)),
        told_cached=any(kind == "execution_cached" for kind, _ in messages),
        started_ms=_moment(messages, ("execution_start",)),
        ended_ms=_moment(messages, ("execution_success", "execution_error", "execution_interrupted")),
        failure=_failure(messages),
        prompt=_members(item[2]) if len(item) > 2 else {},
        extra_data=_members(item[3]) if len(item) > 3 else {},
    )


def environment_document(stats: Mapping[str, Json]) -> dict[str, Json]:
    """Return what decides over pixels, from /system_stats: versions, launch flags, devices. Stable from start to start.

    Memory, paths, ports and the order of flags are left out, and so is every member that it does not tell. `stand_in` is
    there, and names its version, only where it is no ComfyUI.
    """
    system = _members(stats.get("system"))
    argv = system.get("argv")
    flags: list[Json] | None = list(_flags(argv)) if isinstance(argv, list) else None
    document: dict[str, Json] = {
        "comfyui": system.get("comfyui_version"),
        "python": _text(system.get("python_version")).partition(" ")[0] or None,
        "torch": system.get("pytorch_version"),
        "os": system.get("os"),
        "flags": flags,
        "deterministic": "--deterministic" in flags if flags is not None else None,
        "packages": _packages(system.get("comfy_package_versions")),
        "devices": _devices(stats.get("devices")),
    }
    if STAND_IN_MARK in system:
        document["stand_in"] = system[STAND_IN_MARK]
    return {name: value for name, value in document.items() if value is not None}


def _flags(argv: Sequence[Json]) -> Iterator[Json]:
    """The flags by name, each followed by its values: in which order they were typed decides nothing."""
    groups: list[list[str]] = []
    for word in [str(word) for word in argv[1:]]:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            groups.append([name, value] if equals else [name])
        elif groups:
            groups[-1].append(word)
    for group in sorted(groups, key=lambda group: group[0]):
        if group[0] not in _LOCATION_FLAGS:
            yield from group


def _packages(listed: Json) -> dict[str, Json] | None:
    """Source: PEP 503, for the spelling of names."""
    packages = [_members(package) for package in listed] if isinstance(listed, list) else []
    installed = {
        re.sub(r"[-_.]+", "-", _text(package.get("name"))).lower(): package.get("installed") for package in packages
    }
    return {name: version for name, version in installed.items() if isinstance(version, str)} or None


def _devices(listed: Json) -> list[Json]:
    devices = [_members(device) for device in listed] if isinstance(listed, list) else []
    return [
        {
            name: value
            for name, value in (("name", device_name(device)), ("type", device.get("type")))
            if value is not None
        }
        for device in devices
    ]


def device_name(device: Mapping[str, Json]) -> str | None:
    """Return what a device of /system_stats is called, without its place and its allocator.

    Source: ComfyUI, model_management.get_torch_device_name: `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`.
    """
    told = device.get("name")
    if not isinstance(told, str) or not told.strip():
        return None
    name = re.sub(r"^\w+:\d+ ", "", told)
    return name.rpartition(" : ")[0].strip() or name.strip()


def _state(status: Json, messages: Sequence[tuple[str, Mapping[str, Json]]]) -> RunState:
    if any(kind == "execution_interrupted" for kind, _ in messages):
        return RunState.INTERRUPTED
    return RunState.SUCCESS if status == "success" else RunState.ERROR


def _cached(messages: Sequence[tuple[str, Mapping[str, Json]]]) -> Iterator[str]:
    for kind, body in messages:
        nodes = body.get("nodes")
        if kind == "execution_cached" and isinstance(nodes, list):
            yield from (str(node) for node in nodes)


def _moment(messages: Sequence[tuple[str, Mapping[str, Json]]], kinds: Sequence[str]) -> int | None:
    for kind, body in messages:
        stamp = body.get("timestamp")
        if kind in kinds and isinstance(stamp, int):
            return stamp
    return None


def _failure(messages: Sequence[tuple[str, Mapping[str, Json]]]) -> RunFailure | None:
    for kind, body in messages:
        if kind == "execution_error":
            lines = body.get("traceback")
            return RunFailure(
                node_id=_text(body.get("node_id")),
                node_type=_text(body.get("node_type")),
                exception=_text(body.get("exception_type")),
                message=_text(body.get("exception_message")),
                traceback=tuple(str(line) for line in lines) if isinstance(lines, list) else (),
            )
    return None


def _messages(listed: Json) -> list[tuple[str, Mapping[str, Json]]]:
    pairs = [pair for pair in listed if isinstance(pair, list) and len(pair) == 2] if isinstance(listed, list) else []
    return [(_text(kind), _members(body)) for kind, body in pairs]


def _members(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
