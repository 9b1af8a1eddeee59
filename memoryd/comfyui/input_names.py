"""How a graph names the files that it reads: `fx/a.png [output]` is `a.png` in folder `fx` of ComfyUI's output."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from memoryd.foundation.canonical_json import Json

NAME_LIMIT = 1000
"""Characters of a file's name with its folders."""
SEEN_PREFIX = "seen-"
"""Before ComfyUI's word for a folder, in a worker's report: a file that the run read there and that nobody had sent along
(`seen-input`). Such an output has in `output` the file's name as the graph spells it."""
INPUT_TYPES = ("input", "output", "temp")

MEDIA_NAME = re.compile(
    r"\.(?:png|jpe?g|webp|gif|bmp|tiff?|avif|exr|mp4|mov|mkv|webm|m4v|wav|mp3|flac|ogg|opus|glb|obj|latent)"
    r"(?: \[(?:input|output|temp)\])?$",
    re.IGNORECASE,
)
"""How the name of a media file ends, as a graph writes it."""


def input_place(written: str) -> tuple[str, str, str]:
    """Return (subfolder, name, type) for a file as a graph names it: `fx/a.png [output]` is in folder fx of output.

    Source: ComfyUI, folder_paths.annotated_filepath.
    """
    kind = "input"
    for each in INPUT_TYPES:
        if written.endswith(f" [{each}]"):
            written, kind = written[: -len(each) - 3], each
    path = PurePosixPath(written.replace("\\", "/"))
    folder = path.parent.as_posix()
    return "" if folder == "." else folder, path.name, kind


def media_literals(prompt: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    """Yield (node, text) for each literal of a prompt (API format) that reads like a media file's name."""
    for node, said in prompt.items():
        inputs = said.get("inputs") if isinstance(said, dict) else None
        for value in inputs.values() if isinstance(inputs, dict) else ():
            if isinstance(value, str) and len(value) < NAME_LIMIT and MEDIA_NAME.search(value):
                yield node, value
