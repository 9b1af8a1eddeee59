from __future__ import annotations

from pathlib import Path

import pytest

from memoryd.access import people, projects
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import FolderRule, WatchRoot
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.ingest import attributing, roots
from memoryd.ingest.attributing import explain, folder_for
from memoryd.ingest.folder_rules import checked_rules
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture

RULES = checked_rules([FolderRule(pattern="{project}/{person}/**"), FolderRule(pattern="{project}/*")])


def _root(session: Session, folder: Path, *, makes: bool = False) -> WatchRoot:
    default = projects.find_project(session, "default")
    root = roots.ensure_root(session, host="h", path=folder, project_id=default)
    catalog_roots.set_rules(session, root.id, RULES, makes_projects=makes)
    return catalog_roots.show_root(session, root.id)


def test_names_are_found_by_slug_login_and_shown_name_whatever_their_case(session: Session, folder: Path) -> None:
    acme = projects.ensure_project(session, "acme-inc", "Acme Inc.")
    bea = people.ensure_person(session, "bea", "Bea Berg")
    found = folder_for(
        session, _root(session, folder), [b"Acme Inc./Bea Berg/a.png", b"acme-inc/BEA/a.png", b"ACME INC/x.png"]
    )
    for place in (b"Acme Inc./Bea Berg/a.png", b"acme-inc/BEA/a.png"):
        one = found.for_path(place)
        assert (one.project_id, one.person_id, one.attribution_source, one.findings) == (acme, bea, "folder-rule", ())
    assert found.for_path(b"ACME INC/x.png").project_id == acme


def test_a_name_that_does_not_exist_is_a_finding_and_the_roots_default_counts(session: Session, folder: Path) -> None:
    root = _root(session, folder)
    one = folder_for(session, root, [b"nowhere/nobody/a.png"]).for_path(b"nowhere/nobody/a.png")
    assert (one.project_id, one.attribution_source) == (root.project_id, "folder")
    assert [finding.code for finding in one.findings] == ["no-such-project", "no-such-person"]
    assert folder_for(session, root, [b"a.png"]).for_path(b"a.png").attribution_source == "folder"


def test_a_project_is_made_only_where_that_was_asked_for_and_never_a_person(session: Session, folder: Path) -> None:
    root = _root(session, folder, makes=True)
    explained = explain(session, root, b"New Client/nobody/a.png")
    assert (explained.project, explained.would_make, explained.missing) == (
        "new-client",
        "new-client",
        ("person 'nobody'",),
    )
    one = folder_for(session, root, [b"New Client/nobody/a.png"]).for_path(b"New Client/nobody/a.png")
    assert one.project_id == projects.find_project(session, "new-client")
    assert [finding.code for finding in one.findings] == ["no-such-person"]
    assert explain(session, root, b"New Client/nobody/a.png").would_make is None


def test_so_many_projects_and_no_more_are_made_at_once(
    session: Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributing, "PROJECTS_MADE_LIMIT", 2)
    root = _root(session, folder, makes=True)
    found = folder_for(session, root, [f"p{n}/a.png".encode() for n in range(5)])
    assert len(found.projects) == 2


def test_what_is_recorded_says_that_a_folder_rule_decided(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    with database.tenant_work(tenant) as session:
        projects.ensure_project(session, "acme")
        people.ensure_person(session, "bea", "Bea")
        root = _root(session, folder)
    (folder / "acme" / "bea").mkdir(parents=True)
    (folder / "acme" / "bea" / "a.png").write_bytes(picture())
    (folder / "odd").mkdir()
    (folder / "odd" / "b.png").write_bytes(picture(2))
    places = [b"acme/bea/a.png", b"odd/b.png"]
    with database.tenant_work(tenant) as session:
        prepared = prepare_here(folder_for(session, root, places), [folder / place.decode() for place in places])
        record(session, prepared, scope=tenant)
    told = rows(
        "select p.slug, e.login, g.attribution_source, l.shown_path from generation g join project p on p.id = g.project_id"
        " left join person e on e.id = g.person_id join generation_output o on o.generation_id = g.id"
        " join location l on l.asset_id = o.asset_id order by l.shown_path"
    )
    assert [tuple(row) for row in told] == [
        ("acme", "bea", "folder-rule", "acme/bea/a.png"),
        ("default", None, "folder", "odd/b.png"),
    ]
    assert rows('select count(*) from extraction where findings @> \'[{"code": "no-such-project"}]\'')[0][0] == 1
