"""The queue's pages in a real browser: what changes shows by itself, and every button does what it says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from sqlalchemy import text

from memoryd.access import projects, sessions
from memoryd.access.facts import Caller
from memoryd.dispatch import pools
from memoryd.dispatch.live_runs import live_runs_of
from memoryd.foundation.ids import GroupId, JobId
from memoryd.submission.facts import Submission
from memoryd.submission.grouping.asking import submit_group
from memoryd.submission.grouping.facts import GroupAsked
from memoryd.submission.grouping.items import Axis
from memoryd.submission.submitting import submit
from tests.submission.conftest import PROTOCOL, FarmHand
from tests.web.conftest import Studio, Watched

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe"
SHOWN = "<img src=x onerror=alert(1)>\\u202egnp.exe"
GRAPH = json.dumps(
    {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "3": {"class_type": "Mixer", "inputs": {"seed": 5, "image": ["1", 0]}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }
)
CLASSES = ["EmptyImage", "Mixer", "SaveImage"]
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde\x00\x00\x00\x0c"
    b"IDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82"
)


@dataclasses.dataclass
class Farm:
    """A pool of the test's own, and a worker that does what it is told to."""

    studio: Studio
    pool: str
    hand: FarmHand
    worker: str
    caller: Caller

    def submit(self, name: str = "night run", **wish: Any) -> JobId:
        """Queue a job of the local person."""
        with self.studio.database.tenant_work(self.studio.tenant) as session:
            # What jobs make must not come among the pictures of project `default`.
            made = projects.ensure_project(session, "made")
            values = {"prompt": GRAPH, "name": name, "project_id": made, "pool": self.pool, **wish}
            asked, scope = Submission(**values), self.studio.tenant
            return submit(session, asked, scope=scope, caller=self.caller, store=self.studio.store).job_id

    def group(self, count: int, name: str) -> GroupId:
        """Queue a group of the local person."""
        template = Submission(prompt=GRAPH, name=name, project="default", pool=self.pool)
        return submit_group(
            self.studio.database,
            GroupAsked(template=template, axes=(Axis(input="3.seed", values=tuple(range(count))),)),
            scope=self.studio.tenant,
            caller=self.caller,
            store=self.studio.store,
        ).group_id

    def claim(self) -> dict[str, Any]:
        """Let the worker take the next job."""
        job = self.hand.claim()
        assert job is not None
        return job

    def beat(self, job: dict[str, Any], progress: float, node: str) -> None:
        """Let the worker say how far it is."""
        sign = {name: job[name] for name in ("job_id", "fence", "token")}
        lease = {**sign, "progress": progress, "phase": "sampling", "node": node}
        answer = self.hand.say("heartbeat", incarnation=self.hand.incarnation, leases=[lease])
        assert answer.status_code == 200, answer.text

    def finish(self, job: dict[str, Any], *contents: bytes) -> None:
        """Let a run end well."""
        for index, content in enumerate(contents):
            assert self.hand.upload(job, index, content).status_code == 200
        answer = self.hand.report(job, *contents)
        assert answer.status_code == 200, answer.text

    def fail(self, job: dict[str, Any], *, last: bool = False) -> None:
        """Let a run fail; with `last` it was its last try."""
        if last:
            with self.studio.database.farm_work() as session:
                session.execute(text("update job set attempt = max_attempts where id = :id"), {"id": job["job_id"]})
        error = {"kind": "execution-error", "message": HOSTILE, "node_id": "3", "node_type": "Mixer"}
        assert self.hand.report(job, outcome="error", error=error).status_code == 200


@pytest.fixture
def farm(studio: Studio) -> Iterator[Farm]:
    """A farm of the test's own, whose worker leaves for good at the end."""
    name = f"pool-{uuid4().hex[:8]}"
    with studio.database.farm_work() as session:
        pools.ensure_defaults(session)
        pools.add_pool(session, name, tenant_id=studio.tenant.id)
    with httpx.Client(base_url=studio.url, trust_env=False) as http:
        token = http.post("/v1/workers", json={"pool": name}).json()["token"]
        asked = {"token": token, "label": f"gpu of {name}", "host": "rack-7", "protocol": 1}
        joined = http.post("/v1/work/join", json=asked, headers=PROTOCOL).json()
        hand = FarmHand(http, joined["key"])  # type: ignore[arg-type]
        hand.environment = {"comfyui": "0.29.0"}
        stated = {
            "incarnation": hand.incarnation,
            "label": "x",
            "host": "rack-7",
            "protocol": 1,
            "gpu": {"name": f"RTX {HOSTILE}", "uuid": "GPU-1", "vram_mb": 24_576, "driver": "580.1"},
            "environment": hand.environment,
            "node_packs": [{"name": "WAS", "remote": "https://example.org/was", "commit": "ab" * 20}],
            "launch_flags": ["--lowvram"],
            "models": [{"folder": "checkpoints", "path": "sdxl.safetensors", "size": 1}],
            "nodes_sha256": "00" * 32,
            "classes": CLASSES,
        }
        answer = hand.say("register", **stated)
        assert answer.status_code == 200, answer.text
        yield Farm(studio, name, hand, joined["worker_id"], sessions.local_caller(studio.database, "default"))
        http.delete(f"/v1/workers/{joined['worker_id']}")


