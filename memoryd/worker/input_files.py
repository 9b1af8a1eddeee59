"""Brings a job's input files into a shared ComfyUI under their own names, and gives back what lay there before.

The name is part of the graph, and the graph is embedded in the picture: under another name the result would be another
file. So a file of the same name that belongs to somebody else is put aside for the run and restored after it; what was
put aside is noted on disk before anything is replaced, so that a worker that is killed gives it back at its next start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
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


class PlacedFiles:
    """What is placed in one ComfyUI now, and what had to make room for it."""

    def __init__(self, home: Path) -> None:
        """`home` has one folder for each job that has files in ComfyUI; `N.before` and `N.json` there are put aside."""
        self._home = home

    @contextlib.contextmanager
    def placed(self, comfyui: ComfyClient, link: ServerLink, claimed: Claimed) -> Iterator[None]:
        """A block in which ComfyUI has the job's inputs, byte for byte; may be entered again after a kill.

        Raises: BytesDiffer, LeaseLost, CallRefused, ServerDown, EngineDown, EngineTrouble.
        """
        if not claimed.inputs:
            yield
            return
        folder = self._home / f"{claimed.job_id}-{claimed.fence}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            for index, file in enumerate(claimed.inputs):
                _place(comfyui, link, claimed, file, folder / str(index))
            yield
        finally:
            _give_back(comfyui, folder)

    def restore(self, comfyui: ComfyClient, held: set[str]) -> None:
        """Put back what jobs that no longer run had put aside; `held` are the others, as `job-fence`."""
        if not self._home.is_dir():
            return
        for folder in sorted(self._home.iterdir()):
            if folder.name not in held:
                _give_back(comfyui, folder)


def _place(comfyui: ComfyClient, link: ServerLink, claimed: Claimed, file: InputFile, path: Path) -> None:
    before, note, unfinished = path.with_suffix(".before"), path.with_suffix(".json"), path.with_suffix(".part")
    present = _fetch_present(comfyui, file, unfinished)
    if present == file.sha256:
        unfinished.unlink()
        return
    if present is not None and not note.exists():
        # What lies there now is somebody's, and is safe here before it is replaced. Of an earlier try of this job the
        # note is there already: then what lies there now is not what the owner left.
        os.replace(unfinished, before)  # noqa: PTH105 # both are in one folder
        _write(note, file.model_dump_json())
    unfinished.unlink(missing_ok=True)
    link.fetch_input(claimed, file, path)
    _upload(comfyui, file, path)
    path.unlink()


def _give_back(comfyui: ComfyClient, folder: Path) -> None:
    for note in sorted(folder.glob("*.json")):
        before = note.with_suffix(".before")
        try:
            file = InputFile.model_validate_json(note.read_bytes())
            # Somebody who replaced it meanwhile has the last word.
            if _fetch_present(comfyui, file, note.with_suffix(".part")) == file.sha256:
                _upload(comfyui, file, before)
            note.unlink()
        except (MemorydError, OSError, ValueError) as error:
            _log.error("a file was not put back yet, it lies in %s: %s", before, error)
            return
    shutil.rmtree(folder, ignore_errors=True)


def _fetch_present(comfyui: ComfyClient, file: InputFile, target: Path) -> str | None:
    """Write what lies under the name to `target` and return its SHA-256, None where nothing does."""
    digest = hashlib.sha256()
    place = OutputFile(node="", output="", batch_index=0, filename=file.name, subfolder=file.subfolder, type=file.type)
    try:
        with comfyui.view(place) as chunks, target.open("wb") as written:
            for chunk in chunks:
                digest.update(chunk)
                written.write(chunk)
            written.flush()
            os.fsync(written.fileno())
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


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
