from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from memoryd.access.projects import ensure_project
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.ingest import quarantine
from memoryd.ingest.facts import Custody, Folder, Recorded
from memoryd.ingest.keeping import keep
from memoryd.ingest.merkle import merkle_root
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture, png, prompt


def _record(database: Database, tenant: TenantScope, folder: Folder, *names: str) -> Recorded:
    prepared = prepare_here(folder, [folder.path / name for name in names], named=True)
    with database.tenant_work(tenant) as session:
        return record(session, prepared, scope=tenant)


def test_a_recorded_file_is_found_by_its_words(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    (folder / "a.png").write_bytes(picture(words="a red fox"))
    recorded = _record(database, tenant, Folder(path=folder), "a.png")
    assert (recorded.new, recorded.known) == (1, 0)
    assert rows("select 1 from asset_text where words @@ 'fox'::tsquery")
    assert rows("select 1 from generation g join document d on d.sha256 = g.prompt_document")
    assert [row.path for row in rows("select path from location")] == [os.fsencode(folder / "a.png")]


def test_a_batch_is_one_audit_entry_with_a_root_over_its_files(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    for seed in (1, 2, 3):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    recorded = _record(database, tenant, Folder(path=folder), "1.png", "2.png", "3.png")
    (noted,) = rows("select facts from audit_pending where action = 'asset.record'")
    facts = noted.facts if isinstance(noted.facts, dict) else json.loads(noted.facts)
    expected = merkle_root(asset.sha256 for asset in recorded.assets)
    assert expected is not None
    assert facts["merkle_root"] == expected.hex()
    assert facts["new"] == 3


def test_recording_the_same_again_changes_nothing(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    (folder / "a.png").write_bytes(picture())
    first = _record(database, tenant, Folder(path=folder), "a.png")
    again = _record(database, tenant, Folder(path=folder), "a.png")
    assert (again.new, again.known) == (0, 1)
    assert again.assets[0].asset_id == first.assets[0].asset_id
    for table in ("asset", "generation", "location", "audit_pending"):
        assert rows(f"select count(*) from {table}")[0][0] == 1


def test_equal_bytes_in_two_places_are_one_asset(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(picture())
    assert _record(database, tenant, Folder(path=folder), "a.png", "b.png").new == 1
    assert rows("select count(*) from location")[0][0] == 2


def test_new_pictures_bring_their_chores_and_known_ones_none(
    database: Database, tenant: TenantScope, folder: Path
) -> None:
    (folder / "a.png").write_bytes(picture())
    for _ in range(2):
        _record(database, tenant, Folder(path=folder), "a.png")
    from sqlalchemy import text

    with database.farm_work() as session:
        kinds = list(session.scalars(text("select kind from chore order by kind")))
    assert kinds == ["clear", "enrich"]


def test_one_bad_file_does_not_keep_its_batch_from_being_recorded(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows, tmp_path: Path
) -> None:
    (folder / "good.png").write_bytes(picture())
    (folder / "surrogate.png").write_bytes(png({"prompt": '{"1":{"class_type":"A\\u0000","inputs":{"t":"\\ud800"}}}'}))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 60)
    (tmp_path / "secret.png").write_bytes(picture(9))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    names = ("good.png", "surrogate.png", "broken.png", "link.png", "loop.png", "gone.png")
    recorded = _record(database, tenant, Folder(path=folder), *names)
    assert (recorded.new, recorded.quarantined, recorded.vanished) == (2, 3, 1)
    found = {row.shown.rpartition("/")[2]: row.reason for row in rows("select shown, reason from quarantine")}
    assert found == {"broken.png": "broken", "link.png": "outside-folder", "loop.png": "symlink-loop"}


def test_a_file_leaves_quarantine_when_it_becomes_readable_or_is_gone(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    broken = b"\x89PNG\r\n\x1a\n" + b"\xff" * 60
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(broken)
    for _ in range(2):
        _record(database, tenant, Folder(path=folder), "a.png", "b.png")
    assert [row.tries for row in rows("select tries from quarantine")] == [2, 2]
    (folder / "a.png").write_bytes(picture())
    (folder / "b.png").unlink()
    _record(database, tenant, Folder(path=folder), "a.png", "b.png")
    assert {row.resolution for row in rows("select resolution from quarantine")} == {"recorded", "gone"}
    with database.tenant_work(tenant) as session:
        assert quarantine.list_quarantine(session).rows == []
        assert len(quarantine.list_quarantine(session, resolved=True).rows) == 2


def test_a_quarantined_file_is_shown_only_to_those_who_see_its_project(
    database: Database, tenant: TenantScope, folder: Path
) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 60)
    with database.tenant_work(tenant) as session:
        mine, other = ensure_project(session, "mine"), ensure_project(session, "other-client")
    _record(database, tenant, Folder(path=folder, project_id=mine), "a.png")
    with database.tenant_work(tenant) as session:
        assert len(quarantine.list_quarantine(session, sees=frozenset({mine})).rows) == 1
        assert not quarantine.list_quarantine(session, sees=frozenset({other})).rows


def test_a_rewrite_stays_in_its_line_and_another_picture_under_the_name_does_not(
    database: Database, tenant: TenantScope, folder: Path
) -> None:
    where = Folder(path=folder)
    (folder / "a.png").write_bytes(picture(seed=1))
    first = _record(database, tenant, where, "a.png").assets[0]
    stripped = png({"Software": "an editor"}, colour=1)
    (folder / "a.png").write_bytes(stripped)
    second = _record(database, tenant, where, "a.png").assets[0]
    assert second.asset_id != first.asset_id
    assert second.root_id == first.root_id
    (folder / "a.png").write_bytes(png({"prompt": json.dumps(prompt(1)), "note": "more"}, colour=1))
    with_graph = _record(database, tenant, where, "a.png").assets[0]
    (folder / "a.png").write_bytes(picture(seed=2))
    other = _record(database, tenant, where, "a.png").assets[0]
    assert other.root_id == other.asset_id
    assert with_graph.asset_id != other.asset_id


def test_custody_keep_stores_the_bytes_and_the_folder_may_go(
    database: Database, tenant: TenantScope, folder: Path, store: BlobStore, rows: Rows
) -> None:
    (folder / "a.png").write_bytes(picture())
    prepared = keep(prepare_here(Folder(path=folder, custody=Custody.KEEP), [folder / "a.png"]), store, tenant.slug)
    with database.tenant_work(tenant) as session:
        recorded = record(session, prepared, scope=tenant)
    (folder / "a.png").unlink()
    assert store.read_verified(tenant.slug, recorded.assets[0].sha256) == picture()
    assert rows("select count(*) from blob")[0][0] == 1


def test_the_session_is_the_tenants_again_afterwards(session: Session, tenant: TenantScope, folder: Path) -> None:
    from sqlalchemy import text

    (folder / "a.png").write_bytes(picture())
    record(session, prepare_here(Folder(path=folder), [folder / "a.png"]), scope=tenant)
    assert session.scalar(text("select count(*) from asset")) == 1


@pytest.mark.parametrize("project", [True, False])
def test_the_project_is_the_folders(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows, project: bool
) -> None:
    (folder / "a.png").write_bytes(picture())
    with database.tenant_work(tenant) as session:
        project_id: Any = ensure_project(session, "fox") if project else None
    _record(database, tenant, Folder(path=folder, project_id=project_id), "a.png")
    assert [row.project_id for row in rows("select project_id from generation")] == [project_id]