def row(tab: Page, name: str) -> Locator:
    return tab.get_by_role("row").filter(has_text=name)


def fact(tab: Page, name: str) -> Locator:
    return tab.get_by_role("row").filter(has=tab.get_by_role("rowheader", name=name, exact=True))


def test_the_queue_follows_a_job_from_the_wish_to_the_picture(farm: Farm, tab: Page) -> None:
    tab.goto(f"{farm.studio.url}/queue")
    expect(row(tab, farm.pool).first).to_contain_text("1")
    job_id = farm.submit(f"run of {farm.pool}")
    job = row(tab, f"run of {farm.pool}").last
    expect(job).to_contain_text("waiting")
    expect(job).to_contain_text("starts in about")
    lease = farm.claim()
    worker = row(tab, f"gpu of {farm.pool}").first
    expect(job).to_contain_text("running")
    expect(worker).to_contain_text(f"run of {farm.pool}")
    farm.beat(lease, 0.4, "3")
    expect(worker).to_contain_text("40 %")
    expect(worker).to_contain_text("node 3")
    live_runs_of(farm.studio.database).show(job_id, lease["fence"], media_type="image/png", content=PNG, node="3")
    expect(worker.get_by_role("img", name="Newest picture of")).to_be_visible()
    farm.finish(lease, (farm.studio.folder / "no_metadata.png").read_bytes() + farm.pool.encode())
    expect(job).to_contain_text("done")
    expect(job.get_by_role("link", name="made_00000_.png")).to_be_visible()
    farm.studio.do_chores()
    farm.submit()
    expect(job.get_by_role("img", name="made_00000_.png")).to_be_visible()
    expect(worker).to_contain_text("nothing")


def test_a_jobs_own_page_follows_it(farm: Farm, tab: Page) -> None:
    job_id = farm.submit(HOSTILE)
    tab.goto(f"{farm.studio.url}/queue/jobs/{job_id}")
    expect(tab.get_by_role("heading", level=1)).to_have_text(SHOWN)
    expect(fact(tab, "class")).to_contain_text("standard")
    expect(fact(tab, "graph")).to_contain_text("3 nodes")
    lease = farm.claim()
    expect(tab.locator("#job-state")).to_contain_text("running")
    farm.beat(lease, 0.25, "3")
    expect(tab.locator("[data-phase]")).to_have_text("sampling")
    expect(tab.locator("[data-node]")).to_have_text("node 3")
    expect(tab.get_by_role("progressbar")).to_have_js_property("value", 0.25)
    live = live_runs_of(farm.studio.database)
    live.show(job_id, lease["fence"], media_type="image/png", content=PNG, node="3")
    expect(tab.get_by_role("img", name="Newest picture of")).to_be_visible()
    farm.fail(lease)
    expect(tab.get_by_role("heading", name="What went wrong")).to_be_visible()
    problem = tab.get_by_role("listitem").filter(has_text="execution-error").first
    expect(problem).to_contain_text("node 3 (Mixer)")
    expect(problem).to_contain_text(HOSTILE)
    expect(tab.locator("#job-state")).to_contain_text("waits for its next try")
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.locator("#job-state")).to_contain_text("cancelled")
    expect(tab.locator(".history")).to_contain_text("taken by a worker")


def test_one_puts_a_job_before_ones_others(farm: Farm, tab: Page) -> None:
    first, last = farm.submit(f"first of {farm.pool}"), farm.submit(f"last of {farm.pool}")
    tab.goto(f"{farm.studio.url}/queue")
    with tab.expect_response(lambda answer: answer.url.endswith("/first") and answer.status == 204):
        tab.get_by_role("button", name=f"First of mine last of {farm.pool}").click()
    lease = farm.claim()
    assert lease["job_id"] == str(last)
    tab.get_by_role("button", name=f"Cancel first of {farm.pool}").click()
    expect(row(tab, str(first))).to_contain_text("cancelled")
    tab.get_by_role("button", name=f"Cancel last of {farm.pool}").click()
    expect(row(tab, str(last))).to_contain_text("cancelling")
    farm.hand.report(lease, outcome="cancelled")
    expect(row(tab, str(last)).get_by_role("button", name="Retry")).to_be_visible()


