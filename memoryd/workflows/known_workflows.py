"""The workflows that are known here: which graph belongs to which, and what people call them."""

from __future__ import annotations

from collections.abc import Iterable

from memoryd.foundation.database import Session
from memoryd.foundation.errors import NotFound
from memoryd.foundation.ids import WorkflowId
from memoryd.foundation.texts import storable
from memoryd.workflows import queries
from memoryd.workflows.facts import RECIPE, Level, StoredWorkflow

WORKFLOW_NAME_LIMIT = 200
"""Characters of a workflow's name."""


class WorkflowNotFound(NotFound):
    """This workflow is not known."""


def find_workflows(session: Session, exacts: Iterable[bytes], recipe: str = RECIPE) -> dict[bytes, StoredWorkflow]:
    """Return the workflow of each graph, by the graph's exact digest; unknown graphs are left out."""
    return {
        exact: StoredWorkflow(id=WorkflowId(id_), digest=digest, name=name)
        for exact, id_, digest, name in queries.find_workflows(session, exacts, recipe)
    }


def workflow_names(session: Session, exacts: Iterable[bytes], recipe: str = RECIPE) -> dict[bytes, str]:
    """Return the name of each graph's workflow, by the graph's exact digest; unknown graphs are left out."""
    return {exact: workflow.name for exact, workflow in find_workflows(session, exacts, recipe).items()}


def name_workflow(session: Session, workflow_id: WorkflowId, name: str) -> None:
    """Give a workflow a name, at most WORKFLOW_NAME_LIMIT characters of it. Raises: WorkflowNotFound."""
    if not queries.update_name(session, workflow_id, storable(name)[0].strip()[:WORKFLOW_NAME_LIMIT]):
        raise WorkflowNotFound(f"no workflow {workflow_id}")


def graphs_like(session: Session, level: Level, digest: bytes, recipe: str = RECIPE) -> list[bytes]:
    """Return the exact digests of all graphs that share a digest at a level (workflow or structure), sorted."""
    return queries.list_graphs(session, level, digest, recipe)
