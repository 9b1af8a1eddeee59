"""Statements about models and their other hashes."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, literal, or_, select, text, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from memoryd.foundation.database import Session
from memoryd.model_registry.tables import LicenceGrant, Model, ModelAlias, ModelName, ModelVersionFile
from memoryd.model_registry.tables import ModelFamily as Family
from memoryd.model_registry.tables import ModelVersion as Version

Found = Row[Any]

_SHOWN: tuple[InstrumentedAttribute[Any], ...] = (
    Model.sha256,
    Model.size,
    Model.kind,
    Model.base,
    Model.first_seen,
    Model.last_seen,
    Model.format,
    Model.base_name,
    Model.triggers,
)


def insert_models(session: Session, rows: Sequence[Mapping[str, object]]) -> set[bytes]:
    """Write models that are new and return their hashes; of a known one, what was unknown is filled in.

    Each row: sha256, size, kind, base, header, findings, format, base_name, triggers, sidecar. What lies beside a file may
    change, so that the latest counts.
    """
    if not rows:
        return set()
    known = set(session.scalars(select(Model.sha256).where(Model.sha256.in_([row["sha256"] for row in rows]))))
    session.execute(
        text("""
        insert into model as m (sha256, size, kind, base, header, findings, format, base_name, triggers, sidecar)
        select decode(r.sha256, 'hex'), r.size, r.kind, r.base, r.header, r.findings, r.format, r.base_name,
               array(select jsonb_array_elements_text(r.triggers)), nullif(r.sidecar, 'null'::jsonb)
          from jsonb_to_recordset(cast(:rows as jsonb)) as r(sha256 text, size bigint, kind text, base text, header jsonb,
               findings jsonb, format text, base_name text, triggers jsonb, sidecar jsonb)
            on conflict (sha256) do update set
               kind = case when m.kind = 'unknown' then excluded.kind else m.kind end,
               base = coalesce(m.base, excluded.base),
               header = case when m.format = 'unknown' and excluded.format <> 'unknown' then excluded.header
                             else m.header end,
               findings = case when m.format = 'unknown' and excluded.format <> 'unknown' then excluded.findings
                               else m.findings end,
               format = case when m.format = 'unknown' then excluded.format else m.format end,
               base_name = coalesce(excluded.base_name, m.base_name),
               triggers = case when cardinality(excluded.triggers) > 0 then excluded.triggers else m.triggers end,
               sidecar = coalesce(excluded.sidecar, m.sidecar), last_seen = clock_timestamp()"""),
        {"rows": _as_json(rows)},
    )
    return {row["sha256"] for row in rows if isinstance(row["sha256"], bytes)} - known


def insert_aliases(session: Session, rows: Sequence[Mapping[str, object]]) -> None:
    """Write aliases (algorithm, value, sha256, measured); one that was stated and is measured now becomes that."""
    if rows:
        session.execute(
            text("""
            insert into model_alias as a (algorithm, value, sha256, measured)
            select r.algorithm, r.value, decode(r.sha256, 'hex'), r.measured from jsonb_to_recordset(cast(:rows as jsonb))
                   as r(algorithm text, value text, sha256 text, measured boolean)
                on conflict (algorithm, value, sha256) do update set measured = true
             where excluded.measured and not a.measured"""),
            {"rows": _as_json(rows)},
        )


def find_stamps(session: Session, sha256s: Sequence[bytes]) -> dict[bytes, str | None]:
    """Return which description was taken over last of each of these models that are known."""
    rows = session.execute(select(Model.sha256, Model.described).where(Model.sha256.in_(sha256s)))
    return {row.sha256: row.described for row in rows}


def note_stamps(session: Session, stamps: Mapping[bytes, str]) -> None:
    """Note which description of each of these models was taken over."""
    session.execute(
        text("""update model m set described = s.stamp
                  from unnest(cast(:sha256s as bytea[]), cast(:stamps as text[])) as s(sha256, stamp)
                 where m.sha256 = s.sha256 and m.described is distinct from s.stamp"""),
        {"sha256s": list(stamps), "stamps": list(stamps.values())},
    )


def list_models(
    session: Session,
    *,
    kind: str | None,
    folder: str | None,
    licensed: bool | None,
    search: str | None,
    after: tuple[datetime.datetime, bytes] | None,
    limit: int,
) -> Sequence[Found]:
    """Return models, newest first. `search`: a part of a name, a trigger word, a title, or of a version's name."""
    statement = select(*_SHOWN)
    if kind is not None:
        statement = statement.where(Model.kind == kind)
    if folder is not None:
        statement = statement.where(
            select(ModelName.path)
            .where(ModelName.sha256 == Model.sha256, ModelName.folder == folder, ModelName.seen_to.is_(None))
            .exists()
        )
    if licensed is not None:
        stated = (
            select(LicenceGrant.id)
            .where(LicenceGrant.model == Model.sha256, LicenceGrant.withdrawn_at.is_(None))
            .exists()
        )
        statement = statement.where(stated if licensed else ~stated)
    if search is not None:
        # Gathered once, not per model: a rare word would else be looked for in every model's names.
        named = select(ModelName.sha256).where(ModelName.path.icontains(search, autoescape=True))
        version = (
            select(ModelVersionFile.sha256)
            .join(Version, Version.id == ModelVersionFile.version_id)
            .join(Family, Family.id == Version.family_id)
            .where(
                ModelVersionFile.withdrawn_at.is_(None),
                or_(Version.name.icontains(search, autoescape=True), Family.name.icontains(search, autoescape=True)),
            )
        )
        triggered = select(Model.sha256).where(
            text("exists (select from unnest(triggers) as t(word) where word ilike :like)").bindparams(
                like=f"%{_escaped(search)}%"
            )
        )
        statement = statement.where(Model.sha256.in_(named.union(version, triggered)))
    if after is not None:
        statement = statement.where(tuple_(Model.first_seen, Model.sha256) < tuple_(*map(literal, after)))
    return session.execute(statement.order_by(Model.first_seen.desc(), Model.sha256.desc()).limit(limit)).all()


