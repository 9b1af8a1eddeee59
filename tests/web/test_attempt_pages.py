"""The page of an attempt to make a picture again: how far it is, the verdict, both pictures, causes, receipt."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import io
import os
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import BrowserContext, Page, expect

from memoryd.access.facts import Role
from memoryd.catalog.content import find_copies
from memoryd.catalog.looking_up import find_asset
from memoryd.disclosure import pki
from memoryd.dispatch.live_runs import live_runs_of
from memoryd.foundation.database import TenantScope
from memoryd.foundation.ids import AssetId, JobId, ReproductionId
from memoryd.reproduction import making
from memoryd.reproduction.facts import Reproduction
from memoryd.reproduction.receipt_checking import check_receipt
from memoryd.web import attempt_view
from memoryd.web.attempt_words import measured, of_255, share_of_pixels
from tests.reproduction.painting import painted
from tests.web.conftest import Known
from tests.web.test_queue_pages import CLASSES, GRAPH, HOSTILE, PNG, SHOWN, Farm, farm

__all__ = ["farm"]


WHOLE: dict[str, Any] = {
    "comfyui": "0.29.0",
    "python": "3.11.7",
    "torch": "2.13.0",
    "devices": [{"name": "cpu", "type": "cpu"}],
    "flags": [],
    "packages": {"torch": "2.13.0"},
    "threads": {"intra_op": 1},
    "simd": "AVX2",
}
"""An environment that tells everything that decides over pixels: only such a one can be insisted on."""


def saved(picture: Image.Image, graph: str = GRAPH, **texts: str) -> bytes:
    """A picture as ComfyUI saves it."""
    told = PngInfo()
    for key, text in {"prompt": graph, **texts}.items():
        told.add_text(key, text)
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=told, compress_level=1)
    return out.getvalue()


def rounded(picture: Image.Image, pixels: int, step: int = 1) -> Image.Image:
    """The picture with some samples off by a step."""
    samples = np.asarray(picture).astype(np.int16)
    for place in np.random.default_rng(5).integers(0, samples.shape[0], (pixels, 2)):
        at = (place[0], place[1], 0)
        samples[at] += step if samples[at] + step <= 255 else -step
    return Image.fromarray(samples.astype(np.uint8))


@dataclasses.dataclass
class Room:
    """A farm that makes pictures, and makes them again."""

    farm: Farm
    picture: Image.Image

    def original(self, content: bytes | None = None, name: str = "fox.png") -> AssetId:
        """Let the worker make the picture, or another file of this name."""
        self.farm.submit()
        made = content or saved(self.picture)
        self.finish(made, name)
        with self.farm.studio.database.tenant_work(self.farm.studio.tenant) as session:
            return find_asset(session, hashlib.sha256(made).hexdigest(), None)

    def ask(self, asset: AssetId, **chosen: Any) -> ReproductionId:
        """Ask to have it made again."""
        studio = self.farm.studio
        return making.make_again(
            studio.database, studio.store, self.farm.caller, asset, pool=self.farm.pool, **{"tests": False, **chosen}
        )

    def again(self, asset: AssetId, content: bytes, name: str = "fox.png", **chosen: Any) -> ReproductionId:
        """Have it made again, and compared."""
        attempt = self.ask(asset, **chosen)
        self.finish(content, name)
        return attempt

    def finish(self, content: bytes, name: str = "fox.png", kind: str = "output") -> None:
        """Let the worker do the next job, whose only output this is, and do the follow-up work."""
        lease, hand = self.farm.claim(), self.farm.hand
        assert hand.upload(lease, 0, content).status_code == 200
        output = {
            "index": 0,
            "node": "2",
            "output": "images",
            "batch_index": 0,
            "filename": name,
            "subfolder": "",
            "type": kind,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "media_type": "application/octet-stream",
        }
        answer = hand.report(lease, outputs=[output])
        assert answer.status_code == 200, answer.text
        self.farm.studio.do_chores()

    def become(self, environment: dict[str, Any]) -> None:
        """Let the worker be set up otherwise."""
        self.farm.hand.environment = environment
        stated = {"label": "gpu", "host": "rack-7", "protocol": 1, "environment": environment, "models": []}
        answer = self.farm.hand.say(
            "register", incarnation=self.farm.hand.incarnation, nodes_sha256="00" * 32, classes=CLASSES, **stated
        )
        assert answer.status_code == 200, answer.text

    def lose(self, asset: AssetId) -> None:
        """Let the bytes of an asset be gone."""
        studio = self.farm.studio
        with studio.database.tenant_work(studio.tenant) as session:
            copies = find_copies(session, asset)
        for path in copies.paths:
            Path(os.fsdecode(path)).unlink(missing_ok=True)
        studio.store.remove(studio.tenant.slug, copies.sha256)

    def shown(self, attempt: ReproductionId) -> Reproduction:
        """The attempt as it is recorded."""
        with self.farm.studio.database.tenant_work(self.farm.studio.tenant) as session:
            return making.show_reproduction(session, attempt, None)

    def url(self, attempt: ReproductionId) -> str:
        """The address of its page."""
        return f"{self.farm.studio.url}/reproductions/{attempt}"


@pytest.fixture
def room(farm: Farm) -> Room:
    """A farm with a picture of its own."""
    return Room(farm, painted(uuid4().int % 100_000, 128))


def text_of(http: httpx.Client, room: Room, attempt: ReproductionId) -> str:
    answer = http.get(room.url(attempt))
    assert answer.status_code == 200
    return " ".join(answer.text.split())


@pytest.mark.browser
def test_an_attempt_is_followed_from_the_wish_to_the_reason(room: Room, tab: Page, tmp_path: Path) -> None:
    asset = room.original()
    tab.goto(f"{room.farm.studio.url}/assets/{asset}")
    tab.get_by_role("link", name="Make again…").click()
    tab.locator("select[name=pool]").select_option(room.farm.pool)
    expect(tab.locator("select[name=worker] option").filter(has_text=room.farm.pool)).to_contain_text(
        "same environment"
    )
    tab.get_by_role("button", name="Make again").click()
    standing = tab.locator("#attempt-standing")
    expect(standing).to_contain_text("Waits for a worker")
    attempt = ReproductionId(UUID(tab.url.rsplit("/", 1)[1]))
    room.become({"comfyui": "0.29.0", "torch": "2.9.0"})
    lease = room.farm.claim()
    expect(standing).to_contain_text("Being made again on gpu")
    room.farm.beat(lease, 0.4, "3")
    expect(tab.get_by_role("progressbar")).to_have_js_property("value", 0.4)
    live = live_runs_of(room.farm.studio.database)
    live.show(JobId(UUID(lease["job_id"])), lease["fence"], media_type="image/png", content=PNG, node="3")
    expect(tab.get_by_role("img", name="Newest picture of the run")).to_be_visible()
    other = saved(rounded(room.picture, 100))
    room.farm.finish(lease, other)
    expect(standing).to_contain_text("comparing with the original")
    room.farm.studio.do_chores()
    expect(tab.get_by_role("heading", name="Verdict: within tolerance")).to_be_visible()
    for name in ("the original", "what came out when it was made again", "where the two differ"):
        picture = tab.locator("#sides").get_by_role("img", name=name)
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") == 128
    expect(tab.get_by_role("row").filter(has_text="Largest difference")).to_contain_text("1 of 255")
    expect(tab.locator(".causes li").first).to_contain_text("torch: none then, 2.9.0 now")

    line = tab.get_by_role("slider")
    line.focus()
    line.press("Home")
    line.press("ArrowRight")
    assert line.get_attribute("aria-valuetext") == "1 % original"
    assert tab.locator(".stage").evaluate("stage => stage.style.getPropertyValue('--at')") == "1%"

    expect(tab.get_by_role("row").filter(has_text="once more on the same worker")).to_contain_text("under way")
    room.finish(other)
    expect(tab.locator("#attempt")).to_contain_text("Ranked again by what second runs showed")
    expect(tab.get_by_role("row").filter(has_text="once more on the same worker")).to_contain_text("the same pixels")
    assert line.input_value() == "1", "what somebody looks at stays as it is"

    with tab.expect_download() as fetched:
        tab.get_by_role("link", name="Download the receipt").click()
    (tmp_path / "original.png").write_bytes(saved(room.picture))
    (tmp_path / "made.png").write_bytes(other)
    anchors = pki.load_anchors(room.farm.studio.offices.keys / "pki")
    receipt = Path(fetched.value.path()).read_bytes()
    assert check_receipt(receipt, anchors, original=tmp_path / "original.png", made=tmp_path / "made.png").good
    tab.get_by_role("link", name="look at it").click()
    expect(tab.get_by_role("main")).to_contain_text("does this workflow repeat itself?")
    tab.get_by_role("link", name="the attempt that this one helps to explain").click()
    assert tab.url.endswith(str(attempt))
    tab.get_by_role("link", name="what ran, and what happened to it").click()
    expect(tab.get_by_role("link", name="to make an asset again")).to_have_attribute(
        "href", f"/reproductions/{attempt}"
    )


@pytest.mark.browser
def test_without_scripts_they_stand_side_by_side(room: Room, context: BrowserContext) -> None:
    room.become(WHOLE)
    asset = room.original()
    attempt = room.again(asset, saved(rounded(room.picture, 50)))
    assert context.browser is not None
    plain = context.browser.new_context(java_script_enabled=False)
    try:
        tab = plain.new_page()
        tab.goto(room.url(attempt))
        expect(tab.locator("#sides").get_by_role("img")).to_have_count(3)
        expect(tab.get_by_role("slider")).to_have_count(0)
        tab.get_by_label("without second runs").check()
        tab.get_by_label("only in the environment of then").check()
        tab.get_by_role("button", name="Make again").click()
        assert "/reproductions/" in tab.url
        assert not tab.url.endswith(str(attempt))
        expect(tab.get_by_role("main")).to_contain_text("Only in the environment of then")
        asked = room.shown(ReproductionId(UUID(tab.url.rsplit("/", 1)[1])))
        assert asked.plan["route"]["require"] == "identical-environment"  # type: ignore[index,call-overload]
        assert asked.testing == "off"
        tab.get_by_role("button", name="Cancel").click()
        room.farm.studio.do_chores()
        tab.goto(room.url(asked.id))
        expect(tab.get_by_role("heading", name="Verdict: not attempted")).to_be_visible()
        expect(tab.locator(".causes")).to_contain_text("job-cancelled")
    finally:
        plain.close()


def test_an_identical_file_is_shown_once(room: Room, http: httpx.Client) -> None:
    text = text_of(http, room, room.again(room.original(), saved(room.picture)))
    assert "identical file" in text
    assert "byte for byte" in text
    assert 'type="range"' not in text
    assert "What came out" not in text


def test_what_was_not_attempted_says_what_stood_in_the_way(room: Room, http: httpx.Client) -> None:
    attempt = room.ask(room.farm.studio.asset("no_metadata.png"))
    text = text_of(http, room, attempt)
    assert "not attempted" in text
    assert '<code class="quiet">no-graph</code>' in text
    assert "Next:" in text
    assert f"/assets/{room.shown(attempt).asset_id}/plan" in text
    for word in ("Do not send it", "What came out", "Where they differ"):
        assert word not in text


def test_what_a_worker_says_is_text(room: Room, http: httpx.Client) -> None:
    asset = room.original(name="<b>fox.png")
    attempt = room.ask(asset)
    room.farm.fail(room.farm.claim(), last=True)
    room.farm.studio.do_chores()
    for page in (room.url(attempt), f"{room.farm.studio.url}/assets/{asset}/reproductions"):
        text = http.get(page).text
        assert HOSTILE not in text
        assert SHOWN.replace("<", "&lt;").replace(">", "&gt;") in text
        assert "<b>fox" not in text


def test_it_says_by_what_it_was_compared_where_the_original_is_gone(room: Room, http: httpx.Client) -> None:
    asset = room.original()
    room.lose(asset)
    text = text_of(http, room, room.again(asset, saved(room.picture, workflow="{}")))
    assert "identical pixels" in text
    assert "the recorded digest of the original&#39;s pixels, since its bytes were gone" in text
    assert "Its bytes are gone." in text
    assert f"/v1/assets/{asset}/thumbnail?size=1024" in text, "what is left of it is shown"
    assert "the original&#39;s own bytes are gone" in text
    assert "Download original" not in text


@pytest.mark.parametrize(
    ("name", "element"), [("video_webm.webm", "<video controls"), ("audio_flac.flac", "<audio controls")]
)
def test_what_plays_is_played_side_by_side(
    room: Room, http: httpx.Client, files: Path, name: str, element: str
) -> None:
    content = (files / "comfyui" / "media" / name).read_bytes()
    place = len(content) * 2 // 3
    # Files of the test's own, off in some bytes of what is heard or seen.
    one, other = (content[:place] + os.urandom(8) + content[place + 8 :] for _ in range(2))
    asset = room.original(one, name)
    text = text_of(http, room, room.again(asset, other, name))
    assert text.count(element) == 2
    assert 'type="range"' not in text
    assert "compared-by-bytes" in text
    assert "Only bytes could be compared" in text


def test_what_no_browser_shows_is_told_by_size_and_hash(room: Room, http: httpx.Client) -> None:
    first, second = (b"glTF" + bytes(60) + os.urandom(8) for _ in range(2))
    asset = room.original(first, "chair.glb")
    text = text_of(http, room, room.again(asset, second, "chair.glb"))
    assert text.count("No browser shows it") == 2
    assert hashlib.sha256(first).hexdigest() in text
    assert hashlib.sha256(second).hexdigest() in text
    assert "model/gltf-binary, 72 B" in text
    assert "<img" not in text


def test_a_large_picture_is_shown_by_its_preview(
    room: Room, http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asset = room.original()
    attempt = room.again(asset, saved(rounded(room.picture, 50)))
    monkeypatch.setattr(attempt_view, "WHOLE_PIXELS", 128 * 127)
    text = text_of(http, room, attempt)
    assert text.count("Shown by its preview.") == 2
    assert '/content"' not in text
    assert "Open it: it is large" in text
    assert 'type="range"' in text


def test_what_was_only_shown_is_no_asset_and_is_shown_all_the_same(room: Room, http: httpx.Client) -> None:
    asset = room.original()
    attempt = room.ask(asset)
    other = saved(rounded(room.picture, 50))
    room.finish(other, kind="temp")
    text = text_of(http, room, attempt)
    assert "only shown by the workflow, so it is no asset" in text
    answer = http.get(f"{room.url(attempt)}/made")
    assert answer.content == other
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_work_that_stands_still_is_told(room: Room, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = room.ask(room.original())
    room.farm.finish(room.farm.claim(), saved(room.picture))
    monkeypatch.setattr(attempt_view, "COMPARING_PATIENCE", datetime.timedelta(0))
    text = text_of(http, room, attempt)
    assert "comparing with the original" in text
    assert "memoryd work" in text
    room.farm.studio.do_chores()


def test_a_viewer_sees_it_and_is_offered_nothing(
    room: Room, stranger: httpx.Client, key_of: Known, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    attempt = room.again(room.original(), saved(rounded(room.picture, 50)))
    url = room.url(attempt)
    seen = stranger.get(url, headers=key_of(tenant, Role.VIEWER, "made"))
    assert seen.status_code == 200
    assert "within tolerance" in seen.text
    assert "<form" not in seen.text
    for headers in (key_of(tenant, Role.PRODUCER, "elsewhere"), key_of(other_tenant, Role.ADMIN, None)):
        for path in (url, f"{url}/made"):
            assert stranger.get(path, headers=headers).status_code == 404
    assert stranger.get(url).status_code == 401


def test_measures_are_told_in_words() -> None:
    assert of_255(2 / 255) == "2 of 255"
    assert of_255(1 / 65535) == "0.00389 of 255"
    assert share_of_pixels(3 / 65536, 65536) == "less than 0.01 % (3 of 65,536)"
    assert share_of_pixels(0.5, None) == "50 %"
    assert share_of_pixels(1.0, 4) == "100 % (4 of 4)"
    assert share_of_pixels(0.99999, None) == "more than 99.99 %"
    told = {one.name: one.value for one in measured({"comparable": True, "psnr": None, "ssim": 0.99999})}
    assert told["Noise (PSNR, more is better)"] == "no noise: every sample is equal"
    assert told["Structure (SSIM, 1 is equal)"] == "more than 0.9999"
    [one] = measured({"comparable": False, "reason": "64x64 and 32x32"})
    assert "64x64" in one.value
