"""One picture's page in a real browser: what it tells, and what people do on it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import text

from memoryd.disclosure import pki
from memoryd.disclosure.facts import SealState
from memoryd.disclosure.verifying import verify_file
from memoryd.reports.sealing import verify_report
from tests.web.conftest import WINDOWS_ALIAS, Studio, Watched

pytestmark = pytest.mark.browser


def test_it_tells_recipe_models_and_lineage(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page("img2img_from_output_annotated.png"))
    expect(tab.get_by_role("heading", name="Recipe")).to_be_visible()
    expect(tab.locator(".facts .text").first).to_have_text("a red fox")
    recipe = tab.get_by_role("region", name="Recipe", exact=True)
    model = recipe.get_by_role("row").filter(has_text="tiny-sd15-random.safetensors")
    expect(model.get_by_text("unknown")).to_have_count(2)
    verdict = tab.get_by_role("region", name="May it be used?")
    expect(verdict.get_by_role("row").filter(has_text="tiny-sd15-random.safetensors")).to_contain_text("unknown")
    parent = tab.get_by_role("region", name="Lineage").get_by_role("link")
    expect(parent).to_have_text("txt2img_lora.png")
    parent.click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("txt2img_lora.png")
    expect(tab.get_by_role("region", name="Lineage").get_by_role("heading", name="Used in")).to_be_visible()


def test_the_greatest_seed_is_shown_and_copied_exactly(studio: Studio, tab: Page) -> None:
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=studio.url)
    tab.goto(studio.page("txt2img_seed_u64max.png"))
    expect(tab.get_by_text("18446744073709551615", exact=True)).to_be_visible()
    tab.get_by_role("button", name="Copy the seed").click()
    expect(tab.locator("#said")).to_have_text("Copied.")
    assert tab.evaluate("navigator.clipboard.readText()") == "18446744073709551615"
    tab.get_by_role("button", name="Copy the path on edit-07").click()
    expect(tab.locator("#said")).to_have_text("Copied.")
    assert tab.evaluate("navigator.clipboard.readText()") == f"{WINDOWS_ALIAS}\\txt2img_seed_u64max.png"


def test_what_people_attach_is_there_after_a_reload(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page("txt2img_basic.png"))
    tab.get_by_label("Tag", exact=True).fill("Hero  shot")
    tab.get_by_role("button", name="Tag", exact=True).click()
    expect(tab.get_by_role("link", name="hero shot")).to_be_visible()
    expect(tab.locator("#said")).to_have_text("Tagged.")
    tab.get_by_label("Stars").select_option("4")
    tab.get_by_role("button", name="Rate").click()
    expect(tab.get_by_role("img", name="4 of 5 stars")).to_be_visible()
    tab.get_by_role("button", name="Approve").click()
    expect(tab.get_by_text("approved by local")).to_be_visible()
    tab.get_by_label("Note").fill("for the <b>cover</b>")
    tab.get_by_role("button", name="Note").click()
    expect(tab.get_by_text("for the <b>cover</b>")).to_be_visible()
    tab.reload()
    expect(tab.get_by_role("img", name="4 of 5 stars")).to_be_visible()
    expect(tab.get_by_text("approved by local")).to_be_visible()
    expect(tab.get_by_text("for the <b>cover</b>")).to_be_visible()
    tab.get_by_role("link", name="hero shot").click()
    expect(tab.locator(".card")).to_have_count(1)
    tab.locator(".card").click()
    tab.get_by_role("button", name="Take the tag hero shot off").click()
    expect(tab.get_by_text("no tags")).to_be_visible()


def test_a_tag_that_cannot_be_hung_is_told(studio: Studio, watched: Watched) -> None:
    tab = watched.page
    tab.goto(studio.page("txt2img_basic.png"))
    tab.get_by_label("Tag", exact=True).fill("a:b")
    tab.get_by_role("button", name="Tag", exact=True).click()
    expect(tab.locator("#said")).to_contain_text("no colon")


def test_a_signed_copy_is_made_downloaded_and_verifies(studio: Studio, tab: Page, tmp_path: Path) -> None:
    tab.goto(studio.page("txt2img_lora.png"))
    expect(tab.get_by_text("no manifest: the file says nothing signed")).to_be_visible()
    tab.get_by_role("button", name="Signed copy").click()
    row = tab.get_by_role("row").filter(has_text="trainedAlgorithmicMedia")
    expect(row).to_contain_text("development certificate")
    with tab.expect_download() as download:
        row.get_by_role("link", name="download").click()
    signed = tmp_path / "signed.png"
    download.value.save_as(signed)
    assert download.value.suggested_filename == "signed-txt2img_lora.png"
    assert verify_file(signed, pki.load_anchors(studio.offices.keys / "pki")).good
    with studio.database.tenant_work(studio.tenant) as session:
        made = session.execute(
            text("select count(*) from disclosure where original_id = :id"), {"id": studio.asset("txt2img_lora.png")}
        )
        assert made.scalar_one() == 1
    row.get_by_role("link", name="show").click()
    expect(tab.get_by_text("This is a signed copy")).to_be_visible()
    expect(tab.get_by_role("button", name="Signed copy")).to_have_count(0)
    tab.goto(f"{studio.url}/verify")
    tab.set_input_files("input[type=file]", signed)
    expect(tab.locator("#verdict").get_by_text("yes: exactly these bytes")).to_be_visible()
    expect(tab.locator("#verdict .pill")).to_have_class("pill good")


def test_without_evidence_nothing_is_signed_and_it_says_why(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page("no_metadata.png"))
    tab.get_by_role("button", name="Signed copy").click()
    expect(tab.get_by_role("alert")).to_contain_text("Nothing was signed")
    expect(tab.get_by_role("alert")).to_contain_text("Next:")


def test_making_again_without_a_worker_waits_and_says_so(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page("txt2img_seed_u64max.png"))
    tab.get_by_role("button", name="Make again").click()
    attempts = tab.locator("#attempts")
    expect(attempts).to_contain_text("No worker of pool default is online")
    attempts.get_by_role("link", name="queue").click()
    job = tab.get_by_role("row").filter(has_text="reproduction").first
    expect(job).to_contain_text("waiting")
    job.get_by_role("button", name="Cancel").click()
    expect(job).to_contain_text("cancelled")


def test_what_has_no_graph_is_not_attempted(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page("no_metadata.png"))
    tab.get_by_role("button", name="Make again").click()
    expect(tab.locator("#attempts .pill")).to_have_text("not attempted")
    expect(tab.locator("#attempts")).to_contain_text("no-graph")
    expect(tab.locator("#attempts")).to_contain_text("Next:")


def test_the_workflow_is_downloaded_as_it_was(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page("txt2img_basic.png"))
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Download workflow").click()
    assert download.value.suggested_filename.endswith(".workflow.json")
    written = (studio.folder / "txt2img_basic.png").read_bytes()
    assert Path(download.value.path()).read_bytes() in written


def test_the_report_is_read_and_its_archive_verifies(studio: Studio, tab: Page, tmp_path: Path) -> None:
    tab.goto(studio.page("txt2img_basic.png"))
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Signed report").click()
    with zipfile.ZipFile(download.value.path()) as packed:
        packed.extractall(tmp_path)
    anchors = pki.load_anchors(studio.offices.keys / "pki")
    for suffix in ("json", "html"):
        [report] = tmp_path.glob(f"*.{suffix}")
        assert verify_report(report, anchors).state is SealState.INTACT
    tab.get_by_role("link", name="Report", exact=True).click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Lineage report")
    expect(tab.get_by_role("cell", name="tiny-sd15-random.safetensors checkpoints")).to_be_visible()


def test_a_narrow_screen_needs_no_sideways_scrolling(studio: Studio, tab: Page) -> None:
    tab.set_viewport_size({"width": 360, "height": 740})
    for path in ("/", "/queue", "/verify", "/intake", studio.page("txt2img_lora.png").removeprefix(studio.url)):
        tab.goto(studio.url + path)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_it_can_be_read_and_used_without_scripts(studio: Studio, chromium: Browser) -> None:
    plain = chromium.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    try:
        tab = plain.new_page()
        tab.goto(f"{studio.url}/?q=snow+project:default")
        tab.locator(".card").click()
        expect(tab.locator(".facts .text").first).to_have_text("a red fox in the snow, masterpiece")
        tab.get_by_label("Tag", exact=True).fill("plain")
        tab.get_by_role("button", name="Tag", exact=True).click()
        expect(tab.get_by_role("link", name="plain")).to_be_visible()
        tab.get_by_role("link", name="Verify it").click()
        expect(tab.get_by_text("no manifest")).to_be_visible()
    finally:
        plain.close()
