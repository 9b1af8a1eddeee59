"""A worker in doubt, decided about in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from memoryd.access.projects import ensure_project
from memoryd.dispatch import doubts
from memoryd.dispatch.pools import ensure_defaults
from tests.dispatch.conftest import add_worker
from tests.web.conftest import Studio
from tests.web.test_isolation import raise_doubt

pytestmark = pytest.mark.browser


def test_a_worker_in_doubt_is_decided_about_with_a_reason(studio: Studio, tab: Page) -> None:
    with studio.database.tenant_work(studio.tenant) as session:
        project = ensure_project(session, "canaries-of")
    with studio.database.farm_work() as session:
        ensure_defaults(session)
        worker = add_worker(session, studio.tenant.id, "drifting-gpu").worker_id
        doubt = raise_doubt(session, worker, studio.tenant.id, project)
    tab.goto(f"{studio.url}/queue/workers/{worker}")
    expect(tab.get_by_text("No longer makes the pixels it made")).to_be_visible()
    tab.get_by_role("link", name="All canaries").click()
    section = tab.get_by_role("region", name="Worker drifting-gpu in doubt")
    expect(section.get_by_role("cell", name="hidden-name")).to_be_visible()
    section.get_by_label("Why").fill("the driver is back")
    section.get_by_role("button", name="Clear: it is mended").click()
    expect(section).to_have_count(0)
    with studio.database.farm_work() as session:
        decided = doubts.find_doubt(session, doubt, tenant_id=studio.tenant.id)
    assert (decided.decision, decided.note) == (doubts.Decision.CLEAR, "the driver is back")
