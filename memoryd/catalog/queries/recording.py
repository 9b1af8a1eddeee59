"""Statements that record assets and runs. All are set-based, and ordered by their unique key: two recorders with the
same files wait for each other and never deadlock."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, cast, delete, exists, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR, insert

from memoryd.catalog.facts import GenerationOrigin, LocationState
from memoryd.catalog.queries.listed import BIG, BYTES, FLAG, ID, INT, MOMENT, TEXT, Row, copy_rows, listed
from memoryd.catalog.run_matching import KnownRun
from memoryd.catalog.succession import KnownAsset
from memoryd.catalog.tables.content import Asset, AssetProject, AssetText, Extraction
from memoryd.catalog.tables.places import Location
from memoryd.catalog.tables.runs import (
    Generation,
    GenerationInput,
    GenerationModel,
    GenerationOutput,
    GenerationPrompt,
    GenerationSampler,
)
from memoryd.foundation.arrays import array_text
from memoryd.foundation.database import Session

_FACTS = (GenerationSampler, GenerationPrompt, GenerationModel, GenerationInput)


def lock_assets(session: Session, digests: Collection[bytes]) -> dict[bytes, KnownAsset]:
    """Return the recorded assets among these contents, locked against another recorder of the same."""
    rows = session.execute(
        select(Asset.sha256, Asset.id, Asset.root_id, func.coalesce(AssetText.head, True))
        .outerjoin(AssetText, AssetText.asset_id == Asset.id)
        .where(Asset.sha256.in_(select(listed([{"v": d} for d in digests], {"v": BYTES}).c.v)))
        .order_by(Asset.sha256)
        .with_for_update(of=Asset, key_share=True)
    )
    return {sha: KnownAsset(id=id_, sha256=sha, root_id=root, head=head) for sha, id_, root, head in rows}


def insert_assets(session: Session, rows: Sequence[Row]) -> set[bytes]:
    """Insert assets; return the contents that were new. A concurrent recorder of one of them is waited for."""
    new = listed(
        rows,
        {
            "id": ID,
            "sha256": BYTES,
            "size": BIG,
            "kind": TEXT,
            "media_type": TEXT,
            "width": INT,
            "height": INT,
            "frames": INT,
            "made_at": MOMENT,
            "made_source": TEXT,
            "root_id": ID,
            "succeeds_id": ID,
            "succession": TEXT,
        },
    )
    return set(
        session.scalars(
            insert(Asset)
            .from_select(list(new.c.keys()), select(*new.c).order_by(new.c.sha256))
            .on_conflict_do_nothing(index_elements=[Asset.sha256])
            .returning(Asset.sha256)
        )
    )


def insert_extractions(session: Session, rows: Sequence[Row]) -> None:
    """Record what plugins made of assets. The same reading again is no change; a new one makes older ones past."""
    new = listed(rows, {"asset_id": ID, "plugin": TEXT, "version": TEXT, "state": TEXT, "findings": TEXT})
    columns = (new.c.asset_id, new.c.plugin, new.c.version, new.c.state, cast(new.c.findings, JSONB))
    inserted = session.execute(
        insert(Extraction)
        .from_select(
            ["asset_id", "plugin", "version", "state", "findings"],
            select(*columns).order_by(new.c.asset_id, new.c.plugin, new.c.version),
        )
        .on_conflict_do_nothing()
        .returning(Extraction.asset_id, Extraction.plugin, Extraction.version)
    ).all()
    if inserted:
        fresh = listed(
            [{"asset_id": asset, "plugin": plugin, "version": version} for asset, plugin, version in inserted],
            {"asset_id": ID, "plugin": TEXT, "version": TEXT},
        )
        session.execute(
            update(Extraction)
            .where(
                Extraction.asset_id == fresh.c.asset_id,
                Extraction.plugin == fresh.c.plugin,
                Extraction.version != fresh.c.version,
                Extraction.current,
            )
            .values(current=False)
        )


def add_findings(session: Session, rows: Sequence[Row]) -> None:
    """Append findings (`findings`: JSON text of a list) to the current extraction of assets (`asset_id`)."""
    new = listed(rows, {"asset_id": ID, "findings": TEXT})
    session.execute(
        update(Extraction)
        .where(Extraction.asset_id == new.c.asset_id, Extraction.current)
        .values(findings=Extraction.findings.op("||")(cast(new.c.findings, JSONB)))
    )


def find_runs_by_key(session: Session, run_keys: Collection[str]) -> dict[str, KnownRun]:
    """Return the recorded runs under these run keys, locked."""
    rows = session.execute(
        _runs()
        .where(Generation.run_key.in_(select(listed([{"v": k} for k in run_keys], {"v": TEXT}).c.v)))
        .order_by(Generation.run_key)
        .with_for_update(of=Generation, key_share=True)
    )
    return {row.run_key: _known_run(row) for row in rows}


def list_runs_of_lines(session: Session, roots: Collection[UUID]) -> list[tuple[UUID, UUID, KnownRun]]:
    """Return (root, asset, run) of every run that made an asset of these lines, earliest first."""
    rows = session.execute(
        _runs()
        .add_columns(Asset.root_id, Asset.id.label("asset_id"))
        .join(GenerationOutput, GenerationOutput.generation_id == Generation.id)
        .join(Asset, Asset.id == GenerationOutput.asset_id)
        .where(Asset.root_id.in_(select(listed([{"v": r} for r in roots], {"v": ID}).c.v)))
        .order_by(Generation.recorded_at, Generation.id)
    )
    return [(row.root_id, row.asset_id, _known_run(row)) for row in rows]


def _runs() -> Select[*tuple[Any, ...]]:
    return select(
        Generation.id,
        Generation.run_key,
        Generation.origin,
        Generation.exact,
        Generation.extracted_by,
        Generation.adopted_by,
    )


def _known_run(row: Any) -> KnownRun:
    return KnownRun(
        id=row.id,
        run_key=row.run_key,
        origin=GenerationOrigin(row.origin),
        exact=row.exact,
        extracted_by=row.extracted_by,
        adopted_by=row.adopted_by,
    )


_RUN_TYPES = {
    "id": ID,
    "run_key": TEXT,
    "origin": TEXT,
    "exact": BYTES,
    "prompt_document": BYTES,
    "extra_documents": TEXT,
    "environment": BYTES,
    "job_id": ID,
    "project_id": ID,
    "person_id": ID,
    "attribution_source": TEXT,
    "started_at": MOMENT,
    "ended_at": MOMENT,
    "cached": FLAG,
    "extracted_by": TEXT,
    "tool": TEXT,
    "tool_version": TEXT,
    "settings": TEXT,
    "adopted_by": ID,
}


_READ = ("exact", "prompt_document", "extra_documents", "extracted_by", "tool", "tool_version", "settings")
_RUN_JSON = frozenset(("extra_documents", "settings"))


def insert_runs(session: Session, rows: Sequence[Row]) -> set[str]:
    """Insert runs; return the run keys that were new."""
    new = listed(rows, _RUN_TYPES)
    columns = [cast(c, JSONB) if c.name in _RUN_JSON else c for c in new.c]
    return set(
        session.scalars(
            insert(Generation)
            .from_select(list(_RUN_TYPES), select(*columns).order_by(new.c.run_key))
            .on_conflict_do_nothing(index_elements=[Generation.run_key])
            .returning(Generation.run_key)
        )
    )


def update_read_runs(session: Session, rows: Sequence[Row]) -> None:
    """Replace what a file says of its run by a newer reading of it; who ran it stays."""
    new = listed(rows, {"id": ID, **{name: kind for name, kind in _RUN_TYPES.items() if name in _READ}})
    session.execute(
        update(Generation)
        .where(Generation.id == new.c.id, Generation.origin == GenerationOrigin.FILE.value)
        .values(
            exact=new.c.exact,
            prompt_document=new.c.prompt_document,
            extra_documents=cast(new.c.extra_documents, JSONB),
            extracted_by=new.c.extracted_by,
            tool=new.c.tool,
            tool_version=new.c.tool_version,
            settings=cast(new.c.settings, JSONB),
        )
    )


def delete_run_facts(session: Session, runs: Collection[UUID], *, outputs: bool) -> None:
    """Delete the facts of runs, and which assets they made where `outputs`."""
    for table in _FACTS:
        session.execute(delete(table).where(table.generation_id.in_(runs)))
    if outputs:
        session.execute(delete(GenerationOutput).where(GenerationOutput.generation_id.in_(runs)))


def adopt_runs(session: Session, adopted: Mapping[UUID, UUID]) -> None:
    """Leave of each adopted run only its name, pointing to the run that it turned out to be."""
    pairs = listed([{"id": old, "run": run} for old, run in adopted.items()], {"id": ID, "run": ID})
    delete_run_facts(session, list(adopted), outputs=True)
    session.execute(update(Generation).where(Generation.id == pairs.c.id).values(adopted_by=pairs.c.run))
    # Whatever pointed to an adopted run points on to the run itself.
    session.execute(update(Generation).where(Generation.adopted_by == pairs.c.id).values(adopted_by=pairs.c.run))


def list_outputs(session: Session, runs: Collection[UUID]) -> set[tuple[UUID, UUID, str]]:
    """Return (run, asset, node) of the recorded outputs of runs."""
    ids = listed([{"v": run} for run in runs], {"v": ID})
    rows = session.execute(
        select(GenerationOutput.generation_id, GenerationOutput.asset_id, GenerationOutput.node).where(
            GenerationOutput.generation_id.in_(select(ids.c.v))
        )
    )
    return {(run, asset, node) for run, asset, node in rows}


def insert_outputs(session: Session, rows: Sequence[Row]) -> None:
    """Insert which output of which run assets are; what is known stays."""
    new = listed(
        rows,
        {
            "generation_id": ID,
            "node": TEXT,
            "output": TEXT,
            "batch_index": INT,
            "asset_id": ID,
            "certain": FLAG,
            "output_digest": BYTES,
            "width": INT,
            "height": INT,
            "generates": FLAG,
        },
    )
    order = (new.c.generation_id, new.c.asset_id, new.c.node, new.c.output, new.c.batch_index)
    session.execute(
        insert(GenerationOutput)
        .from_select(list(new.c.keys()), select(*new.c).order_by(*order))
        .on_conflict_do_nothing()
    )


def copy_facts(session: Session, table: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Append facts of runs that have none yet."""
    if rows:
        copy_rows(session, table, columns, rows)


