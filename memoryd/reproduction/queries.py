"""Every statement of this room. Reads the catalogue's tables, writes its own."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, text, true, update

from memoryd.access.facts import Sees
from memoryd.foundation.database import Session
from memoryd.reproduction.facts import Purpose
from memoryd.reproduction.tables import Reproduction

Found = Row[Any]

FIND_RUN = text(
    """
    with recursive line as (
        select a.id, a.sha256, a.succeeds_id, 0 as step from asset a where a.id = :asset
        union all
        select b.id, b.sha256, b.succeeds_id, line.step + 1 from line join asset b on b.id = line.succeeds_id
        where line.step < 1000
    )
    select line.id as asset_id, line.sha256, g.id as generation_id, g.project_id, g.prompt_document, g.extra_documents,
           g.environment, o.node, o.batch_index, o.certain
    from line
    join generation_output o on o.asset_id = line.id
    join generation g on g.id = o.generation_id and g.adopted_by is null and g.prompt_document is not null
         and (cast(:sees as uuid[]) is null or g.project_id is null or g.project_id = any(cast(:sees as uuid[])))
    order by line.step, (g.origin = 'job') desc, o.certain desc, g.recorded_at, g.id
    limit 1
    """
)


def find_run(session: Session, asset_id: UUID, sees: Sees) -> Found | None:
    """Return the best known run of an asset, or of the nearest one before it in its line, as far as the caller may see.

    A disclosed or re-encoded copy has no run of its own: what can be made again is what it was made from.
    """
    return session.execute(FIND_RUN, {"asset": asset_id, "sees": _listed(sees)}).first()


def find_project(session: Session, asset_id: UUID, sees: Sees) -> UUID | None:
    """Return a project that owns an asset and that the caller may see: the one that had it first."""
    found: UUID | None = session.execute(
        text(
            """
            select project_id from asset_project
            where asset_id = :asset
              and (cast(:sees as uuid[]) is null or project_id = any(cast(:sees as uuid[])))
            order by made_at, project_id limit 1
            """
        ),
        {"asset": asset_id, "sees": _listed(sees)},
    ).scalar()
    return found


def find_pinned_models(session: Session, generation_id: UUID) -> dict[tuple[str, str], bytes]:
    """Return what is known of the weights a run used: (role, name) -> SHA-256."""
    rows = session.execute(
        text("select role, name, sha256 from generation_model where generation_id = :g and sha256 is not null"),
        {"g": generation_id},
    )
    return {(row.role, row.name): bytes(row.sha256) for row in rows}


def find_input_digests(session: Session, generation_id: UUID) -> dict[tuple[str, str], bytes]:
    """Return the content of the files a run read, where it is known: (node, input) -> SHA-256."""
    rows = session.execute(
        text("select node, input, sha256 from generation_input where generation_id = :g and sha256 is not null"),
        {"g": generation_id},
    )
    return {(row.node, row.input): bytes(row.sha256) for row in rows}


def find_assets_by_digest(session: Session, digests: Sequence[bytes]) -> dict[bytes, Found]:
    """Return the assets with these contents: SHA-256 -> (id, size)."""
    rows = session.execute(text("select id, sha256, size from asset where sha256 = any(:d)"), {"d": list(digests)})
    return {bytes(row.sha256): row for row in rows}


def find_kept_contents(session: Session, digests: Sequence[bytes]) -> dict[bytes, int]:
    """Return those of these contents of which a copy is known to lie somewhere: SHA-256 -> size in bytes.

    In the store, in a folder that was seen last, or in a trash.
    """
    rows = session.execute(
        text("""
        select sha256, size from blob where sha256 = any(:d) and state = 'present'
        union
        select a.sha256, a.size from asset a where a.sha256 = any(:d) and a.erased_at is null
           and (exists (select from location l where l.asset_id = a.id and l.state = 'recorded')
                or exists (select from trashed_file t where t.asset_id = a.id and t.ended_at is null))"""),
        {"d": list(digests)},
    )
    return {bytes(row.sha256): row.size for row in rows}


def count_outputs(session: Session, generation_id: UUID, node: str) -> int:
    """Return how many pictures a run's node is known to have made."""
    return int(
        session.execute(
            text("""select count(distinct batch_index) from generation_output
                     where generation_id = :g and node = :node and batch_index is not null"""),
            {"g": generation_id, "node": node},
        ).scalar_one()
    )


