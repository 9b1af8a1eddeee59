"""Brings a job's input files into ComfyUI under their own names, and gives back what lay there before.

The name is part of the graph, and the graph is embedded in the picture: under another name the result would be another
file. So a file of the same name that belongs to somebody else is put aside for the run and restored after it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineFileMissing, EngineTrouble
from memoryd.comfyui.facts import OutputFile
from memoryd.dispatch.wire import Claimed, InputFile
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.logging import log_for
from memoryd.worker.server_link import ServerLink

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PutAside:
    """Somebody's file that had to make room, and where it waits."""

    file: InputFile
    path: Path


@contextlib.contextmanager
def placed_inputs(comfyui: ComfyClient, link: ServerLink, claimed: Claimed, folder: Path) -> Iterator[None]:
    """A block in which ComfyUI has the job's inputs, byte for byte. `folder` is empty and private to this run.

    Raises: BytesDiffer, LeaseLost, CallRefused, ServerDown, EngineDown, EngineTrouble.
    """
    aside: list[PutAside] = []
    try:
        for index, file in enumerate(claimed.inputs):
            _place(comfyui, link, claimed, file, folder / str(index), aside)
        yield
    finally:
        for kept in aside:
            try:
                _upload(comfyui, kept.file, kept.path)
            except MemorydError as error:
                _log.error("%s was not put back; it lies in %s: %s", kept.file.name, kept.path, error.detail)
            else:
                kept.path.unlink()


def _place(
    comfyui: ComfyClient, link: ServerLink, claimed: Claimed, file: InputFile, path: Path, aside: list[PutAside]
) -> None:
    previous = path.with_suffix(".before")
    present = _fetch_present(comfyui, file, previous)
    if present == file.sha256:
        previous.unlink()
        return
    link.fetch_input(claimed, file, path)
    if present is not None:
        aside.append(PutAside(file=file, path=previous))
    _upload(comfyui, file, path)
    path.unlink()


def _fetch_present(comfyui: ComfyClient, file: InputFile, target: Path) -> str | None:
    """Write what lies under the name to `target` and return its SHA-256, None where nothing does."""
    digest = hashlib.sha256()
    place = OutputFile(node="", output="", batch_index=0, filename=file.name, subfolder=file.subfolder, type=file.type)
    try:
        with comfyui.view(place) as chunks, target.open("wb") as written:
            for chunk in chunks:
                digest.update(chunk)
                written.write(chunk)
    except EngineFileMissing:
        return None
    return digest.hexdigest()


def _upload(comfyui: ComfyClient, file: InputFile, path: Path) -> None:
    with path.open("rb") as content:
        uploaded = comfyui.upload(content, file.name, subfolder=file.subfolder, type=file.type)
    if uploaded.name != file.name:
        raise EngineTrouble(
            f"{file.name} was taken as {uploaded.name}", hint="ComfyUI did not replace the file: is it write-protected?"
        )
