from __future__ import annotations

import datetime

import pytest
from sqlalchemy import text

from memoryd.access import keys, people, projects, queries, remembering, sessions
from memoryd.access.facts import Caller, Role, Scope, WorkerIdentity
from memoryd.access.roles import PEOPLES_SCOPES, ROLE_SCOPES, narrowed
from memoryd.foundation.database import Database, TenantScope
from tests.access.conftest import Knows

SOON = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)


def test_a_key_is_recognised_in_its_tenant_with_its_persons_rights(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, know: Knows
) -> None:
    know(tenant, "ada", Role.ADMIN)
    caller = keys.recognise_key(database, know(other_tenant, "ada", Role.ARTIST).token)
    assert isinstance(caller, Caller)
    assert (caller.tenant, caller.name, caller.via) == (other_tenant, "ada", "key")
    assert caller.scopes == ROLE_SCOPES[Role.ARTIST]
    assert caller.sees is None


def test_only_the_hash_of_a_secret_is_stored(database: Database, tenant: TenantScope, know: Knows) -> None:
    token = know(tenant, "ada", Role.ADMIN).token
    secret = token.rpartition("_")[2]
    with database.tenant_work(tenant) as session:
        stored = session.execute(text("select api_key::text from api_key")).scalar_one()
    assert secret not in stored
    assert token.split("_")[1] in stored


@pytest.mark.parametrize(
    "bend",
    [
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token.upper(),
        lambda token: token + "0",
        lambda token: "mk_000000000000_" + token.rpartition("_")[2],
        lambda token: "",
        lambda token: "mk_" + "0" * 500,
        lambda token: "mk_\x00_\ud800",
    ],
)
def test_a_key_that_is_not_exactly_right_is_not_recognised(
    database: Database, tenant: TenantScope, know: Knows, bend: object
) -> None:
    token = know(tenant, "ada", Role.ADMIN).token
    assert callable(bend)
    with pytest.raises(keys.KeyNotRecognised):
        keys.recognise_key(database, bend(token))


def test_a_revoked_or_expired_key_is_not_recognised(database: Database, tenant: TenantScope, know: Knows) -> None:
    known = know(tenant, "ada", Role.ADMIN)
    with database.tenant_work(tenant) as session:
        expiring = keys.make_key(
            session, tenant, name="short", scopes=frozenset({Scope.READ}), person=known.person, expires_at=SOON
        )
    assert isinstance(keys.recognise_key(database, expiring.token), Caller)
    with database.tenant_work(tenant) as session:
        keys.revoke_key(session, known.token.split("_")[1])
        session.execute(text("update api_key set expires_at = now() - interval '1 s' where name = 'short'"))
    for token in (known.token, expiring.token):
        with pytest.raises(keys.KeyNotRecognised):
            keys.recognise_key(database, token)
    with database.tenant_work(tenant) as session, pytest.raises(keys.KeyNotFound):
        keys.revoke_key(session, known.token.split("_")[1])


def test_the_day_of_the_last_use_is_kept_and_no_more(database: Database, tenant: TenantScope, know: Knows) -> None:
    known = know(tenant, "ada", Role.ADMIN)
    with database.tenant_work(tenant) as session:
        assert keys.list_keys(session)[0].last_used_on is None
    keys.recognise_key(database, known.token)
    with database.tenant_work(tenant) as session:
        used = keys.list_keys(session)[0].last_used_on
        today = session.execute(text("select current_date")).scalar_one()
    assert used == today


def test_a_key_never_carries_more_than_its_person_may_do_now(
    database: Database, tenant: TenantScope, know: Knows
) -> None:
    boss = know(tenant, "boss", Role.ADMIN)
    known = know(tenant, "ada", Role.ADMIN, scopes=frozenset({Scope.READ, Scope.ANNOTATE, Scope.ADMIN}))
    with database.tenant_work(tenant) as session:
        people.grant_role(session, known.person, Role.ARTIST)
    caller = keys.recognise_key(database, known.token)
    assert isinstance(caller, Caller)
    assert caller.scopes == {Scope.READ, Scope.ANNOTATE}
    with database.tenant_work(tenant) as session:
        people.withdraw_role(session, known.person)
    caller = keys.recognise_key(database, known.token)
    assert isinstance(caller, Caller)
    assert (caller.scopes, caller.sees) == (frozenset(), frozenset())
    assert boss.person != known.person


