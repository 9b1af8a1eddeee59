"""Whether the weights that a job was accepted for are here: under their names, with their contents, before it runs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.facts import ModelListed
from memoryd.dispatch.wire import Pin
from memoryd.foundation.logging import log_for
from memoryd.weights.hashing import FileChanged
from memoryd.worker.hash_memory import HashMemory
from memoryd.worker.model_links import Wanted
from memoryd.worker.survey import find_here, is_here, local_directories

DRIFTED = "model-drifted"
"""The word for weights that changed under their name."""

MISSING = "pin-missing"
"""The word for weights that are not here."""

_SHOWN = 16
"""Digits of a hash that a sentence shows."""

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a job cannot run here: `kind` is a stable word, `reason` a sentence with the next step."""

    kind: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A job's weights as they are here. `links` must be there while it runs.

    `contents`: (folder, name) -> SHA-256 (hex), where it is known without reading the file for it.
    """

    refusal: Refusal | None = None
    links: tuple[Wanted, ...] = ()
    contents: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)


def look_at(comfyui: ComfyClient, hashes: HashMemory, pins: Sequence[Pin]) -> Pinned:
    """Return how a job's weights are here; names are always looked at, contents where ComfyUI runs on this machine.

    Each file is hashed once (by size and time of change), also a file that has the pinned content under another name.
    Raises: EngineDown, EngineTrouble.
    """
    if not pins:
        return Pinned()
    place = _Place(comfyui, hashes)
    links, contents = [], dict[tuple[str, str], str]()
    for pin in pins:
        found = place.look(pin)
        if isinstance(found, Refusal):
            return Pinned(refusal=found)
        if isinstance(found, Wanted):
            links.append(found)
            if pin.sha256 is not None:
                contents[pin.folder, pin.name] = pin.sha256
        elif found is not None:
            contents[pin.folder, pin.name] = found
    return Pinned(links=tuple(links), contents=contents)


class _Place:
    """The models folders of one ComfyUI, each asked for once."""

    def __init__(self, comfyui: ComfyClient, hashes: HashMemory) -> None:
        self._comfyui = comfyui
        self._hashes = hashes
        self._directories: Mapping[str, tuple[Path, ...]] | None = None
        self._listed: dict[str, dict[str, ModelListed]] = {}

    def look(self, pin: Pin) -> str | Wanted | Refusal | None:
        """Return a pin's content (None: not known), what must be linked, or why it does not hold."""
        model = self._models(pin.folder).get(pin.name)
        if model is None:
            return self._elsewhere(pin)
        found = find_here(model, self._all())
        if found is None:
            if pin.sha256 is not None:
                _log.warning("%s/%s: the file is not on this machine, its hash is not checked", pin.folder, pin.name)
            return None
        if pin.sha256 is None or pin.assumed:
            # Nobody insists: it is told what is here, where that is known, and no run waits for it.
            known = self._hashes.find(found[1])
            return known.sha256 if known is not None else None
        present = self._content(found[1], pin.sha256)
        if present == pin.sha256:
            return present
        return Refusal(kind=DRIFTED, reason=self._drift(pin, found[1], present))

    def _elsewhere(self, pin: Pin) -> Wanted | Refusal:
        """Look for the file under another name, where it may be linked under the graph's."""
        asked = f"{pin.folder}/{pin.name}"
        if not is_here(self._comfyui):
            other = _alike(self._models(pin.folder), pin.name)
            there = f", which has {other.name}" if other is not None else ""
            return Refusal(
                kind=MISSING,
                reason=f"{asked} is not on this ComfyUI{there}, and it runs on another machine: put the file there under "
                "that name, or run the worker on that machine",
            )
        path = self._find_content(pin)
        if path is None:
            unread = self._unread(pin.folder) if pin.sha256 is not None else 0
            later = f" ({unread} files are not hashed yet: it may be one of them)" if unread else ""
            return Refusal(kind=MISSING, reason=f"{asked} is not on this ComfyUI{later}: put the file there")
        return Wanted(
            folder=pin.folder, name=pin.name, content=path, directories=tuple(self._all().get(pin.folder, ()))
        )

    def _find_content(self, pin: Pin) -> Path | None:
        if pin.sha256 is None or pin.assumed:
            # Without a content to go by only the spelling may differ, as it does between systems.
            return self._local(_alike(self._models(pin.folder), pin.name, spelling=True))
        for path in self._hashes.paths_of(pin.sha256):
            if self._is_model(path):
                return path
        # One that was renamed a moment ago is not hashed under its new name yet, but its size is known.
        sizes = self._hashes.sizes_of(pin.sha256)
        for model in self._models(pin.folder).values():
            here = self._local(model)
            likely = here is not None and (_last(model.name) == _last(pin.name) or here.stat().st_size in sizes)
            if here is not None and likely and self._content(here, pin.sha256) == pin.sha256:
                return here
        return None

    def _drift(self, pin: Pin, path: Path, present: str) -> str:
        assert pin.sha256 is not None
        here = next((each for each in self._hashes.paths_of(pin.sha256) if self._is_model(each)), None)
        step = (
            f"{here} has what is asked for: move {path} aside, and it is linked under that name"
            if here is not None
            else f"bring the file with SHA-256 {pin.sha256} back"
        )
        return (
            f"{pin.folder}/{pin.name} holds other weights here: {present[:_SHOWN]}… instead of {pin.sha256[:_SHOWN]}…; "
            + step
        )

    def _content(self, path: Path, wanted: str) -> str:
        known = self._hashes.find(path)
        if known is not None and (known.own or known.sha256 == wanted):
            return known.sha256
        # A job is not refused on a colleague's word: what differs is measured here.
        try:
            return self._hashes.measure_now(path)
        except FileChanged:
            return self._hashes.measure_now(path)

    def _unread(self, folder: str) -> int:
        paths = [self._local(model) for model in self._models(folder).values()]
        return sum(1 for path in paths if path is not None and self._hashes.find(path) is None)

    def _is_model(self, path: Path) -> bool:
        return any(directory in path.parents for each in self._all().values() for directory in each)

    def _local(self, model: ModelListed | None) -> Path | None:
        found = find_here(model, self._all()) if model is not None else None
        return found[1] if found is not None else None

    def _models(self, folder: str) -> dict[str, ModelListed]:
        if folder not in self._listed:
            self._listed[folder] = {model.name: model for model in self._comfyui.models(folder)}
        return self._listed[folder]

    def _all(self) -> Mapping[str, tuple[Path, ...]]:
        if self._directories is None:
            self._directories = local_directories(self._comfyui)
        return self._directories


def _alike(listed: Mapping[str, ModelListed], name: str, *, spelling: bool = False) -> ModelListed | None:
    """A file of the same name but for its separators; or, unless only the spelling may differ, for its folder."""
    slashed = name.replace("\\", "/")
    for each in listed.values():
        if each.name.replace("\\", "/") == slashed or (not spelling and _last(each.name) == _last(name)):
            return each
    return None


def _last(name: str) -> str:
    return os.path.basename(name.replace("\\", "/"))  # noqa: PTH119 # a name as ComfyUI lists it, no path of here
