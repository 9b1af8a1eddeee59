from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.access.people import ensure_person
from memoryd.access.projects import ensure_project
from memoryd.catalog import annotations as attaching
from memoryd.catalog import reattributing, removal, showing
from memoryd.catalog.annotations import BadAnnotation, ProjectUnclear
from memoryd.catalog.attribution import (
    TRUST,
    Attribution,
    AttributionSource,
    Correction,
    Said,
    corrected,
    decide,
)
from memoryd.catalog.facts import AssetRecord, OwnClaim
from memoryd.catalog.looking_up import AssetNotFound
from memoryd.catalog.own_text import read_claim
from memoryd.catalog.reattributing import Wish, reattribute, undo
from memoryd.catalog.recording import record_assets
from memoryd.catalog.removal import RemovalKind
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import AssetId, JobId, PersonId, ProjectId, new_id
from memoryd.plugin_api.facts import Carrier
from tests.catalog.records import record
from tests.catalog.test_removal import caller, found

PROJECTS = [ProjectId(new_id()) for _ in range(3)]
PEOPLE = [PersonId(new_id()) for _ in range(3)]


@given(
    st.lists(
        st.builds(
            Said,
            source=st.sampled_from(TRUST),
            project_id=st.sampled_from([None, *PROJECTS]),
            person_id=st.sampled_from([None, *PEOPLE]),
        ),
        max_size=6,
        unique_by=lambda one: one.source,
    ),
)
def test_the_most_trusted_that_says_something_decides_in_whichever_order_they_come(said: list[Said]) -> None:
    shuffled = sorted(said, key=lambda one: str(one.project_id))
    assert decide(shuffled) == decide(said)
    now = decide(said)
    for one in said:
        if one.project_id is not None and TRUST.index(one.source) < TRUST.index(now.source or TRUST[-1]):
            assert now.project_id == one.project_id
    if now.project_id is not None:
        assert any(one.source is now.source and one.project_id == now.project_id for one in said)


def test_the_order_of_trust_is_the_written_one() -> None:
    assert [source.value for source in TRUST] == ["person", "job", "declared", "chunk", "folder-rule", "folder"]
    assert decide([]) == Attribution()


def test_corrections_are_followed_in_the_order_they_were_made() -> None:
    a, b, c = PROJECTS
    there = [Correction(from_project=a, to_project=b), Correction(from_project=b, to_project=c)]
    start = Attribution(project_id=a, source=AttributionSource.FOLDER)
    assert corrected(start, there).project_id == c
    back = [*there[:1], Correction(from_project=b, to_project=a, to_person=PEOPLE[0])]
    assert corrected(start, back) == Attribution(project_id=a, person_id=PEOPLE[0], source=AttributionSource.PERSON)
    assert corrected(dataclasses.replace(start, project_id=c), there).source is AttributionSource.FOLDER


@pytest.mark.parametrize(
    ("raw", "claim"),
    [
        (b'{"job": "%s"}', "job"),
        (b'{"job": "../../etc", "asset": 5}', None),
        (b"[]", None),
        (b"\xff{", None),
        (b'"' + b"x" * 5_000 + b'"', None),
    ],
)
def test_our_own_text_is_read_as_a_claim_whatever_it_says(raw: bytes, claim: str | None) -> None:
    job = new_id()
    raw = raw.replace(b"%s", str(job).encode())
    read = read_claim(
        [Carrier(place="png:tEXt", key="prompt", raw=b"{}"), Carrier(place="png:tEXt", key="memoryd", raw=raw)]
    )
    assert read == OwnClaim(job_id=JobId(job) if claim else None)
    assert read_claim([Carrier(place="png:tEXt", key="prompt", raw=raw)]) is None


@pytest.fixture
def fox(session: Session) -> ProjectId:
    return ensure_project(session, "fox")


@pytest.fixture
def owl(session: Session) -> ProjectId:
    return ensure_project(session, "owl")


def claiming(
    word: str, *, project: ProjectId, graph: str, job: JobId | None = None, asset: AssetId | None = None
) -> AssetRecord:
    return dataclasses.replace(record(word, project=project, graph=graph), claim=OwnClaim(job_id=job, asset_id=asset))


