"""What a job asked for, in the spelling of its record."""

from __future__ import annotations

import json

from memoryd.foundation.canonical_json import read_json


def extra_documents(extra_data: str) -> tuple[tuple[str, bytes], ...]:
    """Return the texts that ComfyUI writes beside the prompt: each member of extra_pnginfo, as json.dumps spells it.

    Source: ComfyUI, nodes.py, SaveImage.
    """
    value = read_json(extra_data)
    info = value.get("extra_pnginfo") if isinstance(value, dict) else None
    if not isinstance(info, dict):
        return ()
    return tuple((key, json.dumps(member).encode("ascii")) for key, member in info.items())


def input_name(file: dict[str, object]) -> str:
    """Return the name that a graph has for one of a job's inputs."""
    subfolder, name = str(file.get("subfolder") or ""), str(file["name"])
    suffix = "" if file.get("type", "input") == "input" else f" [{file['type']}]"
    return f"{subfolder}/{name}{suffix}" if subfolder else f"{name}{suffix}"
