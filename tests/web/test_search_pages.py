"""The search page in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from memoryd.web import search_pages
from tests.web.conftest import PICTURES, Studio, Watched

pytestmark = pytest.mark.browser


def test_the_grid_shows_thumbnails_and_finds_words(studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/?q=project:default")
    expect(tab.locator(".card")).to_have_count(len(PICTURES))
    expect(tab.locator(".card img")).to_have_count(len(PICTURES))
    for image in tab.locator(".card img").all():
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
    tab.get_by_role("searchbox").fill("fox snow project:default")
    tab.keyboard.press("Enter")
    expect(tab.locator(".card")).to_have_count(1)
    expect(tab.locator(".card")).to_contain_text("a red fox in the snow")
    expect(tab.get_by_role("searchbox")).to_have_value("fox snow project:default")


def test_scrolling_loads_the_next_page_to_the_end(studio: Studio, tab: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_pages, "SHOWN_HITS", 2)
    tab.set_viewport_size({"width": 500, "height": 300})
    tab.goto(f"{studio.url}/?q=project:default")
    while tab.locator(".more").count():
        shown = tab.locator(".card").count()
        tab.locator(".more").scroll_into_view_if_needed()
        expect(tab.locator(".card")).not_to_have_count(shown)
    addresses = [card.get_attribute("href") for card in tab.locator(".card").all()]
    assert len(set(addresses)) == len(addresses) == len(PICTURES)


def test_a_query_that_is_not_understood_is_answered_where_it_can_be_mended(studio: Studio, watched: Watched) -> None:
    watched.page.goto(f"{studio.url}/?q=colour:red")
    expect(watched.page.get_by_role("alert")).to_contain_text("colour")
    expect(watched.page.get_by_role("searchbox")).to_have_value("colour:red")


def test_nothing_found_says_what_next(studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/?q=zebra")
    expect(tab.get_by_text("Fewer words find more")).to_be_visible()


def test_the_keyboard_reaches_a_picture(studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/?q=snow+project:default")
    tab.keyboard.press("Tab")
    expect(tab.locator(".skip")).to_be_focused()
    tab.keyboard.press("Enter")
    for _ in range(3):
        tab.keyboard.press("Tab")
    expect(tab.locator(".card")).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", level=1)).to_have_text("txt2img_basic.png")
