from __future__ import annotations

import pytest
from sqlalchemy import text

from memoryd.access.facts import Caller, Scope, Sees
from memoryd.access.projects import ensure_project
from memoryd.catalog import annotations, showing
from memoryd.catalog.annotations import ApprovalState, BadAnnotation, ProjectUnclear
from memoryd.catalog.asset_view import Annotations
from memoryd.catalog.looking_up import AssetNotFound
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import AssetId, ProjectId
from tests.catalog.records import record


@pytest.fixture
def ours(session: Session) -> ProjectId:
    return ensure_project(session, "ours")


@pytest.fixture
def theirs(session: Session) -> ProjectId:
    return ensure_project(session, "theirs")


def caller(tenant: TenantScope, sees: Sees) -> Caller:
    return Caller(tenant=tenant, name="anna", scopes=frozenset(Scope), sees=sees, via="key")


def attached(session: Session, asset: AssetId, sees: Sees) -> list[Annotations]:
    return list(showing.show_asset(session, asset, sees).annotations)


def test_everything_attached_survives_a_rename_a_rewrite_and_a_signed_copy(
    session: Session, tenant: TenantScope, ours: ProjectId
) -> None:
    anna = caller(tenant, None)
    [first] = record_assets(session, [record("v1", project=ours, path="a.png")])
    assert annotations.tag(session, anna, first.asset_id, ["Hero  Shot", "hero shot"]) == ["hero shot"]
    annotations.rate(session, anna, first.asset_id, 4)
    annotations.note(session, anna, first.asset_id, "more fur")
    assert annotations.collect(session, anna, first.asset_id, "Delivery 1")
    annotations.approve(session, anna, first.asset_id, comment="ship it")
    [second] = record_assets(session, [record("v2", project=ours, path="a.png", rewrites="v1")])
    [signed] = record_assets(session, [record("v2s", project=ours, discloses="v2", generation=False)])
    for asset in (first, second, signed):
        [found] = attached(session, asset.asset_id, frozenset({ours}))
        assert (found.tags, found.rating, found.collections) == (("hero shot",), 4, ("delivery 1",))
        assert [note.text for note in found.notes] == ["more fur"]
        assert found.approval is not None
        assert (found.approval.state, found.approval.of_this) == ("approved", asset is first)


def test_equal_bytes_in_two_projects_share_no_annotation(
    session: Session, tenant: TenantScope, ours: ProjectId, theirs: ProjectId
) -> None:
    asset = record_assets(session, [record("pic", project=ours), record("pic", project=theirs)])[0].asset_id
    annotations.tag(session, caller(tenant, frozenset({ours})), asset, ["secret client"])
    annotations.rate(session, caller(tenant, frozenset({ours})), asset, 5)
    [found] = attached(session, asset, frozenset({theirs}))
    assert (found.tags, found.rating) == ((), None)
    assert annotations.list_tags(session, frozenset({theirs})) == []


def test_somebody_who_sees_neither_project_finds_no_asset(
    session: Session, tenant: TenantScope, ours: ProjectId, theirs: ProjectId
) -> None:
    [asset] = record_assets(session, [record("pic", project=ours)])
    with pytest.raises(AssetNotFound):
        annotations.tag(session, caller(tenant, frozenset({theirs})), asset.asset_id, ["x"])


def test_where_two_projects_could_be_meant_one_must_be_named(
    session: Session, tenant: TenantScope, ours: ProjectId, theirs: ProjectId
) -> None:
    anna = caller(tenant, None)
    asset = record_assets(session, [record("pic", project=ours), record("pic", project=theirs)])[0].asset_id
    with pytest.raises(ProjectUnclear, match="ours, theirs"):
        annotations.rate(session, anna, asset, 3)
    annotations.rate(session, anna, asset, 3, project="ours")
    with pytest.raises(ProjectUnclear):
        annotations.rate(session, anna, asset, 3, project="nobody")


def test_an_asset_of_no_project_cannot_be_tagged(session: Session, tenant: TenantScope) -> None:
    [asset] = record_assets(session, [record("pic")])
    with pytest.raises(ProjectUnclear):
        annotations.tag(session, caller(tenant, None), asset.asset_id, ["x"])


def test_what_was_attached_can_be_taken_back(session: Session, tenant: TenantScope, ours: ProjectId) -> None:
    anna = caller(tenant, None)
    asset = record_assets(session, [record("pic", project=ours)])[0].asset_id
    annotations.tag(session, anna, asset, ["a", "b"])
    assert annotations.tag(session, anna, asset, ["a"]) == []
    assert annotations.untag(session, anna, asset, ["a", "zz"]) == ["a"]
    annotations.rate(session, anna, asset, 2)
    annotations.rate(session, anna, asset, 0)
    annotations.collect(session, anna, asset, "c")
    assert annotations.uncollect(session, anna, asset, "c")
    annotations.approve(session, anna, asset, ApprovalState.REJECTED)
    assert annotations.withdraw_approval(session, anna, asset)
    [found] = attached(session, asset, None)
    assert (found.tags, found.rating, found.collections, found.approval) == (("b",), None, (), None)
    marks = session.execute(text("select marks::text from asset_mark")).scalar_one()
    assert marks == f"'t:{ours.hex}:b' 't:b'"


def test_each_change_is_audited_and_announced_once(session: Session, tenant: TenantScope, ours: ProjectId) -> None:
    anna = caller(tenant, None)
    asset = record_assets(session, [record("pic", project=ours)])[0].asset_id
    annotations.tag(session, anna, asset, ["a"])
    annotations.tag(session, anna, asset, ["a"])
    annotations.rate(session, anna, asset, 5)
    actions = session.execute(
        text("select action from audit_pending where subject = :s order by id"), {"s": str(asset)}
    )
    assert list(actions.scalars()) == ["asset.tag", "asset.rate"]
    assert list(session.execute(text("select kind from outbox order by id")).scalars()) == ["asset.tag", "asset.rate"]


@pytest.mark.parametrize("name", ["", "  ", "a:b", "x" * 81, "bell\x07"])
def test_a_tag_that_nobody_could_search_for_is_refused(
    session: Session, tenant: TenantScope, ours: ProjectId, name: str
) -> None:
    asset = record_assets(session, [record("pic", project=ours)])[0].asset_id
    with pytest.raises(BadAnnotation):
        annotations.tag(session, caller(tenant, None), asset, [name])


@pytest.mark.parametrize("stars", [-1, 6])
def test_stars_have_bounds(session: Session, tenant: TenantScope, ours: ProjectId, stars: int) -> None:
    asset = record_assets(session, [record("pic", project=ours)])[0].asset_id
    with pytest.raises(BadAnnotation):
        annotations.rate(session, caller(tenant, None), asset, stars)
