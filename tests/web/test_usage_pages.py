"""The usage page: sums that may be seen, a file for a spreadsheet, and questions that cannot be answered."""

from __future__ import annotations

import uuid

import httpx
import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import text

from memoryd.access.facts import Role
from memoryd.access.projects import ensure_project
from memoryd.dispatch.pools import ensure_defaults
from memoryd.foundation.database import TenantScope
from tests.web.conftest import Known, Studio

MODEL = "=cmd|' /C calc'!A0"
"""A model's name that a spreadsheet would run."""


@pytest.fixture(scope="session")
def spent(studio: Studio) -> Studio:
    """The studio after two runs of project `billed` and one of project `unseen`."""
    with studio.database.tenant_work(studio.tenant) as session:
        owners = [ensure_project(session, slug) for slug in ("billed", "billed", "unseen")]
    with studio.database.farm_work() as session:
        ensure_defaults(session)
        for fence, owner in enumerate(owners, 900_001):
            session.execute(
                text("""
                insert into run_figure (fence, job_id, tenant_id, project_id, pool_id, class_id, worker_id, model_set,
                                        outcome, waited_ms, leased_at, ended_at)
                select :fence, :job, :tenant, :project, p.id, 1, :job, :model, 'succeeded', 1000,
                       clock_timestamp() - interval '90 s', clock_timestamp()
                  from pool p where p.name = 'default'"""),
                {
                    "fence": fence,
                    "job": uuid.uuid4(),
                    "tenant": studio.tenant.id,
                    "project": owner,
                    "model": MODEL if fence == 900_001 else "sdxl.safetensors",
                },
            )
    return studio


@pytest.mark.browser
def test_a_producer_sums_what_was_used(spent: Studio, tab: Page) -> None:
    tab.goto(f"{spent.url}/usage")
    billed = tab.get_by_role("row").filter(has_text="billed")
    expect(billed).to_contain_text("3 min 0 s")
    tab.get_by_label("then by").select_option("model")
    tab.get_by_role("button", name="Show").click()
    expect(tab.get_by_role("row").filter(has_text=MODEL)).to_contain_text("1 min 30 s")
    tab.get_by_label("Since").fill("soon")
    tab.get_by_role("button", name="Show").click()
    expect(tab.get_by_role("alert")).to_contain_text("Next: 2026")


def test_the_file_runs_nothing_in_a_spreadsheet(spent: Studio, http: httpx.Client) -> None:
    answer = http.get("/usage.csv?by=project&then=model")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.startswith("project,model,runs,")
    assert f"billed,'{MODEL}" in answer.text
    assert http.get("/usage.csv?since=soon").status_code == 422


def test_each_sees_only_what_is_theirs(
    spent: Studio, http: httpx.Client, stranger: httpx.Client, key_of: Known, other_tenant: TenantScope
) -> None:
    assert stranger.get("/usage").status_code == 401
    assert stranger.get("/usage.csv").status_code == 401
    for address in ("/usage", "/usage.csv"):
        producer = http.get(address, headers=key_of(spent.tenant, Role.PRODUCER, "billed")).text
        assert "billed" in producer
        assert "unseen" not in producer
        artist = http.get(address, headers=key_of(spent.tenant, Role.ARTIST, "billed")).text
        assert "sdxl" not in artist
        assert "3 min" not in artist
        rival = http.get(address, headers=key_of(other_tenant, Role.ADMIN, None)).text
        assert "billed" not in rival
