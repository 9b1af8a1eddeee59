"""What people say and decide of a picture, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from memoryd.catalog.proposals import propose
from memoryd.catalog.queries.showing import find_root_of
from tests.web.conftest import Studio, Watched

pytestmark = pytest.mark.browser


@pytest.fixture
def lone(studio: Studio, request: pytest.FixtureRequest) -> Path:
    """A picture of a project of its own, without a recipe."""
    folder = studio.folder.parent / f"deciding-{request.node.name}"
    folder.mkdir()
    picture = folder / "lone.png"
    # Nobody else's bytes: what follows a PNG's end belongs to no picture.
    picture.write_bytes((studio.folder / "no_metadata.png").read_bytes() + request.node.name.encode())
    studio.take_in(folder, project="deciding")
    return picture


def test_a_person_declares_how_a_picture_was_made_and_takes_it_back(studio: Studio, tab: Page, lone: Path) -> None:
    tab.goto(studio.page(lone))
    tab.get_by_text("Say how it was made, or from what").click()
    tab.get_by_label("Made by").fill("midjourney")
    tab.get_by_label("Prompt", exact=True).fill("an <b>otter</b> in the rain")
    tab.get_by_label("Seed").fill("18446744073709551615")
    tab.get_by_role("button", name="Declare").click()
    said = tab.get_by_role("region", name="Declared by people")
    expect(said).to_contain_text("Made by midjourney")
    expect(said).to_contain_text("18446744073709551615")
    expect(tab.get_by_text("an <b>otter</b> in the rain").first).to_be_visible()
    tab.goto(f"{studio.url}/?q=otter+project:deciding")
    expect(tab.locator(".card")).to_have_count(1)
    tab.locator(".card").click()
    tab.get_by_role("button", name="Withdraw").click()
    expect(tab.get_by_role("region", name="Declared by people")).to_contain_text("withdrawn")
    tab.goto(f"{studio.url}/?q=otter+project:deciding")
    expect(tab.locator(".card")).to_have_count(0)


def test_a_seed_that_is_none_is_told_with_the_next_step(studio: Studio, watched: Watched, lone: Path) -> None:
    tab = watched.page
    tab.goto(studio.page(lone))
    tab.get_by_text("Say how it was made, or from what").click()
    tab.get_by_label("Made by").fill("midjourney")
    tab.get_by_label("Seed").fill("-1")
    tab.get_by_role("button", name="Declare").click()
    expect(tab.locator("#said")).to_contain_text("is no seed")
    expect(tab.locator("#said")).to_contain_text("a whole number from 0")


def test_a_parent_is_recorded_with_who_says_so(studio: Studio, tab: Page, lone: Path) -> None:
    tab.goto(studio.page(lone))
    tab.get_by_text("Say how it was made, or from what").click()
    tab.get_by_label("Made from").fill(str(studio.folder / "txt2img_basic.png"))
    tab.get_by_label("How").select_option("retouched")
    tab.get_by_role("button", name="Record its parent").click()
    family = tab.get_by_role("region", name="Lineage")
    expect(family).to_contain_text("txt2img_basic.png")
    expect(family).to_contain_text("retouched, declared")


def test_a_picture_goes_out_of_sight_and_comes_back(studio: Studio, tab: Page, lone: Path) -> None:
    tab.goto(studio.page(lone))
    tab.get_by_role("button", name="Hide").click()
    expect(tab.get_by_text("Out of sight in deciding: hidden.", exact=True)).to_be_visible()
    found = f"{studio.url}/?q=project:deciding+file:{lone.parent.name}"
    tab.goto(found)
    expect(tab.locator(".card")).to_have_count(0)
    tab.goto(f"{studio.url}/removed")
    expect(tab.get_by_role("row").filter(has_text="lone.png").first).to_contain_text("hidden")
    tab.get_by_role("row").filter(has_text="lone.png").first.get_by_role("button").click()
    expect(tab.get_by_role("button", name="Hide")).to_be_visible()
    tab.goto(found)
    expect(tab.locator(".card")).to_have_count(1)


def test_a_likeness_is_decided_by_a_person(studio: Studio, tab: Page, lone: Path) -> None:
    child, parent = studio.asset(lone), studio.asset("txt2img_lora.png")
    with studio.database.tenant_work(studio.tenant) as session:
        roots = [find_root_of(session, asset) for asset in (child, parent)]
        assert roots[0] is not None
        assert roots[1] is not None
        assert propose(session, roots[0], roots[1], "upscaled", {"distance": 3})
    tab.goto(f"{studio.url}/decisions")
    asked = tab.locator(".decision").filter(has_text="upscaled")
    expect(asked).to_contain_text("3 of 256 bits differ")
    asked.get_by_role("button", name="Yes, record it").click()
    expect(tab.locator(".decision").filter(has_text="upscaled")).to_have_count(0)
    tab.goto(studio.page(lone))
    expect(tab.get_by_role("region", name="Lineage")).to_contain_text("upscaled, accepted")
