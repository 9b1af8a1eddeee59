"""What a file says is hostile: none of it may run, hide or turn anything on a page."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from memoryd.web.rendering import CONTENT_SECURITY_POLICY
from tests.ingest.pictures import png, prompt
from tests.web.conftest import Studio

SCRIPT = "<script>alert(1)</script>"
BREAK_OUT = '"><img src=x onerror=alert(2)>'
ATTRIBUTE = "' hx-get='/queue' hx-trigger='load' onmouseover='alert(3)"
RTL = "\u202egnp.exe"
LONG = "endless " * 13_000
NAME = f"{BREAK_OUT.replace('/', '')}{ATTRIBUTE.replace('/', '')}{RTL}.png"

INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", re.IGNORECASE)


@pytest.fixture(scope="session")
def hostile(studio: Studio) -> str:
    """The address of the page of a picture that attacks with everything it says of itself."""
    graph = prompt(7, f"vixen {SCRIPT} {BREAK_OUT} {{{{ 7*7 }}}} {RTL} {LONG}", sampler_name=f"euler{BREAK_OUT}")
    graph["4"]["inputs"]["ckpt_name"] = f"{SCRIPT}{BREAK_OUT}.safetensors"
    graph["7"]["inputs"]["text"] = ATTRIBUTE + BREAK_OUT
    workflow = {"nodes": [], "links": [], "extra": {}, "title": SCRIPT, "name": BREAK_OUT}
    path = studio.folder / NAME
    path.write_bytes(png({"prompt": json.dumps(graph), "workflow": json.dumps(workflow), "x'><b": SCRIPT}, size=64))
    broken = studio.folder / f"cut {BREAK_OUT}.png"
    broken.write_bytes(path.read_bytes()[:2_000])
    studio.take_in(path, broken, project="hostile")
    return studio.page(path)


@pytest.mark.browser
def test_nothing_that_a_file_says_runs(studio: Studio, hostile: str, tab: Page) -> None:
    tab.goto(hostile)
    text = tab.locator(".facts .text").first
    expect(text).to_contain_text(f"vixen {SCRIPT} {BREAK_OUT} {{{{ 7*7 }}}}")
    assert len(text.inner_text()) > 100_000
    expect(tab.locator("h1")).to_contain_text("\\u202egnp.exe.png")
    assert tab.locator("#main img[src=x]").count() == 0
    assert tab.locator("#main script").count() == 0
    height = tab.evaluate("document.documentElement.scrollHeight")
    assert height < 6_000, "a long text scrolls in its own box"
    tab.get_by_label("Note").fill(BREAK_OUT)
    tab.get_by_role("button", name="Note").click()
    expect(tab.locator(".left .text")).to_have_text(BREAK_OUT)
    for query in ("vixen", f"'{SCRIPT}'", '"<img src=x onerror=alert(2)>"'):
        tab.goto(f"{studio.url}/?{httpx.QueryParams(q=query)}")
        expect(tab.get_by_role("searchbox")).to_have_value(query)
    tab.goto(f"{studio.url}/intake")
    expect(tab.get_by_text(f"cut {BREAK_OUT}.png")).to_be_visible()
    tab.goto(f"{hostile}/report")
    expect(tab.get_by_role("heading", level=1)).to_have_text("Lineage report")


def test_every_page_carries_the_policy_and_nothing_inline(studio: Studio, hostile: str, http: httpx.Client) -> None:
    asset = hostile.rsplit("/", 1)[1]
    attempt = http.post(f"/assets/{asset}/reproductions").headers["location"]
    assert attempt.startswith("/reproductions/")
    paths = [
        "/",
        "/?q=vixen",
        "/?q=colour:red",
        f"/assets/{asset}",
        f"/assets/{asset}/verification",
        f"/assets/{asset}/reproductions",
        attempt,
        "/assets/deadbeefdead",
        "/queue",
        "/verify",
        "/intake",
        "/sign-in?token=%22%3E%3Cscript%3E",
        "/nothing/here",
    ]
    for path in paths:
        answer = http.get(path)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY, path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        markup = re.sub(r">[^<]*<", "><", answer.text)
        assert not INLINE.search(re.sub(r'"[^"]*"', '""', markup)), path
    assert "unsafe-inline" not in CONTENT_SECURITY_POLICY
    report = http.get(f"/assets/{asset}/report")
    assert report.headers["content-security-policy"].endswith("; sandbox")
    assert "<script" not in report.text


def test_the_bytes_of_a_file_are_served_in_a_sandbox(studio: Studio, hostile: str, http: httpx.Client) -> None:
    answer = http.get(f"/v1/assets/{hostile.rsplit('/', 1)[1]}/content")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
