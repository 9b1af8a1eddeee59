"""A client's file on the pages: candidates side by side, the original's download first, making it again second."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.reproduction.painting import comfy_png, painted
from tests.reproduction.test_from_file import encoded
from tests.web.conftest import Studio


@pytest.fixture(scope="session")
def gallery(studio: Studio) -> Path:
    """A lone picture, and two that are hard to tell apart, of a project of their own."""
    folder = studio.folder.parent / "gallery"
    folder.mkdir()
    (folder / "lone.png").write_bytes(comfy_png(painted(31), seed=31))
    (folder / "one.png").write_bytes(comfy_png(painted(32), seed=32))
    (folder / "<b>two.png").write_bytes(comfy_png(painted(32, wobble=(5, 2.0)), seed=33))
    studio.take_in(folder, project="gallery")
    return folder


def test_a_copy_shows_its_original_first(gallery: Path, http: httpx.Client, studio: Studio) -> None:
    copy = encoded(painted(31), quality=40)
    answer = http.post("/identify", files={"file": ("<i>client.jpg", copy)})
    assert answer.status_code == 200
    assert "<i>client" not in answer.text
    assert "a copy of one picture" in answer.text
    asset = studio.asset(gallery / "lone.png")
    download, again = answer.text.index("Download the original"), answer.text.index("Make again")
    assert download < again
    original = http.get(f"/v1/assets/{asset}/content?download=true").content
    assert hashlib.sha256(original).digest() == hashlib.sha256((gallery / "lone.png").read_bytes()).digest()


def test_what_is_unknown_says_what_to_do(http: httpx.Client, gallery: Path) -> None:
    told = http.post("/identify", files={"file": ("a.jpg", encoded(painted(99)))}).text
    assert "unknown" in told
    assert "memoryd ingest FILE" in told
    with_graph = http.post("/identify", files={"file": ("a.png", comfy_png(painted(98), seed=98))}).text
    assert "--take-in" in with_graph


@pytest.mark.browser
def test_several_plausible_originals_stand_side_by_side(
    studio: Studio, gallery: Path, tab: Page, tmp_path: Path
) -> None:
    copy = tmp_path / "client.jpg"
    Image.open(gallery / "one.png").convert("RGB").save(copy, quality=30)
    tab.goto(f"{studio.url}/identify")
    tab.set_input_files("input[type=file]", copy)
    expect(tab.get_by_alt_text("the file that you chose")).to_be_visible()
    shown = tab.locator("#identified")
    expect(shown).to_contain_text("which of these?")
    expect(shown.locator("ol.candidates > li")).to_have_count(2)
    expect(shown.get_by_role("link", name="<b>two.png")).to_be_visible()
    expect(shown.get_by_role("row").filter(has_text="seed")).to_contain_text("33")
    with tab.expect_download() as fetched:
        shown.locator("ol.candidates > li").first.get_by_role("link", name="Download the original").click()
    assert fetched.value.path().read_bytes() == (gallery / "one.png").read_bytes()
    shown.get_by_role("button", name="Make one.png again").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("one.png, made again")
    assert "/reproductions/" in tab.url
