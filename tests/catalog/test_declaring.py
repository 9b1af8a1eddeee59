from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import text

from memoryd.access.facts import Caller, Scope
from memoryd.access.people import ensure_person
from memoryd.access.projects import ensure_project
from memoryd.catalog import attesting, declaring, lineage, proposals
from memoryd.catalog.annotations import BadAnnotation, ProjectUnclear
from memoryd.catalog.attesting import Declaration
from memoryd.catalog.facts import GenerationOrigin
from memoryd.catalog.looking_up import AssetNotFound
from memoryd.catalog.reattributing import Wish, reattribute, undo
from memoryd.catalog.recording import record_assets
from memoryd.catalog.showing import show_asset
from memoryd.disclosure.evidence import with_memory
from memoryd.disclosure.facts import Evidence, SourceType, Statement, Undecided
from memoryd.disclosure.statement import what_to_say
from memoryd.foundation.canonical_json import Json
from memoryd.foundation.database import Session, TenantScope
from memoryd.foundation.ids import AssetId, ProjectId
from memoryd.search.finding import find
from memoryd.search.query_language import parse
from memoryd.workflows.facts import Source
from tests.catalog.records import digest, record

EVERYTHING = frozenset(Scope) - {Scope.WORK}


def caller(session: Session, tenant: TenantScope, *projects: ProjectId) -> Caller:
    """Somebody who may do everything: in these projects, or in the whole tenant."""
    return Caller(
        tenant=tenant,
        name="ada",
        scopes=EVERYTHING,
        sees=frozenset(projects) if projects else None,
        via="key",
        person_id=ensure_person(session, "ada", "Ada"),
        everywhere=frozenset() if projects else EVERYTHING,
        in_project=dict.fromkeys(projects, EVERYTHING),
    )


def found(session: Session, query: str, who: Caller) -> list[AssetId]:
    return [hit.face.id for hit in find(session, parse(query), who.sees).rows]


@pytest.fixture
def fox(session: Session) -> ProjectId:
    return ensure_project(session, "fox")


@pytest.fixture
def owl(session: Session) -> ProjectId:
    return ensure_project(session, "owl")


def plain(session: Session, *words: str, project: ProjectId) -> list[AssetId]:
    batch = [record(word, project=project, generation=False) for word in words]
    return [one.asset_id for one in record_assets(session, batch)]


def test_a_declared_parent_shows_with_its_source_and_goes_again(
    session: Session, tenant: TenantScope, fox: ProjectId
) -> None:
    ada = caller(session, tenant, fox)
    child, parent = plain(session, "child", "parent", project=fox)
    assert declaring.link(session, ada, child, parent, "Retouched", note="in an editor")
    assert not declaring.link(session, ada, child, parent, "retouched")
    [shown] = lineage.ancestors(session, child, ada.sees)
    assert (shown.face.id, shown.via, shown.source) == (parent, "retouched", "declared")
    [down] = lineage.descendants(session, parent, ada.sees)
    assert (down.face.id, down.source) == (child, "declared")
    assert declaring.unlink(session, ada, child, parent) == ["retouched"]
    assert lineage.ancestors(session, child, ada.sees) == []
    assert declaring.unlink(session, ada, child, parent) == []


def test_a_circle_is_refused_also_when_people_declare_it(session: Session, tenant: TenantScope, fox: ProjectId) -> None:
    ada = caller(session, tenant, fox)
    one, two, three = plain(session, "one", "two", "three", project=fox)
    declaring.link(session, ada, two, one, "edited")
    declaring.link(session, ada, three, two, "edited")
    for child, parent in ((one, three), (one, one)):
        with pytest.raises(declaring.WouldCycle):
            declaring.link(session, ada, child, parent, "edited")
    with pytest.raises(BadAnnotation):
        declaring.link(session, ada, three, one, "input")


def test_a_parent_that_files_tell_of_stays_when_people_take_theirs_back(
    session: Session, tenant: TenantScope, fox: ProjectId
) -> None:
    ada = caller(session, tenant, fox)
    batch = [record("parent", project=fox), record("child", project=fox, inputs=(digest("parent"),))]
    parent, child = (one.asset_id for one in record_assets(session, batch))
    declaring.link(session, ada, child, parent, "upscaled")
    assert {(one.via, one.source) for one in lineage.ancestors(session, child, None)} == {
        ("input", "read"),
        ("upscaled", "declared"),
    }
    declaring.unlink(session, ada, child, parent)
    assert [one.via for one in lineage.ancestors(session, child, None)] == ["input"]


