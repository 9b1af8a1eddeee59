"""The plan on a picture's page, and the producer's page of what can no longer be made."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from memoryd.access.facts import Role
from memoryd.foundation.database import TenantScope
from tests.web.conftest import Known, Studio


def an_asset(http: httpx.Client) -> str:
    found = http.get("/v1/assets", params={"q": "is:all", "limit": 1}).json()["items"]
    return str(found[0]["face"]["id"])


def test_a_plan_is_a_part_and_a_page(studio: Studio, http: httpx.Client) -> None:
    at = f"/assets/{an_asset(http)}/plan"
    whole, part = http.get(at), http.get(at, headers={"HX-Request": "true"})
    assert (whole.status_code, part.status_code) == (200, 200)
    assert "<html" in whole.text
    assert "<html" not in part.text
    for answer in (whole, part):
        assert re.search(r"can(?:not)? be made again", answer.text)


def test_an_outlook_counts_and_names_reasons_and_tells_what_it_cannot_answer(
    studio: Studio, http: httpx.Client
) -> None:
    assert "Nothing is run" in http.get("/outlook").text
    listed = http.get("/outlook", params={"q": "is:all", "show": "all"}).text
    assert re.search(r"<strong>\d+</strong> of \d+ pictures", listed)
    refused = http.get("/outlook", params={"project": "no-such-project"})
    assert (refused.status_code, 'role="alert"' in refused.text) == (200, True)


def test_strangers_and_others_learn_nothing(
    studio: Studio, http: httpx.Client, stranger: httpx.Client, key_of: Known, other_tenant: TenantScope
) -> None:
    at = f"/assets/{an_asset(http)}/plan"
    assert [stranger.get(path).status_code for path in (at, "/outlook?q=is:all")] == [401, 401]
    foreign = key_of(other_tenant, Role.ADMIN, None)
    assert http.get(at, headers=foreign).status_code == 404
    assert "of 0 pictures" in http.get("/outlook?q=is:all", headers=foreign).text


@pytest.mark.browser
def test_a_producer_asks_for_the_plan_and_looks_ahead(studio: Studio, http: httpx.Client, tab: Page) -> None:
    tab.goto(f"{studio.url}/assets/{an_asset(http)}")
    tab.get_by_role("link", name="Plan", exact=True).click()
    expect(tab.locator("#plan")).to_contain_text("be made again")
    tab.get_by_role("link", name="Made again?").click()
    tab.get_by_label("Search").fill("is:all")
    tab.get_by_role("button", name="Look").click()
    expect(tab.get_by_role("main")).to_contain_text("pictures can be made again")
