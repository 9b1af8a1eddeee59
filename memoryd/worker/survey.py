"""What this machine offers: environment, GPU, node packs, models, node classes."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

from memoryd.comfyui.catalogue_document import pack_catalogue
from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.facts import ModelListed
from memoryd.dispatch.wire import Gpu, ModelFile, ModelPlace, NodePack, RegisterRequest
from memoryd.foundation.canonical_json import Json, canonical_digest
from memoryd.foundation.logging import log_for
from memoryd.foundation.texts import storable
from memoryd.worker.engine_environment import EngineLook
from memoryd.worker.gpu_reading import read_gpu
from memoryd.worker.hash_memory import HashMemory, stamp_of
from memoryd.worker.model_describing import LocalModel
from memoryd.worker.node_packs import PackSeen, packs_told, see_packs
from memoryd.worker.pulled_models import is_pulled
from memoryd.worker.shared_places import see_place
from memoryd.worker.state_folder import StateFolder

_NOT_WEIGHTS = frozenset({"custom_nodes", "configs"})
"""What ComfyUI lists among its models folders though no weights lie there."""

PLACES_LIMIT = 1_000
"""Folders of one worker. Source: dispatch.wire, RegisterRequest."""

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One look at a ComfyUI. Digests are 32 bytes."""

    environment: Mapping[str, Json]
    environment_sha256: bytes
    models: tuple[ModelFile, ...]
    nodes_sha256: bytes
    classes: tuple[str, ...]
    gpu: Gpu
    node_packs: tuple[NodePack, ...]
    launch_flags: tuple[str, ...]
    nodes: bytes = dataclasses.field(repr=False, compare=False)
    """The node specifications as they are sent (`comfyui.catalogue_document`)."""
    local: tuple[LocalModel, ...] = dataclasses.field(repr=False, compare=False)
    """The models whose files lie on this machine: those that can be hashed."""
    places: tuple[ModelPlace, ...] = ()
    """The folders that the models lie in, by the numbers that these name."""
    packs: tuple[PackSeen, ...] = dataclasses.field(default=(), repr=False, compare=False)
    """The node packs with their files, where they lie on this machine."""
    fetches_models: bool = False
    """Whether models can be brought: ComfyUI's folders lie on this machine, and may be written to."""


def look_around(comfyui: ComfyClient, state: StateFolder, *, gpu_uuid: str | None = None) -> Survey:
    """Return what the ComfyUI offers; a model's hash only where that very file was hashed before.

    `gpu_uuid` names the card where several of this machine are alike. Raises: EngineDown, EngineTrouble.
    """
    here = is_here(comfyui)
    stats = comfyui.system_stats()
    with EngineLook(comfyui, state, here=here) as look:
        specs = comfyui.specs()
        directories = local_directories(comfyui)
        gpu = read_gpu(stats, here=here, gpu_uuid=gpu_uuid)
        folders = [folder for folder in directories.get("custom_nodes", look.pack_folders()) if folder.is_dir()]
        packs = see_packs(folders, state.sources) if folders else packs_told(comfyui.installed_packs())
        models, local, places = [], [], _Places()
        for folder in comfyui.model_folders():
            for model in comfyui.models(folder) if folder not in _NOT_WEIGHTS else ():
                if _is_for_a_run(model, directories):
                    continue
                stated, found = _described(model, directories, state.hashes, places)
                models.append(stated)
                if found is not None:
                    local.append(found)
        environment = look.document(stats, gpu, packs)
    return Survey(
        environment=environment,
        environment_sha256=canonical_digest(environment),
        models=tuple(models),
        places=tuple(places.seen),
        nodes_sha256=specs.digest,
        classes=specs.classes,
        gpu=gpu,
        node_packs=tuple(pack.stated for pack in packs),
        packs=tuple(packs),
        launch_flags=tuple(_flags(stats)),
        nodes=pack_catalogue(specs),
        local=tuple(local),
        fetches_models=any(os.access(one, os.W_OK) for some in directories.values() for one in some),
    )


def registration(
    survey: Survey, *, incarnation: UUID, label: str, host: str, gpu_uuid: str | None = None
) -> RegisterRequest:
    """Return what a start of a worker states of itself."""
    return RegisterRequest(
        incarnation=incarnation,
        label=label,
        host=host,
        gpu_uuid=gpu_uuid,
        environment=dict(survey.environment),
        models=list(survey.models),
        nodes_sha256=survey.nodes_sha256.hex(),
        classes=list(survey.classes),
        gpu=survey.gpu,
        node_packs=list(survey.node_packs),
        launch_flags=list(survey.launch_flags),
        fetches_models=survey.fetches_models,
        places=list(survey.places),
    )


class _Places:
    """The folders of one look, each looked at once."""

    def __init__(self) -> None:
        self.seen: list[ModelPlace] = []
        self._numbers: dict[Path, int | None] = {}

    def number_of(self, directory: Path) -> int | None:
        """Return a folder's number, None where it cannot be told which place it is."""
        if directory not in self._numbers:
            place = see_place(directory) if len(self.seen) < PLACES_LIMIT else None
            self._numbers[directory] = None if place is None else len(self.seen)
            if place is not None:
                self.seen.append(ModelPlace(key=place.key, kind=place.kind, root=storable(str(directory))[0]))
        return self._numbers[directory]


def _flags(stats: Mapping[str, Json]) -> list[str]:
    system = stats.get("system")
    argv = system.get("argv") if isinstance(system, dict) else None
    return [str(word) for word in argv[1:]] if isinstance(argv, list) else []


def local_directories(comfyui: ComfyClient) -> Mapping[str, tuple[Path, ...]]:
    """Return the directories of each models folder where ComfyUI runs on this machine, else nothing."""
    return comfyui.folder_paths() if is_here(comfyui) else {}


def is_here(comfyui: ComfyClient) -> bool:
    """Tell whether a ComfyUI is spoken to at an address of this machine alone."""
    host = urlsplit(comfyui.url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_here(model: ModelListed, directories: Mapping[str, tuple[Path, ...]]) -> tuple[Path, Path] | None:
    """Return the directory and the path of a listed model on this machine, None where it lies elsewhere."""
    # The first match wins, as in ComfyUI; a size that differs means that its file system is not ours (a container).
    for directory in directories.get(model.folder, ()):
        path = directory / model.name
        if path.is_file():
            return (directory, path) if model.size in (None, path.stat().st_size) else None
    return None


def _is_for_a_run(model: ModelListed, directories: Mapping[str, tuple[Path, ...]]) -> bool:
    """Tell whether a model is listed only while a colleague's run, maybe another tenant's, has it linked there."""
    found = find_here(model, directories)
    return found is not None and is_pulled(found[1], found[0])


def _described(
    model: ModelListed, directories: Mapping[str, tuple[Path, ...]], hashes: HashMemory, places: _Places
) -> tuple[ModelFile, LocalModel | None]:
    name = model.name.replace("\\", "/")
    found = find_here(model, directories)
    if found is None:
        return ModelFile(folder=model.folder, path=name, size=model.size), None
    directory, path = found
    stamp, known = stamp_of(path), hashes.find(path)
    stated = ModelFile(
        folder=model.folder,
        path=name,
        size=stamp.size,
        mtime_ns=stamp.mtime_ns,
        sha256=known.sha256 if known is not None else None,
        place=places.number_of(directory),
    )
    return stated, LocalModel(stated=stated, directory=directory, path=path)