def find_models(session: Session, sha256s: Sequence[bytes]) -> Sequence[Any]:
    """Return these models with everything, in no order."""
    return session.execute(
        select(*_SHOWN, Model.header, Model.findings, Model.sidecar).where(Model.sha256.in_(sha256s))
    ).all()


def list_aliases_of(session: Session, sha256: bytes) -> Sequence[Any]:
    """Return a model's other hashes: algorithm, value, measured; those that we measured last."""
    return session.execute(
        select(ModelAlias.algorithm, ModelAlias.value, ModelAlias.measured)
        .where(ModelAlias.sha256 == sha256)
        .order_by(ModelAlias.measured, ModelAlias.algorithm, ModelAlias.value)
    ).all()


def find_by_hash(session: Session, least: bytes, most: bytes, prefix: str, limit: int) -> list[bytes]:
    """Return models whose SHA-256 lies between two, or one of whose aliases begins with `prefix`."""
    own = select(Model.sha256).where(Model.sha256 >= least, Model.sha256 <= most)
    aliased = select(ModelAlias.sha256).where(ModelAlias.value.startswith(prefix, autoescape=True))
    found = own.union(aliased).limit(limit)
    return list(session.scalars(found))


def find_by_hashes(session: Session, hashes: Sequence[str]) -> Sequence[Found]:
    """Return models by hashes of any kind, or beginnings of their SHA-256 (lower-case hex): value, sha256."""
    return session.execute(
        text("""
        select a.value, a.sha256 from model_alias a where a.value = any(cast(:hashes as text[]))
        union
        select s.value, m.sha256 from unnest(cast(:hashes as text[]), cast(:least as bytea[]), cast(:most as bytea[]))
                                      as s(value, least, most) join model m on m.sha256 between s.least and s.most"""),
        {
            "hashes": list(hashes),
            "least": [bytes.fromhex(one.ljust(64, "0")) for one in hashes],
            "most": [bytes.fromhex(one.ljust(64, "f")) for one in hashes],
        },
    ).all()


def _as_json(rows: Sequence[Mapping[str, object]]) -> str:
    return json.dumps(
        [{k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()} for row in rows], ensure_ascii=False
    )


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
