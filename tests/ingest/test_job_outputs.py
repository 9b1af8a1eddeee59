from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import pytest
from sqlalchemy import text

from memoryd.access.people import ensure_person
from memoryd.access.projects import ensure_project
from memoryd.catalog import new_files
from memoryd.catalog.facts import AssetKind, LocationRecord
from memoryd.catalog.ready_rows import TABLES
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import JobId, new_id
from memoryd.ingest.facts import Folder, JobFacts, JobOutput
from memoryd.ingest.job_outputs import prepare_job
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record, record_job_outputs
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture, png, prompt


def _facts(**changes: object) -> JobFacts:
    facts = JobFacts(
        job_id=JobId(new_id()), project_id=None, person_id=None, prompt_document=json.dumps(prompt(1)).encode()
    )
    return dataclasses.replace(facts, **changes)  # type: ignore[arg-type]


def _output(store: BlobStore, tenant: TenantScope, content: bytes, **changes: object) -> JobOutput:
    stored = store.put_bytes(tenant.slug, content)
    output = JobOutput(
        node="9",
        filename="ComfyUI_00001_.png",
        sha256=stored.sha256,
        size=stored.size,
        media_type="image/png",
        stored=stored,
        batch_index=0,
        source=store.path(tenant.slug, stored.sha256),
    )
    return dataclasses.replace(output, **changes)  # type: ignore[arg-type]


def test_who_and_what_are_the_jobs_and_not_the_files(
    database: Database, tenant: TenantScope, store: BlobStore, rows: Rows
) -> None:
    with database.tenant_work(tenant) as session:
        project, person = ensure_project(session, "film"), ensure_person(session, "ada", "Ada")
    lying = png({"prompt": json.dumps({"1": {"class_type": "SaveImage", "inputs": {}}}), "author": '"somebody"'})
    job = _facts(
        project_id=project,
        person_id=person,
        environment={"comfyui": "0.29.0", "devices": [{"name": "A"}, {"name": "B"}]},
    )
    outputs = [_output(store, tenant, lying)]
    with database.tenant_work(tenant) as session:
        recorded = record_job_outputs(session, scope=tenant, job=job, outputs=outputs)
    assert recorded.new == 1
    (run,) = rows("select project_id, person_id, origin, environment from generation")
    assert (run.project_id, run.person_id, run.origin) == (project, person, "job")
    environment = rows("select hash, comfyui_version, gpu from environment")
    assert environment == [(run.environment, "0.29.0", "A, B")]
    assert rows("select 1 from asset_text where words @@ 'fox'::tsquery")
    assert rows("select width, made_source from asset") == [(2, "job")]


def test_the_watcher_finds_a_jobs_file_known_and_both_are_one_run(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, rows: Rows
) -> None:
    executed = prompt(1)
    executed["3"]["is_changed"] = ["x"]
    content = png({"prompt": json.dumps(executed)})
    (folder / "a.png").write_bytes(content)
    asked = prompt(1)
    asked["3"]["inputs"]["steps"] = "3"  # what a client sent; ComfyUI wrote the number that it understood
    job = _facts(prompt_document=json.dumps(asked).encode())
    for first in ("watcher", "job"):
        with database.tenant_work(tenant) as session:
            if first == "watcher":
                record(session, prepare_here(Folder(path=folder), [folder / "a.png"]), scope=tenant)
            record_job_outputs(session, scope=tenant, job=job, outputs=[_output(store, tenant, content)])
            record(session, prepare_here(Folder(path=folder), [folder / "a.png"]), scope=tenant)
    assert rows("select count(*) from asset")[0][0] == 1
    assert rows("select count(*) from generation where adopted_by is null") == [(1,)]
    assert rows("select origin from generation where adopted_by is null") == [("job",)]


def test_each_output_knows_its_own_node(tenant: TenantScope, store: BlobStore) -> None:
    graph = prompt(1)
    graph["20"] = {"class_type": "ImageInvert", "inputs": {"image": ["8", 0]}}
    graph["21"] = {"class_type": "SaveImage", "inputs": {"images": ["20", 0], "filename_prefix": "ComfyUI"}}
    document = json.dumps(graph).encode()
    outputs = [
        _output(store, tenant, png({"prompt": document}, colour=n), node=node) for n, node in enumerate(("9", "21"))
    ]
    first, second = prepare_job(_facts(prompt_document=document), outputs).assets
    assert first.generation is not None
    assert second.generation is not None
    assert (first.generation.output.node, second.generation.output.node) == ("9", "21")
    assert first.generation.output.output_digest != second.generation.output.output_digest
    assert first.generation.exact == second.generation.exact
    assert first.generation.output.certain
    assert second.generation.parameters.samplers[0].seed == 1


