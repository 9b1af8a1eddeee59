"""A question as people put it: which thing, for what, where, for whom; answered for one caller."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from memoryd.access import projects
from memoryd.access.clients import deliveries
from memoryd.access.clients.facts import DeliveryItemView, DeliveryView
from memoryd.access.clients.known import find_client
from memoryd.access.facts import Caller
from memoryd.catalog.looking_up import find_asset
from memoryd.clearance import verdicts
from memoryd.clearance.facts import Cleared, Occasion, Use
from memoryd.clearance.occasions import occasion_for, project_occasion, read_territories
from memoryd.clearance.queries import making
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable
from memoryd.foundation.ids import AssetId, ProjectId
from memoryd.search.finding import find_all
from memoryd.search.query_language import parse
from memoryd.workflows.graph_reading import parse_graph


class BadQuestion(NotAcceptable):
    """This is no question about one thing."""


class WorkflowNotRead(NotAcceptable):
    """This workflow cannot be read."""


class NotOfTheProject(Conflict):
    """A delivery holds assets of its own project."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One of asset, workflow, project (alone), delivery; None of `use` is what the project is for."""

    asset: str | None = None
    workflow: Mapping[str, Any] | None = None
    project: str | None = None
    delivery: str | None = None
    use: Use | None = None
    territories: Sequence[str] | None = None
    client: str | None = None


def answer(session: Session, caller: Caller, asked: Question) -> Cleared:
    """Return the verdict, kept. Raises: BadQuestion, WorkflowNotRead, and as what it looks up."""
    things = [thing for thing in (asked.asset, asked.workflow, asked.delivery) if thing is not None]
    if len(things) > 1 or not (things or asked.project is not None):
        raise BadQuestion(
            f"{len(things)} things were named",
            hint="`memoryd clearance check ASSET`, or --workflow FILE, --project P, --delivery D",
        )
    project = None if asked.project is None else projects.find_project(session, asked.project, caller.sees)
    if asked.delivery is not None:
        delivery = deliveries.find_delivery(session, asked.delivery, caller.sees)
        occasion = occasion_asked(session, caller, asked, delivery.project_id, delivery.client_id)
        return verdicts.clear_delivery(session, caller, delivery, occasion)
    if asked.asset is not None:
        occasion = occasion_asked(session, caller, asked, project or _project_of(session, caller, asked.asset))
        return verdicts.clear_asset(session, caller, asked.asset, occasion)
    occasion = occasion_asked(session, caller, asked, project)
    if asked.workflow is not None:
        document = json.dumps(asked.workflow, sort_keys=True).encode("utf-8", "surrogatepass")
        graph, findings = parse_graph(document)
        if graph is None:
            raise WorkflowNotRead(
                "; ".join(finding.detail for finding in findings[:3]) or "no graph",
                hint="in ComfyUI choose Workflow > Export (API), and check that file",
            )
        return verdicts.clear_graph(session, caller, graph, verdicts.graph_name(document), occasion, project)
    assert project is not None
    assert asked.project is not None
    return verdicts.clear_project(session, caller, project, asked.project, occasion)


def occasion_asked(
    session: Session, caller: Caller, asked: Question, project: ProjectId | None, client: object = None
) -> Occasion:
    """Return what is asked for: what was said, else what the project is for. Raises: ClientNotFound, BadTerritory."""
    standing = project_occasion(session, project)
    whom: str | None = standing.client if client is None else str(client)
    if asked.client is not None:
        whom = str(find_client(session, asked.client, caller.sees).id)
    places = standing.territories if asked.territories is None else read_territories(asked.territories)
    return occasion_for(session, asked.use or standing.use, places, whom)


def add_to_delivery(
    session: Session, caller: Caller, delivery: DeliveryView, refs: Sequence[str], query: str | None
) -> int:
    """Add assets, named or found, to a delivery; return how many are new in it.

    Raises: NotOfTheProject, DeliveryFrozen, TooManyItems, AssetNotFound, AssetAmbiguous, QueryNotUnderstood.
    """
    if not refs and query is None:
        raise BadQuestion("no asset was named", hint="name some, or say which by a search (`--query WORDS`)")
    named = [find_asset(session, ref, caller.sees) for ref in refs]
    if query is not None:
        named += find_all(session, parse(query), caller.sees, deliveries.ITEMS_AT_ONCE + 1)
    wanted = list(dict.fromkeys(named))
    own = {asset for asset, _ in making.list_pairs(session, wanted, [delivery.project_id])}
    foreign = [asset for asset in wanted if asset not in own]
    if foreign:
        raise NotOfTheProject(
            f"{len(foreign)} of {len(wanted)} are not of {delivery.project!r}, such as {foreign[0]}",
            hint="begin a delivery of their project, or attribute them to this one (`memoryd attribute`)",
        )
    roots = making.find_roots(session, wanted)
    items = [DeliveryItemView(asset_id=AssetId(asset), root_id=AssetId(roots[asset])) for asset in wanted]
    return deliveries.add_items(session, caller, delivery, items)


def verdict_shown(session: Session, caller: Caller, asset: AssetId) -> Cleared:
    """Return the verdict on an asset for what its project is for, not kept: for its page and for reports."""
    return verdicts.verdict_of(session, asset, caller.sees, project_occasion(session, _owner(session, caller, asset)))


def _project_of(session: Session, caller: Caller, ref: str) -> ProjectId | None:
    return _owner(session, caller, find_asset(session, ref, caller.sees))


def _owner(session: Session, caller: Caller, asset: AssetId) -> ProjectId | None:
    """Return the project that the caller can only mean: the one that they see of an asset's."""
    pairs = making.list_pairs(session, [asset], None if caller.sees is None else sorted(caller.sees))
    owners = [project for _, project in pairs if project is not None]
    return ProjectId(owners[0]) if len(owners) == 1 else None
