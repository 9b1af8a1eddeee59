"""Which workers could make it again, and in which respects each could not: classes, contents of models, environment.

What the workers stated is read once; holding a plan against it is pure, so that a whole project's plans can be.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterable, Mapping, Sequence

from memoryd.catalog.environments import EnvironmentNotFound, load_environment
from memoryd.dispatch import doubts
from memoryd.dispatch import workers as farm_workers
from memoryd.dispatch.facts import WorkerState, WorkerView
from memoryd.foundation.canonical_json import Json, read_json
from memoryd.foundation.database import Session, TenantScope, take_farm
from memoryd.foundation.ids import TenantId, WorkerId
from memoryd.reproduction import queries
from memoryd.reproduction.environments.nearness import nearness
from memoryd.reproduction.facts import HINDRANCES, Cause, ModelPin, Plan, WorkerMatch
from memoryd.submission.graph_needs import GraphRefused, folders_of, read_needs, slashed

NAMED_LIMIT = 5
"""Classes or workers that one cause names."""

OTHER_NAME = "model-under-other-name"
NOT_HASHED = "model-not-hashed"
KEPT_OUT = "worker-kept-out"
NO_HINDRANCE = frozenset({OTHER_NAME, NOT_HASHED})
"""What a worker may lack and still fit: it links the file under the graph's name, or hashes it before the run."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a graph needs of a worker. `classes` None: its classes could not be read."""

    classes: frozenset[str] | None
    pins: tuple[ModelPin, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FleetWorker:
    """A worker as it last stated itself; None: it did not state that.

    `environment_sha256` (lower hex) names the environment.
    `models`: folder -> name with forward slashes -> SHA-256 or None (not hashed), of the names and contents asked for.
    """

    view: WorkerView
    classes: frozenset[str] | None
    environment: Mapping[str, Json] | None
    models: Mapping[str, Mapping[str, bytes | None]]
    environment_sha256: str | None = None
    kept_out: bool = False
    """Its canaries found that it drifted, and nobody has let it back to reproduction work."""

    def under(self, pin: ModelPin) -> tuple[bool, bytes | None]:
        """Return whether it has a file of this name, and the content of that."""
        for folder in folders_of(pin.folder):
            names = self.models.get(folder, {})
            if slashed(pin.name) in names:
                return True, names[slashed(pin.name)]
        return False, None

    def place_of(self, sha256: bytes) -> str | None:
        """Return where it has this content, as `folder/name`; None where it has not."""
        for folder, names in self.models.items():
            for name, content in names.items():
                if content == sha256:
                    return f"{folder}/{name}"
        return None


def needs_of(plan: Plan) -> Needs:
    """Return what a plan needs of a worker."""
    try:
        classes = read_needs(plan.prompt.decode("utf-8", "surrogatepass")).classes if plan.prompt else frozenset[str]()
    except GraphRefused:
        return Needs(classes=None, pins=plan.pins)
    return Needs(classes=classes, pins=plan.pins)


def read_fleet(session: Session, tenant_id: TenantId, pins: Iterable[ModelPin]) -> tuple[FleetWorker, ...]:
    """Return the tenant's workers that ever registered, with what they have of these models. `session` has the farm."""
    views = {
        view.id: view
        for view in farm_workers.list_workers(session, tenant_id=tenant_id, counted=False)
        if view.state is not WorkerState.JOINED
    }
    if not views:
        return ()
    stated = queries.list_fleet(session, list(views))
    environments = {
        digest: read_json(zlib.decompress(packed))
        for digest, packed in queries.list_fleet_environments(session, list(views)).items()
    }
    catalogues = {bytes(row.nodes_sha256) for row in stated.values() if row.nodes_sha256 is not None}
    classes = queries.list_fleet_classes(session, sorted(catalogues))
    models: dict[WorkerId, dict[str, dict[str, bytes | None]]] = {}
    named = list(pins)
    # Both spellings are asked for: a worker on Windows states backslashes.
    paths = {
        spelled for pin in named for spelled in (pin.name, slashed(pin.name), slashed(pin.name).replace("/", "\\"))
    }
    contents = {pin.sha256 for pin in named if pin.sha256 is not None}
    for row in queries.list_fleet_models(session, list(views), sorted(paths), sorted(contents)):
        names = models.setdefault(WorkerId(row.worker_id), {}).setdefault(row.folder, {})
        names[slashed(row.path)] = bytes(row.sha256) if row.sha256 is not None else None
    fleet = []
    out = doubts.kept_out(session, tenant_id)
    for worker_id, view in views.items():
        row = stated[worker_id]
        digest = bytes(row.environment_sha256) if row.environment_sha256 is not None else None
        environment = environments.get(digest) if digest is not None else None
        fleet.append(
            FleetWorker(
                view=view,
                classes=classes.get(bytes(row.nodes_sha256)) if row.nodes_sha256 is not None else None,
                environment=environment if isinstance(environment, dict) else None,
                models=models.get(worker_id, {}),
                environment_sha256=digest.hex() if digest is not None and isinstance(environment, dict) else None,
                kept_out=worker_id in out,
            )
        )
    return tuple(fleet)


def match(worker: FleetWorker, needs: Needs, then: Mapping[str, Json] | None) -> WorkerMatch:
    """Return how a worker stands to what is needed. `then` is the environment of the run, None where nobody recorded it."""
    lacks = (*_lacks(worker, needs), *((_kept_out(),) if worker.kept_out else ()))
    return WorkerMatch(
        worker_id=worker.view.id,
        label=worker.view.label,
        pools=worker.view.pools,
        online=worker.view.online and worker.view.state is WorkerState.ACTIVE,
        fits=all(cause.code in NO_HINDRANCE for cause in lacks),
        nearness=nearness(then, worker.environment),
        lacks=lacks,
        environment=worker.environment_sha256,
    )


def ranked(fleet: Iterable[FleetWorker], needs: Needs, then: Mapping[str, Json] | None) -> tuple[WorkerMatch, ...]:
    """Return how each worker stands to what is needed: those that fit first, of them those online, of them the nearest."""
    matches = [match(worker, needs, then) for worker in fleet]
    return tuple(sorted(matches, key=lambda m: (not m.fits, not m.online, m.nearness.distance, m.label)))


def match_workers(
    session: Session, needs: Needs, environment_then: Mapping[str, Json] | None, tenant: TenantScope
) -> tuple[WorkerMatch, ...]:
    """Return the tenant's workers held against what is needed, as `ranked` puts them. `session` has taken the farm."""
    return ranked(read_fleet(session, TenantId(tenant.id), needs.pins), needs, environment_then)


def with_workers(session: Session, plan: Plan, tenant: TenantScope) -> Plan:
    """Return a plan with the workers that could do it, and notices of what none of them has.

    Takes the farm for the rest of the transaction: whatever else is read of the tenant comes before.
    """
    if not plan.prompt:
        return plan
    needs, then = needs_of(plan), environment_of(session, plan.environment)
    take_farm(session)
    fleet = read_fleet(session, TenantId(tenant.id), needs.pins)
    return dataclasses.replace(
        plan, workers=ranked(fleet, needs, then), notices=(*plan.notices, *lacking(fleet, needs))
    )


def environment_of(session: Session, digest: bytes | None) -> Mapping[str, Json] | None:
    """Return the environment that a run recorded, None where it recorded none."""
    try:
        return load_environment(session, digest) if digest is not None else None
    except EnvironmentNotFound:
        return None


def lacking(fleet: Sequence[FleetWorker], needs: Needs) -> tuple[Cause, ...]:
    """Return what no worker has, or none has together; also which models nobody knows the content of."""
    if not fleet:
        return (
            Cause(
                code="no-worker",
                detail="no worker serves this studio",
                next_step="`memoryd workers add` prints the command that joins one",
            ),
        )
    causes = [*_classes_of_nobody(fleet, needs), *(cause for pin in needs.pins if (cause := _of_nobody(fleet, pin)))]
    found = not any(cause.code in HINDRANCES for cause in causes)
    if found and not any(_fits(worker, needs) for worker in fleet):
        causes.append(
            Cause(
                code="no-worker-has-all",
                detail="each class and model is on some worker, but no worker has all of them",
                next_step="look at what the nearest worker lacks, and put that there",
            )
        )
    return tuple(causes)


def _fits(worker: FleetWorker, needs: Needs) -> bool:
    return all(cause.code in NO_HINDRANCE for cause in _lacks(worker, needs))


def _lacks(worker: FleetWorker, needs: Needs) -> Iterable[Cause]:
    unknown = sorted(needs.classes - worker.classes) if needs.classes and worker.classes is not None else []
    if unknown:
        yield Cause(
            code="class-missing",
            detail=f"it has no {_some(unknown)}",
            next_step="install the node pack there, and start the worker again",
        )
    for pin in needs.pins:
        cause = _lack(worker, pin)
        if cause is not None:
            yield cause


def _kept_out() -> Cause:
    return Cause(
        code=KEPT_OUT,
        detail="it no longer makes what it made before, and is kept from reproduction work",
        next_step="`memoryd canaries list` says since when and after which change; `memoryd canaries decide` ends it",
    )


def _lack(worker: FleetWorker, pin: ModelPin) -> Cause | None:
    named, content = worker.under(pin)
    asked = f"{pin.folder}/{slashed(pin.name)}"
    if named and (pin.sha256 is None or content == pin.sha256):
        return None
    place = worker.place_of(pin.sha256) if pin.sha256 is not None else None
    # A link is never put over a file: where another one has the name, the content elsewhere does not help.
    if place is not None and not named:
        return Cause(
            code=OTHER_NAME,
            detail=f"it has the content of {asked} as {place}",
            next_step="nothing: it is linked under the graph's name for the run",
        )
    if not named:
        return Cause(code="model-missing", detail=f"it has no {asked}", next_step="put the file there")
    if content is None:
        return Cause(
            code=NOT_HASHED, detail=f"its {asked} was not hashed yet", next_step="nothing: that is done before the run"
        )
    return Cause(
        code="model-drifted",
        detail=f"its {asked} is another file: {content.hex()[:12]} now, {_short(pin.sha256)} then",
        next_step=f"bring the file with SHA-256 {pin.sha256.hex() if pin.sha256 else ''} back",
    )


def _classes_of_nobody(fleet: Sequence[FleetWorker], needs: Needs) -> Iterable[Cause]:
    if needs.classes is None or any(worker.classes is None for worker in fleet):
        return
    known = frozenset[str]().union(*(worker.classes for worker in fleet if worker.classes is not None))
    unknown = sorted(needs.classes - known)
    if unknown:
        yield Cause(
            code="class-nobody-has",
            detail=f"no worker has {_some(unknown)}",
            next_step="install the node pack on a worker; `memoryd environment show` tells which pack then's worker had",
        )


def _of_nobody(fleet: Sequence[FleetWorker], pin: ModelPin) -> Cause | None:
    asked = f"{pin.folder}/{slashed(pin.name)}"
    under = [(worker, content) for worker in fleet for named, content in (worker.under(pin),) if named]
    if pin.sha256 is None:
        if not under:
            return Cause(
                code="model-nobody-has",
                detail=f"no worker has {asked}",
                next_step="put a file of that name on a worker",
            )
        return Cause(
            code="model-hash-unknown",
            detail=f"which weights were called {asked} then is not known",
            next_step="a file of that name may be another by now: the verdict tells, and no model is refused as drifted",
        )
    if any(worker.place_of(pin.sha256) is not None for worker in fleet) or any(content is None for _, content in under):
        return None
    if under:
        there = ", ".join(worker.view.label for worker, _ in under[:NAMED_LIMIT])
        return Cause(
            code="model-drifted",
            detail=f"{asked} is another file on every worker that has one ({there}); then it was {_short(pin.sha256)}",
            next_step=f"bring the file with SHA-256 {pin.sha256.hex()} back to a worker, under any name",
        )
    return Cause(
        code="model-nobody-has",
        detail=f"no worker has {asked} ({_short(pin.sha256)})",
        next_step=f"put the file with SHA-256 {pin.sha256.hex()} on a worker",
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED_LIMIT} more" if len(names) > NAMED_LIMIT else ""
    return ", ".join(names[:NAMED_LIMIT]) + more


def _short(sha256: bytes | None) -> str:
    return f"SHA-256 {sha256.hex()[:12]}" if sha256 is not None else "unknown"