def test_inputs_are_those_that_the_worker_put_there(tenant: TenantScope, store: BlobStore) -> None:
    graph = prompt(1)
    graph["11"] = {"class_type": "LoadImage", "inputs": {"image": "fox.png"}}
    graph["12"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["11", 0], "vae": ["4", 2]}}
    graph["3"]["inputs"]["latent_image"] = ["12", 0]
    job = _facts(prompt_document=json.dumps(graph).encode(), inputs={"fox.png": hashlib.sha256(b"fox").digest()})
    (asset,) = prepare_job(job, [_output(store, tenant, picture())]).assets
    assert asset.generation is not None
    assert [use.sha256 for use in asset.generation.parameters.inputs] == [hashlib.sha256(b"fox").digest()]


def test_a_file_without_metadata_or_plugin_is_recorded_all_the_same(tenant: TenantScope, store: BlobStore) -> None:
    video = b"RIFF\0\0\0\0AVI " + b"\0" * 40
    (bare, film) = prepare_job(
        _facts(),
        [
            _output(store, tenant, png({})),
            _output(store, tenant, video, filename="a.avi", media_type="video/x-msvideo"),
        ],
    ).assets
    assert bare.generation is not None
    assert bare.generation.parameters.samplers[0].seed == 1
    assert (film.kind, film.media_type) == (AssetKind.VIDEO, "video/x-msvideo")


def test_what_is_appended_as_new_is_what_is_recorded_whole(
    database: Database, tenant: TenantScope, store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = prompt(1)
    graph["20"] = {"class_type": "ImageInvert", "inputs": {"image": ["8", 0]}}
    graph["21"] = {"class_type": "SaveImage", "inputs": {"images": ["20", 0], "filename_prefix": "ComfyUI"}}
    graph["11"] = {"class_type": "LoadImage", "inputs": {"image": "fox.png"}}
    graph["12"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["11", 0], "vae": ["4", 2]}}
    graph["3"]["inputs"]["latent_image"] = ["12", 0]
    document = json.dumps(graph).encode()
    with database.tenant_work(tenant) as session:
        project, person = ensure_project(session, "film"), ensure_person(session, "ada", "Ada")
    job = _facts(
        project_id=project,
        person_id=person,
        prompt_document=document,
        ended_at=datetime.datetime.now(datetime.UTC),
        inputs={"fox.png": hashlib.sha256(b"fox").digest()},
        pins={("checkpoints", graph["4"]["inputs"]["ckpt_name"]): hashlib.sha256(b"model").digest()},
    )
    outputs = [
        _output(store, tenant, png({"prompt": document}, colour=n), node=node, batch_index=n, location=_place(n))
        for n, node in enumerate(("9", "9", "21"))
    ]
    found = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr(new_files, "record_outputs", _not_surely_new)
        with contextlib.suppress(_UndoneError), database.tenant_work(tenant) as session:
            assert record_job_outputs(session, scope=tenant, job=job, outputs=outputs).new == 3
            found.append(_told(session))
            raise _UndoneError
    assert found[0] == found[1]
    assert len(found[0]["generation_output"]) == 3
    assert {row["identified"] for row in found[0]["generation_model"]} == {"pin"}


def test_a_job_of_which_something_is_known_is_recorded_whole(
    database: Database, tenant: TenantScope, store: BlobStore, rows: Rows
) -> None:
    job = _facts()
    first, again, other = (_output(store, tenant, png({}, colour=n)) for n in (1, 1, 2))
    for outputs in ([first], [again, other], [other, other]):
        with database.tenant_work(tenant) as session:
            record_job_outputs(session, scope=tenant, job=job, outputs=outputs)
    assert rows("select count(*) from asset") == [(2,)]
    assert rows("select count(*) from generation") == [(1,)]
    assert rows("select count(distinct asset_id) from generation_output") == [(2,)]


def _place(number: int) -> LocationRecord:
    return LocationRecord(
        watch_root_id=None, path=f"/outputs/{number}.png".encode(), size=1, mtime_ns=1, inode=1, device=1
    )


def _not_surely_new(*_: object) -> NoReturn:
    raise new_files.NotSurelyNew((0,))


class _UndoneError(Exception):
    """What was recorded is looked at, and given up."""


def _told(session: Session) -> dict[str, list[dict[str, object]]]:
    """What is recorded in all tables of new files, with what an id stands for in its place."""

    def rows(statement: str) -> list[Any]:
        return list(session.execute(text(statement)))

    stands: dict[object, object] = {row.id: row.sha256 for row in rows("select id, sha256 from asset")}
    stands |= {row.id: "the run" for row in rows("select id from generation")}
    stands |= {row.id: row.path for row in rows("select id, path from location")}
    told = {}
    for table, columns in TABLES:
        found = [
            {column: stands.get(value, value) if isinstance(value, UUID) else value for column, value in
             zip(columns, row, strict=True)}
            for row in rows(f"select {', '.join(columns)} from {table}")
        ]  # fmt: skip
        told[table] = sorted(found, key=repr)
    return told
