"""New files recorded by ready rows are recorded as by whole records; whatever is known already is refused before."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest.facts import FileState, Folder, Prepared
from memoryd.ingest.lanes import Lanes
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.ready import made_ready, packed_files, unpacked_files
from memoryd.ingest.recording import NotAlone, record
from tests.ingest.pictures import picture

TABLES = {
    "asset": "sha256, size, kind, media_type, width, height, frames, made_at, made_source, succession",
    "location": "path, shown_path, size, mtime_ns, inode, device, state",
    "generation": "run_key, origin, exact, prompt_document, extra_documents, extracted_by, tool, tool_version, settings",
    "generation_output": "node, output, batch_index, certain, output_digest, width, height, generates",
    "generation_sampler": "output_node, ordinal, node, source, confidence, class_type, seed, steps, cfg, sampler, final",
    "generation_prompt": "output_node, ordinal, node, source, confidence, input, polarity, text, is_template",
    "generation_model": "output_node, ordinal, node, source, role, name, sha256, identified, strength_model, evidence",
    "generation_input": "output_node, ordinal, node, name, sha256",
    "asset_text": "recipe, head, words",
    "extraction": "plugin, version, state, findings, current",
    "document": "sha256, kind, packed, raw_size",
    "graph": "exact, recipe, canonical, node_count",
    "graph_identity": "exact, level, recipe, digest",
    "workflow": "digest, recipe, name",
    "node_value": "workflow, ordinal, class_type, input, number, text",
    "asset_mark": "flags, marks",
}


def ready(prepared: Prepared) -> Prepared:
    return Prepared(folder=prepared.folder, files=tuple(made_ready(file) for file in prepared.files))


def kept(database: Database, tenant: TenantScope) -> dict[str, list[str]]:
    with database.tenant_work(tenant) as session:
        return {
            table: sorted(str(tuple(row)) for row in session.execute(text(f"select {columns} from {table}")))
            for table, columns in TABLES.items()
        }


@pytest.fixture
def pictures(folder: Path) -> list[Path]:
    paths = [folder / f"{seed}.png" for seed in range(6)]
    for seed, path in enumerate(paths):
        path.write_bytes(picture(seed))
    (folder / "notes.xyz.png").write_bytes(b"\x00" * 40)
    return paths


def test_ready_rows_and_whole_records_leave_the_same_behind(
    database: Database, tenant: TenantScope, other_tenant: TenantScope, folder: Path, pictures: list[Path]
) -> None:
    whole = prepare_here(Folder(path=folder), pictures)
    made = ready(whole)
    assert all(file.ready is not None and file.asset is None for file in made.files)
    with database.tenant_work(tenant) as session:
        one = record(session, whole, scope=tenant)
    with database.tenant_work(other_tenant) as session:
        other = record(session, made, scope=other_tenant)
    assert kept(database, other_tenant) == kept(database, tenant)
    assert (other.new, other.findings, other.size, other.merkle_root) == (
        one.new,
        one.findings,
        one.size,
        one.merkle_root,
    )
    assert [asset.sha256 for asset in other.assets] == [asset.sha256 for asset in one.assets]


def test_what_is_known_is_refused_before_anything_is_written(
    database: Database, tenant: TenantScope, folder: Path, pictures: list[Path]
) -> None:
    made = ready(prepare_here(Folder(path=folder), pictures))
    with database.tenant_work(tenant) as session:
        record(session, Prepared(folder=made.folder, files=made.files[:2]), scope=tenant)
    before = kept(database, tenant)
    with pytest.raises(NotAlone) as refused, database.tenant_work(tenant) as session:
        record(session, made, scope=tenant)
    assert refused.value.paths == frozenset(pictures[:2])
    assert kept(database, tenant) == before


def test_of_two_equal_files_in_a_batch_the_second_is_not_new(
    database: Database, tenant: TenantScope, folder: Path, pictures: list[Path]
) -> None:
    pictures[1].write_bytes(pictures[0].read_bytes())
    made = ready(prepare_here(Folder(path=folder), pictures))
    with pytest.raises(NotAlone) as refused, database.tenant_work(tenant) as session:
        record(session, made, scope=tenant)
    assert refused.value.paths == frozenset(pictures[1:2])


def test_a_place_that_held_something_else_is_not_new(
    database: Database, tenant: TenantScope, folder: Path, pictures: list[Path]
) -> None:
    with database.tenant_work(tenant) as session:
        record(session, ready(prepare_here(Folder(path=folder), pictures)), scope=tenant)
    pictures[3].write_bytes(picture(77))
    with pytest.raises(NotAlone), database.tenant_work(tenant) as session:
        record(session, ready(prepare_here(Folder(path=folder), pictures[3:4])), scope=tenant)


def test_files_come_through_the_pipe_as_they_were(folder: Path, pictures: list[Path]) -> None:
    whole = prepare_here(Folder(path=folder), [*pictures, folder / "gone.png"])
    made = [made_ready(file) for file in whole.files]
    back = unpacked_files(packed_files(made), [file.path for file in made])
    assert [(file.ready, file.place, file.shown, file.state) for file in back] == [
        (file.ready, file.place, file.shown, file.state) for file in made
    ]
    assert back[-1] == whole.files[-1]
    assert back[-1].state is FileState.VANISHED


def test_lanes_give_rows_where_asked_to(folder: Path, pictures: list[Path]) -> None:
    with Lanes(0) as lanes:
        assert all(file.ready is not None for file in lanes.prepare(Folder(path=folder), pictures, ready=True).files)
        assert all(file.ready is None for file in lanes.prepare(Folder(path=folder), pictures).files)