def find_kept_inputs(session: Session, generation_id: UUID) -> dict[bytes, int]:
    """Return the files that were sent along with a run's job, and are kept in the store: SHA-256 -> size in bytes."""
    rows = session.execute(
        text("""select decode(i ->> 'sha256', 'hex') as sha256, cast(i ->> 'size' as bigint) as size
                  from generation g join job_detail d on d.job_id = g.job_id
                 cross join lateral jsonb_array_elements(d.inputs) i where g.id = :generation"""),
        {"generation": generation_id},
    )
    return {bytes(row.sha256): row.size for row in rows}


def find_job_result(session: Session, job_id: UUID) -> dict[str, Any] | None:
    """Return how a job ended, as recorded, or None where nothing was (a job that was given up or cancelled)."""
    found = session.execute(text("select result from job_detail where job_id = :job"), {"job": job_id}).scalar()
    return dict(found) if found is not None else None


def find_last_event(session: Session, job_id: UUID) -> Found | None:
    """Return the last thing that happened to a job."""
    return session.execute(
        text("select state, reason from job_event where job_id = :job order by seq desc limit 1"), {"job": job_id}
    ).first()


def find_generation_of_job(session: Session, job_id: UUID) -> UUID | None:
    """Return the run that a job became."""
    found: UUID | None = session.execute(
        text("select id from generation where job_id = :job and adopted_by is null order by recorded_at limit 1"),
        {"job": job_id},
    ).scalar()
    return found


def insert_reproduction(session: Session, values: Mapping[str, object]) -> None:
    """Record an attempt."""
    session.execute(insert(Reproduction).values(**values))


def find_reproduction(session: Session, reproduction_id: UUID, *, lock: bool = False) -> Found | None:
    """Return an attempt; `lock` keeps it for the transaction, so that it is decided once."""
    statement = select(*Reproduction.__table__.columns).where(Reproduction.id == reproduction_id)
    return session.execute(statement.with_for_update() if lock else statement).first()


def list_reproductions(session: Session, asset_id: UUID, sees: Sees, limit: int) -> Sequence[Found]:
    """Return the attempts to make an asset again that the caller may see, newest first, without their second runs."""
    seen = true() if sees is None else Reproduction.project_id.in_(sees)
    return session.execute(
        select(*Reproduction.__table__.columns)
        .where(
            Reproduction.asset_id == asset_id,
            # What a canary made says something of its worker; its runs are listed there.
            Reproduction.purpose.not_in([Purpose.ENLARGEMENT.value, Purpose.CANARY.value]),
            Reproduction.parent_id.is_(None),
            seen,
        )
        .order_by(Reproduction.at.desc(), Reproduction.id.desc())
        .limit(limit)
    ).all()


def find_reproduction_of_job(session: Session, job_id: UUID) -> Found | None:
    """Return the attempt to make the same again that a job does: id, project_id."""
    return session.execute(
        text("select id, project_id from reproduction where job_id = :job and purpose <> :other"),
        {"job": job_id, "other": Purpose.ENLARGEMENT.value},
    ).first()


def set_job(session: Session, reproduction_id: UUID, job_id: UUID) -> None:
    """Note the job that does the attempt."""
    session.execute(update(Reproduction).where(Reproduction.id == reproduction_id).values(job_id=job_id))


def decide(session: Session, reproduction_id: UUID, values: Mapping[str, object], now: datetime.datetime) -> bool:
    """Write a verdict, once; return whether it was ours to write."""
    decided = session.execute(
        update(Reproduction)
        .where(Reproduction.id == reproduction_id, Reproduction.state != "decided")
        .values(state="decided", decided_at=now, **values)
        .returning(Reproduction.id)
    )
    return decided.first() is not None


def _listed(sees: Sees) -> list[UUID] | None:
    return None if sees is None else list(sees)


# --- workers that a plan is held against (the farm's tables)


def list_fleet(session: Session, workers: Sequence[UUID]) -> dict[UUID, Found]:
    """Return what these workers stated themselves to be, by id: environment_sha256, nodes_sha256."""
    rows = session.execute(
        text("select id, environment_sha256, nodes_sha256 from worker where id = any(:workers)"),
        {"workers": list(workers)},
    )
    return {row.id: row for row in rows}


