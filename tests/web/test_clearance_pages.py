"""Approvals and policies in a browser; and who may see them."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from memoryd.access import sessions
from memoryd.access.facts import Role
from memoryd.access.projects import ensure_project
from memoryd.clearance.policies import setting
from memoryd.clearance.policies.facts import Action
from memoryd.dispatch import jobs
from memoryd.dispatch.states import JobState
from memoryd.foundation.database import TenantScope
from memoryd.foundation.ids import JobId
from memoryd.submission.facts import Submission, Submitted
from memoryd.submission.submitting import submit_alone
from tests.web.conftest import Known, Studio

GRAPH = """{"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "%s.safetensors"}},
 "2": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
 "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "made"}}}"""
PROJECT = "cleared"


def held(studio: Studio, model: str) -> Submitted:
    """A job that waits for a producer of the project `cleared`."""
    caller = sessions.local_caller(studio.database, "default")
    with studio.database.tenant_work(studio.tenant) as session:
        ensure_project(session, PROJECT)
        setting.set_policy(session, caller, PROJECT, reason="the client asks", on_unknown=Action.ASK)
    wish = Submission(prompt=GRAPH % model, project=PROJECT, unchecked=True)
    return submit_alone(studio.database, wish, scope=studio.tenant, caller=caller, store=studio.store)


def request_of(job: Submitted) -> str:
    assert job.clearance is not None
    return str(job.clearance["request"])


def state_of(studio: Studio, job: JobId) -> JobState:
    with studio.database.farm_work() as session:
        return jobs.find_standing(session, job).state


@pytest.mark.browser
def test_what_waits_is_approved_with_its_clauses_in_sight(studio: Studio, tab: Page) -> None:
    job = held(studio, "hidden-in-the-browser")
    tab.goto(f"{studio.url}/queue/jobs/{job.job_id}")
    expect(tab.get_by_text("until somebody approves its models")).to_be_visible()
    tab.get_by_role("link", name="the request").click()
    expect(tab.get_by_role("cell", name="which file this was is not known")).to_be_visible()
    tab.get_by_label("Why").fill("we asked the author")
    tab.get_by_role("button", name="Approve").click()
    expect(tab.get_by_text("we asked the author")).to_be_visible()
    assert state_of(studio, job.job_id) is JobState.READY


@pytest.mark.browser
def test_a_policy_is_set_in_a_form_and_its_versions_stay(studio: Studio, tab: Page) -> None:
    held(studio, "hidden-of-the-policy")
    tab.goto(f"{studio.url}/clearance")
    tab.get_by_role("link", name=PROJECT).click()
    tab.get_by_label("Forbidden").select_option("refuse")
    tab.get_by_label("where").fill("DE, FR")
    tab.get_by_label("Why").fill("as the contract says")
    tab.get_by_role("button", name="Set it so").click()
    expect(tab.locator("#policy")).to_contain_text("DE, FR")
    expect(tab.get_by_role("cell", name="the client asks").first).to_be_visible()


def test_requests_and_policies_are_shown_to_those_who_see_the_project(
    studio: Studio, stranger: httpx.Client, key_of: Known, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    job = held(studio, "hidden-from-others")
    request = f"/clearance/requests/{request_of(job)}"
    answer = {"said": "refused", "reason": "no"}
    policy = {
        "use": "internal",
        "on_review": "pass",
        "on_unknown": "pass",
        "on_block": "pass",
        "ask_role": "producer",
        "reason": "no",
    }
    pages, forms = (
        (request, f"/projects/{PROJECT}/policy"),
        (
            (f"{request}/answer", answer),
            (f"/projects/{PROJECT}/policy", policy),
        ),
    )
    for path in ("/clearance", *pages):
        assert stranger.get(path).status_code == 401, path
    for path, form in forms:
        assert stranger.post(path, data=form).status_code == 401, path
    rival, elsewhere = key_of(other_tenant, Role.ADMIN, None), key_of(tenant, Role.PRODUCER, "elsewhere")
    for headers in (rival, elsewhere):
        assert "hidden-" not in stranger.get("/clearance", headers=headers).text
        for path in pages:
            assert stranger.get(path, headers=headers).status_code == 404, path
        for path, form in forms:
            assert stranger.post(path, data=form, headers=headers).status_code == 404, path
    viewer, officer = key_of(tenant, Role.VIEWER, PROJECT), key_of(tenant, Role.PRODUCER, PROJECT)
    for path in pages:
        shown = stranger.get(path, headers=viewer)
        assert shown.status_code == 200, path
        assert "<form" not in shown.text
    for path, form in forms:
        assert stranger.post(path, data=form, headers=viewer).status_code == 403, path
    forged = stranger.post(f"{request}/answer", data=answer, headers={"Origin": "https://evil.example"})
    assert forged.status_code in (401, 403)
    assert "hidden-from-others" in stranger.get(request, headers=officer).text
    assert stranger.post(f"{request}/answer", data=answer, headers=officer).status_code == 303
    assert state_of(studio, job.job_id) is JobState.CANCELLED
