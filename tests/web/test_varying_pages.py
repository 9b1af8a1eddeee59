"""Variations and enlargements from a picture's page."""

from __future__ import annotations

import httpx
from playwright.sync_api import Page, expect

from tests.web.conftest import Studio

BASIC = "txt2img_basic.png"
GREATEST = "txt2img_seed_u64max.png"


def test_the_form_is_filled_with_what_the_picture_was_made_with(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page(GREATEST))
    tab.get_by_role("link", name="Vary…").click()
    expect(tab.get_by_label("seed 3.seed", exact=True)).to_have_value("18446744073709551615")
    expect(tab.get_by_label("prompt 6.text", exact=True)).to_have_value("max seed")
    tab.get_by_label("cfg 3.cfg", exact=True).fill("5, 7.5")
    tab.get_by_label("Fresh seeds for each").fill("2")
    tab.get_by_role("button", name="Show what it comes to").click()
    expect(tab.get_by_role("status").first).to_contain_text("4 runs")
    expect(tab.get_by_label("cfg 3.cfg", exact=True)).to_have_value("5, 7.5")
    tab.get_by_role("button", name="Queue 4").click()
    expect(tab.get_by_text("4 ready")).to_be_visible()
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.get_by_text("4 cancelled")).to_be_visible()
    tab.goto(studio.page(GREATEST))
    tab.get_by_role("link", name="Vary…").click()
    expect(tab.get_by_role("heading", name="Asked for before")).to_be_visible()


def test_what_is_refused_is_said_beside_the_form_and_nothing_typed_is_lost(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page(BASIC))
    tab.get_by_role("link", name="Vary…").click()
    tab.get_by_label("steps 3.steps", exact=True).fill("many")
    tab.get_by_role("button", name="Queue it").click()
    expect(tab.get_by_role("alert")).to_contain_text("the template has one there")
    expect(tab.get_by_label("steps 3.steps", exact=True)).to_have_value("many")
    tab.get_by_label("steps 3.steps", exact=True).fill("3")
    tab.get_by_role("button", name="Queue it").click()
    expect(tab.get_by_role("alert")).to_contain_text("Nothing was said to differ")


def test_without_scripts_the_forms_are_pages_of_their_own(studio: Studio, http: httpx.Client) -> None:
    asset = studio.asset(BASIC)
    form = http.get(f"/assets/{asset}/variations")
    assert form.status_code == 200
    assert "<h1>Variations</h1>" in form.text
    fields = {"place": ["3.seed", "6.text"], "value": ["42", "a cat, = 5"], "do": "look", "other": "5.batch_size=2"}
    seen = http.post(f"/assets/{asset}/variations", data=fields)
    assert "1 picture" in seen.text
    assert "a cat, = 5" in seen.text
    assert "3.seed" not in seen.text.partition("</section>")[0].partition('aria-label="What it comes to"')[2]
    larger = http.get(f"/assets/{asset}/enlargements")
    assert "another picture" in larger.text
    refused = http.post(f"/assets/{asset}/enlargements", data={"to": "640x128"})
    assert refused.status_code == 422
    assert "--crop" in refused.text
    begun = http.post(f"/assets/{asset}/enlargements", data={"to": "640x128", "fit": "crop"})
    assert begun.status_code == 303
    assert "under way" in http.get(begun.headers["location"]).text
