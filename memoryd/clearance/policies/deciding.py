"""What happens to a job: the verdict on its models under its project's policy, and what was approved already.

Recalls come first: a recalled model is refused whatever the policy says. A trial (a run whose result is only compared with
what is there, as canaries are) is judged for internal use, and where its project would ask it is told and not held: nobody
uses what it makes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from uuid import UUID

from memoryd.access.facts import Role
from memoryd.clearance.facts import Judgement, ModelInUse, Occasion, Use, Verdict
from memoryd.clearance.judging import judge
from memoryd.clearance.occasions import project_occasion
from memoryd.clearance.policies import queries
from memoryd.clearance.policies.facts import (
    Action,
    Decision,
    Policy,
    RequestState,
    UsedModel,
    clause_json,
    models_digest,
)
from memoryd.clearance.recalls.standing import recalled
from memoryd.foundation.canonical_json import Json, canonical_bytes, canonical_digest
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import ProjectId
from memoryd.model_registry.licensing.granting import grants_of

CITED_LIMIT = 50
"""Clauses that an answer cites; `memoryd clearance check` shows all."""


class LicenceRefused(NotAcceptable):
    """The project's policy refuses these models."""


class ModelRecalled(NotAcceptable):
    """A model of this graph was recalled."""


class ApprovalRefused(NotAcceptable):
    """These models were asked about, and refused."""


def decide(
    session: Session, project_id: ProjectId | None, models: Sequence[UsedModel], *, trial: bool = False
) -> Decision:
    """Return what happens to a job with these models in a project. Nothing is written, nobody is asked."""
    policy = find_policy(session, project_id)
    used = tuple(models)
    hashes = [model.sha256 for model in used if model.sha256 is not None]
    recalls = tuple({one.recall_id: one for one in recalled(session, hashes).values()}.values())
    if recalls:
        return Decision(action=Action.REFUSE, verdict=Verdict.BLOCK, policy=policy, models=used, recalls=recalls)
    if not used:
        return Decision(action=Action.PASS, verdict=Verdict.ALLOW, policy=policy)
    occasion = project_occasion(session, project_id)
    if trial:
        occasion = dataclasses.replace(occasion, use=Use.INTERNAL)
    grants = grants_of(session, hashes)
    judgement = judge(
        [
            ModelInUse(
                sha256=model.sha256,
                role=model.role,
                name=model.name,
                grants=grants.get(model.sha256, ()) if model.sha256 is not None else (),
            )
            for model in used
        ],
        occasion,
    )
    action = policy.action_on(judgement.verdict)
    if trial and action is Action.ASK:
        action = Action.WARN
    decision = Decision(
        action=action,
        verdict=judgement.verdict,
        policy=policy,
        models=used,
        clauses=judgement.clauses,
        judged=_digest(policy, occasion, judgement),
    )
    return _worded(_as_approved(session, decision) if action is Action.ASK else decision)


def find_policy(session: Session, project_id: ProjectId | None) -> Policy:
    """Return a project's present policy; the default where nobody set one."""
    row = None if project_id is None else queries.find_present_policy(session, project_id=project_id)
    return policy_of(row) if row is not None else Policy(project_id=project_id)


def policy_of(row: queries.AnyRow) -> Policy:
    """Return a policy as it is stored."""
    return Policy(
        project_id=ProjectId(row.project_id),
        version=row.version,
        use=Use(row.use),
        territories=tuple(row.territories),
        client_id=row.client_id,
        client=row.client,
        on_review=Action(row.on_review),
        on_unknown=Action(row.on_unknown),
        on_block=Action(row.on_block),
        ask_role=Role(row.ask_role),
        reason=row.reason,
        by=row.by_person,
        by_name=row.by_name,
        at=row.at,
    )


