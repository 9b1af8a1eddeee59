"""Whether a job's models may be used: its project's policy is asked, in the transaction that writes the job.

What was decided is remembered with the epoch at which it was. The statement that writes a job tells the present epoch, so
that nothing more is asked of the database while nothing has changed; and it waits while a recall is being written, so that
no job of a recalled model is written after it. Nothing is refused from memory, and nothing that waits is let pass by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memoryd.clearance.policies import approvals, deciding
from memoryd.clearance.policies.facts import Action, Decision, UsedModel
from memoryd.dispatch.wire import Pin
from memoryd.foundation.database import Engine, Session
from memoryd.submission.facts import Submission
from memoryd.submission.graph_needs import GraphNeeds, GraphRead, slashed
from memoryd.submission.grounds import Ground
from memoryd.submission.remembering import memory_of

KEPT_S = 60.0
"""How long a decision is remembered: an epoch is a sum, and is not trusted for ever."""

Key = tuple[object, ...]


def models_of(
    needs: GraphNeeds, pins: Sequence[Pin] | None, contents: Mapping[tuple[str, str], str]
) -> tuple[UsedModel, ...]:
    """Return what a graph loads: by the bytes that are asked for, else by those that the pool's workers have.

    `pins` None: none are asked for. What is pinned besides is meant as well; what is named is never left out.
    """
    # Bytes that nobody insists on are not what will be loaded, whoever says so.
    asked = {(pin.folder, slashed(pin.name)): None if pin.assumed else pin.sha256 for pin in pins or ()}
    named = {(folder, slashed(name)): None for folder, name in needs.models} | asked
    found = {key: asked.get(key) or contents.get(key) for key in named}
    return tuple(
        UsedModel(sha256=bytes.fromhex(known) if known else None, role=folder, name=name)
        for (folder, name), known in found.items()
    )


def key_of(ground: Ground, models: Iterable[UsedModel], *, trial: bool) -> Key:
    """Return what a decision is remembered by."""
    return ("clearance", ground.scope.id, ground.project_id, trial, frozenset(models))


def remembered(engine: Engine, key: Key) -> tuple[str, Decision] | None:
    """Return what was decided a moment ago, and at which epoch."""
    found = memory_of(engine).find(key)
    if not isinstance(found, tuple):
        return None
    epoch, decision = found
    assert isinstance(decision, Decision)
    return str(epoch), decision


def cleared(row: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """Return a job's row with what was decided about its models.

    What somebody approved, or is to approve, are these very bytes: the worker insists on them then.
    """
    pins = row["pins"]
    if decision.request is not None:
        pins = [{**pin, "assumed": False} for pin in pins]
    return {**row, "pins": pins, "clearance": decision.kept}


def decide_or_remember(session: Session, asked: Submission, read: GraphRead, ground: Ground, epoch: str) -> Decision:
    """Return what happens to a job, from memory where nothing has changed since `epoch`. Raises: as decide."""
    models = models_of(read.needs, asked.pins, ground.contents)
    key = key_of(ground, models, trial=asked.trial)
    known = remembered(session.get_bind().engine, key)
    if known is not None and known[0] == epoch:
        return known[1]
    return decide(session, models, key=key, ground=ground, trial=asked.trial, epoch=epoch)


def decide(
    session: Session, models: Sequence[UsedModel], *, key: Key, ground: Ground, trial: bool, epoch: str
) -> Decision:
    """Return what happens to a job, as `epoch` was the present one; where somebody is to approve it, they are asked.

    Raises: LicenceRefused, ModelRecalled, ApprovalRefused.
    """
    decision = deciding.decide(session, ground.project_id, models, trial=trial)
    if decision.action is Action.ASK:
        decision = approvals.ask(session, decision, ground.caller)
    deciding.check(decision)
    if decision.action is not Action.ASK:
        memory_of(session.get_bind().engine).keep(key, (epoch, decision), KEPT_S)
    return decision
