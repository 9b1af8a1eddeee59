"""A bill of materials, made for somebody: gathered in one unit of work, audited, composed in none."""

from __future__ import annotations

import dataclasses
import datetime

from memoryd.access import audit
from memoryd.access.facts import Caller
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import new_id
from memoryd.foundation.texts import storable
from memoryd.reports.bom import gathering
from memoryd.reports.bom.composing import compose
from memoryd.reports.bom.facts import Bom, BomContent, BomVersion


class NoSubject(NotAcceptable):
    """A bill of materials is about one thing: an asset, a workflow or a project."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BomAsked:
    """What a bill is about: one of an asset's `ref`, a `workflow` (prompt as JSON text), and a `project`'s slug."""

    ref: str | None = None
    workflow: str | None = None
    name: str = "workflow"
    project: str | None = None
    version: BomVersion = BomVersion.V1_6


def make_bom(database: Database, caller: Caller, asked: BomAsked) -> tuple[str, Bom]:
    """Return a bill of materials and the name of its file.

    Raises: NoSubject, AssetNotFound, AssetAmbiguous, ProjectNotFound, GraphRefused.
    """
    bom_id = new_id()
    with database.tenant_work(caller.tenant) as session:
        content = _gathered(session, caller, asked)
        facts = {"subject": content.subject.value, "models": len(content.models)}
        audit.note(session, caller, "bom.make", str(bom_id), facts)
    return f"bom-{bom_id}.cdx.json", compose(content, asked.version)


def _gathered(session: Session, caller: Caller, asked: BomAsked) -> BomContent:
    now = datetime.datetime.now(datetime.UTC)
    if asked.ref is not None:
        return gathering.of_asset(session, caller, asked.ref, now)
    if asked.project is not None:
        return gathering.of_project(session, caller, asked.project, now)
    if asked.workflow is not None:
        return gathering.of_workflow(session, asked.workflow, storable(asked.name)[0], now)
    raise NoSubject("none was named", hint="send `ref`, `workflow` or `project`")
