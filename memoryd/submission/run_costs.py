"""What a run will cost: learned from runs of the same workflow in the same pool, else guessed from its graph."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping

from memoryd.dispatch.estimating import RUN_SPREAD
from memoryd.dispatch.jobs import COST_LIMIT_MS, COST_MS
from memoryd.foundation.database import Session, TenantScope, event
from memoryd.foundation.errors import MemorydError
from memoryd.submission import queries
from memoryd.submission.remembering import memory_of
from memoryd.workflows.facts import Graph
from memoryd.workflows.identity import identify

USUAL_STEPS = 20
USUAL_PIXELS = 1024 * 1024
"""A run of these takes COST_MS; others in proportion."""
LEAST_GUESS_MS = 1_000
GREATEST_GUESS_MS = 3_600_000
LEARNING = 0.2
"""How much the newest run counts: a change of hardware is learned in about ten runs."""
STEPS_LIMIT = 10_000
SIDE_LIMIT = 16_384
BATCH_LIMIT = 4_096
"""Source: the limits of ComfyUI's own nodes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunCost:
    """A run's cost in milliseconds. `spread`: how far runs lie from it, as a share; `learned` or guessed."""

    cost_ms: int
    spread: float
    learned: bool


def workflow_of(graph: Graph | None) -> bytes | None:
    """Return the identity (32 bytes) of a graph's workflow, None where it has none."""
    if graph is None:
        return None
    try:
        return identify(graph).workflow
    except MemorydError:
        return None  # too many outputs to be compared: it runs all the same


def cost_of(graph: Graph | None, learned: Mapping[str, float] | None) -> RunCost:
    """Return what a run will cost. `learned`: mean_ms and spread_ms of its workflow in its pool, where known."""
    if learned is not None and learned["mean_ms"] > 0:
        cost = min(max(1, round(learned["mean_ms"])), COST_LIMIT_MS)
        return RunCost(cost_ms=cost, spread=min(1.0, learned["spread_ms"] / cost), learned=True)
    return RunCost(cost_ms=_guess(graph), spread=RUN_SPREAD, learned=False)


def cost_key(scope: TenantScope, workflow: bytes | None, pool: str) -> tuple[object, ...]:
    """Return under which key a workflow's cost is remembered."""
    return ("cost", scope.id, workflow, pool)


def learn(
    session: Session,
    scope: TenantScope,
    *,
    workflow: bytes | None,
    pool: str,
    started: datetime.datetime,
    ended: datetime.datetime,
) -> None:
    """Let a run that succeeded teach what the next will cost. Where others teach the same at this moment, it does not."""
    took_ms = (ended - started).total_seconds() * 1000
    if workflow is None or not 0 < took_ms <= COST_LIMIT_MS:
        return
    queries.learn_run_cost(session, workflow=workflow, pool=pool, took_ms=took_ms, weight=LEARNING)
    memory, key = memory_of(session.get_bind().engine), cost_key(scope, workflow, pool)
    event.listen(session, "after_commit", lambda _: memory.forget(key), once=True)


def _guess(graph: Graph | None) -> int:
    """Return COST_MS in proportion to steps and pixels, where the graph says them as numbers."""
    if graph is None:
        return COST_MS
    steps, pixels = 0, 0
    for node in graph.nodes.values():
        steps += _within(node.inputs.get("steps"), STEPS_LIMIT)
        width, height = (_within(node.inputs.get(name), SIDE_LIMIT) for name in ("width", "height"))
        batch = max(1, _within(node.inputs.get("batch_size"), BATCH_LIMIT))
        length = max(1, _within(node.inputs.get("length"), BATCH_LIMIT))
        pixels = max(pixels, width * height * batch * length)
    if not steps and not pixels:
        return COST_MS
    share = (steps or USUAL_STEPS) / USUAL_STEPS * (pixels or USUAL_PIXELS) / USUAL_PIXELS
    return min(max(LEAST_GUESS_MS, round(COST_MS * share)), GREATEST_GUESS_MS)


def _within(value: object, limit: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= limit else 0
