"""Statements about how assets were made: their own runs, those of what they were made from, and the models of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import insert

from memoryd.clearance.tables import AssetModelSet, ModelSet
from memoryd.foundation.database import Session

AnyRow: TypeAlias = "Row[*tuple[Any, ...]]"
"""A row whose columns are read by name."""

Pair: TypeAlias = tuple[UUID, UUID | None]
"""An asset, and the project that may know of it; None for one of no project."""

_GIVEN = "select * from unnest(cast(:assets as uuid[]), cast(:projects as uuid[])) as given (asset_id, project_id)"

_COPIES = "('disclosed', 'exported', 're-encoded')"
"""Ways in which an asset follows another without being made anew. Source: catalog.facts.Succession."""


def list_pairs(session: Session, assets: Collection[UUID], projects: Collection[UUID] | None) -> list[Pair]:
    """Return (asset, project) for each owner of each asset, of these projects alone where they are given.

    An asset of no project comes with None where no projects are given.
    """
    rows = session.execute(
        text(
            """
            select given.asset_id, asset_project.project_id
            from unnest(cast(:assets as uuid[])) as given (asset_id)
            left join asset_project on asset_project.asset_id = given.asset_id
                and (cast(:projects as uuid[]) is null or asset_project.project_id = any (cast(:projects as uuid[])))
            where cast(:projects as uuid[]) is null or asset_project.project_id is not null
            order by 1, 2
            """
        ),
        {"assets": list(assets), "projects": None if projects is None else list(projects)},
    )
    return [(asset, project) for asset, project in rows]


def list_sources(session: Session, pairs: Sequence[Pair]) -> Sequence[AnyRow]:
    """Return each asset that stands behind one of the pairs: (asset_id, project_id, source, root_id, ancestor, copy, owned).

    Its own: itself, and what it is a copy of (or was rewritten from, where nothing is known of the rewriting). Ancestors:
    all assets of the lines that its line was made from, as far as this project may know of it.
    """
    return session.execute(
        text(
            f"""
            with recursive given as ({_GIVEN}),
            own as (
                select given.asset_id, given.project_id, asset.id as source
                from given join asset on asset.id = given.asset_id
                union
                select own.asset_id, own.project_id, asset.succeeds_id
                from own join asset on asset.id = own.source
                where asset.succeeds_id is not null and (asset.succession in {_COPIES}
                    or not exists (select 1 from generation_output made where made.asset_id = own.source))),
            family as (
                select given.asset_id, given.project_id, asset.root_id
                from given join asset on asset.id = given.asset_id
                union
                select family.asset_id, family.project_id, lineage.parent_root
                from family join lineage on lineage.child_root = family.root_id
                where not exists (
                        select 1 from declared_parent said
                        where (said.child_root, said.parent_root, said.via)
                            = (lineage.child_root, lineage.parent_root, lineage.via))
                    or exists (
                        select 1 from declared_parent said
                        where (said.child_root, said.parent_root, said.via)
                            = (lineage.child_root, lineage.parent_root, lineage.via)
                            and said.project_id is not distinct from family.project_id)),
            sources as (
                select asset_id, project_id, source, false as ancestor from own
                union all
                select family.asset_id, family.project_id, asset.id, true
                from family
                join asset self on self.id = family.asset_id and self.root_id <> family.root_id
                join asset on asset.root_id = family.root_id)
            select sources.asset_id, sources.project_id, sources.source, asset.root_id, sources.ancestor,
                coalesce(asset.succession in {_COPIES}, false) as copy,
                sources.project_id is null or not sources.ancestor or exists (
                    select 1 from asset_project owner
                    where owner.root_id = asset.root_id and owner.project_id = sources.project_id) as owned
            from sources join asset on asset.id = sources.source
            """
        ),
        _arrays(pairs),
    ).all()


def list_runs(session: Session, assets: Collection[UUID]) -> Sequence[AnyRow]:
    """Return the runs that made these assets: (asset_id, generation_id, node, generates, project_id, declared, of_file,
    declared_for); declarations that were taken back are left out."""
    return session.execute(
        text(
            """
            select made.asset_id, made.generation_id, made.node, bool_or(made.generates) as generates,
                generation.project_id, generation.origin = 'declared' as declared,
                generation.origin = 'file' or exists (
                    select 1 from generation named where named.adopted_by = generation.id) as of_file,
                (select attestation.project_id from attestation
                    where attestation.generation_id = generation.id limit 1) as declared_for
            from generation_output made join generation on generation.id = made.generation_id
            where made.asset_id = any (cast(:assets as uuid[])) and not exists (
                select 1 from attestation
                where attestation.generation_id = generation.id and attestation.withdrawn_at is not null)
            group by made.asset_id, made.generation_id, made.node, generation.id
            """
        ),
        {"assets": list(assets)},
    ).all()


def list_models(session: Session, runs: Collection[tuple[UUID, str]]) -> Sequence[AnyRow]:
    """Return (generation_id, node, sha256, role, name) of every model above these outputs."""
    return _facts(session, runs, "select distinct generation_id, output_node as node, sha256, role, name", "model")


def list_inputs(session: Session, runs: Collection[tuple[UUID, str]]) -> Sequence[AnyRow]:
    """Return (generation_id, node, name, known) of every input file: known where an asset has its content."""
    columns = """
        select distinct generation_id, output_node as node, name,
            exists (select 1 from asset where asset.sha256 = fact.sha256) as known
    """
    return _facts(session, runs, columns, "input")


def _facts(session: Session, runs: Collection[tuple[UUID, str]], columns: str, kind: str) -> Sequence[AnyRow]:
    return session.execute(
        text(
            f"""
            {columns}
            from generation_{kind} fact
            join unnest(cast(:runs as uuid[]), cast(:nodes as text[])) as given (run, node)
                on given.run = fact.generation_id and given.node = fact.output_node
            """
        ),
        {"runs": [run for run, _ in runs], "nodes": [node for _, node in runs]},
    ).all()


def keep_sets(session: Session, rows: Sequence[dict[str, object]]) -> None:
    """Write sets of models that are new."""
    if rows:
        session.execute(insert(ModelSet).values(list(rows)).on_conflict_do_nothing())


def keep_sets_of(session: Session, pairs: Sequence[tuple[Pair, bytes]]) -> list[Pair]:
    """Write which set each asset was made with, per project; return those that are new or had another one."""
    if not pairs:
        return []
    statement = insert(AssetModelSet).values(
        [{"asset_id": asset, "project_id": project, "digest": digest} for (asset, project), digest in pairs]
    )
    statement = statement.on_conflict_do_update(
        index_elements=[AssetModelSet.asset_id, AssetModelSet.project_id],
        set_={"digest": statement.excluded.digest, "at": statement.excluded.at},
        where=AssetModelSet.digest != statement.excluded.digest,
    )
    written = session.execute(statement.returning(AssetModelSet.asset_id, AssetModelSet.project_id))
    return [(asset, project) for asset, project in written]


def take_stale(session: Session, limit: int) -> list[UUID]:
    """Take assets, `limit` at most, whose sets have to be worked out anew."""
    return list(
        session.scalars(
            text(
                """
                with picked as (select distinct asset_id from (
                    select asset_id from asset_model_set where stale limit :limit) each),
                taken as (
                    update asset_model_set s set stale = false from picked where s.asset_id = picked.asset_id and s.stale)
                select asset_id from picked order by asset_id
                """
            ),
            {"limit": limit},
        )
    )


def list_sets(session: Session, digests: Collection[bytes]) -> dict[bytes, list[list[Any]]]:
    """Return the entries of sets, by digest."""
    rows = session.execute(
        text("select digest, entries from model_set where digest = any (cast(:digests as bytea[]))"),
        {"digests": list(digests)},
    )
    return {row.digest: row.entries for row in rows}


def list_line_sets(session: Session, pairs: Sequence[Pair]) -> Sequence[AnyRow]:
    """Return (root_id, project_id, digest) of the lines of these pairs: of their heads, of all their assets where none is."""
    return session.execute(
        text(
            f"""
            with given as ({_GIVEN}),
            lines as (
                select distinct asset.root_id, given.project_id
                from given join asset on asset.id = given.asset_id),
            sets as (
                select lines.root_id, lines.project_id, made.digest, coalesce(words.head, false) as head
                from lines
                join asset on asset.root_id = lines.root_id
                join asset_model_set made on made.asset_id = asset.id
                    and made.project_id is not distinct from lines.project_id
                left join asset_text words on words.asset_id = asset.id)
            select distinct root_id, project_id, digest from sets
            where head or not exists (
                select 1 from sets other
                where other.head and other.root_id = sets.root_id
                    and other.project_id is not distinct from sets.project_id)
            """
        ),
        _arrays(pairs),
    ).all()


def list_children(session: Session, assets: Collection[UUID]) -> list[UUID]:
    """Return the assets of every line that was made from a line of these, one step down."""
    return list(
        session.scalars(
            text(
                """
                select distinct child.id
                from asset join lineage on lineage.parent_root = asset.root_id
                join asset child on child.root_id = lineage.child_root
                where asset.id = any (cast(:assets as uuid[]))
                """
            ),
            {"assets": list(assets)},
        )
    )


def find_roots(session: Session, assets: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the line of each asset."""
    rows = session.execute(
        text("select id, root_id from asset where id = any (cast(:assets as uuid[]))"), {"assets": list(assets)}
    )
    return {row.id: row.root_id for row in rows}


