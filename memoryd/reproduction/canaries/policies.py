"""How projects keep canaries: off until somebody says so."""

from __future__ import annotations

from memoryd.access import audit, projects
from memoryd.access.facts import Caller, Sees
from memoryd.events import outbox
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.ids import ProjectId
from memoryd.foundation.texts import storable
from memoryd.reproduction.canaries import queries
from memoryd.reproduction.canaries.facts import Policy

ASSETS_DEFAULT = 3
ASSETS_LIMIT = 50
"""Of one project: each is run by every worker."""
EVERY_LEAST_S = 60
EVERY_MOST_S = 366 * 86_400


class BadPolicy(NotAcceptable):
    """Canaries cannot be kept like this."""


_HINT = "`memoryd canaries set PROJECT --every 1d --after-change`"


class NoCanaries(NotFound):
    """This project keeps no canaries."""


class NoSuchCollection(NotFound):
    """There is no such collection."""


def set_policy(
    session: Session,
    caller: Caller,
    project: str,
    *,
    every_s: int | None,
    after_change: bool,
    assets: int = ASSETS_DEFAULT,
    collection: str | None = None,
    keep_out: bool = False,
) -> Policy:
    """Let a project keep canaries so from now on; return what was set.

    `every_s`: seconds between two runs of a worker and asset, None for no schedule. Raises: ProjectNotFound, BadPolicy,
    NoSuchCollection.
    """
    project_id = projects.find_project(session, project, caller.sees)
    _check(every_s, after_change, assets)
    collection_id = None
    if collection is not None:
        collection_id = queries.find_collection(session, project_id, storable(collection)[0])
        if collection_id is None:
            raise NoSuchCollection(
                f"{collection[:80]!r} in project {project[:80]!r}", hint="`memoryd collect` puts assets into one"
            )
    queries.write_policy(
        session,
        {
            "project_id": project_id,
            "every_s": every_s,
            "after_change": after_change,
            "assets_limit": assets,
            "collection_id": collection_id,
            "keep_out": keep_out,
            "by_person": caller.person_id,
        },
    )
    facts: dict[str, Json] = {
        "project_id": str(project_id),
        "every_s": every_s,
        "after_change": after_change,
        "assets": assets,
        "keep_out": keep_out,
    }
    audit.note(session, caller, "canary.set", f"project:{project_id}", facts)
    outbox.announce(session, "canary.set", project_id, facts)
    return find_policy(session, project_id)


def drop_policy(session: Session, caller: Caller, project: str) -> None:
    """Let a project keep no canaries any more; what runs ends, what was found stays. Raises: ProjectNotFound, NoCanaries."""
    project_id = projects.find_project(session, project, caller.sees)
    if not queries.delete_policy(session, project_id):
        raise _none(project)
    facts: dict[str, Json] = {"project_id": str(project_id)}
    audit.note(session, caller, "canary.off", f"project:{project_id}", facts)
    outbox.announce(session, "canary.off", project_id, facts)


def find_policy(session: Session, project_id: ProjectId) -> Policy:
    """Return how a project keeps canaries. Raises: NoCanaries."""
    for row in queries.list_policies(session, frozenset({project_id})):
        return _policy(row)
    raise NoCanaries("nobody set any for it", hint=_HINT)


def list_policies(session: Session, sees: Sees) -> list[Policy]:
    """Return the policies of the projects that a caller sees, by project."""
    return [_policy(row) for row in queries.list_policies(session, sees)]


def _none(project: str) -> NoCanaries:
    return NoCanaries(f"project {project[:80]!r}", hint=_HINT)


def _check(every_s: int | None, after_change: bool, assets: int) -> None:
    if every_s is None and not after_change:
        raise BadPolicy("neither a time nor a change", hint="name --every, --after-change or both; or switch them off")
    if every_s is not None and not EVERY_LEAST_S <= every_s <= EVERY_MOST_S:
        raise BadPolicy(
            f"every {every_s} s", hint=f"from {EVERY_LEAST_S} (EVERY_LEAST_S) to {EVERY_MOST_S} s (EVERY_MOST_S)"
        )
    if not 1 <= assets <= ASSETS_LIMIT:
        raise BadPolicy(f"{assets} assets", hint=f"from 1 to {ASSETS_LIMIT} (ASSETS_LIMIT)")


def _policy(row: queries.Found) -> Policy:
    return Policy(
        project_id=ProjectId(row.project_id),
        project=row.project,
        every_s=row.every_s,
        after_change=row.after_change,
        assets_limit=row.assets_limit,
        collection=row.collection,
        keep_out=row.keep_out,
        set_at=row.set_at,
    )
