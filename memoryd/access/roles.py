"""Which role may do what, and what a caller's memberships add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from memoryd.access.facts import Caller, MembershipView, Role, Scope, Sees
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import ProjectId

PEOPLES_SCOPES = frozenset(Scope) - {Scope.WORK}
"""What a person may hold at all: work is for workers' keys."""

ROLE_SCOPES: Mapping[Role, frozenset[Scope]] = MappingProxyType(
    {
        Role.VIEWER: frozenset({Scope.READ}),
        Role.ARTIST: frozenset({Scope.READ, Scope.ANNOTATE, Scope.SUBMIT}),
        Role.PRODUCER: frozenset({Scope.READ, Scope.ANNOTATE, Scope.SUBMIT, Scope.APPROVE}),
        Role.OFFICER: frozenset({Scope.READ, Scope.DISCLOSE, Scope.REPORT}),
        Role.ADMIN: PEOPLES_SCOPES,
    }
)

TENANT_WIDE_ONLY = frozenset({Scope.ADMIN, Scope.INGEST})
"""Never granted by a role in one project: people, keys and the server's folders belong to all projects."""


class UnknownRole(NotAcceptable):
    """There is no such role."""


class UnknownScope(NotAcceptable):
    """There is no such scope."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What memberships add up to."""

    everywhere: frozenset[Scope]
    in_project: Mapping[ProjectId, frozenset[Scope]]

    @property
    def scopes(self) -> frozenset[Scope]:
        """What may be done in at least one project."""
        return self.everywhere.union(*self.in_project.values())

    def limited_to(self, scopes: frozenset[Scope]) -> Rights:
        """Return what of these rights a key with `scopes` carries."""
        return Rights(
            everywhere=self.everywhere & scopes,
            in_project={project: held & scopes for project, held in self.in_project.items()},
        )


def read_role(word: str) -> Role:
    """Return the role that a person's word names. Raises: UnknownRole."""
    try:
        return Role(word)
    except ValueError:
        raise UnknownRole(f"{word!r}", hint=f"roles are {', '.join(Role)}") from None


def read_scopes(words: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes that people's words name. Raises: UnknownScope."""
    try:
        return frozenset(Scope(word) for word in words)
    except ValueError as error:
        raise UnknownScope(str(error), hint=f"scopes are {', '.join(Scope)}") from None


def rights_of(memberships: Iterable[MembershipView]) -> Rights:
    """Return what a person's memberships add up to."""
    everywhere: frozenset[Scope] = frozenset()
    in_project: dict[ProjectId, frozenset[Scope]] = {}
    for membership in memberships:
        granted = ROLE_SCOPES[membership.role]
        if membership.project_id is None:
            everywhere |= granted
        else:
            before = in_project.get(membership.project_id, frozenset())
            in_project[membership.project_id] = before | (granted - TENANT_WIDE_ONLY)
    return Rights(everywhere=everywhere, in_project=in_project)


def sees_with(rights: Rights | Caller, scope: Scope) -> Sees:
    """Return the projects in which a scope is held; None where it is held in the whole tenant."""
    if scope in rights.everywhere:
        return None
    return frozenset(project for project, held in rights.in_project.items() if scope in held)


def narrowed(caller: Caller, scope: Scope) -> Caller:
    """Return the caller as one who sees only where they hold `scope`.

    A viewer of project A who is artist in B must not tag in A: for a tagging call, A does not exist.
    """
    return dataclasses.replace(caller, sees=sees_with(caller, scope))
