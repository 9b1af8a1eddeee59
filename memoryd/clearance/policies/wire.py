"""The shapes of HTTP for policies and approvals."""

from __future__ import annotations

import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from memoryd.access.facts import Caller, Role
from memoryd.clearance.facts import Use, Verdict
from memoryd.clearance.policies.approvals import may_decide
from memoryd.clearance.policies.facts import Action, Decision, Policy, RequestState, RequestView, clause_json
from memoryd.foundation.reasons import REASON_LIMIT


class PolicyRequest(BaseModel):
    """The next version of a project's policy: what is left out stays as it was. `client` empty: none."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=REASON_LIMIT)
    use: Use | None = None
    territories: list[str] | None = Field(default=None, max_length=300)
    client: str | None = Field(default=None, max_length=200)
    on_review: Action | None = None
    on_unknown: Action | None = None
    on_block: Action | None = None
    ask_role: Role | None = None


class PolicyShape(BaseModel):
    """A version of a project's policy; version 0 is what holds where nobody set one."""

    version: int
    use: Use
    territories: list[str]
    client: str | None
    client_id: UUID | None
    on_review: Action
    on_unknown: Action
    on_block: Action
    ask_role: Role
    reason: str
    by: str | None
    at: datetime.datetime | None

    @classmethod
    def of(cls, policy: Policy) -> PolicyShape:
        """Return a policy as people read it."""
        return cls(
            version=policy.version,
            use=policy.use,
            territories=list(policy.territories),
            client=policy.client,
            client_id=policy.client_id,
            on_review=policy.on_review,
            on_unknown=policy.on_unknown,
            on_block=policy.on_block,
            ask_role=policy.ask_role,
            reason=policy.reason,
            by=policy.by_name,
            at=policy.at,
        )


class PolicyList(BaseModel):
    """Versions of a project's policy, the newest first."""

    items: list[PolicyShape]
    next_cursor: str | None


class Answer(BaseModel):
    """What is said to a request. `judged`: the judgement that was looked at, where it is a later one than was asked about."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=REASON_LIMIT)
    judged: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")


class RequestShape(BaseModel):
    """What somebody is asked to approve. `waiting`: jobs that wait for it now; `may_decide`: whether the caller may."""

    id: UUID
    project: str
    policy_version: int
    use: Use
    verdict: Verdict
    models: list[dict[str, Any]]
    clauses: list[dict[str, Any]]
    ask_role: Role
    state: RequestState
    asked_by: list[str]
    asked_at: datetime.datetime
    decided_by: str | None
    decided_at: datetime.datetime | None
    reason: str | None
    judged: str
    waiting: int
    may_decide: bool

    @classmethod
    def of(cls, view: RequestView, caller: Caller) -> RequestShape:
        """Return a request as people read it."""
        return cls(
            id=view.id,
            project=view.project,
            policy_version=view.policy_version,
            use=view.use,
            verdict=view.verdict,
            models=[dict(model.as_json()) for model in view.models],
            clauses=[dict(clause) for clause in view.clauses],
            ask_role=view.ask_role,
            state=view.state,
            asked_by=list(view.asked_by),
            asked_at=view.asked_at,
            decided_by=view.decided_by,
            decided_at=view.decided_at,
            reason=view.reason,
            judged=view.judged.hex(),
            waiting=view.waiting,
            may_decide=may_decide(caller, view),
        )


class JudgedNow(BaseModel):
    """What is decided about a request's models today: `judged` names it to whoever approves."""

    verdict: Verdict
    action: Action
    judged: str
    clauses: list[dict[str, Any]]
    recalls: list[str]

    @classmethod
    def of(cls, decision: Decision) -> JudgedNow:
        """Return a decision as people read it."""
        return cls(
            verdict=decision.verdict,
            action=decision.action,
            judged=decision.judged.hex(),
            clauses=[dict(clause_json(clause)) for clause in decision.clauses],
            recalls=[one.in_words() for one in decision.recalls],
        )


class RequestDetail(RequestShape):
    """One request. `now`: what is decided today, where licences, facts or the policy changed since it was asked."""

    now: JudgedNow | None = None


class RequestList(BaseModel):
    """Requests for approval, the newest first."""

    items: list[RequestShape]
    next_cursor: str | None
