"""From the names in folder rules to projects and people: resolved before files are read, since reading knows no database."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from memoryd.access import audit, people, projects
from memoryd.access.facts import Caller
from memoryd.access.names import BadName
from memoryd.catalog.facts import WatchRoot
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session
from memoryd.foundation.ids import PersonId, ProjectId
from memoryd.ingest import roots
from memoryd.ingest.facts import Folder
from memoryd.ingest.folder_rules import attribute, slug_of

PROJECTS_MADE_LIMIT = 50
"""Projects that one batch of files may make: a wrong pattern would make one of every folder."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """How a file would be attributed, and why: `by` is `folder-rule`, `folder` (the root's default) or None.

    `project` and `person` are the names that exist and count; `would_make` is a project that would be made for it.
    """

    by: str | None
    rule: str | None
    project: str | None
    person: str | None
    would_make: str | None
    missing: tuple[str, ...]


def folder_for(session: Session, root: WatchRoot, places: Iterable[bytes], caller: Caller | None = None) -> Folder:
    """Return how a root's files at `places` (paths below it) are taken in, the names that its rules find there resolved.

    Projects that do not exist are made where the root says so, PROJECTS_MADE_LIMIT at most.
    """
    folder = roots.folder_of(root)
    if not root.rules:
        return folder
    told = [said for place in places if (said := attribute(root.rules, place)) is not None]
    wanted = sorted({said.project for said in told if said.project is not None})
    named = sorted({said.person for said in told if said.person is not None})
    found = _known_projects(session)
    resolved: dict[str, ProjectId] = {}
    made = 0
    for name in wanted:
        id_ = _project(found, name)
        if id_ is None and root.makes_projects and made < PROJECTS_MADE_LIMIT:
            id_ = _make(session, root, name, caller)
            made += id_ is not None
        if id_ is not None:
            resolved[name] = id_
    known = _known_people(session) if named else {}
    persons = {name: known[name.casefold()] for name in named if name.casefold() in known}
    return dataclasses.replace(folder, rules=root.rules, projects=resolved, people=persons)


def explain(session: Session, root: WatchRoot, place: bytes) -> Explained:
    """Return how a file at `place` would be attributed, and why. Nothing is made."""
    plain = dataclasses.replace(root, makes_projects=False)
    folder = folder_for(session, plain, [place]).for_path(place)
    told = attribute(root.rules, place)
    missing = tuple(f"{finding.code.removeprefix('no-such-')} {finding.where!r}" for finding in folder.findings)
    would_make = None
    if root.makes_projects and told is not None and told.project is not None:
        would_make = slug_of(told.project) if told.project not in folder.projects else None
    slugs = {project.id: project.slug for project in projects.list_projects(session)}
    logins = {person.id: person.login for person in people.list_people(session)}
    return Explained(
        by="folder-rule" if would_make else folder.attribution_source,
        rule=None if told is None else told.rule,
        project=would_make or (None if folder.project_id is None else slugs.get(folder.project_id)),
        person=None if folder.person_id is None else logins.get(folder.person_id),
        would_make=would_make,
        missing=tuple(one for one in missing if not (would_make and one.startswith("project"))),
    )


def _known_projects(session: Session) -> dict[str, ProjectId]:
    listed = projects.list_projects(session)
    # A slug is meant before another project's shown name that happens to be the same word.
    return {project.name.casefold(): project.id for project in listed} | {
        project.slug: project.id for project in listed
    }


def _project(known: dict[str, ProjectId], name: str) -> ProjectId | None:
    return known.get(name) or known.get(name.casefold()) or known.get(slug_of(name) or "")


def _known_people(session: Session) -> dict[str, PersonId]:
    listed = people.list_people(session)
    return {person.display_name.casefold(): person.id for person in listed} | {
        person.login: person.id for person in listed
    }


def _make(session: Session, root: WatchRoot, name: str, caller: Caller | None) -> ProjectId | None:
    slug = slug_of(name)
    if slug is None:
        return None
    try:
        made = projects.ensure_project(session, slug, name)
    except BadName:
        return None
    facts: dict[str, Json] = {"slug": slug, "folder": name, "root": str(root.id)}
    audit.note(session, caller, "project.ensure", str(made), facts)
    return made
