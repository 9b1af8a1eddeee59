"""What models were made from: a LoRA from its base, a merge from its parents. Said by headers, by what lies beside, by people.

A parent is linked by its bytes' hash alone, in whatever kind of hash it was stated; a mere name stays a name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.ids import new_id
from memoryd.foundation.texts import storable
from memoryd.model_registry import licence_changes
from memoryd.model_registry.facts import Ancestor, Descendant, OriginView, StatedBy, Via
from memoryd.model_registry.queries import models as model_queries
from memoryd.model_registry.queries import origins as queries
from memoryd.weights.describing import ModelFacts
from memoryd.weights.kinds import ModelKind

DEPTH_LIMIT = 32
"""Steps from a model to an ancestor. The longest chains of merges that are told of have fewer than ten."""
ANCESTORS_LIMIT = 256
"""Ancestors of one model that are looked at."""
DESCENDANTS_LIMIT = 100_000
CHILDREN_SHOWN = 100
STATED_LIMIT = 500
"""Characters of a parent's name."""

_HASH = re.compile(r"^[0-9a-f]{8,64}$")
_WHOLE = 10
"""Hex digits from which on a stated hash names one file; the eight of the oldest web UI are shared by many."""

_RELATIONS = {
    "adapter": Via.LORA_BASE,
    "merge": Via.MERGE,
    "finetune": Via.FINETUNE,
    "quantized": Via.QUANTISED,
}
"""Source: Hugging Face, model cards, `base_model_relation`."""
_ADAPTERS = frozenset({ModelKind.LORA, ModelKind.EMBEDDING, ModelKind.CONTROLNET})


class OriginCycle(Conflict):
    """A model cannot be made from what was made from it."""


class OriginNotStated(NotFound):
    """Nobody made this statement, or it was withdrawn."""


def ancestors(session: Session, sha256s: Iterable[bytes]) -> dict[bytes, tuple[Ancestor, ...]]:
    """Return for each model what it was made from, nearest first, at whatever distance; () where nothing is known.

    ANCESTORS_LIMIT at most of each, DEPTH_LIMIT steps away.
    """
    wanted = list(dict.fromkeys(sha256s))
    found: defaultdict[bytes, list[Ancestor]] = defaultdict(list)
    rows = queries.list_ancestors(session, wanted, depth=DEPTH_LIMIT, limit=ANCESTORS_LIMIT) if wanted else ()
    for row in rows:
        found[bytes(row.start)].append(
            Ancestor(
                sha256=None if row.parent is None else bytes(row.parent),
                stated=row.stated,
                via=Via(row.via),
                child=bytes(row.child),
                depth=row.depth,
                stated_by=StatedBy(row.source),
            )
        )
    return {sha256: tuple(found[sha256]) for sha256 in wanted}


def descendants(session: Session, sha256: bytes) -> tuple[Descendant, ...]:
    """Return what was made from a model, nearest first, at whatever distance, each once; DESCENDANTS_LIMIT at most."""
    return tuple(
        Descendant(
            sha256=bytes(row.child),
            via=Via(row.via),
            parent=bytes(row.parent),
            depth=row.depth,
            stated_by=StatedBy(row.source),
        )
        for row in queries.list_descendants(session, sha256, depth=DEPTH_LIMIT, limit=DESCENDANTS_LIMIT)
    )


def list_parents(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, tuple[OriginView, ...]]:
    """Return what is said of each model's own parents."""
    found: defaultdict[bytes, list[OriginView]] = defaultdict(list)
    for row in queries.list_parents(session, sha256s) if sha256s else ():
        found[bytes(row.child)].append(_view(row))
    return {sha256: tuple(found[sha256]) for sha256 in sha256s}


def list_children(session: Session, sha256: bytes) -> tuple[OriginView, ...]:
    """Return what is said to be made from a model, the latest first, CHILDREN_SHOWN at most."""
    return tuple(_view(row) for row in queries.list_children(session, sha256, limit=CHILDREN_SHOWN))


def count_children(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, int]:
    """Return how many models were made from each of these, CHILDREN_SHOWN at most; those without are left out."""
    return queries.count_children(session, sha256s, limit=CHILDREN_SHOWN) if sha256s else {}


def derive(session: Session, caller: Caller, child: bytes, parent: bytes, via: Via) -> None:
    """Record that a person says how a model came from another; both are known. Raises: OriginCycle."""
    queries.lock_origins(session)
    _refuse_cycle(session, child, parent)
    row = {"parent": parent, "stated": parent.hex(), "via": via.value, "source": StatedBy.PERSON.value}
    queries.insert_origins(session, [{"id": new_id(), "child": child, "person_id": caller.person_id, **row}])
    audit.note(session, caller, "model.derive", child.hex(), {"from": parent.hex(), "via": via.value})
    _tell(session, child)


