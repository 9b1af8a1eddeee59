"""Whether the weights that a job was accepted for are here: under their names, with their contents, before it runs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.facts import ModelListed
from memoryd.dispatch.wire import Pin
from memoryd.foundation.logging import log_for
from memoryd.weights.hashing import FileChanged
from memoryd.worker.hash_memory import HashMemory
from memoryd.worker.model_fetching import Fetched
from memoryd.worker.model_links import Wanted
from memoryd.worker.pulled_models import is_pulled
from memoryd.worker.survey import find_here, is_here, local_directories

DRIFTED = "model-drifted"
"""The word for weights that changed under their name."""

MISSING = "pin-missing"
"""The word for weights that are not here."""

_SHOWN = 16
"""Digits of a hash that a sentence shows."""

Fetch = Callable[[Sequence[Pin], Mapping[str, tuple[Path, ...]]], Fetched]
"""Brings models that are not here, given the directories of each models folder."""

_NEWER = {"unet": "diffusion_models", "clip": "text_encoders"}
"""Older names of folders. Source: ComfyUI, folder_paths.py, map_legacy."""

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


def look_at(comfyui: ComfyClient, hashes: HashMemory, pins: Sequence[Pin], fetch: Fetch | None = None) -> Pinned:
    """Return how a job's weights are here; names are always looked at, contents where ComfyUI runs on this machine.

    Each file is hashed once (by size and time of change), also a file that has the pinned content under another name.
    What is nowhere here is brought by `fetch`, where it can be linked. Raises: EngineDown, EngineTrouble, and what
    `fetch` raises.
    """
    if not pins:
        return Pinned()
    place = _Place(comfyui, hashes)
    links, contents = [], dict[tuple[str, str], str]()
    missing: list[tuple[Pin, Refusal]] = []
    for pin in pins:
        found = place.look(pin)
        if isinstance(found, Refusal):
            if found.kind != MISSING:
                return Pinned(refusal=found)
            missing.append((pin, found))
        elif isinstance(found, Wanted):
            links.append(found)
            if pin.sha256 is not None:
                contents[pin.folder, pin.name] = pin.sha256
        elif found is not None:
            contents[pin.folder, pin.name] = found
    if missing and (fetch is None or not is_here(comfyui)):
        return Pinned(refusal=missing[0][1])
    if missing and fetch is not None:
        fetched = fetch([pin for pin, _ in missing], place.directories([pin for pin, _ in missing]))
        for pin, refusal in missing:
            key = (pin.folder, pin.name)
            if key not in fetched.models:
                reason = f"{refusal.reason}; {fetched.reasons.get(key, 'it was not fetched')}"
                return Pinned(refusal=dataclasses.replace(refusal, reason=reason))
            path, contents[key] = fetched.models[key]
            links.append(place.wanted(pin, path))
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
        if found is not None and is_pulled(found[1], found[0]):
            # Another run's, maybe another tenant's: it is there for that run alone.
            return self._elsewhere(pin)
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
        return self.wanted(pin, path)

    def wanted(self, pin: Pin, content: Path) -> Wanted:
        """Return what must be linked for a pin."""
        return Wanted(folder=pin.folder, name=pin.name, content=content, directories=self._directories_of(pin.folder))

    def directories(self, pins: Sequence[Pin]) -> Mapping[str, tuple[Path, ...]]:
        """Return the directories of each models folder, also under the names by which these pins know them."""
        return {**self._all(), **{pin.folder: self._directories_of(pin.folder) for pin in pins}}

    def _directories_of(self, folder: str) -> tuple[Path, ...]:
        every = self._all()
        return tuple(every.get(folder) or every.get(_NEWER.get(folder, folder), ()))

    def _find_content(self, pin: Pin) -> Path | None:
        if pin.sha256 is None or pin.assumed:
            # Without a content to go by only the spelling may differ, as it does between systems.
            spelled = self._local(_alike(self._models(pin.folder), pin.name, spelling=True))
            if spelled is not None or pin.sha256 is None:
                return spelled
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
        return any(
            directory in path.parents and not is_pulled(path, directory)
            for each in self._all().values()
            for directory in each
        )

    def _local(self, model: ModelListed | None) -> Path | None:
        found = find_here(model, self._all()) if model is not None else None
        return found[1] if found is not None and not is_pulled(found[1], found[0]) else None

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