def test_a_group_is_one_line_and_is_paused_resumed_cancelled_and_completed(farm: Farm, tab: Page) -> None:
    name = f"grid of {farm.pool}"
    group = farm.group(4, name)
    tab.goto(f"{farm.studio.url}/queue")
    line = row(tab, name)
    expect(line).to_have_count(1)
    expect(line).to_contain_text("4 ready")
    line.get_by_role("button", name="Pause").click()
    expect(line).to_contain_text("4 held")
    line.get_by_role("button", name="Resume").click()
    expect(line).to_contain_text("4 ready")
    tab.get_by_role("link", name=name).click()
    assert str(group) in tab.url
    farm.finish(farm.claim())
    expect(tab.get_by_text("1 succeeded")).to_be_visible()
    expect(tab.get_by_role("row").nth(1)).to_contain_text("done")
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.get_by_text("3 cancelled")).to_be_visible()
    tab.get_by_role("button", name="Retry missing").click()
    expect(tab.get_by_text("3 ready")).to_be_visible()
    tab.get_by_role("link", name="4", exact=True).click()
    expect(tab.get_by_role("link", name="its group")).to_be_visible()


def test_a_held_job_says_why(farm: Farm, tab: Page) -> None:
    first = farm.submit()
    farm.submit(f"second of {farm.pool}", after=first)
    tab.goto(f"{farm.studio.url}/queue")
    second = row(tab, f"second of {farm.pool}")
    expect(second).to_contain_text("held: until another job has succeeded")
    expect(second.get_by_role("link", name="which")).to_have_attribute("href", f"/queue/jobs/{first}")
    farm.finish(farm.claim())
    expect(second).to_contain_text("waiting")


def test_a_pool_is_paused_and_resumed(farm: Farm, tab: Page) -> None:
    tab.goto(f"{farm.studio.url}/queue")
    tab.get_by_role("button", name=f"Pause pool {farm.pool}").click()
    expect(row(tab, farm.pool).first).to_contain_text("paused since")
    farm.submit()
    assert farm.hand.claim() is None
    tab.get_by_role("button", name=f"Resume pool {farm.pool}").click()
    expect(row(tab, farm.pool).first).not_to_contain_text("paused since")
    assert farm.hand.claim() is not None


def test_a_workers_page_tells_what_it_is_and_takes_it_out_of_service(farm: Farm, tab: Page) -> None:
    tab.goto(f"{farm.studio.url}/queue")
    tab.get_by_role("link", name=f"gpu of {farm.pool}").click()
    expect(row(tab, "GPU-1")).to_contain_text(f"RTX {SHOWN}")
    for text_ in ("24576 MiB", "580.1", "0.29.0", "--lowvram", "abababababab", "https://example.org/was", farm.pool):
        expect(tab.locator("#state")).to_contain_text(text_)
    farm.submit(f"run of {farm.pool}")
    lease = farm.claim()
    expect(tab.get_by_role("link", name=f"run of {farm.pool}")).to_be_visible()
    tab.get_by_role("button", name="Drain").click()
    expect(tab.get_by_text("finishes what it has")).to_be_visible()
    tab.get_by_role("button", name="Take work again").click()
    expect(tab.get_by_text("takes work,")).to_be_visible()
    farm.finish(lease)
    expect(tab.get_by_text("Nothing.")).to_be_visible()


def test_what_was_given_up_is_tried_again_or_discarded(farm: Farm, tab: Page) -> None:
    names = [f"{word} of {farm.pool}" for word in ("one", "two", "three")]
    jobs = [farm.submit(name) for name in names]
    tab.goto(f"{farm.studio.url}/queue/dead?pool={farm.pool}")
    expect(tab.get_by_text("No job that fits")).to_be_visible()
    for _ in jobs:
        farm.fail(farm.claim(), last=True)
    tab.goto(f"{farm.studio.url}/queue/dead")
    one = row(tab, names[0])
    expect(one).to_contain_text(SHOWN)
    one.get_by_role("button", name="Retry").click()
    expect(one).to_have_count(0)
    row(tab, names[1]).get_by_role("button", name="Discard").click()
    expect(row(tab, names[1])).to_have_count(0)
    tab.get_by_role("textbox", name="Pool").fill(farm.pool)
    tab.get_by_role("button", name="Show").click()
    tab.get_by_role("button", name="Try again, as batch work").click()
    expect(row(tab, names[2])).to_have_count(0)
    tab.goto(f"{farm.studio.url}/queue/jobs/{jobs[2]}")
    expect(fact(tab, "class")).to_contain_text("batch")
    expect(tab.locator(".history")).to_contain_text("to be tried again")


