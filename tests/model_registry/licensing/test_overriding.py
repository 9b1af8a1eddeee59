"""What people say of licences: versions are kept, overrides replace, what was taken back does not count."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from memoryd.access.facts import Caller
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.reasons import ReasonMissing
from memoryd.model_registry.licensing import shipped_table
from memoryd.model_registry.licensing.documents import BadTerms
from memoryd.model_registry.licensing.effective import LicenceNotKnown, TermsTable, find_licence, list_versions
from memoryd.model_registry.licensing.overriding import (
    NameTaken,
    NothingChanges,
    NothingToRestore,
    add_licence,
    override,
    restore,
)
from memoryd.model_registry.licensing.terms import Answer, licence_key, unknown_key
from tests.model_registry.licensing.test_granting import asked

HOUSE: dict[str, Any] = {
    "schema": "licence.v1",
    "id": "house-licence",
    "title": "Our house licence",
    "aliases": ["studio-internal"],
    "outputs_commercial": "yes",
    "model_commercial": "yes",
    "confidence": "H",
    "verified_at": "2026-11-22",
    "verified_by": "counsel",
}


def terms_of(session: Session, id_: str) -> Any:
    return TermsTable(session).find(id_)


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("outputs_commercial", "no"),
        ("model_commercial", "unclear"),
        ("revenue_cap", {"amount": 5, "currency": "EUR", "above": "register"}),
        ("users_cap", 7),
        ("registration", True),
        ("territory_excluded", ["FR"]),
        ("outputs_bound_to_territory", True),
        ("attribution", {"text": "us", "when": "outputs"}),
        ("derivative_naming", "x-"),
        ("derivatives_allowed", False),
        ("share_alike", True),
        ("training_ban", True),
        ("use_restrictions", True),
        ("aup_url", "https://example.org/aup"),
        ("hosting_restricted", True),
        ("disclosure_duty", "say so"),
        ("disputed", "two readings"),
        ("confidence", "L"),
        ("url", "https://example.org/text"),
        ("notes", "n"),
    ],
)
def test_every_term_can_be_replaced_and_taken_back(session: Session, caller: Caller, term: str, value: object) -> None:
    before = terms_of(session, "apache-2.0")
    after = override(session, caller, "Apache License 2.0", {term: value}, "because")
    assert getattr(after, term) != getattr(before, term)
    assert after.version == f"{before.version}+local.1"
    assert terms_of(session, "apache-2.0") == after
    assert restore(session, caller, "apache-2.0", "a mistake") == before


def test_overrides_add_up_are_taken_back_one_by_one_and_every_version_is_kept(session: Session, caller: Caller) -> None:
    override(session, caller, "mit", {"training_ban": True}, "first")
    override(session, caller, "mit", {"share_alike": True, "training_ban": True}, "second")
    restored = restore(session, caller, "mit", "third", ["share_alike"])
    assert restored is not None
    assert (restored.training_ban, restored.share_alike) == (True, False)
    assert restored.clauses["training_ban"].says == "second"
    versions = list_versions(session, "mit")
    assert [(v.version, v.reason, sorted(v.changes), v.ended_at is None) for v in versions] == [
        (3, "third", ["training_ban"], True),
        (2, "second", ["share_alike", "training_ban"], False),
        (1, "first", ["training_ban"], False),
    ]
    restore(session, caller, "mit", "all of it")
    assert terms_of(session, "mit").version == shipped_table.documents()["mit"]["version"]
    assert all(version.ended_at is not None for version in list_versions(session, "mit"))
    with pytest.raises(NothingToRestore):
        restore(session, caller, "mit", "again")


def test_a_licence_that_is_brought_is_known_by_all_its_names_changed_and_taken_away(
    session: Session, caller: Caller
) -> None:
    with pytest.raises(LicenceNotKnown):
        find_licence(session, "studio-internal")
    add_licence(session, caller, HOUSE, "ours")
    _, terms = find_licence(session, "Studio Internal License")
    assert (terms.id, terms.outputs_commercial, terms.version) == ("house-licence", Answer.YES, "2026-11-22+local.1")
    override(session, caller, "house-licence", {"outputs_commercial": "no"}, "counsel again")
    assert terms_of(session, "house-licence").outputs_commercial is Answer.NO
    back = restore(session, caller, "house-licence", "counsel withdrew")
    assert back is not None
    assert back.outputs_commercial is Answer.YES
    assert restore(session, caller, "house-licence", "not ours any more") is None
    assert TermsTable(session).match("studio-internal") is None


@pytest.mark.parametrize(
    "taken",
    [
        {"aliases": ["Apache-2.0"]},
        {"title": "MIT License"},
        {"spdx": "LicenseRef-scancode-flux-1-nc"},
        {"url": "https://www.apache.org/licenses/LICENSE-2.0"},
    ],
)
def test_a_licence_that_is_brought_takes_no_other_ones_name(
    session: Session, caller: Caller, taken: dict[str, Any]
) -> None:
    with pytest.raises(NameTaken, match="means"):
        add_licence(session, caller, {**HOUSE, **taken}, "a friendlier reading")
    assert TermsTable(session).find("house-licence") is None


def test_who_is_surer_than_the_table_says_so_in_person(session: Session, caller: Caller) -> None:
    override(session, caller, "kolors", {"confidence": "H"}, "counsel read it\ntoday")
    assert terms_of(session, "kolors").verified_by == "a person here: counsel read it today"
    override(session, caller, "kolors", {"verified_by": "Zweig, counsel"}, "by name")
    assert terms_of(session, "kolors").verified_by == "Zweig, counsel"


def test_a_licence_that_is_brought_succeeds_the_shipped_one_of_its_id(session: Session, caller: Caller) -> None:
    add_licence(session, caller, {**HOUSE, "id": "mit", "outputs_commercial": "unclear"}, "our reading")
    assert terms_of(session, "mit").outputs_commercial is Answer.UNCLEAR
    restore(session, caller, "mit", "never mind")
    assert terms_of(session, "mit").outputs_commercial is Answer.YES


def test_what_says_nothing_or_names_nothing_is_refused(session: Session, caller: Caller) -> None:
    for reason in ("", "  \n", "x" * 2_001):
        with pytest.raises(ReasonMissing):
            override(session, caller, "mit", {"training_ban": True}, reason)
    with pytest.raises(LicenceNotKnown):
        override(session, caller, "no such licence", {"training_ban": True}, "x")
    with pytest.raises(NothingChanges):
        override(session, caller, "mit", {}, "x")
    with pytest.raises(NothingChanges):
        override(session, caller, "civitai-credit-i-merge-same", {"share_alike": True}, "x")
    for changes in ({"id": "other"}, {"users_cap": -1}, {"made_up": 1}, {"title": "\ud800"}, {"notes": "a\0"}):
        with pytest.raises(BadTerms):
            override(session, caller, "mit", changes, "x")
    assert list_versions(session, "mit") == []


def test_every_change_is_audited_and_told_to_the_verdicts_that_stood_on_it(
    session: Session, tenant: TenantScope, caller: Caller
) -> None:
    override(session, caller, "mit", {"training_ban": True}, "why\0 so")
    [(recipe, subjects)] = asked(session, tenant)
    assert recipe == "licences"
    assert licence_key("mit") in subjects
    add_licence(session, caller, HOUSE, "ours")
    [(_, subjects)] = asked(session, tenant)
    assert {licence_key("house-licence"), unknown_key("Studio-Internal")} <= set(subjects)
    restore(session, caller, "mit", "no")
    assert len(asked(session, tenant)) == 1
    noted = session.execute(
        text("select action, subject, facts from audit_pending where action like 'licence.%'")
    ).all()
    assert sorted((row.action, row.subject) for row in noted) == [
        ("licence.add", "house-licence"),
        ("licence.override", "mit"),
        ("licence.restore", "mit"),
    ]
    assert any("why\\ufffd so" in row.facts for row in noted)


def test_one_tenants_word_is_not_anothers(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, caller: Caller
) -> None:
    with database.tenant_work(tenant) as session:
        override(session, caller, "mit", {"training_ban": True}, "here")
        add_licence(session, caller, HOUSE, "ours")
    with database.tenant_work(other_tenant) as session:
        assert not terms_of(session, "mit").training_ban
        assert terms_of(session, "house-licence") is None
        assert list_versions(session, "mit") == []
