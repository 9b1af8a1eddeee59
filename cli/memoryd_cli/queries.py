"""What doctor, backup and restore ask of the database beyond what the rooms answer. They only read, but for one mark."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Row, text

from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
"""A row whose columns are read by name."""


def read_versions(session: Session) -> AnyRow:
    """Return `server` (Postgres's version as it names itself) and `vector` (pgvector's, None where it is absent)."""
    return session.execute(
        text(
            "select current_setting('server_version') as server,"
            " (select extversion from pg_extension where extname = 'vector') as vector"
        )
    ).one()


def list_role_faults(session: Session, server_role: str, tenant_roles: Sequence[str]) -> list[str]:
    """Return what is wrong with the roles that keep tenants apart (INV-5), one sentence each."""
    statement = text(
        """
        select format('%s is a superuser or bypasses row security', rolname) from pg_roles
         where rolname = any(:mine) and (rolsuper or rolbypassrls)
        union all
        select format('%s may log in', rolname) from pg_roles where rolname = any(:tenants) and rolcanlogin
        union all
        select format('the role %s is missing', wanted) from unnest(cast(:mine as text[])) as wanted
         where not exists (select 1 from pg_roles where rolname = wanted)
        union all
        select format('%s owns %s', r.rolname, c.oid::regclass) from pg_class c join pg_roles r on r.oid = c.relowner
         where r.rolname = :server
        union all
        select format('%s inherits the rights of %s', s.rolname, granted.rolname)
          from pg_auth_members m join pg_roles granted on granted.oid = m.roleid join pg_roles s on s.oid = m.member
         where s.rolname = :server and m.inherit_option
        union all
        select format('%s cannot take %s', cast(:server as text), wanted) from unnest(cast(:tenants as text[])) as wanted
         where not exists (select 1 from pg_auth_members m join pg_roles granted on granted.oid = m.roleid
                             join pg_roles s on s.oid = m.member
                            where s.rolname = :server and granted.rolname = wanted and m.set_option)
        """
    )
    values = {"server": server_role, "tenants": list(tenant_roles), "mine": [server_role, *tenant_roles]}
    return list(session.execute(statement, values).scalars())


def sample_blobs(session: Session, limit: int) -> Sequence[AnyRow]:
    """Return `sha256` and `size` of blobs that should be there, from a random place of the table on."""
    statement = text(
        "(select sha256, size from blob where state = 'present' and sha256 >= :begin order by sha256 limit :limit)"
        " union (select sha256, size from blob where state = 'present' and sha256 < :begin order by sha256 limit :limit)"
        " limit :limit"
    )
    return session.execute(statement, {"begin": secrets.token_bytes(32), "limit": limit}).all()


def count_blobs(session: Session) -> int:
    """Return how many blobs should be there."""
    return int(session.execute(text("select count(*) from blob where state = 'present'")).scalar_one())


def oldest_pending_s(session: Session) -> float | None:
    """Return for how many seconds the oldest action has waited to be sealed; None where none waits."""
    found = session.execute(text("select extract(epoch from clock_timestamp() - min(at)) from audit_pending"))
    age = found.scalar_one()
    return None if age is None else float(age)


def password_apart(url: str) -> tuple[str, str | None]:
    """Return an address without its password, and the password: the one may be seen in a list of processes."""
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    return make_conninfo("", **parts), None if password is None else str(password)


def mark_restored(owner_url: str) -> None:
    """Let the next start of the server take this database for the copy that it is, and end all leases (INV-4).

    Another cluster is noticed by itself; a database that was emptied and read back in place is not.
    """
    with psycopg.connect(owner_url) as connection:
        connection.execute("update farm.restore_epoch set system_identifier = 0, timeline = 0, database_oid = 0")


def server_major(url: str) -> int:
    """Return the major version of the Postgres at an address."""
    with psycopg.connect(url) as connection:
        return connection.info.server_version // 10_000