def test_all_that_was_given_up_is_not_meant_by_saying_nothing(farm: Farm, http: httpx.Client) -> None:
    answer = http.post("/queue/dead", data={"do": "discard"})
    assert answer.status_code == 422
    assert "all of them" in answer.text


def test_a_graph_is_asked_for_on_a_page(farm: Farm, watched: Watched, tmp_path: Path) -> None:
    tab = watched.page
    tab.goto(f"{farm.studio.url}/queue")
    tab.get_by_role("link", name="Ask for a job").click()
    tab.get_by_label("or pasted").fill(GRAPH.replace("Mixer", "Nowhere"))
    tab.get_by_label("Pool").select_option(farm.pool)
    tab.get_by_label("Name").fill(f"asked {farm.pool}")
    tab.get_by_role("button", name="Queue it").click()
    expect(tab.get_by_role("alert")).to_contain_text("'Nowhere'")
    expect(tab.get_by_label("Name, for")).to_have_value(f"asked {farm.pool}")
    file = tmp_path / "graph.json"
    file.write_text(GRAPH)
    tab.get_by_label("A graph in API format").set_input_files(file)
    tab.get_by_role("button", name="Queue it").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text(f"asked {farm.pool}")
    expect(fact(tab, "pool")).to_contain_text(farm.pool)
    tab.goto(f"{farm.studio.url}/queue/new")
    tab.get_by_label("or pasted").fill(GRAPH)
    tab.get_by_label("Pool").select_option(farm.pool)
    tab.get_by_label("Fresh seeds").fill("3")
    tab.get_by_role("button", name="Queue it").click()
    expect(tab.get_by_role("columnheader", name="3.seed")).to_be_visible()
    expect(tab.get_by_text("3 ready")).to_be_visible()
    # The browser's own words on an answer that is no 200.
    assert [alarm for alarm in watched.alarms if "status of 422" not in alarm] == []


def test_what_comfyui_would_say_stands_beside_the_form(farm: Farm, http: httpx.Client) -> None:
    graph = GRAPH.replace('"seed": 5', f'"seed": {2**64}')
    answer = http.post("/queue/new", data={"graph": graph, "pool": farm.pool, "project": "default"})
    assert answer.status_code == 422
    assert "bigger than max of 18446744073709551615" in answer.text
    assert "<bdi>Mixer</bdi>" in answer.text
    for nothing in ("", "[]", "{", '{"nodes": []}', "\x00"):
        refused = http.post("/queue/new", data={"graph": nothing, "pool": farm.pool, "project": "default"})
        assert refused.status_code == 422, nothing
        assert "Next:" in refused.text


def test_a_pictures_run_is_queued_with_other_seeds(studio: Studio, tab: Page) -> None:
    tab.goto(studio.page("txt2img_basic.png"))
    tab.get_by_label("How many seeds").fill("2")
    tab.get_by_role("button", name="Run again with another seed").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("variation")
    expect(tab.get_by_text("2 ready")).to_be_visible()
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.get_by_text("2 cancelled")).to_be_visible()
    tab.goto(studio.page("no_metadata.png"))
    expect(tab.get_by_role("button", name="Run again")).to_have_count(0)


def test_a_picture_without_a_graph_is_not_run_again(studio: Studio, http: httpx.Client) -> None:
    answer = http.post(f"/assets/{studio.asset('no_metadata.png')}/variations", data={"count": "1"})
    assert answer.status_code == 422
    assert "no executed graph is known" in answer.text


def test_without_scripts_everything_is_plain_forms(farm: Farm, context: BrowserContext) -> None:
    job_id = farm.submit(f"plain {farm.pool}")
    assert context.browser is not None
    plain = context.browser.new_context(java_script_enabled=False)
    try:
        tab = plain.new_page()
        tab.goto(f"{farm.studio.url}/queue")
        tab.get_by_role("button", name=f"Cancel plain {farm.pool}").click()
        assert tab.url.endswith("/queue")
        expect(row(tab, str(job_id))).to_contain_text("cancelled")
        tab.get_by_role("link", name=f"plain {farm.pool}").click()
        tab.get_by_role("button", name="Retry").click()
        assert "/queue/jobs/" in tab.url
        assert str(job_id) not in tab.url
        expect(tab.locator("#job-state")).to_contain_text("waiting")
    finally:
        plain.close()


def test_without_the_stream_of_events_the_page_looks_by_itself(farm: Farm, context: BrowserContext) -> None:
    context.add_init_script("delete window.EventSource;")
    tab = context.new_page()
    tab.goto(f"{farm.studio.url}/queue")
    farm.submit(f"polled {farm.pool}")
    expect(row(tab, f"polled {farm.pool}")).to_contain_text("waiting")
