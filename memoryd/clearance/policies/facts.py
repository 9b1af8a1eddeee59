"""The values of policies: what is done with a verdict, what was decided about a job, and what somebody is asked to approve."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from uuid import UUID

from memoryd.access.facts import Role, Scope
from memoryd.clearance.facts import CitedClause, Use, Verdict
from memoryd.clearance.recalls.facts import Recalled
from memoryd.foundation.canonical_json import Json, canonical_digest
from memoryd.foundation.ids import ProjectId


class Action(enum.StrEnum):
    """What happens to a job whose models have a verdict."""

    PASS = "pass"  # noqa: S105 - no password
    """It is queued, and nothing is said."""
    WARN = "warn"
    """It is queued; the answer and the job say what was found."""
    ASK = "ask"
    """It is queued and waits until somebody approves."""
    REFUSE = "refuse"
    """It is not queued; the answer cites the clauses."""


class RequestState(enum.StrEnum):
    """How far a request for approval is."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"


DECIDES: Mapping[Role, Scope] = MappingProxyType(
    {Role.PRODUCER: Scope.APPROVE, Role.OFFICER: Scope.DISCLOSE, Role.ADMIN: Scope.ADMIN}
)
"""The roles that may be asked, and the right by which a role is known. An administrator has all of them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A version of a project's policy; version 0 is what holds where nobody set one."""

    project_id: ProjectId | None
    version: int = 0
    use: Use = Use.CLIENT_DELIVERY
    territories: tuple[str, ...] = ("world",)
    client_id: UUID | None = None
    client: str | None = None
    on_review: Action = Action.WARN
    on_unknown: Action = Action.WARN
    on_block: Action = Action.WARN
    ask_role: Role = Role.PRODUCER
    reason: str = ""
    by: UUID | None = None
    by_name: str | None = None
    at: datetime.datetime | None = None

    @property
    def is_strict(self) -> bool:
        """Whether there is a verdict on which a job is not simply queued."""
        return not {self.on_review, self.on_unknown, self.on_block} <= {Action.PASS, Action.WARN}

    def action_on(self, verdict: Verdict) -> Action:
        """Return what is done with a verdict."""
        return {
            Verdict.ALLOW: Action.PASS,
            Verdict.REVIEW: self.on_review,
            Verdict.UNKNOWN: self.on_unknown,
            Verdict.BLOCK: self.on_block,
        }[verdict]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UsedModel:
    """A model that a graph names. `role` is ComfyUI's folder; `sha256` None: which bytes it will be is not known."""

    sha256: bytes | None
    role: str
    name: str

    @property
    def identity(self) -> str:
        """What it is in a set of models: its bytes, else its name."""
        return self.sha256.hex() if self.sha256 is not None else f"{self.role}/{self.name}"

    def as_json(self) -> dict[str, Json]:
        """Return it as it is stored and shown."""
        return {"sha256": self.sha256.hex() if self.sha256 else None, "role": self.role, "name": self.name}


def models_digest(models: Iterable[UsedModel]) -> bytes:
    """Return what a set of models is known by (32 bytes)."""
    identities: list[Json] = [*sorted({model.identity for model in models})]
    return canonical_digest(identities)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to a job, and why. `request`: who approved it, or will be asked, under this id."""

    action: Action
    verdict: Verdict
    policy: Policy
    models: tuple[UsedModel, ...] = ()
    clauses: tuple[CitedClause, ...] = ()
    recalls: tuple[Recalled, ...] = ()
    judged: bytes = b""
    """The digest of the judgement: an approval is of this one."""
    request: UUID | None = None
    request_state: RequestState | None = None
    refusal: str | None = None
    """Why the approval was refused."""
    notes: tuple[str, ...] = ()
    """What whoever asks for the job should know, in sentences."""
    kept: Mapping[str, Json] | None = None
    """What the job keeps of it: verdict, action, policy, notes, request; None where there is nothing to say."""

    @property
    def deciding(self) -> tuple[CitedClause, ...]:
        """The clauses without which it would be milder."""
        return tuple(clause for clause in self.clauses if clause.verdict is self.verdict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """What somebody is asked to approve, or said to it, as it was judged then. `waiting`: jobs that wait for it now."""

    id: UUID
    project_id: ProjectId
    project: str
    policy_version: int
    use: Use
    verdict: Verdict
    clauses: tuple[Mapping[str, Json], ...]
    models: tuple[UsedModel, ...]
    ask_role: Role
    state: RequestState
    asked_by: tuple[str, ...]
    asked_by_ids: frozenset[UUID]
    asked_at: datetime.datetime
    decided_by: str | None
    decided_at: datetime.datetime | None
    reason: str | None
    judged: bytes
    waiting: int = 0


def clause_json(clause: CitedClause) -> dict[str, Json]:
    """Return a clause as it is stored and cited in answers."""
    return {
        "model": clause.model.hex() if clause.model else None,
        "model_name": clause.model_name,
        "licence": clause.licence,
        "term": clause.term,
        "section": clause.section,
        "says": clause.says,
        "verdict": clause.verdict.value,
        "confidence": clause.confidence,
        "source": clause.source,
        "inherited": clause.inherited,
        "version": clause.version,
        "url": clause.url,
        "text_sha256": clause.text_sha256.hex() if clause.text_sha256 else None,
    }
