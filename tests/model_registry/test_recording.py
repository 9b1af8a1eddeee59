"""Models once, names with the time for which they had a content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from memoryd.access.facts import Caller
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.model_registry import looking_up
from memoryd.model_registry.facts import Observation, Recorded
from memoryd.model_registry.recording import (
    BadModelName,
    TooManyObservations,
    list_present,
    record_observations,
)
from memoryd.weights.kinds import ModelKind

See = Callable[..., Observation]
WORKER, ROOT = "gpu-1", "/models"


def record(session: Session, *seen: Observation, gone: tuple[tuple[str, str], ...] = ()) -> Recorded:
    return record_observations(session, None, worker=WORKER, root=ROOT, observations=seen, gone=gone)


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_the_same_bytes_under_two_names_are_one_model(session: Session, see: See) -> None:
    recorded = record(session, see("loras", "a.pt", b"x"), see("loras", "b.pt", b"x"))
    assert recorded == Recorded(models_new=1, names_new=2)
    shown = looking_up.show_model(session, sha256(b"x"))
    assert [name.path for name in shown.model.names] == ["a.pt", "b.pt"]


def test_recording_twice_changes_nothing(session: Session, see: See) -> None:
    record(session, see("loras", "a.pt", b"x"))
    assert record(session, see("loras", "a.pt", b"x")) == Recorded()


def test_a_touched_file_keeps_its_name_and_the_next_scan_knows_its_time(session: Session, see: See) -> None:
    record(session, see("loras", "a.pt", b"x"))
    assert record(session, see("loras", "a.pt", b"x", mtime_ns=99)) == Recorded()
    assert [name.mtime_ns for name in list_present(session, WORKER, ROOT)] == [99]


def test_drift_ends_one_interval_and_begins_the_next(session: Session, see: See) -> None:
    record(session, see("checkpoints", "base.pt", b"old"))
    assert record(session, see("checkpoints", "base.pt", b"new")) == Recorded(models_new=1, names_changed=1)
    old, new = (looking_up.show_model(session, sha256(content)).model.names[0] for content in (b"old", b"new"))
    assert old.seen_to is not None
    assert new.seen_to is None
    assert old.seen_from <= old.seen_to <= new.seen_from


def test_a_name_that_is_gone_has_an_end_and_may_come_back(session: Session, see: See) -> None:
    record(session, see("loras", "a.pt", b"x"))
    assert record(session, gone=(("loras", "a.pt"),)) == Recorded(names_gone=1)
    assert record(session, gone=(("loras", "a.pt"), ("loras", "never.pt"))) == Recorded()
    assert record(session, see("loras", "a.pt", b"x")) == Recorded(names_new=1)
    names = looking_up.show_model(session, sha256(b"x")).model.names
    assert [name.seen_to is None for name in names] == [True, False]


def test_what_was_just_seen_is_not_gone(session: Session, see: See) -> None:
    assert record(session, see("loras", "a.pt", b"x"), gone=(("loras", "a.pt"),)).names_gone == 0


def test_an_unreadable_file_is_a_name_without_content(session: Session, see: See) -> None:
    assert record(session, see("loras", "a.pt", None)) == Recorded(names_new=1)
    assert [name.sha256 for name in list_present(session, WORKER, ROOT)] == [None]
    assert record(session, see("loras", "a.pt", b"x")) == Recorded(models_new=1, names_changed=1)


def test_an_unknown_kind_is_filled_in_and_a_known_one_stays(session: Session, see: See) -> None:
    for kind in (ModelKind.UNKNOWN, ModelKind.LORA, ModelKind.VAE, ModelKind.UNKNOWN):
        record(session, see("loras", "a.pt", b"x", kind=kind))
    assert looking_up.show_model(session, sha256(b"x")).model.kind == ModelKind.LORA


def test_names_of_other_machines_and_folders_are_their_own(session: Session, see: See) -> None:
    record(session, see("loras", "a.pt", b"x"))
    other = record_observations(session, None, worker="gpu-2", root=ROOT, observations=[see("loras", "a.pt", b"y")])
    assert other == Recorded(models_new=1, names_new=1)
    assert [name.sha256 for name in list_present(session, WORKER, ROOT)] == [sha256(b"x")]


def test_present_names_come_in_pages(session: Session, see: See) -> None:
    record(session, *(see("loras", f"{i}.pt", b"x") for i in range(5)))
    first = list_present(session, WORKER, ROOT, limit=3)
    rest = list_present(session, WORKER, ROOT, after=(first[-1].folder, first[-1].path), limit=3)
    assert [name.path for name in (*first, *rest)] == [f"{i}.pt" for i in range(5)]


@pytest.mark.parametrize(
    ("folder", "path"), [("loras", "../x.pt"), ("a/b", "x.pt"), ("loras", "/x.pt"), ("loras", ""), ("l", "x" * 2000)]
)
def test_a_name_that_leads_elsewhere_or_fits_no_index_is_refused(
    session: Session, see: See, folder: str, path: str
) -> None:
    with pytest.raises(BadModelName):
        record(session, see(folder, path, b"x"))


def test_more_than_one_call_takes_is_refused(session: Session, see: See) -> None:
    with pytest.raises(TooManyObservations):
        record(session, *(see("loras", f"{i}.pt", b"x") for i in range(501)))


def test_another_tenant_finds_no_model(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, see: See, caller: Caller
) -> None:
    with database.tenant_work(tenant) as session:
        record_observations(session, caller, worker=WORKER, root=ROOT, observations=[see("loras", "a.pt", b"x")])
    with database.tenant_work(other_tenant) as session, pytest.raises(looking_up.ModelNotFound):
        looking_up.show_model(session, sha256(b"x"))
