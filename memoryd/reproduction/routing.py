"""Which workers an attempt goes to: those that have what it needs, the nearest environment first; or why to none.

Nothing is tried that is known beforehand to be another picture: weights that changed under their name, and, where
somebody insists on it, another environment.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from uuid import UUID

from memoryd.dispatch.facts import Route
from memoryd.foundation.canonical_json import Json, canonical_bytes
from memoryd.reproduction.facts import Cause, WorkerMatch
from memoryd.reproduction.matching import KEPT_OUT, NO_HINDRANCE

NAMED_LIMIT = 8
"""Differences of the nearest worker that a refusal names; the plan has them all."""
VALUE_LIMIT = 60
"""Characters of a value that a refusal shows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Where an attempt goes. With `causes` nowhere: it is not attempted.

    `route` without workers: to whichever of the pool comes first. `environments` (SHA-256, lower hex): where somebody
    insists, those alone that were held against that of then and are equal to it; what a worker states later is another.
    `linked`: a worker has weights under another name, so that names are not checked against the pool.
    """

    pool: str
    route: Route = dataclasses.field(default_factory=lambda: Route(workers=()))
    environments: tuple[str, ...] = ()
    linked: bool = False
    causes: tuple[Cause, ...] = ()

    @property
    def identical_only(self) -> bool:
        """Whether somebody insists on the environment of then."""
        return bool(self.environments)

    def as_json(self) -> dict[str, Json]:
        """What the attempt's plan keeps of it."""
        return {
            "pool": self.pool,
            "workers": [str(worker) for worker in self.route.workers],
            "only_these": self.route.only,
            "require": "identical-environment" if self.identical_only else None,
        }


def choose(
    matches: Sequence[WorkerMatch],
    *,
    pool: str,
    require_identical: bool = False,
    on_worker: UUID | None = None,
    in_doubt: bool = False,
) -> Chosen:
    """Return where an attempt goes, from how each worker stands to what it needs, nearest first. Pure.

    `in_doubt`: `on_worker` may be one that is kept from reproduction work, since this attempt is to try it.
    """
    if on_worker is not None:
        tried = [_tried(match) for match in matches] if in_doubt else matches
        return _one(tried, on_worker, pool, require_identical=require_identical)
    inside = [match for match in matches if pool in match.pools]
    if require_identical:
        return _identical(inside, pool)
    fitting = [match for match in inside if match.fits]
    if inside and not fitting:
        return Chosen(pool=pool, causes=_hindrances(inside[0]))
    online = [match for match in fitting if match.online]
    others = [match for match in fitting if not match.online]
    linked = any(match.lacks for match in fitting)
    # A worker that cannot run it must not claim it: the pool is nowhere to fall back to then.
    only = len(fitting) < len(inside)
    if only:
        return Chosen(pool=pool, route=_route([*online, *others], only=True), linked=linked)
    # The only worker there is gets it anyway, in the order of its pool.
    return Chosen(pool=pool, route=_route(online if len(inside) > 1 else (), only=False), linked=linked)


def _tried(match: WorkerMatch) -> WorkerMatch:
    lacks = tuple(cause for cause in match.lacks if cause.code != KEPT_OUT)
    return dataclasses.replace(match, lacks=lacks, fits=all(cause.code in NO_HINDRANCE for cause in lacks))


def _one(matches: Sequence[WorkerMatch], worker: UUID, pool: str, *, require_identical: bool) -> Chosen:
    match = next((match for match in matches if match.worker_id == worker), None)
    if match is None or not match.pools:
        cause = Cause(
            code="worker-unknown",
            detail=f"no worker {worker} serves this studio",
            next_step="`memoryd workers list` shows them",
        )
        return Chosen(pool=pool, causes=(cause,))
    if pool not in match.pools:
        pool = match.pools[0]
    if not match.fits:
        return Chosen(pool=pool, causes=_hindrances(match))
    if require_identical and not _is_identical(match):
        return Chosen(pool=pool, causes=(_not_here(match, pool),))
    if not match.online:
        return Chosen(pool=pool, causes=(_away(match),))
    route = _route([match], only=True)
    environments = _environments([match]) if require_identical else ()
    return Chosen(pool=pool, route=route, environments=environments, linked=bool(match.lacks))


def _identical(inside: Sequence[WorkerMatch], pool: str) -> Chosen:
    identical = [match for match in inside if match.fits and _is_identical(match)]
    online = [match for match in identical if match.online]
    if online:
        linked = any(match.lacks for match in online)
        return Chosen(pool=pool, route=_route(online, only=True), environments=_environments(online), linked=linked)
    if identical:
        return Chosen(pool=pool, causes=(_away(identical[0]),))
    nearest = min(inside, key=lambda match: (not match.online, match.nearness.distance), default=None)
    causes = [_not_here(nearest, pool)]
    if nearest is not None and not nearest.fits:
        causes += _hindrances(nearest)
    return Chosen(pool=pool, causes=tuple(causes))


def _is_identical(match: WorkerMatch) -> bool:
    near = match.nearness
    # Two that do not tell their threads are equal in what they tell, and may be any two.
    return near.known and near.identical and not near.untold and match.environment is not None


def _environments(matches: Sequence[WorkerMatch]) -> tuple[str, ...]:
    return tuple(sorted({match.environment for match in matches if match.environment is not None}))


def _route(matches: Sequence[WorkerMatch], *, only: bool) -> Route:
    return Route(workers=tuple(UUID(str(match.worker_id)) for match in matches), only=only)


def _hindrances(match: WorkerMatch) -> tuple[Cause, ...]:
    return tuple(
        dataclasses.replace(cause, detail=f"worker {match.label!r}: {cause.detail}")
        for cause in match.lacks
        if cause.code not in NO_HINDRANCE
    ) or (Cause(code="worker-lacks-something", detail=f"worker {match.label!r} cannot run it"),)


def _away(match: WorkerMatch) -> Cause:
    return Cause(
        code="worker-not-there",
        detail=f"worker {match.label!r} could make it, and is not there",
        next_step="start it, or end its drain, and ask again",
    )


def _not_here(nearest: WorkerMatch | None, pool: str) -> Cause:
    """The refusal that names the nearest worker and in which respects it is another environment."""
    if nearest is None:
        detail = f"pool {pool!r} has no worker"
        step = "start one there; `memoryd environment export` writes what an environment can be built from"
    elif not nearest.nearness.known:
        detail = "nobody recorded in which environment the original was made"
        step = "leave the requirement out: the verdict then says how near the result is"
    elif nearest.nearness.identical and nearest.nearness.untold:
        untold = ", ".join(nearest.nearness.untold)
        detail = f"worker {nearest.label!r} is the same in what is known, and nobody knows: {untold}"
        step = "run the worker on the machine of its ComfyUI, where it sees them, or leave the requirement out"
    else:
        named = [
            f"{each.name}: {_shown(each.then)} then, {_shown(each.now)} now"
            for each in nearest.nearness.differences[:NAMED_LIMIT]
        ]
        more = len(nearest.nearness.differences) - len(named)
        detail = f"the nearest is worker {nearest.label!r}: {'; '.join(named)}" + (f"; {more} more" if more > 0 else "")
        step = "build that environment (`memoryd environment export`), or leave the requirement out"
    return Cause(code="environment-not-here", detail=detail, next_step=step)


def _shown(value: Json) -> str:
    if value is None:
        return "unknown"
    text = value if isinstance(value, str) else canonical_bytes(value).decode("ascii")
    return text if len(text) <= VALUE_LIMIT else f"{text[: VALUE_LIMIT - 1]}…"
