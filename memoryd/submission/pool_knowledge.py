"""What a pool's workers have told: their node specifications merged into one rulebook, their classes, their model files.

Made once per state of the pool's workers and kept: a submission looks up whether it is still that state at most every
LOOK_EVERY_S, and always before it refuses.
"""

from __future__ import annotations

import dataclasses
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from memoryd.comfyui.catalogue_document import CatalogueUnreadable, unpack_catalogue
from memoryd.comfyui.specs import COMBO, NodeSpecs
from memoryd.comfyui.validation_rules import Rulebook
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Engine, Session
from memoryd.foundation.ids import PoolId, TenantId
from memoryd.submission import queries
from memoryd.workflows.node_roles import model_role

LOOK_EVERY_S = 1.0
CONTENTS_EVERY_S = 60.0
WORKERS_LIMIT = 20
"""Workers whose specifications are merged, those heard last. A pool's workers are alike."""
KEPT_LIMIT = 64
"""Pools (per tenant) of which knowledge is kept: each holds some megabytes."""

_Stamp = tuple[tuple[UUID, object, bool], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PoolKnowledge:
    """What is known of a pool's workers. `rules` None: none told its specifications; `classes` None: none told anything.

    `offered`: model files by folder; None where no worker stated any. `contents`: (folder, name) -> SHA-256 (hex) of the
    files that all of them have alike, as it was CONTENTS_EVERY_S ago at most: weights are hashed long after a start.
    """

    rules: Rulebook | None
    classes: frozenset[str] | None
    offered: Mapping[str, frozenset[str]] | None
    contents: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)

    @property
    def specs(self) -> NodeSpecs | None:
        """What its classes take and offer."""
        return self.rules.specs if self.rules is not None else None


@dataclasses.dataclass(slots=True)
class _Kept:
    stamp: _Stamp
    looked_at: float
    learned_at: float
    knowledge: PoolKnowledge


