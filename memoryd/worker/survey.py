"""What this machine offers: environment, models, node classes; and whether a job's pinned weights are here."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from memoryd.comfyui.answers import environment_document
from memoryd.comfyui.catalogue_document import pack_catalogue
from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.facts import ModelListed
from memoryd.dispatch.wire import ModelFile, Pin
from memoryd.foundation.canonical_json import Json, canonical_digest
from memoryd.foundation.logging import log_for
from memoryd.weights.hashing import hash_file
from memoryd.worker.state_folder import StateFolder

_NOT_WEIGHTS = frozenset({"custom_nodes", "configs"})
"""What ComfyUI lists among its models folders though no weights lie there."""

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at a ComfyUI. Digests are 32 bytes."""

    environment: Mapping[str, Json]
    environment_sha256: bytes
    models: tuple[ModelFile, ...]
    nodes_sha256: bytes
    classes: tuple[str, ...]
    nodes: bytes = dataclasses.field(repr=False, compare=False)
    """The node specifications as they are sent (`comfyui.catalogue_document`)."""


def look_around(comfyui: ComfyClient, state: StateFolder) -> Survey:
    """Return what the ComfyUI offers; a model's hash only where that very file was hashed before.

    Raises: EngineDown, EngineTrouble.
    """
    environment = environment_document(comfyui.system_stats())
    specs = comfyui.specs()
    directories = local_directories(comfyui)
    known = state.read_hashes()
    models = [
        _described(model, directories, known)
        for folder in comfyui.model_folders()
        if folder not in _NOT_WEIGHTS
        for model in comfyui.models(folder)
    ]
    return Survey(
        environment=environment,
        environment_sha256=canonical_digest(environment),
        models=tuple(models),
        nodes_sha256=specs.digest,
        classes=specs.classes,
        nodes=pack_catalogue(specs),
    )


def failing_pin(comfyui: ComfyClient, state: StateFolder, pins: list[Pin]) -> str | None:
    """Return a sentence on the first pin that does not hold here, None where all hold.

    Names are always checked; hashes where ComfyUI runs on this machine, each file once (by size and time of change).
    Raises: EngineDown, EngineTrouble.
    """
    directories: Mapping[str, tuple[Path, ...]] | None = None
    for pin in pins:
        listed = {model.name: model for model in comfyui.models(pin.folder)}
        # A ComfyUI on Windows lists names with its own separator.
        model = listed.get(pin.name) or listed.get(pin.name.replace("/", "\\"))
        if model is None:
            return f"{pin.folder}/{pin.name} is not on this ComfyUI"
        if pin.sha256 is None:
            continue
        if directories is None:
            directories = local_directories(comfyui)
        path = _find(model, directories)
        if path is None:
            _log.warning("%s/%s: the file is not on this machine, its hash is not checked", pin.folder, pin.name)
            continue
        present = _hash(path, state)
        if present != pin.sha256:
            return f"{pin.folder}/{pin.name} holds other weights here: {present[:16]}… instead of {pin.sha256[:16]}…"
    return None


def local_directories(comfyui: ComfyClient) -> Mapping[str, tuple[Path, ...]]:
    """Return the directories of each models folder where ComfyUI runs on this machine, else nothing."""
    host = urlsplit(comfyui.url).hostname or ""
    return comfyui.folder_paths() if _is_loopback(host) else {}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _find(model: ModelListed, directories: Mapping[str, tuple[Path, ...]]) -> Path | None:
    # The first match wins, as in ComfyUI; a size that differs means that its file system is not ours (a container).
    for directory in directories.get(model.folder, ()):
        path = directory / model.name
        if path.is_file():
            return path if model.size in (None, path.stat().st_size) else None
    return None


def _described(model: ModelListed, directories: Mapping[str, tuple[Path, ...]], known: Mapping[str, str]) -> ModelFile:
    path = _find(model, directories)
    stamp = path.stat() if path else None
    return ModelFile(
        folder=model.folder,
        path=model.name.replace("\\", "/"),
        size=stamp.st_size if stamp else model.size,
        mtime_ns=stamp.st_mtime_ns if stamp else None,
        sha256=known.get(_stamp(path)) if path else None,
    )


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


def _hash(path: Path, state: StateFolder) -> str:
    known = state.read_hashes()
    stamp = _stamp(path)
    if stamp not in known:
        known[stamp] = hash_file(path).sha256.hex()
        state.keep_hashes(known)
    return known[stamp]