def list_fleet_environments(session: Session, workers: Sequence[UUID]) -> dict[bytes, bytes]:
    """Return the environments of workers: SHA-256 -> document (compressed), each once."""
    rows = session.execute(
        text("""select distinct on (environment_sha256) environment_sha256, environment from worker
                 where id = any(:workers) and environment is not null order by environment_sha256"""),
        {"workers": list(workers)},
    )
    return {bytes(row.environment_sha256): bytes(row.environment) for row in rows}


def list_fleet_classes(session: Session, catalogues: Sequence[bytes]) -> dict[bytes, frozenset[str]]:
    """Return the node classes of catalogues, by their SHA-256."""
    rows = session.execute(text("select sha256, classes from worker_nodes where sha256 = any(:c)"), {"c": catalogues})
    return {bytes(row.sha256): frozenset(row.classes) for row in rows}


def list_fleet_models(
    session: Session, workers: Sequence[UUID], paths: Sequence[str], contents: Sequence[bytes]
) -> Sequence[Found]:
    """Return the model files of workers that have one of these names or contents: worker_id, folder, path, sha256."""
    return session.execute(
        text("""select worker_id, folder, path, sha256 from worker_model
                 where worker_id = any(:workers) and (path = any(:paths) or sha256 = any(:contents))"""),
        {"workers": list(workers), "paths": list(paths), "contents": list(contents)},
    ).all()


# --- verdicts: the original, second runs, receipts


def find_original(session: Session, asset_id: UUID) -> Found:
    """Return what is recorded of an asset's content: sha256, size, media_type, frames, pixel_recipe, pixel_digest."""
    return session.execute(
        text("select sha256, size, media_type, frames, pixel_recipe, pixel_digest from asset where id = :asset"),
        {"asset": asset_id},
    ).one()


def find_moment(session: Session, asset_id: UUID) -> datetime.datetime:
    """Return when an asset was made, as far as is known."""
    made: datetime.datetime = session.execute(
        text("select made_at from asset where id = :asset"), {"asset": asset_id}
    ).scalar_one()
    return made


def list_changed_names(
    session: Session, names: Sequence[tuple[str, str]], since: datetime.datetime
) -> set[tuple[str, str]]:
    """Return those of these models (folder, name) that stood for several contents since a moment, on one machine."""
    rows = session.execute(
        text(
            """
            select distinct folder, path from (
                select place_id, folder, path from model_name
                where (folder, path) in (select * from unnest(cast(:folders as text[]), cast(:paths as text[])))
                  and sha256 is not null and (seen_to is null or seen_to >= :since)
                group by place_id, folder, path having count(distinct sha256) > 1) as changed
            """
        ),
        {"folders": [folder for folder, _ in names], "paths": [name for _, name in names], "since": since},
    )
    return {(row.folder, row.path) for row in rows}


def list_second_runs(session: Session, parents: Sequence[UUID]) -> Sequence[Found]:
    """Return the attempts that help to explain these, oldest first."""
    return session.execute(
        select(*Reproduction.__table__.columns)
        .where(Reproduction.parent_id.in_(parents))
        .order_by(Reproduction.at, Reproduction.id)
    ).all()


def set_testing(session: Session, reproduction_id: UUID, testing: str, *, now: str) -> bool:
    """Note how far second runs are, where they are where `now` says; tell whether they were."""
    changed = session.execute(
        update(Reproduction)
        .where(Reproduction.id == reproduction_id, Reproduction.testing == now)
        .values(testing=testing)
        .returning(Reproduction.id)
    )
    return changed.first() is not None


def set_tested(session: Session, reproduction_id: UUID, causes: list[dict[str, object]], at: datetime.datetime) -> None:
    """Note what second runs showed of the causes."""
    session.execute(
        update(Reproduction)
        .where(Reproduction.id == reproduction_id)
        .values(testing="over", causes_tested=causes, tested_at=at)
    )


def set_receipt(session: Session, reproduction_id: UUID, receipt: bytes) -> None:
    """Keep the signed proof of an attempt."""
    session.execute(update(Reproduction).where(Reproduction.id == reproduction_id).values(receipt=receipt))