def test_our_own_text_is_believed_where_the_job_is_known_and_the_graph_is_its(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    job = JobId(new_id())
    person = ensure_person(session, "ada", "Ada")
    [made] = record_assets(session, [record("made", project=fox, person=person, job=job, graph="g")])
    batch = [
        claiming("copy", project=owl, graph="g", job=job, asset=made.asset_id),
        claiming("forged", project=owl, graph="other", job=job),
        claiming("unknown", project=owl, graph="g", job=JobId(new_id())),
        claiming("mixed", project=owl, graph="g", job=JobId(new_id()), asset=made.asset_id),
        claiming("empty", project=owl, graph="g"),
    ]
    copy, *others = record_assets(session, batch)
    view = showing.show_asset(session, copy.asset_id, None)
    assert [(run.project_id, run.person_id, run.attribution_source) for run in view.generations] == [
        (fox, person, "chunk")
    ]
    assert found(session, "project:fox", caller(tenant)) == {made.asset_id, copy.asset_id}
    assert found(session, "person:ada", caller(tenant)) == {made.asset_id, copy.asset_id}
    for other in others:
        view = showing.show_asset(session, other.asset_id, None)
        assert [finding.code for finding in view.findings] == ["claim-not-believed"]
        assert {run.project_id for run in view.generations} == {owl}


def test_pictures_move_to_another_project_with_their_places_and_come_back(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada = caller(tenant, fox, owl)
    assets = [
        one.asset_id
        for one in record_assets(
            session, [record(word, project=fox, path=f"{word}.png", prompt=f"a {word}") for word in ("heron", "crane")]
        )
    ]
    heron, crane = assets
    attaching.tag(session, ada, heron, ["hero"])
    tried = reattribute(session, ada, [heron], Wish(project="owl"), dry_run=True)
    assert (tried.id, tried.pictures, tried.places, tried.runs, tried.out_of) == (None, 1, 1, 1, {"fox": 1})
    assert found(session, "project:owl", ada) == set()
    done = reattribute(session, ada, [heron], Wish(project="owl"))
    assert done == dataclasses.replace(tried, id=done.id)
    assert found(session, "project:owl heron", ada) == {heron}
    assert found(session, "project:fox", ada) == {crane}
    assert found(session, "file:heron", caller(tenant, owl)) == {heron}
    assert found(session, "", caller(tenant, fox)) == {crane}
    assert found(session, "tag:hero", caller(tenant, owl)) == set()
    [run] = showing.show_asset(session, heron, frozenset({owl})).generations
    assert (run.project_id, run.attribution_source) == (owl, "person")
    assert reattribute(session, ada, [heron], Wish(project="owl")).unchanged == 1
    assert done.id is not None
    assert undo(session, ada, done.id) == 1
    assert found(session, "project:fox", ada) == {heron, crane}
    assert found(session, "tag:hero file:heron", caller(tenant, fox)) == {heron}
    assert found(session, "", caller(tenant, owl)) == set()
    with pytest.raises(reattributing.ReattributionPast):
        undo(session, ada, done.id)
    actions = list(session.execute(text("select action from audit_pending order by id")).scalars())
    assert actions == ["asset.tag", "asset.attribute", "asset.attribute.undo"]


def test_a_file_that_is_read_again_stays_where_people_put_it(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada = caller(tenant, fox, owl)
    ensure_person(session, "bob", "Bob")
    [one] = record_assets(session, [record("a", project=fox, path="a.png")])
    reattribute(session, ada, [one.asset_id], Wish(project="owl", person="bob"))
    record_assets(session, [record("a", project=fox, path="a.png", plugin_version="2")])
    [new] = record_assets(session, [record("b", project=fox, path="a.png", rewrites="a")])
    assert found(session, "", caller(tenant, fox)) == set()
    assert found(session, "is:all person:bob", caller(tenant, owl)) == {one.asset_id, new.asset_id}
    [run] = showing.show_asset(session, new.asset_id, None).generations
    assert (run.project_id, run.person, run.attribution_source) == (owl, "Bob", "person")


def test_what_people_attached_stays_and_is_copied_where_it_is_asked_for(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada = caller(tenant, fox, owl)
    [one] = record_assets(session, [record("a", project=fox)])
    attaching.tag(session, ada, one.asset_id, ["hero"])
    attaching.rate(session, ada, one.asset_id, 4)
    attaching.note(session, ada, one.asset_id, "more fur")
    attaching.approve(session, ada, one.asset_id)
    done = reattribute(session, ada, [one.asset_id], Wish(project="owl", with_annotations=True))
    assert done.copied == 3
    [attached] = showing.show_asset(session, one.asset_id, frozenset({owl})).annotations
    assert (attached.tags, attached.rating, [note.text for note in attached.notes]) == (("hero",), 4, ["more fur"])
    assert attached.approval is None
    assert found(session, "tag:hero rating:4", caller(tenant, owl)) == {one.asset_id}


def test_only_a_picture_s_person_can_change_too(session: Session, tenant: TenantScope, fox: ProjectId) -> None:
    ada = caller(tenant, fox)
    eve = ensure_person(session, "eve", "Eve")
    ensure_person(session, "bob", "Bob")
    [one] = record_assets(session, [record("a", project=fox, person=eve)])
    done = reattribute(session, ada, [one.asset_id], Wish(person="bob"))
    assert (done.pictures, done.runs) == (1, 1)
    assert found(session, "person:bob", ada) == {one.asset_id}
    assert found(session, "person:eve", ada) == set()
    assert done.id is not None
    undo(session, ada, done.id)
    assert found(session, "person:eve", ada) == {one.asset_id}


def test_a_run_that_made_more_than_what_moves_stays_with_its_project(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    job = JobId(new_id())
    batch = [record(f"out {n}", project=fox, job=job, graph="g", batch_index=n) for n in range(2)]
    one, other = (made.asset_id for made in record_assets(session, batch))
    ada = caller(tenant, fox, owl)
    assert reattribute(session, ada, [one], Wish(project="owl")).runs == 0
    assert showing.show_asset(session, other, frozenset({fox})).generations[0].project_id == fox
    assert showing.show_asset(session, one, frozenset({owl})).generations == ()


def test_rights_are_needed_in_both_projects(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    [one] = record_assets(session, [record("a", project=fox)])
    with pytest.raises(AssetNotFound):
        reattribute(session, caller(tenant, owl), [one.asset_id], Wish(project="owl"))
    with pytest.raises(Exception, match="owl"):
        reattribute(session, caller(tenant, fox), [one.asset_id], Wish(project="owl"))
    with pytest.raises(BadAnnotation):
        reattribute(session, caller(tenant, fox), [one.asset_id], Wish())
    done = reattribute(session, caller(tenant, fox, owl), [one.asset_id], Wish(project="owl"))
    assert done.id is not None
    for who in (caller(tenant, fox), caller(tenant, owl)):
        with pytest.raises(reattributing.ReattributionNotFound):
            undo(session, who, done.id)


def test_a_picture_of_several_projects_moves_only_out_of_the_one_that_is_named(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    elk = ensure_project(session, "elk")
    both = caller(tenant, fox, owl, elk)
    asset = record_assets(session, [record("a", project=fox), record("a", project=owl)])[0].asset_id
    with pytest.raises(ProjectUnclear):
        reattribute(session, both, [asset], Wish(project="elk"))
    done = reattribute(session, both, [asset], Wish(project="elk", out_of="fox"))
    assert found(session, "", caller(tenant, owl)) == found(session, "", caller(tenant, elk)) == {asset}
    assert found(session, "", caller(tenant, fox)) == set()
    later = reattribute(session, both, [asset], Wish(project="fox", out_of="elk"))
    assert done.id is not None
    assert later.id is not None
    with pytest.raises(reattributing.ReattributionPast):
        undo(session, both, done.id)
    undo(session, both, later.id)
    undo(session, both, done.id)
    assert found(session, "", caller(tenant, fox)) == {asset}


def test_a_picture_of_no_project_finds_one(session: Session, tenant: TenantScope, fox: ProjectId) -> None:
    [one] = record_assets(session, [record("a", path="a.png")])
    everybody = caller(tenant)
    done = reattribute(session, everybody, [one.asset_id], Wish(project="fox"))
    assert (done.pictures, done.places, done.out_of) == (1, 1, {"": 1})
    assert found(session, "file:a.png", caller(tenant, fox)) == {one.asset_id}
    removal.remove(session, caller(tenant, fox), [one.asset_id], RemovalKind.HIDDEN, days=30)
    assert done.id is not None
    undo(session, everybody, done.id)
    assert found(session, "", caller(tenant, fox)) == set()
