"""Whether a job's models may be used: its project's policy is asked, in the transaction that writes the job.

What was decided is remembered with the epoch at which it was. The statement that writes a job tells the present epoch, so
that nothing more is asked of the database while nothing has changed; and it waits while a recall is being written, so that
no job of a recalled model is written after it. Nothing is refused from memory, and nothing that waits is let pass by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from memoryd.clearance.facts import UNKNOWN_MAKING
from memoryd.clearance.policies import approvals, deciding
from memoryd.clearance.policies.facts import Action, Decision, UsedModel
from memoryd.comfyui.specs import NodeSpecs
from memoryd.dispatch.wire import Pin
from memoryd.foundation.database import Engine, Session
from memoryd.submission.facts import Submission
from memoryd.submission.graph_needs import GraphRead, folders_of, slashed
from memoryd.submission.grounds import Ground
from memoryd.submission.remembering import memory_of
from memoryd.workflows.loaded_models import Loaded, loaded_by
from memoryd.workflows.node_roles import MODEL_SUFFIXES, names_model_file

KEPT_S = 60.0
"""How long a decision is remembered: an epoch is a sum, and is not trusted for ever."""

Key = tuple[object, ...]


def models_of(
    read: GraphRead,
    pins: Sequence[Pin] | None,
    contents: Mapping[tuple[str, str], str],
    specs: NodeSpecs | None = None,
) -> tuple[UsedModel, ...]:
    """Return what a graph may load: by the bytes that are asked for, else by those that the pool's workers have.

    `pins` None: none are asked for. What is pinned besides is meant as well; what is named is never left out, and what
    cannot be read of the graph is a model of which nothing is known. `specs`: what the pool's classes offer.
    """
    asked: dict[tuple[str, str], dict[str, None]] = {}
    for pin in pins or ():
        # Bytes that nobody insists on are not what will be loaded, whoever says so.
        bytes_of = asked.setdefault((pin.folder, slashed(pin.name)), {})
        if pin.sha256 is not None and not pin.assumed:
            bytes_of[pin.sha256] = None
    loaded = _loaded_by(read, specs)
    named = {(folder, slashed(name)): None for folder, name in (*read.needs.models, *loaded.models)} | dict.fromkeys(
        asked
    )
    used = []
    for folder, name in named:
        place = placed(contents, folder, name)
        assumed = None if place is None else contents[place]
        known: list[str | None] = [*asked.get((folder, name), ())] or [assumed]
        used += [UsedModel(sha256=None if one is None else bytes.fromhex(one), role=folder, name=name) for one in known]
    return (*used, *(UsedModel(sha256=None, role=UNKNOWN_MAKING, name=why) for why in loaded.unread))


def placed(contents: Mapping[tuple[str, str], str], folder: str, name: str) -> tuple[str, str] | None:
    """Return under which (folder, name) the pool's workers have a file, None where they have none or several.

    Folders have older names; embeddings, and LoRAs in texts, are named without their ending.
    """
    path = slashed(name)
    names = [path] if names_model_file(path) else [path + suffix for suffix in MODEL_SUFFIXES]
    found = [(one, each) for one in folders_of(folder) for each in names if (one, each) in contents]
    if not found or len({contents[place] for place in found}) > 1:
        return None
    return (folder, path) if (folder, path) in contents else min(found)


def pins_of(
    read: GraphRead,
    pins: Sequence[Pin] | None,
    contents: Mapping[tuple[str, str], str],
    specs: NodeSpecs | None = None,
) -> tuple[Pin, ...]:
    """Return the pins that a job keeps: those that are asked for, and the rest with the bytes that the pool's workers have.

    Nobody insists on the latter; a recall finds the job by them, and an approval is of them. A hash that comes with a
    request without being insisted on is nobody's word, and does not count.
    """
    asked = read.needs.pins() if pins is None else pins
    kept = [pin.model_copy(update={"sha256": None, "assumed": False}) if pin.assumed else pin for pin in asked]
    have = {(pin.folder, slashed(pin.name)) for pin in kept}
    for folder, name in (*read.needs.models, *_loaded_by(read, specs).models):
        place = placed(contents, folder, name)
        # Only what is there: a file that is named and switched off need not be.
        if place is not None and place not in have and (folder, slashed(name)) not in have:
            have.add(place)
            kept.append(Pin(folder=place[0], name=place[1]))
    return tuple(
        pin.model_copy(update={"sha256": contents[place], "assumed": True})
        if pin.sha256 is None and (place := placed(contents, pin.folder, pin.name)) is not None
        else pin
        for pin in kept
    )


def _loaded_by(read: GraphRead, specs: NodeSpecs | None) -> Loaded:
    return loaded_by(read.graph, specs) if read.graph is not None else Loaded(models=())


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


def cleared(row: Mapping[str, Any], decision: Decision, *, trial: bool) -> dict[str, Any]:
    """Return a job's row with what was decided about its models.

    What somebody approved, or is to approve, are these very bytes, and a policy that asks or refuses has let these pass:
    the worker insists on them then. What a trial is for is to find out which there are.
    """
    pins = row["pins"]
    if decision.request is not None or (decision.policy.is_strict and not trial):
        pins = [{**pin, "assumed": False} for pin in pins]
    return {**row, "pins": pins, "clearance": decision.kept}


def decide_or_remember(session: Session, asked: Submission, read: GraphRead, ground: Ground, epoch: str) -> Decision:
    """Return what happens to a job, from memory where nothing has changed since `epoch`. Raises: as decide."""
    models = models_of(read, asked.pins, ground.contents, ground.specs)
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
