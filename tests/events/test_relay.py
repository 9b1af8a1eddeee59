from __future__ import annotations

import datetime
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from memoryd.access import audit, trail_export
from memoryd.access.facts import Caller, Scope
from memoryd.events import outbox, relay
from memoryd.events.streams import EventPage, read_events
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import ProjectId, new_id


def reader(tenant: TenantScope, sees: frozenset[ProjectId] | None = None) -> Caller:
    return Caller(tenant=tenant, name="ada", scopes=frozenset({Scope.READ}), sees=sees, via="key")


def announce(database: Database, tenant: TenantScope, *kinds: str, **body: str) -> None:
    with database.tenant_work(tenant) as session:
        for kind in kinds:
            outbox.announce(session, kind, None, dict(body))


def told(page: EventPage) -> list[tuple[int, str]]:
    return [(event.seq, event.kind) for event in page.events]


def test_events_are_numbered_in_one_order_without_gaps(database: Database, tenant: TenantScope) -> None:
    announce(database, tenant, "a", "b")
    assert relay.relay_once(database, tenant) == 2
    announce(database, tenant, "c")
    assert relay.relay_once(database, tenant) == 1
    assert relay.relay_once(database, tenant) == 0
    assert told(read_events(database, reader(tenant), 0)) == [(1, "a"), (2, "b"), (3, "c")]
    assert told(read_events(database, reader(tenant), 1)) == [(2, "b"), (3, "c")]


def test_what_commits_late_is_not_missed_by_who_was_quick(database: Database, tenant: TenantScope) -> None:
    with database.tenant_work(tenant) as slow:
        outbox.announce(slow, "slow", None, {})
        announce(database, tenant, "quick")
        relay.relay_once(database, tenant)
        page = read_events(database, reader(tenant), 0)
        assert told(page) == [(1, "quick")]
    relay.relay_once(database, tenant)
    assert told(read_events(database, reader(tenant), page.after)) == [(2, "slow")]


def test_who_sees_a_project_hears_of_it_and_of_the_farm_alone(database: Database, tenant: TenantScope) -> None:
    project = ProjectId(new_id())
    announce(database, tenant, "job.queued", project_id=str(project))
    announce(database, tenant, "job.queued", project_id=str(new_id()))
    announce(database, tenant, "asset.recorded", "worker.silent", "pool.paused", "workers", "poolside")
    relay.relay_once(database, tenant)
    heard = told(read_events(database, reader(tenant, frozenset({project})), 0))
    assert heard == [(1, "job.queued"), (4, "worker.silent"), (5, "pool.paused")]


def test_what_is_rolled_back_is_never_told(database: Database, tenant: TenantScope) -> None:
    def fails() -> None:
        with database.tenant_work(tenant) as session:
            outbox.announce(session, "a", None, {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert relay.relay_once(database, tenant) == 0


def test_another_tenant_is_told_nothing(database: Database, tenant: TenantScope, other_tenant: TenantScope) -> None:
    announce(database, tenant, "a")
    relay.relay_once(database, tenant)
    relay.relay_once(database, other_tenant)
    assert told(read_events(database, reader(other_tenant), 0)) == []


def test_who_sees_some_projects_is_told_of_those(database: Database, tenant: TenantScope) -> None:
    film, spot = ProjectId(new_id()), ProjectId(new_id())
    announce(database, tenant, "film", project_id=str(film))
    announce(database, tenant, "spot", project_id=str(spot))
    announce(database, tenant, "studio")
    relay.relay_once(database, tenant)
    page = read_events(database, reader(tenant, frozenset({film})), 0)
    assert told(page) == [(1, "film")]
    assert page.after == 3  # the others are behind this reader, though it was not told of them
    assert told(read_events(database, reader(tenant, frozenset()), 0)) == []
    assert len(read_events(database, reader(tenant), 0).events) == 3


def test_hostile_text_travels_in_a_body_as_it_was(database: Database, tenant: TenantScope) -> None:
    announce(database, tenant, "a", name="x\x00y\ud800")
    relay.relay_once(database, tenant)
    assert read_events(database, reader(tenant), 0).events[0].body == {"name": "x\x00y\ud800"}


def test_a_body_beyond_the_limit_is_refused(database: Database, tenant: TenantScope) -> None:
    with pytest.raises(outbox.EventTooLarge):
        announce(database, tenant, "a", text="x" * outbox.BODY_LIMIT)


def test_old_events_go_and_a_reader_who_was_away_is_told_so(database: Database, tenant: TenantScope) -> None:
    announce(database, tenant, "a", "b", "c")
    relay.relay_once(database, tenant)
    assert relay.prune_events(database, tenant, keep=datetime.timedelta(days=1)) == 0
    assert relay.prune_events(database, tenant, keep=datetime.timedelta(0)) == 2
    page = read_events(database, reader(tenant), 0)
    assert (page.missed, told(page)) == (True, [(3, "c")])
    assert not read_events(database, reader(tenant), 2).missed
    announce(database, tenant, "d")
    relay.relay_once(database, tenant)
    assert told(read_events(database, reader(tenant), 3)) == [(4, "d")]


def test_a_reader_ahead_of_us_begins_at_the_end(database: Database, tenant: TenantScope) -> None:
    announce(database, tenant, "a")
    relay.relay_once(database, tenant)
    page = read_events(database, reader(tenant), 99)
    assert (page.missed, page.after, told(page)) == (True, 1, [])


def test_the_loop_seals_and_relays_every_tenant_and_signs_at_its_end(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, tmp_path: Path
) -> None:
    for each in (tenant, other_tenant):
        announce(database, each, "a")
        with database.tenant_work(each) as session:
            audit.note(session, None, "a", "b", {})
    stop = threading.Event()
    stop.set()  # the last round alone
    relay.keep_sealing(database, tmp_path / "keys", stop)
    for each in (tenant, other_tenant):
        assert told(read_events(database, reader(each), 0)) == [(1, "a")]
        verdict = trail_export.verify_trail(database, each, tmp_path / "keys")
        assert (verdict.entries, verdict.signed_to, verdict.unsealed) == (1, 1, 0)


@pytest.mark.parametrize("fault", [MemorydError("one"), RuntimeError("two")])
def test_a_fault_of_one_tenant_holds_up_no_other(
    database: Database,
    tenant: TenantScope,
    other_tenant: TenantScope,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
) -> None:
    real = relay.seal_once

    def fails_for_default(of: Database, which: TenantScope, keys: Path) -> int:
        if which == tenant:
            raise fault
        return real(of, which, keys)

    monkeypatch.setattr(relay, "seal_once", fails_for_default)
    for each in (tenant, other_tenant):
        with database.tenant_work(each) as session:
            audit.note(session, None, "a", "b", {})
    stop = threading.Event()
    stop.set()
    relay.keep_sealing(database, tmp_path / "keys", stop)
    for each, pending in ((tenant, 1), (other_tenant, 0)):
        with database.tenant_work(each) as session:
            assert session.execute(text("select count(*) from audit_pending")).scalar_one() == pending