def count_sets(session: Session, project_id: UUID) -> list[tuple[bytes | None, int]]:
    """Return (set, assets) of a project; None counts those whose set was not worked out yet."""
    rows = session.execute(
        text(
            """
            select made.digest, count(*) as assets
            from asset_project owned
            join asset on asset.id = owned.asset_id and asset.erased_at is null
            left join asset_model_set made on made.asset_id = owned.asset_id and made.project_id = owned.project_id
            where owned.project_id = :project group by made.digest
            """
        ),
        {"project": project_id},
    )
    return [(row.digest, row.assets) for row in rows]


def count_assets(session: Session, digests: Collection[bytes], sees: Collection[UUID] | None) -> dict[bytes, int]:
    """Return how many assets were made with each set, in these projects."""
    rows = session.execute(
        text(
            """
            select digest, count(*) as assets from asset_model_set
            where digest = any (cast(:digests as bytea[]))
                and (cast(:projects as uuid[]) is null or project_id = any (cast(:projects as uuid[])))
            group by digest
            """
        ),
        {"digests": list(digests), "projects": None if sees is None else list(sees)},
    )
    return {row.digest: row.assets for row in rows}


def list_assets_of_sets(session: Session, digests: Collection[bytes], *, after: UUID | None, limit: int) -> list[UUID]:
    """Return assets that were made with one of these sets, by id."""
    return _page(
        session,
        "asset_model_set",
        "digest = any (cast(:digests as bytea[]))",
        {"digests": list(digests)},
        after,
        limit,
    )


def list_assets(session: Session, project_id: UUID | None, *, after: UUID | None, limit: int) -> list[UUID]:
    """Return assets of a project, of the whole tenant where none is named, by id."""
    if project_id is not None:
        return _page(session, "asset_project", "project_id = :project", {"project": project_id}, after, limit)
    rows = session.scalars(
        text(
            "select id from asset where cast(:after as uuid) is null or id > cast(:after as uuid) order by id limit :limit"
        ),
        {"after": after, "limit": limit},
    )
    return list(rows)


def _page(
    session: Session, table: str, where: str, values: dict[str, object], after: UUID | None, limit: int
) -> list[UUID]:
    rows = session.scalars(
        text(
            f"""
            select distinct asset_id from {table}
            where {where} and (cast(:after as uuid) is null or asset_id > cast(:after as uuid))
            order by asset_id limit :limit
            """
        ),
        {**values, "after": after, "limit": limit},
    )
    return list(rows)


def _arrays(pairs: Sequence[Pair]) -> dict[str, object]:
    return {"assets": [asset for asset, _ in pairs], "projects": [project for _, project in pairs]}
