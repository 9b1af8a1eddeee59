"""The files that a run reads and that nobody sent along: they lie in ComfyUI's folders, and are overwritten one day.

Looked at before the run and after it: only what was the same both times is what the run read, and goes with its result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import mimetypes
from collections.abc import Mapping
from pathlib import Path

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, EngineFileMissing, EngineTrouble
from memoryd.comfyui.facts import OutputFile
from memoryd.comfyui.input_names import SEEN_PREFIX, input_place, media_literals
from memoryd.dispatch.wire import Claimed, Output

FILES_LIMIT = 64
"""Files of one run that are looked at."""
BYTES_LIMIT = 512 * 1024 * 1024
"""Bytes of one of them; a longer film is not copied with every run."""


class TooLong(Exception):  # a word of this module to itself
    """A file has more than BYTES_LIMIT bytes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    file: OutputFile
    sha256: str


class SeenInputs:
    """What one job reads from ComfyUI's own folders."""

    def __init__(self, comfyui: ComfyClient, job: Claimed) -> None:
        """Nothing is looked at yet."""
        self._comfyui = comfyui
        self._job = job
        self._seen: tuple[_Seen, ...] = ()

    def look(self) -> None:
        """Note what lies there now, before the run. What cannot be read is left out: the run will say so itself."""
        seen = []
        for file in self._named()[:FILES_LIMIT]:
            with contextlib.suppress(EngineFileMissing, EngineTrouble, EngineDown, TooLong):
                seen.append(_Seen(file=file, sha256=self._read(file, None)[0]))
        self._seen = tuple(seen)

    def collect(self, folder: Path, first: int) -> list[Output]:
        """Bring what is the same after the run to `folder`, by index from `first`; return it as the report names it."""
        kept: list[Output] = []
        for one in self._seen:
            target = folder / str(first + len(kept))
            try:
                sha256, size = self._read(one.file, target)
            except (EngineFileMissing, EngineTrouble, EngineDown, TooLong):
                sha256, size = "", 0
            if sha256 != one.sha256:
                target.unlink(missing_ok=True)
                continue
            kept.append(
                Output(
                    index=first + len(kept),
                    node=one.file.node,
                    output=one.file.output,
                    batch_index=0,
                    filename=one.file.filename,
                    subfolder=one.file.subfolder,
                    type=SEEN_PREFIX + one.file.type,
                    sha256=sha256,
                    size=size,
                    media_type=mimetypes.guess_type(one.file.filename)[0] or "application/octet-stream",
                )
            )
        return kept

    def _named(self) -> list[OutputFile]:
        try:
            prompt = json.loads(self._job.prompt)
        except ValueError:
            return []
        sent = {(file.subfolder, file.name, file.type) for file in self._job.inputs}
        named: dict[str, OutputFile] = {}
        for node, written in media_literals(prompt) if isinstance(prompt, Mapping) else ():
            subfolder, filename, kind = place = input_place(written)
            # ComfyUI refuses the way out of its folders, and so does this.
            if place not in sent and ".." not in subfolder.split("/"):
                file = OutputFile(
                    # The graph's own spelling: by it the server knows which input is meant.
                    node=node,
                    output=written,
                    batch_index=0,
                    filename=filename,
                    subfolder=subfolder,
                    type=kind,
                )
                named.setdefault(written, file)
        return list(named.values())

    def _read(self, file: OutputFile, target: Path | None) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        with contextlib.ExitStack() as held:
            written = held.enter_context(target.open("wb")) if target is not None else None
            for chunk in held.enter_context(self._comfyui.view(file)):
                size += len(chunk)
                if size > BYTES_LIMIT:
                    raise TooLong
                digest.update(chunk)
                if written is not None:
                    written.write(chunk)
        return digest.hexdigest(), size
