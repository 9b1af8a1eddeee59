from __future__ import annotations

import datetime
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from memoryd.access.facts import Caller
from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest import runs
from memoryd.ingest.backlog import Plan, Wish
from memoryd.ingest.runs import RUNNING, Run, RunNotFound, Runs, RunState, RunStillGoesOn
from memoryd.storage.blob_store import BlobStore
from tests.ingest.pictures import picture


@pytest.fixture
def caller(tenant: TenantScope) -> Caller:
    return Caller(tenant=tenant, person_id=None, name="local", scopes=frozenset(), sees=None, via="local")


def ended(run: Run) -> Run:
    for _ in range(200):
        if run.state not in RUNNING:
            return run
        time.sleep(0.05)
    raise AssertionError(run)


def set_row(database: Database, tenant: TenantScope, run_id: UUID, **values: Any) -> None:
    with database.tenant_work(tenant) as session:
        for name, value in values.items():
            session.execute(
                text(f"update ingest_run set {name} = :value where id = :id"), {"value": value, "id": run_id}
            )


def test_a_run_is_kept_with_its_paths_and_counts(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, caller: Caller
) -> None:
    (folder / "a.png").write_bytes(picture(1))
    run = ended(Runs().start(database, tenant, store, Wish(paths=(folder,)), caller))
    assert run.state is RunState.DONE
    after_restart = Runs().find(database, tenant, run.id)
    assert after_restart.state is RunState.DONE
    assert after_restart.wish.paths == (folder,)
    assert (after_restart.progress.new, after_restart.progress.done) == (1, 1)
    assert after_restart.ended_at is not None
    assert [one.id for one in Runs().list_newest(database, tenant)] == [run.id]


def test_a_run_whose_process_is_silent_is_interrupted_and_goes_on_when_resumed(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, caller: Caller
) -> None:
    (folder / "a.png").write_bytes(picture(1))
    run = ended(Runs().start(database, tenant, store, Wish(paths=(folder,)), caller))
    (folder / "b.png").write_bytes(picture(2))
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
    set_row(database, tenant, run.id, state="reading", ended_at=None, beat_at=long_ago)
    restarted = Runs()
    lost = restarted.find(database, tenant, run.id)
    assert lost.state is RunState.INTERRUPTED
    assert lost.hint is not None
    again = ended(restarted.resume(database, tenant, store, run.id, caller))
    assert (again.id, again.state, again.progress.new) == (run.id, RunState.DONE, 1)


def test_a_run_that_somebody_works_on_is_not_resumed(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, caller: Caller
) -> None:
    run = ended(Runs().start(database, tenant, store, Wish(paths=(folder,)), caller))
    set_row(database, tenant, run.id, state="reading", ended_at=None, beat_at=datetime.datetime.now(datetime.UTC))
    with pytest.raises(RunStillGoesOn):
        Runs().resume(database, tenant, store, run.id, caller)


def test_another_tenant_does_not_find_a_run(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, store: BlobStore, folder: Path, caller: Caller
) -> None:
    here = Runs()
    run = ended(here.start(database, tenant, store, Wish(paths=(folder,)), caller))
    with pytest.raises(RunNotFound):
        here.find(database, other_tenant, run.id)
    assert here.list_newest(database, other_tenant) == []


def test_a_failed_run_says_why(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, caller: Caller
) -> None:
    run = ended(Runs().start(database, tenant, store, Wish(paths=(folder / "not there",)), caller))
    kept = Runs().find(database, tenant, run.id)
    assert kept.state is RunState.FAILED
    assert kept.error is not None
    assert "not there" in kept.error


def test_rate_and_time_left_come_from_what_was_done() -> None:
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=10)
    run = Run(id=UUID(int=1), tenant=UUID(int=2), wish=Wish(paths=()), state=RunState.READING, reading_since=began)
    assert (run.rate, run.seconds_left) == (None, None)
    run.progress.to_read, run.progress.done = 300, 100
    assert run.rate is not None
    assert 9 < run.rate < 11
    assert run.seconds_left is not None
    assert 18 < run.seconds_left < 23
    run.planned = Plan(found=300, complete=False)
    assert run.seconds_left is None, "while files are still being found nobody knows"
    run.state = RunState.DONE
    assert run.seconds_left is None


def test_the_limits_are_sane() -> None:
    assert runs.SILENT_S > 5 * runs.BEAT_S
