"""A studio with approved pictures and workers that need no HTTP: what a canary's attempt comes to is said by the test."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import text

from memoryd.access.facts import Caller
from memoryd.access.people import LOCAL_LOGIN, find_person
from memoryd.access.projects import find_project
from memoryd.access.sessions import caller_for
from memoryd.catalog import annotations as attaching
from memoryd.catalog.environments import keep_environment
from memoryd.catalog.looking_up import find_asset
from memoryd.dispatch import doubts, pools, workers
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import AssetId, ReproductionId, TenantId, WorkerId, new_id
from memoryd.reproduction import making
from memoryd.reproduction.canaries import due, policies, showing, tending
from memoryd.reproduction.canaries.facts import CanaryRun
from memoryd.reproduction.canaries.tending import Tended
from tests.dispatch.conftest import start_worker
from tests.reproduction.studio import Studio

SOLID = "modelfree_float_and_bool_coercion.png"
MINIMAL = "modelfree_minimal_no_meta_titles.png"
CLASSES = ["EmptyImage", "SaveImage"]
OLD: dict[str, Json] = {"comfyui": "0.28", "torch": "2.8.0", "pillow": "11.0"}
NEW: dict[str, Json] = {**OLD, "torch": "2.9.0"}


@dataclasses.dataclass
class Cage:
    """A studio whose project `default` has an approved picture, and its workers."""

    studio: Studio
    keys: dict[WorkerId, str] = dataclasses.field(default_factory=dict)
    environments: dict[WorkerId, Mapping[str, Json]] = dataclasses.field(default_factory=dict)
    asked: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    @property
    def scope(self) -> TenantScope:
        """The tenant."""
        return self.studio.tenant

    def work(self) -> Any:
        """A unit of work of the tenant."""
        return self.studio.offices.database.tenant_work(self.scope)

    def farm(self) -> Any:
        """A unit of work of the farm."""
        return self.studio.offices.database.farm_work()

    def caller(self, session: Session, scope: TenantScope | None = None) -> Caller:
        """The local person."""
        return caller_for(session, scope or self.scope, find_person(session, LOCAL_LOGIN), LOCAL_LOGIN, via="local")

    def approved(self, name: str, *, project: str = "default") -> AssetId:
        """Take a picture in and approve it."""
        self.studio.take_in(name, project=project)
        sha256 = hashlib.sha256((self.studio.files / "comfyui" / "images" / name).read_bytes()).hexdigest()
        with self.work() as session:
            asset = find_asset(session, sha256, None)
            attaching.approve(session, self.caller(session), asset, project=project)
        return asset

    def asset(self, name: str) -> AssetId:
        """A picture that is only there to be what some worker made."""
        self.studio.take_in(name)
        sha256 = hashlib.sha256((self.studio.files / "comfyui" / "images" / name).read_bytes()).hexdigest()
        with self.work() as session:
            return find_asset(session, sha256, None)

    def worker(self, label: str = "gpu-1", *, serves: tuple[TenantScope, ...] = (), environment: Any = OLD) -> WorkerId:
        """A worker that serves these tenants (the own one by default)."""
        with self.farm() as session:
            pools.ensure_defaults(session)
            tenants = [TenantId(scope.id) for scope in serves or (self.scope,)]
            token = workers.make_join_token(session, tenants=tenants, pools=["default"], label=label)
            joined = workers.join(session, token, label=label, host="host", gpu_uuid=None, protocol=1)
        self.keys[joined.worker_id] = joined.key
        self.starts(joined.worker_id, environment)
        return joined.worker_id

    def starts(self, worker: WorkerId, environment: Mapping[str, Json]) -> None:
        """Let a worker start in this environment."""
        self.environments[worker] = environment
        with self.farm() as session:
            start_worker(session, self.keys[worker], environment=dict(environment), classes=CLASSES)

    def keep(
        self, *, every_s: int | None = None, after_change: bool = True, keep_out: bool = False, assets: int = 3
    ) -> None:
        """Let project `default` keep canaries."""
        with self.work() as session:
            policies.set_policy(
                session,
                self.caller(session),
                "default",
                every_s=every_s,
                after_change=after_change,
                assets=assets,
                keep_out=keep_out,
            )

    def drop(self) -> None:
        """Let project `default` keep no canaries any more."""
        with self.work() as session:
            policies.drop_policy(session, self.caller(session), "default")

    def later(self, seconds: float) -> None:
        """Let runs have been due, and begun, this much earlier."""
        with self.work() as session:
            session.execute(
                text("""update canary_run set at = at - make_interval(secs => :s),
                               begun_at = begun_at - make_interval(secs => :s)"""),
                {"s": seconds},
            )

    def tend(self, **options: Any) -> Tended:
        """One round, in which workers are looked at."""
        return tending.tend_once(
            self.studio.offices.database, self.studio.store, [self.scope], look_every_s=0, **options
        )

    def ends(self, verdict: str, *, made: AssetId | None = None, worker: WorkerId | None = None) -> None:
        """Decide all attempts under way: with this verdict, and this output (the original where nothing is named)."""
        with self.work() as session:
            running = session.execute(
                text("""select r.id, r.asset_id, c.worker_id from reproduction r
                          join canary_run c on c.reproduction_id = r.id where r.state <> 'decided'""")
            ).all()
            for row in running:
                if worker is not None and row.worker_id != worker:
                    continue
                nothing = verdict == "not attempted"
                digest = None if nothing else keep_environment(session, self.environments[row.worker_id])
                session.execute(
                    text("""update reproduction set state = 'decided', verdict = :v, made_asset_id = :m,
                                   environment = :e, decided_at = clock_timestamp() where id = :id"""),
                    {"v": verdict, "m": None if nothing else made or row.asset_id, "e": digest, "id": row.id},
                )

    def round(self, verdict: str, *, made: AssetId | None = None) -> list[CanaryRun]:
        """Begin what is due, let it end so, judge it; return the runs, newest first."""
        self.tend()
        self.ends(verdict, made=made)
        self.tend()
        return self.runs()

    def ask_now(self, worker: WorkerId | None = None) -> int:
        """Somebody asks for the canaries of project `default`."""
        with self.work() as session:
            return due.ask_now(session, self.caller(session), find_project(session, "default"), worker)

    def was_made_by(self, session: Session, asset: AssetId, label: str, environment: bytes) -> None:
        """Let an asset be what a job of a worker made."""
        job = new_id()
        session.execute(
            text("""insert into job_detail (job_id, kind, name, pool, urgency, prompt, extra_data, recompute, inputs, pins,
                                            via, result)
                    values (:id, 'run', 'x', 'default', 'standard', '', '', false, '[]', '[]', 'key', cast(:r as jsonb))"""),
            {"id": job, "r": json.dumps({"worker": label})},
        )
        session.execute(
            text("""update generation set job_id = :job, environment = :e, ended_at = clock_timestamp()
                     where id in (select generation_id from generation_output where asset_id = :asset)"""),
            {"job": job, "e": environment, "asset": asset},
        )

    def ran_elsewhere(self) -> None:
        """Let what is under way be run by another worker."""
        with self.work() as session:
            session.execute(text("update reproduction set worker_id = :w where state <> 'decided'"), {"w": new_id()})

    def runs(self) -> list[CanaryRun]:
        """All runs, newest first."""
        with self.work() as session:
            return list(showing.list_runs(session, None).rows)

    def in_doubt(self) -> list[doubts.Doubt]:
        """The doubts that stand."""
        with self.farm() as session:
            return doubts.list_doubts(session, tenant_id=TenantId(self.scope.id))

    def kept_out(self, scope: TenantScope | None = None) -> frozenset[WorkerId]:
        """The workers kept from reproduction work."""
        with self.farm() as session:
            return doubts.kept_out(session, TenantId((scope or self.scope).id))


@pytest.fixture
def cage(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Cage:
    """A studio, in which an attempt is recorded and nothing more happens to it."""
    made = Cage(studio=studio)

    def make_again(database: Any, store: Any, caller: Caller, asset_id: AssetId, **asked: Any) -> ReproductionId:
        made.asked.append({"caller": caller, "asset": asset_id, **asked})
        assert caller.sees is not None
        (project,) = caller.sees
        with database.tenant_work(caller.tenant) as session:
            session.execute(
                text("""insert into reproduction (id, asset_id, project_id, state, purpose, plan, worker_id)
                        values (:id, :asset, :project, 'running', 'canary', '{}', :worker)"""),
                {"id": asked["attempt"], "asset": asset_id, "project": project, "worker": asked["on_worker"]},
            )
        return ReproductionId(asked["attempt"])

    monkeypatch.setattr(making, "make_again", make_again)
    return made