def test_a_workers_key_is_a_worker_and_may_do_nothing_else(database: Database, tenant: TenantScope) -> None:
    with database.tenant_work(tenant) as session:
        made = keys.make_key(session, tenant, name="gpu-1", scopes=frozenset({Scope.WORK}))
    identity = keys.recognise_key(database, made.token)
    assert identity == WorkerIdentity(tenant=tenant, key_id=made.id, name="gpu-1")


def test_a_worker_holds_no_persons_scope_and_a_person_no_workers(database: Database, tenant: TenantScope) -> None:
    with database.tenant_work(tenant) as session:
        local = people.find_person(session, "local")
        for scopes, person in (
            (frozenset({Scope.WORK, Scope.READ}), None),
            (frozenset({Scope.READ}), None),
            (frozenset({Scope.WORK}), local),
            (frozenset[Scope](), local),
        ):
            with pytest.raises(keys.BadKey):
                keys.make_key(session, tenant, name="x", scopes=scopes, person=person)
        with pytest.raises(keys.BadKey):
            keys.make_key(
                session, tenant, name="x", scopes=PEOPLES_SCOPES, person=local, expires_at=SOON - datetime.timedelta(1)
            )


# --- roles


def test_a_role_in_one_project_is_seen_and_used_only_there(
    database: Database, tenant: TenantScope, know: Knows
) -> None:
    known = know(tenant, "ada", Role.ARTIST, project="film")
    know(tenant, "ada", Role.VIEWER, project="spot")
    with database.tenant_work(tenant) as session:
        film, spot = (projects.find_project(session, slug) for slug in ("film", "spot"))
    caller = keys.recognise_key(database, known.token)
    assert isinstance(caller, Caller)
    assert caller.sees == {film, spot}
    # Who only looks at the spot must not tag in it: to a tagging call it does not exist.
    assert narrowed(caller, Scope.ANNOTATE).sees == {film}
    with database.tenant_work(tenant) as session:
        assert [p.slug for p in projects.list_projects(session, caller.sees)] == ["film", "spot"]
        with pytest.raises(projects.ProjectNotFound):
            projects.find_project(session, "default", caller.sees)


def test_an_administrator_of_one_project_administers_no_tenant(
    database: Database, tenant: TenantScope, know: Knows
) -> None:
    caller = keys.recognise_key(database, know(tenant, "ada", Role.ADMIN, project="film").token)
    assert isinstance(caller, Caller)
    assert Scope.APPROVE in caller.scopes
    assert not caller.scopes & {Scope.ADMIN, Scope.INGEST}


def test_no_role_grants_a_workers_scope() -> None:
    assert set(ROLE_SCOPES) == set(Role)
    assert all(Scope.WORK not in scopes for scopes in ROLE_SCOPES.values())


def test_the_last_administrator_cannot_go(database: Database, tenant: TenantScope, know: Knows) -> None:
    with database.tenant_work(tenant) as session:
        local = people.find_person(session, "local")
        for act in (
            lambda: people.withdraw_role(session, local),
            lambda: people.grant_role(session, local, Role.VIEWER),
            lambda: people.erase_person(session, local),
        ):
            with pytest.raises(people.LastAdmin):
                act()
    know(tenant, "ada", Role.ADMIN)
    with database.tenant_work(tenant) as session:
        assert people.withdraw_role(session, local)
        assert not people.withdraw_role(session, local)


# --- sessions


