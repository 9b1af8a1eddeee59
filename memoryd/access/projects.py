"""Projects: what assets are made for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from memoryd.access import queries
from memoryd.access.facts import ProjectView, Sees
from memoryd.access.names import checked_project_slug, checked_shown_name
from memoryd.foundation.database import Session, event
from memoryd.foundation.errors import NotAcceptable, NotFound
from memoryd.foundation.ids import ProjectId, new_id
from memoryd.foundation.texts import storable

DEFAULT_PROJECT = "default"
"""Made with every tenant, so that a single team needs no ceremony."""


PLACES_LIMIT = 200
PLACE_LIMIT = 100
"""Pools or regions of one project, and characters of a name: more are a mistake."""


_version = 0
_version_lock = threading.Lock()


class TooManyPlaces(NotAcceptable):
    """A project cannot name so many places."""


class ProjectNotFound(NotFound):
    """There is no such project."""


def ensure_project(session: Session, slug: str, name: str | None = None) -> ProjectId:
    """Return the project's id, making the project where it is not there. Raises: BadName."""
    checked_project_slug(slug)
    shown = checked_shown_name(name or slug)
    made = new_id()
    if queries.insert_project(session, project_id=made, slug=slug, name=shown):
        return ProjectId(made)
    return find_project(session, slug)


def find_project(session: Session, slug: str, sees: Sees = None) -> ProjectId:
    """Return the project's id. Raises: ProjectNotFound, also for one that the caller does not see."""
    found = queries.find_project(session, storable(slug)[0])
    if found is None or (sees is not None and found not in sees):
        raise ProjectNotFound(f"project {slug[:80]!r}", hint="`memoryd projects list` shows yours")
    return ProjectId(found)


def list_projects(session: Session, sees: Sees = None) -> list[ProjectView]:
    """Return the projects that a caller sees, by slug."""
    rows = queries.list_projects(session, None if sees is None else list(sees))
    return [
        ProjectView(
            id=ProjectId(row.id),
            slug=row.slug,
            name=row.name,
            created_at=row.created_at,
            archived_at=row.archived_at,
            pools=tuple(row.pools) if row.pools is not None else None,
            regions=tuple(row.regions) if row.regions is not None else None,
        )
        for row in rows
    ]


def place_project(session: Session, project: ProjectId, places: Mapping[str, Sequence[str] | None]) -> None:
    """Say where a project's jobs may run: names of `pools` and of `regions`; None is everywhere, what is not named stays.

    Raises: TooManyPlaces.
    """
    values: dict[str, object] = {}
    for name, listed in places.items():
        if listed is not None and (len(listed) > PLACES_LIMIT or any(len(one) > PLACE_LIMIT for one in listed)):
            raise TooManyPlaces(
                f"{len(listed)} {name}", hint=f"{PLACES_LIMIT} names of {PLACE_LIMIT} characters at most"
            )
        values[name] = None if listed is None else sorted({storable(one)[0] for one in listed})
    if values:
        queries.update_project(session, project, values)
        event.listen(session, "after_commit", lambda _: _count_version(), once=True)


def name_policy(session: Session, project: ProjectId, version: str) -> None:
    """Say which version of its policy is a project's present one."""
    queries.update_project(session, project, {"policy_version": version})


def places_version() -> int:
    """Return a number that changes with every change of places in this process: what is remembered is then looked at anew."""
    return _version


def _count_version() -> None:
    global _version
    with _version_lock:
        _version += 1
