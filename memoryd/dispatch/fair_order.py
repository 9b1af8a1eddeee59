"""The fair order: which tag a job gets in the order of its pool and class. Pure; the queries hold the same recipe in SQL.

Start-time fair queuing in two levels. A flow is the work of one project of one tenant in one pool and class. Its share
is the tenant's weight times the project's weight, over the weights of all projects of the tenant that have work waiting
at that moment: a tenant's share does not grow with the number of its projects. What entered before other projects did
keeps its tags, which are never changed: n projects of equal weight that come one after another have together at most
1 + 1/2 + ... + 1/n times the tenant's share, until what they entered with is done.

The present is the smallest tag that waits, or the furthest finish where nothing does. No tag lies before it.
Source: Goyal, Vin and Cheng, Start-time Fair Queueing, 1996.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FlowState:
    """How far a flow reaches, in milliseconds of virtual time. `others`: the weights of the tenant's other projects that
    have work waiting, added up. `last_back`: how far jobs reach that came back after their tag had passed.
    """

    present: int
    last_finish: int
    last_back: int
    tenant_weight: float
    project_weight: float
    others: float

    @property
    def share(self) -> float:
        """The flow's part of the pool, against the 1 of a tenant of weight 1 with one project."""
        return self.tenant_weight * self.project_weight / (self.project_weight + self.others)


def place_new(flow: FlowState, cost_ms: int) -> tuple[int, FlowState]:
    """Return the tag of a job that enters for the first time, and how far the flow reaches then.

    Behind one job of each other project of its tenant: a hundred projects with a job each have what one project with a
    hundred jobs has.
    """
    start, weight = max(flow.last_finish, flow.present), flow.tenant_weight * flow.project_weight
    return start + int(cost_ms * flow.others / weight), dataclasses.replace(
        flow, last_finish=start + _step(flow, cost_ms)
    )


def place_back(flow: FlowState, vtag: int, cost_ms: int) -> tuple[int, FlowState]:
    """Return the tag of a job that comes back: its old one, or, where that has passed, the present.

    Of many that come back together (a long pause ends) each is placed behind the one before, as if they entered now:
    they would else stand all at the present, before everybody.
    """
    if vtag >= flow.present:
        return vtag, flow
    lifted = max(flow.present, flow.last_back)
    end = lifted + _step(flow, cost_ms)
    return lifted, dataclasses.replace(flow, last_back=end, last_finish=max(flow.last_finish, end))


def _step(flow: FlowState, cost_ms: int) -> int:
    return int(cost_ms * (flow.project_weight + flow.others) / (flow.tenant_weight * flow.project_weight))