def insert_asset_projects(session: Session, rows: Sequence[Row]) -> set[UUID]:
    """Insert which projects own assets; return the assets for which one was new."""
    new = listed(rows, {"project_id": ID, "asset_id": ID, "root_id": ID, "made_at": MOMENT, "first_person": ID})
    return set(
        session.scalars(
            insert(AssetProject)
            .from_select(list(new.c.keys()), select(*new.c).order_by(new.c.project_id, new.c.asset_id))
            .on_conflict_do_nothing()
            .returning(AssetProject.asset_id)
        )
    )


def inherit_projects(session: Session, assets: Collection[UUID]) -> None:
    """Give assets that came without a project those of what they succeed."""
    session.execute(
        insert(AssetProject)
        .from_select(
            ["project_id", "asset_id", "root_id", "made_at", "first_person"],
            select(AssetProject.project_id, Asset.id, Asset.root_id, Asset.made_at, AssetProject.first_person)
            .join(Asset, Asset.succeeds_id == AssetProject.asset_id)
            .where(Asset.id.in_(assets))
            .order_by(AssetProject.project_id, Asset.id),
        )
        .on_conflict_do_nothing()
    )


def write_words(session: Session, rows: Sequence[Row]) -> None:
    """Write assets' words (`words`: text of a tsvector), each with the marks of all projects that own the asset.

    What people declared is not among them: `attesting.settle_words` adds it.
    """
    new = listed(rows, {"asset_id": ID, "root_id": ID, "made_at": MOMENT, "recipe": TEXT, "head": FLAG, "words": TEXT})
    written = insert(AssetText).from_select(
        ["asset_id", "root_id", "made_at", "recipe", "head", "words"],
        select(
            *(new.c[name] for name in ("asset_id", "root_id", "made_at", "recipe", "head")),
            cast(new.c.words, TSVECTOR).op("||")(_project_marks(new.c.asset_id)),
        ).order_by(new.c.asset_id),
    )
    session.execute(
        written.on_conflict_do_update(
            index_elements=[AssetText.asset_id],
            set_={"words": written.excluded.words, "recipe": written.excluded.recipe},
        )
    )


