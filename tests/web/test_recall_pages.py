"""A model is looked at, recalled and lifted again in a browser."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from memoryd.access.facts import Role
from memoryd.foundation.database import TenantScope
from tests.web.conftest import Known, Studio

MODEL = (bytes([9]) * 32).hex()


@pytest.mark.browser
def test_a_model_is_recalled_and_lifted_with_a_reason(studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/models")
    tab.get_by_role("link", name="Recalls").click()
    tab.get_by_label("What did a model touch?").fill(MODEL)
    tab.get_by_role("button", name="Look").click()
    expect(tab.get_by_role("cell", name="0 in 0 lines")).to_be_visible()
    tab.get_by_label("As").select_option("malicious")
    tab.get_by_label("Why").fill("it runs <b>code</b>")
    tab.get_by_role("button", name="Recall").click()
    expect(tab.get_by_text("Recalled as malicious")).to_be_visible()
    expect(tab.get_by_text("it runs <b>code</b>")).to_be_visible()
    tab.get_by_label("Why").fill("clean after all")
    tab.get_by_role("button", name="Lift it").click()
    expect(tab.get_by_text("clean after all")).to_be_visible()
    expect(tab.get_by_role("button", name="Lift it")).to_have_count(0)


def test_who_sees_one_project_is_told_so_and_offered_nothing(
    studio: Studio, key_of: Known, tenant: TenantScope
) -> None:
    headers = key_of(tenant, Role.VIEWER, "recall-viewers")
    looked = httpx.get(f"{studio.url}/recalls/look", params={"model": MODEL}, headers=headers)
    assert looked.status_code == 200, looked.text
    assert "there may be more" in looked.text
    assert 'action="/recalls"' not in looked.text
    asked = {"model": MODEL, "reason": "x"}
    assert httpx.post(f"{studio.url}/recalls", data=asked, headers=headers).status_code == 403