def test_what_one_project_declares_does_not_show_in_another_with_equal_bytes(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada, bob = caller(session, tenant, fox), caller(session, tenant, owl)
    child, parent = plain(session, "child", "parent", project=fox)
    plain(session, "child", "parent", project=owl)
    declaring.link(session, ada, child, parent, "retouched")
    attesting.attest(session, ada, child, Declaration(made_by="midjourney", prompt="a violet heron", seed=7))
    assert lineage.ancestors(session, child, bob.sees) == []
    assert len(lineage.ancestors(session, child, ada.sees)) == 1
    assert show_asset(session, child, bob.sees).generations == ()
    assert attesting.list_attestations(session, child, bob.sees) == []
    assert found(session, "heron", bob) == found(session, "seed:7", bob) == found(session, "has:prompt", bob) == []
    assert all(hit.prompt is None and hit.seed is None for hit in find(session, parse(""), bob.sees).rows)


def test_what_was_declared_while_the_bytes_were_one_projects_is_not_found_by_the_next_that_takes_them_in(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada, bob = caller(session, tenant, fox), caller(session, tenant, owl)
    [child] = plain(session, "child", project=fox)
    said = Declaration(made_by="midjourney", prompt="a violet heron", model="secretmodel", seed=7)
    attesting.attest(session, ada, child, said)
    assert found(session, "heron", ada) == [child]
    plain(session, "child", project=owl)
    asked = ("heron", "violet heron", "model:secretmodel", "tool:midjourney", "seed:7", "has:prompt", "person:ada")
    assert not any(found(session, one, bob) for one in asked)
    assert found(session, "", bob) == [child]
    # Nor by what is declared later, nor when the file is read anew.
    later = attesting.attest(session, ada, child, Declaration(made_by="midjourney", prompt="an amber heron"))
    record_assets(session, [record("child", project=fox, prompt="a grey fox", plugin_version="2")])
    assert found(session, "heron", bob) == found(session, "amber", bob) == []
    assert found(session, "grey", bob) == [child]
    attesting.withdraw(session, ada, child, later)
    assert found(session, "heron", bob) == []
    assert len(attesting.list_attestations(session, child, ada.sees)) == 2


def test_words_that_file_and_declaration_share_stay_when_another_project_comes(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada, bob = caller(session, tenant, fox), caller(session, tenant, owl)
    [one] = record_assets(session, [record("picture", project=fox, prompt="a red fox")])
    attesting.attest(session, ada, one.asset_id, Declaration(made_by="midjourney", prompt="a grey fox by night"))
    record_assets(session, [record("picture", project=fox, prompt="a grey fox", plugin_version="2")])
    plain(session, "picture", project=owl)
    assert found(session, "grey fox", bob) == [one.asset_id]
    assert found(session, "night", bob) == []


def test_a_declaration_goes_where_its_picture_is_moved_to(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada, bob, both = caller(session, tenant, fox), caller(session, tenant, owl), caller(session, tenant, fox, owl)
    [picture] = plain(session, "picture", project=fox)
    attesting.attest(session, ada, picture, Declaration(made_by="midjourney", prompt="a violet heron"))
    moved = reattribute(session, both, [picture], Wish(project="owl"))
    assert moved.id
    assert found(session, "heron", bob) == [picture]
    assert len(attesting.list_attestations(session, picture, bob.sees)) == 1
    assert found(session, "heron", ada) == []


def test_undoing_a_move_brings_declared_words_back(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada, both = caller(session, tenant, fox), caller(session, tenant, fox, owl)
    [picture] = plain(session, "picture", project=fox)
    attesting.attest(session, ada, picture, Declaration(made_by="midjourney", prompt="a violet heron"))
    moved = reattribute(session, both, [picture], Wish(project="owl"))
    assert moved.id
    assert undo(session, both, moved.id) == 1
    assert found(session, "violet heron", ada) == [picture]
    assert len(attesting.list_attestations(session, picture, ada.sees)) == 1


def test_a_stranger_to_the_project_can_neither_link_nor_declare(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    bob = caller(session, tenant, owl)
    child, parent = plain(session, "child", "parent", project=fox)
    [own] = plain(session, "own", project=owl)
    for one, other in ((child, parent), (own, parent), (child, own)):
        with pytest.raises(AssetNotFound):
            declaring.link(session, bob, one, other, "edited")
    with pytest.raises(AssetNotFound):
        attesting.attest(session, bob, child, Declaration(made_by="midjourney"))


def test_a_declaration_is_shown_and_found_as_declared_and_withdrawn_it_is_neither(
    session: Session, tenant: TenantScope, fox: ProjectId
) -> None:
    ada = caller(session, tenant, fox)
    [picture] = plain(session, "picture", project=fox)
    said = Declaration(made_by=" Midjourney ", prompt="a violet heron\0", model="v7", seed=2**64 - 1, note="by mail")
    first = attesting.attest(session, ada, picture, said)
    second = attesting.attest(session, ada, picture, Declaration(made_by="midjourney", prompt="a heron at dawn"))
    assert found(session, "violet heron", ada) == found(session, "model:v7", ada) == [picture]
    assert found(session, f"seed:{2**64 - 1}", ada) == found(session, "person:ada has:prompt", ada) == [picture]
    runs = show_asset(session, picture, ada.sees).generations
    assert {run.origin for run in runs} == {GenerationOrigin.DECLARED}
    for run in runs:
        told = (
            {use.source for use in run.prompts} | {use.source for use in run.samplers} | {m.source for m in run.models}
        )
        assert told == {Source.DECLARED}
    assert [one.id for one in attesting.list_attestations(session, picture, ada.sees)] == [second, first]
    attesting.withdraw(session, ada, picture, first)
    assert found(session, "violet", ada) == found(session, "model:v7", ada) == []
    assert found(session, "heron", ada) == [picture]
    with pytest.raises(attesting.AttestationWithdrawn):
        attesting.withdraw(session, ada, picture, first)
    attesting.withdraw(session, ada, picture, second)
    assert found(session, "heron", ada) == []
    assert show_asset(session, picture, ada.sees).generations == ()
    assert [one.withdrawn_at is None for one in attesting.list_attestations(session, picture, ada.sees)] == [False] * 2


def test_a_declaration_never_takes_words_that_the_file_has_and_stays_when_it_is_read_again(
    session: Session, tenant: TenantScope, fox: ProjectId
) -> None:
    ada = caller(session, tenant, fox)
    read = record("picture", project=fox, prompt="a red fox")
    [one] = record_assets(session, [read])
    said = attesting.attest(session, ada, one.asset_id, Declaration(made_by="midjourney", prompt="a fox by night"))
    record_assets(session, [record("picture", project=fox, prompt="a grey fox", plugin_version="2")])
    assert found(session, "night grey", ada) == [one.asset_id]
    attesting.withdraw(session, ada, one.asset_id, said)
    assert found(session, "fox", ada) == [one.asset_id]
    assert found(session, "night", ada) == []


def test_a_declaration_says_nothing_where_the_file_speaks_and_is_told_as_declared_where_it_does_not(
    session: Session, tenant: TenantScope, fox: ProjectId
) -> None:
    ada = caller(session, tenant, fox)
    [picture] = plain(session, "picture", project=fox)
    nothing = Evidence(parameters=None)
    assert isinstance(what_to_say(with_memory(nothing, show_asset(session, picture, None), {})), Undecided)
    attesting.attest(session, ada, picture, Declaration(made_by="camera", generated=False))
    assert isinstance(what_to_say(with_memory(nothing, show_asset(session, picture, None), {})), Undecided)
    attesting.attest(session, ada, picture, Declaration(made_by="midjourney"))
    view = show_asset(session, picture, None)
    told = what_to_say(with_memory(nothing, view, {}))
    assert isinstance(told, Statement)
    assert told.source_type is SourceType.TRAINED
    assert "declares" in told.reasons[0]
    [own] = record_assets(session, [record("own", project=fox)])
    attesting.attest(session, ada, own.asset_id, Declaration(made_by="camera", generated=False))
    of_file = with_memory(nothing, show_asset(session, own.asset_id, None), {})
    assert not of_file.declared
    assert of_file.parameters is not None
    assert of_file.parameters.generates


def test_an_accepted_proposal_is_an_edge_and_a_refused_one_is_never_put_again(
    session: Session, tenant: TenantScope, fox: ProjectId
) -> None:
    ada = caller(session, tenant, fox)
    child, parent, other = plain(session, "child", "parent", "other", project=fox)
    evidence: dict[str, Json] = {"recipe": "iscc", "distance": 3}
    assert proposals.propose(session, child, parent, "upscaled", evidence)
    assert not proposals.propose(session, child, parent, "retouched", evidence)
    assert proposals.propose(session, child, other, "copied")
    copied, upscaled = proposals.list_proposals(session, ada).rows
    assert (upscaled.child.id, upscaled.parent.id, upscaled.how, upscaled.evidence) == (
        child,
        parent,
        "upscaled",
        evidence,
    )
    proposals.accept(session, ada, upscaled.id)
    proposals.refuse(session, ada, copied.id)
    [shown] = lineage.ancestors(session, child, ada.sees)
    assert (shown.face.id, shown.via, shown.source) == (parent, "upscaled", "proposal")
    assert not proposals.propose(session, child, other, "copied")
    assert not proposals.propose(session, parent, child, "copied")
    assert proposals.list_proposals(session, ada).rows == []
    assert len(proposals.list_proposals(session, ada, state=None).rows) == 2
    with pytest.raises(proposals.ProposalDecided):
        proposals.accept(session, ada, copied.id)


def test_a_proposal_exists_only_for_who_sees_both_pictures(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada, bob, both = caller(session, tenant, fox), caller(session, tenant, owl), caller(session, tenant, fox, owl)
    [child] = plain(session, "child", project=fox)
    [parent] = plain(session, "parent", project=owl)
    proposals.propose(session, child, parent, "copied")
    assert proposals.list_proposals(session, ada).rows == proposals.list_proposals(session, bob).rows == []
    [seen] = proposals.list_proposals(session, both).rows
    for who in (ada, bob):
        with pytest.raises(proposals.ProposalNotFound):
            proposals.accept(session, who, seen.id)
        with pytest.raises(proposals.ProposalNotFound):
            proposals.refuse(session, who, seen.id)
    proposals.accept(session, both, seen.id)
    assert lineage.ancestors(session, child, ada.sees) == []


def test_two_projects_decide_of_one_likeness_each_for_itself(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    ada, bob = caller(session, tenant, fox), caller(session, tenant, owl)
    child, parent = plain(session, "child", "parent", project=fox)
    plain(session, "child", "parent", project=owl)
    proposals.propose(session, child, parent, "copied")
    [hers], [his] = proposals.list_proposals(session, ada).rows, proposals.list_proposals(session, bob).rows
    proposals.refuse(session, ada, hers.id)
    proposals.accept(session, bob, his.id)
    assert lineage.ancestors(session, child, ada.sees) == []
    assert len(lineage.ancestors(session, child, bob.sees)) == 1


def test_everything_that_is_declared_is_audited(session: Session, tenant: TenantScope, fox: ProjectId) -> None:
    ada = caller(session, tenant, fox)
    child, parent = plain(session, "child", "parent", project=fox)
    declaring.link(session, ada, child, parent, "edited")
    declaring.unlink(session, ada, child, parent)
    said = attesting.attest(session, ada, child, Declaration(made_by="midjourney"))
    attesting.withdraw(session, ada, child, said)
    proposals.propose(session, child, parent, "copied")
    proposals.refuse(session, ada, proposals.list_proposals(session, ada).rows[0].id)
    actions = list(session.execute(text("select action from audit_pending order by id")).scalars())
    assert actions == [
        "asset.link",
        "asset.unlink",
        "asset.attest",
        "asset.attest.withdraw",
        "proposal.refused",
    ]


def test_a_line_of_several_projects_asks_for_which(
    session: Session, tenant: TenantScope, fox: ProjectId, owl: ProjectId
) -> None:
    both = caller(session, tenant, fox, owl)
    child, parent = plain(session, "child", "parent", project=fox)
    plain(session, "child", project=owl)
    with pytest.raises(ProjectUnclear):
        declaring.link(session, both, child, parent, "edited")
    assert declaring.link(session, both, child, parent, "edited", project="fox")
    narrowed = dataclasses.replace(both, sees=frozenset({owl}))
    with pytest.raises(ProjectUnclear):
        attesting.attest(session, narrowed, child, Declaration(made_by="x"), project="fox")
