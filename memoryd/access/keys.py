"""API keys: `mk_<prefix>_<secret>`. The prefix finds the key, the secret proves it."""

from __future__ import annotations

import datetime
import hmac
import re
import secrets
import time

from memoryd.access import people, queries, remembering
from memoryd.access.directory import scope_of
from memoryd.access.facts import Caller, KeyView, NewKey, Scope, WorkerIdentity
from memoryd.access.names import checked_shown_name
from memoryd.access.roles import PEOPLES_SCOPES, sees_with
from memoryd.access.tokens import TOKEN_LIMIT, hash_secret, new_secret
from memoryd.foundation.database import Database, Session, TenantScope, take_farm, take_tenant
from memoryd.foundation.errors import NotAcceptable, NotFound, NotRecognised
from memoryd.foundation.ids import KeyId, PersonId, new_id
from memoryd.foundation.texts import storable

PREFIX_BYTES = 6
_TOKEN = re.compile(r"mk_([0-9a-f]{12})_([0-9a-f]{64})")


class KeyNotRecognised(NotRecognised):
    """This API key is not known, or no longer valid."""


class KeyNotFound(NotFound):
    """There is no such key in use."""


class BadKey(NotAcceptable):
    """A key cannot be made like this."""


def make_key(
    session: Session,
    tenant: TenantScope,
    *,
    name: str,
    scopes: frozenset[Scope],
    person: PersonId | None = None,
    expires_at: datetime.datetime | None = None,
) -> NewKey:
    """Return a new key with its token, which is readable only here.

    A person's key carries what of its scopes the person may do at each use. A key without a person is a worker's: its
    only scope is WORK. `session` has taken the tenant and has it again at the return. Raises: BadKey, BadName.
    """
    allowed = PEOPLES_SCOPES if person is not None else frozenset({Scope.WORK})
    if not scopes or not scopes <= allowed:
        raise BadKey(
            f"scopes {sorted(scopes)} for {'a person' if person else 'a worker'}",
            hint=f"choose from {', '.join(sorted(allowed))}",
        )
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= datetime.datetime.now(datetime.UTC)):
        raise BadKey(f"it would expire at {expires_at.isoformat()}", hint="give a time to come, with its time zone")
    made = KeyId(new_id())
    prefix, secret = secrets.token_hex(PREFIX_BYTES), new_secret()
    queries.insert_key(
        session,
        id=made,
        name=checked_shown_name(name),
        person_id=person,
        prefix=prefix,
        secret_hash=hash_secret(secret),
        scopes=sorted(scopes),
        expires_at=expires_at,
    )
    take_farm(session)
    queries.insert_key_index(session, prefix=prefix, tenant_id=tenant.id, key_id=made)
    take_tenant(session, tenant)
    return NewKey(id=made, prefix=prefix, token=f"mk_{prefix}_{secret}")


def recognise_key(database: Database, token: str) -> Caller | WorkerIdentity:
    """Return who holds this key: a person's caller, or a worker. Raises: KeyNotRecognised."""
    match = _TOKEN.fullmatch(token) if len(token) <= TOKEN_LIMIT else None
    if match is None:
        raise KeyNotRecognised("it does not look like a key", hint="a key reads mk_<12 digits>_<64 digits>")
    since = time.monotonic()
    remembered = remembering.find(database, token)
    if remembered is not None:
        return remembered
    with database.farm_work() as session:
        # INV-5: the one look-up that crosses tenants; it hands out where to look, not whether the secret is right.
        index = queries.find_key_index(session, match[1])
        if index is None:
            raise _unknown(match[1])
        tenant = scope_of(index)
        take_tenant(session, tenant)
        row = queries.find_key(session, index.key_id)
        if row is None or not hmac.compare_digest(row.secret_hash, hash_secret(match[2])):
            raise _unknown(match[1])
        if row.first_today:
            queries.touch_key(session, row.id)
        if row.person_id is None:
            return WorkerIdentity(tenant=tenant, key_id=KeyId(row.id), name=row.name)
        rights = people.rights_of_person(session, PersonId(row.person_id))
        rights = rights.limited_to(frozenset(Scope(word) for word in row.scopes))
    caller = Caller(
        tenant=tenant,
        name=row.login,
        scopes=rights.scopes,
        sees=sees_with(rights, Scope.READ),
        via="key",
        person_id=PersonId(row.person_id),
        key_id=KeyId(row.id),
        everywhere=rights.everywhere,
        in_project=rights.in_project,
    )
    remembering.keep(database, token, caller, since=since)
    return caller


def list_keys(session: Session) -> list[KeyView]:
    """Return every key of the tenant, revoked ones included, oldest first."""
    return [
        KeyView(
            id=KeyId(row.id),
            name=row.name,
            prefix=row.prefix,
            person=row.login,
            scopes=frozenset(Scope(word) for word in row.scopes),
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_on=row.last_used_on,
            revoked_at=row.revoked_at,
        )
        for row in queries.list_keys(session)
    ]


def revoke_key(session: Session, prefix: str) -> KeyId:
    """Revoke a key for good; return its id. Raises: KeyNotFound."""
    revoked = queries.revoke_key(session, storable(prefix)[0])
    remembering.forget(session)
    if revoked is None:
        raise KeyNotFound(f"prefix {prefix[:40]!r}", hint="`memoryd keys list` shows the keys in use")
    return KeyId(revoked)


def _unknown(prefix: str) -> KeyNotRecognised:
    # Unknown, revoked, expired and wrong secret answer alike: a prefix alone must teach nothing.
    return KeyNotRecognised(f"key mk_{prefix}_…", hint="ask an administrator for a new key (`memoryd keys add`)")
