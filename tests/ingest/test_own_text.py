"""Our own `memoryd` text in a file: a claim, believed only where it names a run of ours and the file holds its graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memoryd.access.people import ensure_person
from memoryd.access.projects import ensure_project
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import JobId, new_id
from memoryd.ingest.facts import Folder, JobFacts, JobOutput
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record, record_job_outputs
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import png, prompt

GRAPH = json.dumps(prompt(7))


@pytest.mark.parametrize(
    ("told", "source", "findings"),
    [
        ('{"job": "JOB"}', "chunk", []),
        ('{"job": "JOB", "asset": "018f0000-0000-7000-8000-000000000000"}', "folder", ["claim-not-believed"]),
        ('{"job": "018f0000-0000-7000-8000-000000000000"}', "folder", ["claim-not-believed"]),
        ("not JSON", "folder", ["claim-not-believed"]),
    ],
)
def test_a_file_that_names_a_job_of_ours_is_its_project_s_if_the_graph_is_the_job_s(
    database: Database,
    tenant: TenantScope,
    folder: Path,
    store: BlobStore,
    rows: Rows,
    told: str,
    source: str,
    findings: list[str],
) -> None:
    job = JobId(new_id())
    body = png({"prompt": GRAPH}, colour=7)
    stored = store.put_bytes(tenant.slug, body)
    with database.tenant_work(tenant) as session:
        fox, owl = ensure_project(session, "fox"), ensure_project(session, "owl")
        facts = JobFacts(
            job_id=job, project_id=fox, person_id=ensure_person(session, "ada", "Ada"), prompt_document=GRAPH.encode()
        )
        output = JobOutput(
            node="9", filename="a.png", sha256=stored.sha256, size=len(body), media_type="image/png", stored=stored
        )
        record_job_outputs(session, scope=tenant, job=facts, outputs=[output])
    # Another colour: an edited copy of what the job made, dropped into the folder of another project.
    claim = told.replace("JOB", str(job))
    (folder / "copy.png").write_bytes(png({"prompt": GRAPH, "memoryd": claim}, colour=9))
    prepared = prepare_here(Folder(path=folder, project_id=owl), [folder / "copy.png"], named=True)
    with database.tenant_work(tenant) as session:
        recorded = record(session, prepared, scope=tenant)
    asset = recorded.assets[0].asset_id
    [run] = rows(
        "select g.attribution_source as source, g.project_id as project from generation g"
        " join generation_output o on o.generation_id = g.id where o.asset_id = :asset",
        asset=asset,
    )
    assert (run.source, run.project) == (source, fox if source == "chunk" else owl)
    [extraction] = rows("select findings from extraction where asset_id = :asset", asset=asset)
    codes = [found["code"] for found in extraction.findings]
    assert [code for code in codes if code == "claim-not-believed"] == findings