def test_a_sign_in_link_works_once(database: Database, tenant: TenantScope, know: Knows) -> None:
    known = know(tenant, "ada", Role.PRODUCER)
    with database.tenant_work(tenant) as session:
        link = sessions.make_sign_in_link(session, tenant.slug, known.person)
    started = sessions.redeem_sign_in_link(database, link.token)
    with pytest.raises(sessions.SignInUsedUp):
        sessions.redeem_sign_in_link(database, link.token)
    caller = sessions.recognise_session(database, started.cookie)
    assert caller is not None
    assert (caller.name, caller.via, caller.scopes) == ("ada", "session", ROLE_SCOPES[Role.PRODUCER])
    with database.tenant_work(tenant) as session:
        sessions.end_session(session, started.cookie)
    assert sessions.recognise_session(database, started.cookie) is None


def test_an_expired_link_and_an_expired_session_are_worth_nothing(
    database: Database, tenant: TenantScope, know: Knows
) -> None:
    known = know(tenant, "ada", Role.PRODUCER)
    with database.tenant_work(tenant) as session:
        first = sessions.make_sign_in_link(session, tenant.slug, known.person)
        second = sessions.make_sign_in_link(session, tenant.slug, known.person)
    started = sessions.redeem_sign_in_link(database, first.token)
    with database.tenant_work(tenant) as session:
        session.execute(text("update sign_in set expires_at = now() - interval '1 s'"))
        session.execute(text("update web_session set expires_at = now() - interval '1 s'"))
    with pytest.raises(sessions.SignInUsedUp):
        sessions.redeem_sign_in_link(database, second.token)
    assert sessions.recognise_session(database, started.cookie) is None


def test_a_token_of_one_tenant_opens_no_other(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, know: Knows
) -> None:
    known = know(tenant, "ada", Role.PRODUCER)
    with database.tenant_work(tenant) as session:
        link = sessions.make_sign_in_link(session, tenant.slug, known.person)
    moved = f"{other_tenant.slug}.{link.token.partition('.')[2]}"
    for token in (moved, "gone.0", "", "default.", "default", "\x00.\ud800", "default." + "0" * 5_000):
        with pytest.raises(sessions.SignInUsedUp):
            sessions.redeem_sign_in_link(database, token)
        assert sessions.recognise_session(database, token) is None


def test_an_erased_person_has_no_way_in(database: Database, tenant: TenantScope, know: Knows) -> None:
    known = know(tenant, "ada", Role.PRODUCER)
    with database.tenant_work(tenant) as session:
        link = sessions.make_sign_in_link(session, tenant.slug, known.person)
        used = sessions.make_sign_in_link(session, tenant.slug, known.person)
    started = sessions.redeem_sign_in_link(database, used.token)
    with database.tenant_work(tenant) as session:
        people.erase_person(session, known.person)
    assert sessions.recognise_session(database, started.cookie) is None
    with pytest.raises(sessions.SignInUsedUp):
        sessions.redeem_sign_in_link(database, link.token)
    with pytest.raises(keys.KeyNotRecognised):
        keys.recognise_key(database, known.token)


def test_whom_a_key_proves_is_remembered_and_forgotten_when_anything_about_it_changes(
    database: Database, tenant: TenantScope, know: Knows, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = know(tenant, "ada", Role.ARTIST)
    first = keys.recognise_key(database, ada.token)
    with monkeypatch.context() as quiet:
        quiet.setattr(queries, "find_key_index", lambda *_: pytest.fail("it is remembered"))
        assert keys.recognise_key(database, ada.token) is first
    with database.tenant_work(tenant) as session:
        people.grant_role(session, ada.person, Role.VIEWER)
        # Not yet committed: whoever asks meanwhile is not remembered beyond the commit.
        assert isinstance(first, Caller)
        assert keys.recognise_key(database, ada.token) == first
    changed = keys.recognise_key(database, ada.token)
    assert isinstance(changed, Caller)
    assert Scope.SUBMIT in first.scopes
    assert Scope.SUBMIT not in changed.scopes
    monkeypatch.setattr(remembering, "KNOWN_FOR_S", -1.0)
    with database.tenant_work(tenant) as session:
        people.grant_role(session, ada.person, Role.ARTIST)
    assert keys.recognise_key(database, ada.token) == first
    assert remembering.find(database, ada.token) is None