def _digest(policy: Policy, occasion: Occasion, judgement: Judgement) -> bytes:
    """What an approval is of: it no longer serves once any of this is another. The names of files decide nothing."""
    clauses: list[Json] = [
        {**clause_json(clause), "model_name": None if clause.model else clause.model_name}
        for clause in judgement.clauses
    ]
    about: dict[str, Json] = {
        "policy": policy.version,
        "use": occasion.use.value,
        "territories": [*sorted(occasion.territories)],
        "verdict": judgement.verdict.value,
        "clauses": sorted(clauses, key=lambda clause: canonical_bytes(clause)),
    }
    return canonical_digest(about)


def _as_approved(session: Session, decision: Decision) -> Decision:
    assert decision.policy.project_id is not None
    row = queries.find_about(
        session,
        project_id=decision.policy.project_id,
        models_sha256=models_digest(decision.models),
        judged=decision.judged,
    )
    return decision if row is None else answered(decision, row.id, RequestState(row.state), row.reason)


def answered(decision: Decision, request: UUID, state: RequestState, reason: str | None) -> Decision:
    """Return a decision once it is known what was said to its request."""
    action = {RequestState.ASKED: Action.ASK, RequestState.APPROVED: Action.PASS, RequestState.REFUSED: Action.REFUSE}
    refusal = reason if state is RequestState.REFUSED else None
    return _worded(
        dataclasses.replace(decision, action=action[state], request=request, request_state=state, refusal=refusal)
    )


def _worded(decision: Decision) -> Decision:
    """Return a decision with its words: they are said of every job, and found once."""
    notes = _notes(decision)
    if decision.action is Action.PASS and decision.request is None:
        return decision
    kept: dict[str, Json] = {
        "verdict": decision.verdict.value,
        "action": decision.action.value,
        "policy": decision.policy.version,
        "notes": list(notes),
        "request": str(decision.request) if decision.request else None,
    }
    return dataclasses.replace(decision, notes=notes, kept=kept)


def check(decision: Decision) -> None:
    """Return where a job may be queued. Raises: ModelRecalled, ApprovalRefused, LicenceRefused, with all that decided."""
    if decision.action is not Action.REFUSE:
        return
    facts: dict[str, object] = {
        "verdict": decision.verdict.value,
        "policy": decision.policy.version,
        "models": [model.as_json() for model in decision.models],
        "clauses": [clause_json(clause) for clause in decision.deciding[:CITED_LIMIT]],
    }
    if decision.recalls:
        told = "; ".join(one.in_words() for one in decision.recalls)
        recalls = [{"recall": str(o.recall_id), "model": o.model.hex(), "kind": o.kind.value} for o in decision.recalls]
        raise ModelRecalled(
            told, hint="use another model; `memoryd models recalls` tells more", recalls=recalls, **facts
        )
    if decision.request_state is RequestState.REFUSED:
        raise ApprovalRefused(
            decision.refusal or "no reason was given",
            hint=f"use other models, or ask a {decision.policy.ask_role.value} to approve request {decision.request}",
            request=str(decision.request),
            **facts,
        )
    raise LicenceRefused(
        why(decision),
        hint="use other models, or state their licences (`memoryd licences`); the policy is the project's"
        " (`memoryd projects policy`)",
        **facts,
    )


def why(decision: Decision, limit: int = 3) -> str:
    """Return in a sentence what decided."""
    said = [f"{c.model_name}: {c.says}" + (f" ({c.licence})" if c.licence else "") for c in decision.deciding]
    more = f"; and {len(said) - limit} more" if len(said) > limit else ""
    return f"{decision.verdict.value}: {'; '.join(said[:limit])}{more}"


def _notes(decision: Decision) -> tuple[str, ...]:
    match decision.action:
        case Action.WARN:
            return (f"licences: {why(decision)}",)
        case Action.ASK:
            asked = f" (request {decision.request})" if decision.request else ""
            role = decision.policy.ask_role.value
            return (f"it waits for a {role} to approve its models{asked}: {why(decision)}",)
        case _:
            return ()
