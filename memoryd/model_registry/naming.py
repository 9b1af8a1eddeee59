"""From what a graph calls a model to its bytes: only where the answer is known and there is one."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from memoryd.foundation.database import Session
from memoryd.foundation.texts import storable
from memoryd.model_registry.queries import names as queries
from memoryd.weights.describing import MODEL_SUFFIXES

LOOK_UP_LIMIT = 5_000
"""Paths of one statement."""

SAME_FOLDERS = (
    frozenset({"diffusion_models", "unet", "unet_gguf"}),
    frozenset({"text_encoders", "clip", "clip_gguf"}),
    frozenset({"controlnet", "t2i_adapter"}),
)
"""Folders that ComfyUI searches under one name. Source: ComfyUI folder_paths.py, map_legacy; ComfyUI-GGUF nodes.py."""

_SUFFIXES_TRIED = sorted(MODEL_SUFFIXES)


def resolve_names(
    session: Session,
    uses: Iterable[tuple[str, str]],
    *,
    worker: str | None = None,
    at: datetime.datetime | None = None,
) -> dict[tuple[str, str], bytes]:
    """Return the SHA-256 of each (role, name) that stands for exactly one content; the others are left out.

    `role` is the models folder (empty: any), `name` as the graph writes it. With `worker` only that machine's folders
    count. `at` asks what was observed at that moment, else what is there now: a name is no proof of what it meant
    earlier.
    """
    wanted = {use: _paths(use[1]) for use in uses}
    every_path = sorted({path for paths in wanted.values() for path in paths})
    found: defaultdict[str, list[tuple[str, bytes | None]]] = defaultdict(list)
    for first in range(0, len(every_path), LOOK_UP_LIMIT):
        for folder, path, sha256 in queries.find_names(
            session, every_path[first : first + LOOK_UP_LIMIT], worker=worker, at=at
        ):
            found[path].append((folder, sha256))
    answers = {}
    for (role, name), paths in wanted.items():
        sha256 = _only_content(role, [place for path in paths for place in found.get(path, ())])
        if sha256 is not None:
            answers[role, name] = sha256
    return answers


def _paths(name: str) -> tuple[str, ...]:
    """The paths a name may stand for: embeddings and texts leave the suffix out, Windows writes backslashes."""
    path = storable(name)[0].replace("\\", "/").strip().lstrip("/")
    if PurePosixPath(path).suffix.lower() in MODEL_SUFFIXES:
        return (path,)
    return tuple(path + suffix for suffix in _SUFFIXES_TRIED)


def _only_content(role: str, places: list[tuple[str, bytes | None]]) -> bytes | None:
    folders = next((group for group in SAME_FOLDERS if role in group), frozenset({role}))
    # A scan of a folder without roles knows none; such a name serves where no folder of the role has it.
    named = [sha256 for folder, sha256 in places if not role or folder in folders]
    contents = set(named or [sha256 for folder, sha256 in places if not folder])
    return contents.pop() if len(contents) == 1 else None
