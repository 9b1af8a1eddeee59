"""Graphs that name models which no worker of a pool has, and which the model store has: workers bring them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from memoryd.comfyui.specs import NodeSpecs
from memoryd.comfyui.validation_rules import Rulebook
from memoryd.dispatch.facts import Route
from memoryd.dispatch.fetchers import find_fetchers
from memoryd.dispatch.wire import Pin
from memoryd.foundation.database import Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.ids import PoolId
from memoryd.model_registry.keeping import copies
from memoryd.model_registry.keeping.facts import ModelCopy
from memoryd.submission.graph_needs import GraphNeeds, slashed
from memoryd.submission.pool_knowledge import PoolKnowledge, with_files


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What workers will bring for a job. `contents`: (folder, name) -> SHA-256 (hex); `route`: who can, where not all do."""

    knowledge: PoolKnowledge
    contents: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    route: Route | None = None


def stored_for(session: Session, pins: Iterable[Pin]) -> dict[tuple[str, str], ModelCopy]:
    """Return the copies that these pins ask for, by (folder, name): by their hash, else by their name where that is one."""
    asked = list(pins)
    named = copies.copies_named(session, [(pin.folder, pin.name) for pin in asked if pin.sha256 is None])
    wanted = {
        (pin.folder, pin.name): bytes.fromhex(pin.sha256) if pin.sha256 else named.get((pin.folder, pin.name))
        for pin in asked
    }
    found = copies.find_copies(session, [sha256 for sha256 in wanted.values() if sha256 is not None])
    return {use: found[sha256] for use, sha256 in wanted.items() if sha256 in found}


def what_is_brought(
    session: Session,
    needs: GraphNeeds,
    pins: Sequence[Pin] | None,
    knowledge: PoolKnowledge,
    *,
    scope: TenantScope,
    pool_id: PoolId,
) -> Brought | None:
    """Return what a pool's workers would bring of a graph's models, None where the store or the workers cannot.

    `session` has taken the farm, and has it again afterwards.
    """
    fetchers = find_fetchers(session, pool_id, tenant_id=scope.id)
    if not fetchers.workers:
        return None
    insisted = {(pin.folder, pin.name): pin for pin in pins or () if pin.sha256 is not None}
    asked = [insisted.get((pin.folder, pin.name), pin) for pin in needs.pins()]
    take_tenant(session, scope)
    found = stored_for(session, asked)
    copies.touch(session, [copy.sha256 for copy in found.values()])
    take_farm(session)
    if not found:
        return None
    return Brought(
        knowledge=_with_stored(knowledge, found),
        contents={(folder, slashed(name)): copy.sha256.hex() for (folder, name), copy in found.items()},
        route=None if fetchers.all_do else Route(workers=fetchers.workers),
    )


def _with_stored(knowledge: PoolKnowledge, stored: Iterable[tuple[str, str]]) -> PoolKnowledge:
    """Return what is known of a pool, as if its workers had these files. What is shared of it stays as it is."""
    offered = {folder: set(names) for folder, names in (knowledge.offered or {}).items()}
    for folder, name in stored:
        offered.setdefault(folder, set()).add(name)
    rules = knowledge.rules
    if rules is not None:
        rules = Rulebook(NodeSpecs(with_files(rules.specs.document, offered)))
    return dataclasses.replace(
        knowledge, rules=rules, offered={folder: frozenset(names) for folder, names in offered.items()}
    )
