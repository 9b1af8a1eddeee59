"""The environment of a ComfyUI, whole: what it tells over HTTP and, where it runs on this machine, what its process shows.

Every member that is not known is left out. Nothing in it changes by itself: equal starts have equal environments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from memoryd.comfyui.answers import environment_document
from memoryd.comfyui.client import ComfyClient
from memoryd.comfyui.errors import EngineDown, EngineTrouble
from memoryd.comfyui.facts import STAND_IN_MARK, STAND_IN_PRETENDS
from memoryd.dispatch.wire import Gpu
from memoryd.foundation.canonical_json import Json, NotJson, canonical_digest, read_json
from memoryd.foundation.logging import log_for
from memoryd.worker.attention import attention_asked, attention_told
from memoryd.worker.changed_packages import changed_packages
from memoryd.worker.engine_probe import EngineProbe, processor_model, recorded_variables
from memoryd.worker.engine_sight import EngineSight, find_engine
from memoryd.worker.gpu_reading import list_capabilities
from memoryd.worker.node_packs import PackSeen, commit_of, git_folder_of
from memoryd.worker.state_folder import StateFolder

ATTENTIONS_LIMIT = 20
"""Ways of starting whose attention is remembered: ComfyUI says it once, and forgets its oldest lines."""

_log = log_for(__name__)


class EngineLook:
    """One look at a ComfyUI's process and Python. To be used in a `with` block; the probe runs while the block does."""

    def __init__(self, comfyui: ComfyClient, state: StateFolder, *, here: bool) -> None:
        """Begin. `here`: ComfyUI is spoken to at an address of this machine alone."""
        self._comfyui = comfyui
        self._state = state
        self._sight: EngineSight | None = find_engine(comfyui.url) if here else None
        self._here = here
        self._probe = EngineProbe(self._sight, state.path) if self._sight is not None else None
        if here and self._sight is None:
            _log.info("the process behind %s is not seen: its environment is what it tells over HTTP", comfyui.url)

    def __enter__(self) -> EngineLook:
        """The look itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what is still being asked."""
        if self._probe is not None:
            self._probe.__exit__()

    def pack_folders(self) -> tuple[Path, ...]:
        """Return where node packs lie by custom, for a ComfyUI that does not tell where they do."""
        program = self._sight.program if self._sight is not None else None
        return (program / "custom_nodes",) if program is not None else ()

    def document(self, stats: Mapping[str, Json], gpu: Gpu, packs: Sequence[PackSeen]) -> dict[str, Json]:
        """Return the environment. `stats`: what /system_stats told."""
        document = environment_document(stats)
        document |= self._seen(document)
        if gpu.driver is not None:
            document["driver"] = gpu.driver
        if self._here:
            _add_capabilities(document)
        if packs:
            document["node_packs"] = [pack.as_json() for pack in packs]
        attention = self._attention(document)
        if attention is not None:
            document["attention"] = attention
        return document | _pretended(stats)

    def _seen(self, told: Mapping[str, Json]) -> dict[str, Json]:
        sight = self._sight
        if sight is None or self._probe is None:
            return {}
        members = self._probe.members()
        for name in ("python", "torch"):
            if name in told and members.get(name) not in (None, told[name]):
                # A tunnel's end, or packages that were changed under a ComfyUI that still runs the old ones.
                _log.warning(
                    "ComfyUI runs %s %s, its Python now has %s: restart ComfyUI; until then only what it tells counts",
                    *(name, told[name], members[name]),
                )
                return {}
        members["variables"] = recorded_variables(sight.variables)
        model = processor_model()
        if model is not None:
            members["cpu"] = {"model": model}
        if sight.program is not None:
            members |= self._comfyui_itself(sight.program)
        listed, complete = told.get("packages"), members.get("packages")
        if isinstance(complete, dict):
            members["packages"] = (listed if isinstance(listed, dict) else {}) | complete
            if complete.get("numpy") is not None:
                members["numpy"] = complete["numpy"]
            # Looked at anew each time: an edit within a package changes nothing that the probe's answer is kept by.
            changed = changed_packages(self._probe.places())
            if changed is not None:
                members["packages_changed"] = changed
        return members

    def _comfyui_itself(self, program: Path) -> dict[str, Json]:
        folder = git_folder_of(program)
        tree = self._state.sources.look(program, folder, is_comfyui=True)
        members: dict[str, Json] = {"comfyui_tree": tree.digest} if tree.digest is not None else {}
        commit = commit_of(folder) if folder is not None else None
        if commit is not None:
            members["comfyui_commit"] = commit
            if tree.changed is not None:
                members["comfyui_dirty"] = tree.changed
        return members

    def _attention(self, document: Mapping[str, Json]) -> str | None:
        """What the log tells; what it told of an equal start before; else what the flags ask for."""
        flags, packages = document.get("flags"), document.get("packages")
        words = [str(flag) for flag in flags] if isinstance(flags, list) else []
        start = canonical_digest([words, document.get("torch"), packages]).hex()
        file = self._state.path / "attentions.json"
        remembered = _read(file)
        try:
            told = attention_told(self._comfyui.recent_log())
        except (EngineDown, EngineTrouble):
            told = None
        if told is not None and remembered.get(start) != told:
            kept = {name: value for name, value in remembered.items() if name != start}
            _write(file, dict([*list(kept.items())[-ATTENTIONS_LIMIT + 1 :], (start, told)]))
        before = remembered.get(start)
        return told or (before if isinstance(before, str) else None) or attention_asked(words)


def _add_capabilities(document: Mapping[str, Json]) -> None:
    devices = document.get("devices")
    cards = [device for device in devices if isinstance(device, dict)] if isinstance(devices, list) else []
    if not any(card.get("type") == "cuda" for card in cards):
        return
    known = list_capabilities()
    for card in cards:
        name = card.get("name")
        if card.get("type") == "cuda" and isinstance(name, str) and name in known:
            card["capability"] = known[name]


def _pretended(stats: Mapping[str, Json]) -> dict[str, Json]:
    """What the stand-in says of a machine that it only plays. A real ComfyUI cannot say such a thing."""
    system = stats.get("system")
    if not isinstance(system, dict) or STAND_IN_MARK not in system:
        return {}
    played = system.get(STAND_IN_PRETENDS)
    return dict(played) if isinstance(played, dict) else {}


def _read(file: Path) -> dict[str, Json]:
    try:
        value = read_json(file.read_bytes())
    except (OSError, NotJson):
        return {}
    return value if isinstance(value, dict) else {}


def _write(file: Path, members: Mapping[str, Json]) -> None:
    try:
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(members))
        unfinished.replace(file)
    except OSError as error:
        _log.warning("%s is not kept: %s", file.name, error)