def write_project_marks(session: Session, assets: Collection[UUID]) -> None:
    """Add the marks of all owning projects to assets' words; the words stay."""
    session.execute(
        update(AssetText)
        .where(AssetText.asset_id.in_(assets))
        .values(words=AssetText.words.op("||")(_project_marks(AssetText.asset_id)))
    )


def _project_marks(asset_id: Any) -> ColumnElement[str]:
    marks = (
        select(
            func.array_to_tsvector(func.array_agg("p:" + func.replace(cast(AssetProject.project_id, TEXT), "-", "")))
        )
        .where(AssetProject.asset_id == asset_id)
        .scalar_subquery()
    )
    return func.coalesce(marks, cast(literal(""), TSVECTOR))


def settle_heads(session: Session, heads: Collection[UUID], replaced: Collection[UUID]) -> None:
    """Make assets what people mean by their line, and their predecessors not, except where a copy of one still lies."""
    elsewhere = exists().where(Location.asset_id == AssetText.asset_id, Location.state == LocationState.RECORDED.value)
    session.execute(update(AssetText).where(AssetText.asset_id.in_(replaced), ~elsewhere).values(head=False))
    session.execute(update(AssetText).where(AssetText.asset_id.in_(heads)).values(head=True))


def list_copies(session: Session, assets: Collection[UUID], kinds: Collection[str]) -> list[tuple[UUID, UUID]]:
    """Return (asset, line) of those assets that succeed another in one of these ways."""
    ids = listed([{"v": asset} for asset in assets], {"v": ID})
    rows = session.execute(
        select(Asset.id, Asset.root_id).where(Asset.id.in_(select(ids.c.v)), Asset.succession.in_(kinds))
    )
    return [(asset, root) for asset, root in rows]


_EDGES = (
    "select child.root_id, parent.root_id as parent_root from generation_input given"
    " join asset parent on parent.sha256 = given.sha256"
    " join generation_output made on (made.generation_id, made.node) = (given.generation_id, given.output_node)"
    " join asset child on child.id = made.asset_id"
)
_INPUT_EDGES = text(
    f"{_EDGES} where given.sha256 = any(cast(:digests as bytea[]))"
    f" union {_EDGES} where given.generation_id = any(cast(:runs as uuid[]))"
)


def list_input_edges(session: Session, digests: Collection[bytes], runs: Collection[UUID]) -> set[tuple[UUID, UUID]]:
    """Return (child line, parent line) by content: of inputs of these runs, and of any input with one of these contents."""
    rows = session.execute(_INPUT_EDGES, {"digests": array_text(list(digests)), "runs": array_text(list(runs))})
    return {(child_root, parent_root) for child_root, parent_root in rows if child_root != parent_root}
