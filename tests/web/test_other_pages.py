"""Queue, verifying, intake, signing in and the API's page in a real browser."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from memoryd.access import people, sessions
from memoryd.access.facts import Role
from memoryd.access.guards import Offices
from memoryd.access.projects import ensure_project
from memoryd.dispatch.pools import DEFAULT_POOL
from memoryd.storage.blob_store import BlobStore
from memoryd.submission.facts import Submission
from memoryd.submission.submitting import submit
from tests.web.conftest import Studio, Watched, offices_over, serving

pytestmark = pytest.mark.browser

GRAPH = '{"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}, ' + (
    '"2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}'
)


def test_the_queue_shows_a_new_job_by_itself(studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/queue")
    caller = sessions.local_caller(studio.database, "default")
    wish = Submission(prompt=GRAPH, name="<i>lone</i> wanderer", project_id=studio.project_id, pool=DEFAULT_POOL)
    with studio.database.tenant_work(studio.tenant) as session:
        assert isinstance(studio.offices.store, BlobStore)
        submit(session, wish, scope=studio.tenant, caller=caller, store=studio.offices.store)
    job = tab.get_by_role("row").filter(has_text="wanderer")
    expect(job).to_contain_text("waiting")
    job.get_by_role("button", name="Cancel").click()
    expect(job).to_contain_text("cancelled")


def test_a_text_file_gets_a_verdict(studio: Studio, tab: Page, tmp_path: Path) -> None:
    note = tmp_path / "<img src=x>.txt"
    note.write_text("no picture at all")
    tab.goto(f"{studio.url}/verify")
    tab.set_input_files("input[type=file]", note)
    expect(tab.locator("#verdict h2")).to_have_text("<img src=x>.txt")
    expect(tab.locator("#verdict")).to_contain_text("no asset has exactly these bytes")


def test_a_dropped_file_is_looked_up(studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/verify")
    content = (studio.folder / "txt2img_basic.png").read_bytes()
    tab.evaluate(
        """bytes => {
            const moved = new DataTransfer();
            moved.items.add(new File([new Uint8Array(bytes)], "found.png", { type: "image/png" }));
            const zone = document.querySelector("[data-drop]");
            zone.dispatchEvent(new DragEvent("drop", { dataTransfer: moved, bubbles: true, cancelable: true }));
        }""",
        list(content),
    )
    tab.get_by_role("link", name="yes: exactly these bytes").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("txt2img_basic.png")


def test_a_broken_file_waits_in_quarantine_until_it_is_whole(studio: Studio, tab: Page) -> None:
    # Bytes of its own, so that no other test's picture gets a second name.
    whole = (studio.folder / "txt2img_basic.png").read_bytes() + b"mended"
    broken = studio.folder / "broken.png"
    broken.write_bytes(whole[:300])
    try:
        studio.take_in(broken, project="mended")
        tab.goto(f"{studio.url}/intake")
        row = tab.get_by_role("row").filter(has_text="output/broken.png")
        expect(row).to_contain_text("cut-off")
        row.get_by_role("button", name="again").click()
        expect(tab.get_by_role("status").first).to_contain_text("still cannot be read")
        broken.write_bytes(whole)
        row.get_by_role("button", name="again").click()
        expect(tab.get_by_text("it is in the memory now")).to_be_visible()
        expect(row).to_have_count(0)
        expect(tab.get_by_role("row").filter(has_text="edit-07")).to_contain_text("online")
    finally:
        broken.unlink()


def test_a_one_time_link_signs_in_once(studio: Studio, watched: Watched, context: BrowserContext) -> None:
    with studio.database.tenant_work(studio.tenant) as session:
        ada = people.ensure_person(session, "ada", "Ada")
        people.grant_role(session, ada, Role.ARTIST)
        link = sessions.make_sign_in_link(session, "default", ada)
    closed: Offices = offices_over(studio.database, studio.offices.home, local_person=False)
    tab = watched.page
    with serving(closed) as url:
        answer = tab.goto(url)
        assert answer is not None
        assert answer.status == 401
        expect(tab.get_by_text("open the one-time link")).to_be_visible()
        tab.goto(url + link.path)
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.locator(".who")).to_contain_text("ada")
        [cookie] = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        tab.goto(f"{url}/assets/{studio.asset('txt2img_basic.png')}")
        expect(tab.get_by_role("button", name="Tag", exact=True)).to_be_visible()
        expect(tab.get_by_role("button", name="Approve")).to_have_count(0)
        tab.get_by_role("button", name="Sign out").click()
        assert tab.goto(url).status == 401  # type: ignore[union-attr]
        tab.goto(url + link.path)
        tab.get_by_role("button", name="Sign in").click()
        expect(tab.get_by_role("alert")).to_contain_text("link")


def test_the_api_can_be_read_without_the_internet(studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/docs")
    # What lies further down is drawn when somebody scrolls there.
    expect(tab.get_by_text("/v1/models/stored", exact=True).first).to_be_visible()


def test_a_taking_in_is_shown_to_its_end(studio: Studio, tab: Page, http: httpx.Client) -> None:
    folder = studio.folder.parent / "taken-in"
    folder.mkdir()
    whole = (studio.folder / "txt2img_basic.png").read_bytes()
    for number in range(20):
        (folder / f"more_{number}.png").write_bytes(whole + b"taken" + bytes([number]))
    with studio.database.tenant_work(studio.tenant) as session:
        ensure_project(session, "taken")
    started = http.post("/v1/ingests", json={"paths": [str(folder)], "project": "taken"})
    assert started.status_code == 202, started.text
    tab.goto(f"{studio.url}/intake")
    row = tab.get_by_role("row").filter(has_text="taken-in")
    # The page asks again by itself.
    expect(row).to_contain_text("done", timeout=60_000)
    expect(row).to_contain_text("20 of 20 files")
    expect(row).to_contain_text("20 new")
    expect(row.get_by_role("link", name="findings")).to_have_attribute("href", "/?q=has:findings")
