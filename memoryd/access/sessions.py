"""Signing in with a browser: a one-time link starts a session, a cookie carries it.

A token reads `<tenant slug>.<secret>`: the slug says where to look, the secret proves. Only its hash is stored.
"""

from __future__ import annotations

import dataclasses
import datetime

from memoryd.access import directory, people, queries
from memoryd.access.facts import Caller, Scope
from memoryd.access.roles import sees_with
from memoryd.access.tokens import TOKEN_LIMIT, hash_secret, new_secret
from memoryd.foundation.database import FARM_SCHEMA, Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import NotRecognised
from memoryd.foundation.ids import PersonId

SESSION_COOKIE = "memoryd_session"
SIGN_IN_PATH = "/sign-in"
"""The page that a link opens; it asks for a click, so that a previewer of links does not use the link up."""

SIGN_IN_LIFE = datetime.timedelta(days=3)
SESSION_LIFE = datetime.timedelta(days=14)


class SignInUsedUp(NotRecognised):
    """This sign-in link is not known, was used already, or has expired."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignInLink:
    """A one-time link's token, readable only here."""

    token: str
    expires_at: datetime.datetime

    @property
    def path(self) -> str:
        """Where the link leads on the server."""
        return f"{SIGN_IN_PATH}?token={self.token}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StartedSession:
    """A session that just began: the cookie's value, readable only here."""

    cookie: str
    life: datetime.timedelta
    tenant: TenantScope
    person_id: PersonId


def make_sign_in_link(session: Session, tenant_slug: str, person: PersonId) -> SignInLink:
    """Return a link that signs a person in once, within SIGN_IN_LIFE. `session` has taken the tenant."""
    secret = new_secret()
    expires_at = datetime.datetime.now(datetime.UTC) + SIGN_IN_LIFE
    queries.delete_expired_sessions(session)
    queries.insert_sign_in(session, token_hash=hash_secret(secret), person_id=person, expires_at=expires_at)
    return SignInLink(token=f"{tenant_slug}.{secret}", expires_at=expires_at)


def make_sign_in_link_as_owner(owner_url: str, tenant_slug: str, person: PersonId) -> SignInLink:
    """Return a sign-in link made with the owner's rights: for an administrator, when nobody can sign in (yet).

    Raises: TenantNotFound.
    """
    with queries.owner_work(owner_url, FARM_SCHEMA) as session:
        tenant = directory.find_tenant(session, tenant_slug)
    with queries.owner_work(owner_url, tenant.schema) as session:
        return make_sign_in_link(session, tenant.slug, person)


def redeem_sign_in_link(database: Database, token: str) -> StartedSession:
    """Use a link up and begin a session. Raises: SignInUsedUp."""
    slug, secret = _read(token)
    with database.farm_work() as session:
        tenant = _tenant(session, slug)
        person = queries.use_sign_in(session, hash_secret(secret)) if tenant else None
        if tenant is None or person is None:
            raise SignInUsedUp("a link works once", hint="ask for a new one (`memoryd people link LOGIN`)")
        fresh = new_secret()
        queries.insert_web_session(
            session,
            token_hash=hash_secret(fresh),
            person_id=person,
            expires_at=datetime.datetime.now(datetime.UTC) + SESSION_LIFE,
        )
    return StartedSession(cookie=f"{tenant.slug}.{fresh}", life=SESSION_LIFE, tenant=tenant, person_id=PersonId(person))


def recognise_session(database: Database, cookie: str) -> Caller | None:
    """Return who is signed in with this cookie, or None where it carries no session that lives."""
    slug, secret = _read(cookie)
    with database.farm_work() as session:
        tenant = _tenant(session, slug)
        row = queries.find_web_session(session, hash_secret(secret)) if tenant else None
        if tenant is None or row is None:
            return None
        return caller_for(session, tenant, PersonId(row.id), row.login, via="session")


def end_session(session: Session, cookie: str) -> None:
    """End the session that a cookie carries. `session` has taken the tenant."""
    queries.delete_web_session(session, hash_secret(_read(cookie)[1]))


def local_caller(database: Database, tenant_slug: str) -> Caller:
    """Return the local person of a tenant. Whether the request may be theirs is the guards' decision.

    Raises: TenantNotFound, PersonNotFound where the person was erased.
    """
    with database.farm_work() as session:
        tenant = directory.find_tenant(session, tenant_slug)
        take_tenant(session, tenant)
        person = people.find_person(session, people.LOCAL_LOGIN)
        return caller_for(session, tenant, person, people.LOCAL_LOGIN, via="local")


def caller_for(session: Session, tenant: TenantScope, person: PersonId, login: str, *, via: str) -> Caller:
    """Return a person as a caller, with all that their memberships grant now."""
    rights = people.rights_of_person(session, person)
    return Caller(
        tenant=tenant,
        name=login,
        scopes=rights.scopes,
        sees=sees_with(rights, Scope.READ),
        via=via,
        person_id=person,
        everywhere=rights.everywhere,
        in_project=rights.in_project,
    )


def _read(token: str) -> tuple[str, str]:
    slug, _, secret = token[:TOKEN_LIMIT].partition(".")
    return slug, secret


def _tenant(session: Session, slug: str) -> TenantScope | None:
    """Return the tenant, taken; None where there is none. An unknown one answers as an unknown secret does."""
    take_farm(session)
    try:
        tenant = directory.find_tenant(session, slug)
    except directory.TenantNotFound:
        return None
    take_tenant(session, tenant)
    return tenant