def withdraw(session: Session, caller: Caller, child: bytes, parent: bytes, via: Via | None = None) -> None:
    """End what people said of a model and a parent; what files say stands as long as they do. Raises: OriginNotStated."""
    standing = queries.find_origin(
        session, child, parent=parent, source=StatedBy.PERSON.value, via=None if via is None else via.value
    )
    if not standing:
        raise OriginNotStated(
            f"no person says that {child.hex()[:12]} was made from {parent.hex()[:12]}",
            hint="see `memoryd models show`; what a file states of itself cannot be withdrawn",
        )
    queries.withdraw_origins(session, [row.id for row in standing])
    audit.note(session, caller, "model.derive.withdraw", child.hex(), {"from": parent.hex()})
    _tell(session, child)


def _tell(session: Session, child: bytes) -> None:
    # What a model inherits, all that was made from it inherits.
    licence_changes.tell(session, models=[child, *(each.sha256 for each in descendants(session, child))])


def keep_stated(session: Session, seen: Sequence[tuple[bytes, ModelFacts]]) -> list[bytes]:
    """Record what headers and sidecars say; return the models of which something new is said or linked.

    A statement that would close a circle is kept as a name, without a link.
    """
    rows = [row for sha256, facts in seen for row in _stated(sha256, facts)]
    if not rows:
        return []
    queries.lock_origins(session)
    known = _resolved(session, {str(row["stated"]) for row in rows})
    written = queries.insert_origins(session, [{"id": new_id(), "parent": None, "person_id": None, **r} for r in rows])
    return [*written, *_link(session, set(known), known)]


def link_new(session: Session, hashes: Collection[str]) -> list[bytes]:
    """Link statements that named models by these hashes (lower-case hex) before they were known; return the children."""
    waiting = {row.stated for row in queries.list_unresolved(session, sorted(hashes))} if hashes else set()
    if not waiting:
        return []
    queries.lock_origins(session)
    return _link(session, waiting, _resolved(session, waiting))


def _link(session: Session, stated: Collection[str], known: dict[str, bytes]) -> list[bytes]:
    linked = []
    for row in queries.list_unresolved(session, sorted(stated)):
        parent, child = known.get(row.stated), bytes(row.child)
        if parent is None or parent == child or queries.is_ancestor(session, child, of=parent):
            continue
        queries.resolve_origin(session, row.id, parent)
        linked.append(child)
    return linked


def _resolved(session: Session, stated: Collection[str]) -> dict[str, bytes]:
    hashes = [one for one in stated if _HASH.match(one) and len(one) >= _WHOLE]
    found: defaultdict[str, set[bytes]] = defaultdict(set)
    for row in model_queries.find_by_hashes(session, hashes) if hashes else ():
        found[row.value].add(bytes(row.sha256))
    # Two files with one short hash: neither is meant for certain.
    return {value: next(iter(sha256s)) for value, sha256s in found.items() if len(sha256s) == 1}


def _stated(sha256: bytes, facts: ModelFacts) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    several = len(facts.parents) > 1
    usual = Via.LORA_BASE if facts.kind in _ADAPTERS else Via.MERGE if several else Via.FINETUNE
    told = [(parent, usual, StatedBy.HEADER) for parent in facts.parents]
    if facts.sidecars is not None:
        via = _RELATIONS.get(facts.sidecars.relation or "", usual)
        told += [(parent, via, StatedBy.SIDECAR) for parent in facts.sidecars.parents]
    for parent, how, source in told:
        name = storable(parent)[0].strip()[:STATED_LIMIT]
        name = name.lower().removeprefix("0x") if _HASH.match(name.lower().removeprefix("0x")) else name
        if name and name != sha256.hex():
            rows.append({"child": sha256, "stated": name, "via": how.value, "source": source.value})
    return rows


def _refuse_cycle(session: Session, child: bytes, parent: bytes) -> None:
    if child == parent or queries.is_ancestor(session, child, of=parent):
        raise OriginCycle(
            f"{parent.hex()[:12]} was made from {child.hex()[:12]}, or is the same",
            hint="see `memoryd models show` of both; withdraw the statement that is wrong with `models underive`",
        )


def _view(row: Any) -> OriginView:
    return OriginView(
        id=row.id,
        child=bytes(row.child),
        parent=None if row.parent is None else bytes(row.parent),
        stated=row.stated,
        via=Via(row.via),
        stated_by=StatedBy(row.source),
        at=row.at,
    )