_kept: weakref.WeakKeyDictionary[Engine, OrderedDict[tuple[UUID, UUID], _Kept]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def remembered(engine: Engine, pool_id: PoolId, tenant_id: TenantId) -> PoolKnowledge | None:
    """Return what is known of a pool's workers, where that was looked at a moment ago."""
    with _lock:
        found = _kept.setdefault(engine, OrderedDict()).get((pool_id, tenant_id))
    return found.knowledge if found is not None and time.monotonic() - found.looked_at < LOOK_EVERY_S else None


def knowledge_of(
    session: Session, pool_id: PoolId, *, tenant_id: TenantId, max_age_s: float = LOOK_EVERY_S
) -> PoolKnowledge:
    """Return what workers of a pool that serve this tenant have told, as it was `max_age_s` ago at most.

    `session` has taken the farm.
    """
    key, now = (pool_id, tenant_id), time.monotonic()
    with _lock:
        kept = _kept.setdefault(session.get_bind().engine, OrderedDict())
        found = kept.get(key)
        if found is not None:
            kept.move_to_end(key)
            if now - found.looked_at < max_age_s:
                return found.knowledge
            # Others go on with what there is while this one looks.
            found.looked_at = now
    stamp = tuple(
        (row.id, row.registered_at, row.told)
        for row in queries.list_workers_of_pool(session, pool_id=pool_id, tenant_id=tenant_id, limit=WORKERS_LIMIT)
    )
    workers = [worker for worker, _, _ in stamp]
    if found is not None and found.stamp == stamp:
        if now - found.learned_at > CONTENTS_EVERY_S:
            found.learned_at = now
            _, contents = _files_of(session, workers)
            found.knowledge = dataclasses.replace(found.knowledge, contents=contents)
        return found.knowledge
    made = _Kept(stamp, now, now, _learn(session, workers))
    with _lock:
        kept[key] = made
        while len(kept) > KEPT_LIMIT:
            kept.popitem(last=False)
    return made.knowledge


def _learn(session: Session, workers: list[UUID]) -> PoolKnowledge:
    if not workers:
        return PoolKnowledge(rules=None, classes=None, offered=None)
    catalogues: list[Mapping[str, Json]] = []
    classes: set[str] = set()
    for row in queries.list_catalogues_of_workers(session, worker_ids=workers):
        classes.update(row.classes or ())
        if row.nodes is not None:
            try:
                catalogues.append(unpack_catalogue(row.nodes).document)
            except CatalogueUnreadable:
                continue  # it was readable when it was taken in: the limits have been lowered since
    offered, contents = _files_of(session, workers)
    merged = with_files(merge_catalogues(catalogues), offered)
    return PoolKnowledge(
        rules=Rulebook(NodeSpecs(merged)) if merged else None,
        classes=frozenset(classes | merged.keys()) or None,
        offered={folder: frozenset(names) for folder, names in offered.items()} if offered else None,
        contents=contents,
    )


def _files_of(session: Session, workers: list[UUID]) -> tuple[dict[str, set[str]], dict[tuple[str, str], str]]:
    offered: dict[str, set[str]] = {}
    contents = {}
    for row in queries.list_models_of_workers(session, worker_ids=workers):
        offered.setdefault(row.folder, set()).add(row.path)
        if row.sha256 is not None:
            contents[row.folder, row.path] = bytes(row.sha256).hex()
    return offered, contents


def merge_catalogues(catalogues: Iterable[Mapping[str, Json]]) -> dict[str, Any]:
    """Return the classes of all catalogues; one that several have is as the first has it, with the options of all."""
    merged: dict[str, Any] = {}
    for document in catalogues:
        for name, info in document.items():
            if name not in merged:
                merged[name] = info
            elif merged[name] != info:
                merged[name] = _with_options_of(merged[name], info)
    return merged


def with_files(merged: Mapping[str, Any], offered: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Return the classes with every model file among the options of the inputs that name files of its folder.

    A worker tells its specifications again only when its classes change, but its files at every start.
    """
    folders = {folder: list(names) for folder, names in offered.items()}
    inputs = {(use.class_type, use.input): use.folder for use in NodeSpecs(merged).model_inputs(folders)}
    found: dict[str, Any] = {}
    for name, info in merged.items():
        found[name] = info
        for input_name, spec in _specs_of(info):
            folder = inputs.get((name, input_name)) or model_role(name, input_name)
            options = _options_of(spec)
            more = [file for file in folders.get(folder or "", ()) if options is not None and file not in options]
            if more:
                found[name] = _with_options(found[name], input_name, more)
    return found


def _specs_of(info: Any) -> Iterable[tuple[str, list[Any]]]:
    declared = info.get("input") if isinstance(info, dict) else None
    for group in ("required", "optional"):
        members = declared.get(group) if isinstance(declared, dict) else None
        for name, spec in members.items() if isinstance(members, dict) else ():
            if isinstance(spec, list) and spec:
                yield name, spec


def _options_of(spec: list[Any]) -> list[Any] | None:
    if isinstance(spec[0], list):
        return spec[0]
    if spec[0] == COMBO and len(spec) > 1 and isinstance(spec[1], dict):
        options = spec[1].get("options")
        return options if isinstance(options, list) else None
    return None


def _with_options_of(info: Any, other: Any) -> Any:
    theirs = dict(_specs_of(other))
    for name, spec in list(_specs_of(info)):
        options, more = _options_of(spec), _options_of(theirs.get(name, [""]))
        new = [option for option in more or () if options is not None and option not in options]
        if new:
            info = _with_options(info, name, new)
    return info


def _with_options(info: dict[str, Any], input_name: str, more: list[Any]) -> dict[str, Any]:
    """Return a class with more options of one input; what is shared with other states of the pool stays as it is."""
    declared = dict(info["input"])
    for group in ("required", "optional"):
        members = declared.get(group)
        if isinstance(members, dict) and input_name in members:
            spec = list(members[input_name])
            if isinstance(spec[0], list):
                spec[0] = [*spec[0], *more]
            else:
                spec[1] = {**spec[1], "options": [*spec[1]["options"], *more]}
            declared[group] = {**members, input_name: spec}
    return {**info, "input": declared}
