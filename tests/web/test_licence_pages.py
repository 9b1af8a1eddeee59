"""Pages of licences: a stranger, other tenants and those without the right; then terms are read, replaced and taken back."""

from __future__ import annotations

import hashlib

import httpx
import pytest
from playwright.sync_api import Page, expect

from memoryd.access.facts import Role
from memoryd.foundation.database import TenantScope
from memoryd.model_registry.facts import Observation
from memoryd.model_registry.recording import record_observations
from memoryd.weights.describing import ModelFacts
from memoryd.weights.kinds import ModelKind
from tests.web.conftest import Known, Studio

HOSTILE = "<script>document.title='taken'</script>"
CONTENT = b"a model of the licence pages"
MODEL = hashlib.sha256(CONTENT).hexdigest()
PAGES = ("/licences", "/licences/mit", f"/licences?model={MODEL}")
FORMS = (
    ("/licences/grants", {"model": MODEL, "name": "mit", "reason": "x"}),
    ("/licences/mit/overrides", {"term": "training_ban", "value": "true", "reason": "x"}),
    ("/licences/mit/restore", {"reason": "x"}),
)


@pytest.fixture(scope="module")
def model(studio: Studio) -> str:
    """A model whose header states a hostile licence; its SHA-256."""
    facts = ModelFacts(kind=ModelKind.LORA, base="hunyuan-video", stated={}, licence=HOSTILE, aliases={}, findings=())
    seen = Observation(
        folder="loras",
        path="licensed.safetensors",
        size=len(CONTENT),
        mtime_ns=1,
        sha256=bytes.fromhex(MODEL),
        facts=facts,
    )
    with studio.database.tenant_work(studio.tenant) as session:
        record_observations(session, None, worker="licence-gpu", root="/licences", observations=[seen])
    return MODEL


@pytest.mark.parametrize("place", PAGES)
def test_a_stranger_is_asked_to_sign_in(place: str, stranger: httpx.Client) -> None:
    assert stranger.get(place).status_code == 401


@pytest.mark.parametrize(("place", "form"), FORMS)
def test_a_stranger_and_those_without_the_right_change_nothing(
    place: str, form: dict[str, str], stranger: httpx.Client, studio: Studio, key_of: Known, model: str
) -> None:
    assert stranger.post(place, data=form).status_code == 401
    for role, project in ((Role.VIEWER, None), (Role.PRODUCER, None), (Role.OFFICER, "default")):
        assert stranger.post(place, data=form, headers=key_of(studio.tenant, role, project)).status_code == 403


def test_another_tenant_sees_the_table_and_nothing_of_ours(
    stranger: httpx.Client, other_tenant: TenantScope, studio: Studio, key_of: Known, model: str
) -> None:
    ours, theirs = key_of(studio.tenant, Role.OFFICER, None), key_of(other_tenant, Role.ADMIN, None)
    form = {"term": "notes", "value": "ours alone", "reason": "secret reason"}
    assert stranger.post("/licences/cc0-1.0/overrides", data=form, headers=ours).status_code == 303
    assert "secret reason" in stranger.get("/licences/cc0-1.0", headers=ours).text
    assert "secret reason" not in stranger.get("/licences/cc0-1.0", headers=theirs).text
    assert stranger.get(f"/licences?model={model}", headers=theirs).status_code == 404
    assert stranger.post("/licences/grants", data=FORMS[0][1], headers=theirs).status_code == 404


def test_who_may_not_change_is_offered_no_form(
    stranger: httpx.Client, studio: Studio, key_of: Known, model: str
) -> None:
    for place in PAGES:
        shown = stranger.get(place, headers=key_of(studio.tenant, Role.VIEWER, None))
        assert shown.status_code == 200
        assert 'method="post"' not in shown.text.partition("<main")[2]


def test_a_form_that_says_no_reason_or_no_term_is_refused_with_the_next_step(http: httpx.Client, model: str) -> None:
    for place, form in (
        ("/licences/mit/overrides", {"term": "training_ban", "value": "true", "reason": " "}),
        ("/licences/mit/overrides", {"term": "id", "value": "x", "reason": "x"}),
        ("/licences/mit/overrides", {"term": "users_cap", "value": "many", "reason": "x"}),
        ("/licences/grants", {"model": MODEL, "name": "mit", "reason": " "}),
    ):
        answer = http.post(place, data=form)
        assert answer.status_code == 422
        assert "Next" in answer.text


@pytest.mark.browser
def test_an_officer_reads_a_licence_replaces_a_term_and_takes_it_back(studio: Studio, tab: Page) -> None:
    tab.goto(f"{studio.url}/licences")
    tab.get_by_label("Named").fill("flux.1")
    tab.get_by_role("button", name="Show").click()
    tab.get_by_role("link", name="FLUX.1 [dev] Non-Commercial License").click()
    expect(tab.get_by_text("Disputed:")).to_be_visible()
    expect(tab.get_by_text("outputs may not train a competing model")).to_be_visible()
    tab.get_by_text("Replace a term for this studio").click()
    tab.get_by_label("Term").select_option("outputs_commercial")
    tab.get_by_label("Value").fill("no")
    tab.locator("#override").get_by_label("Why").fill(f"our counsel {HOSTILE}")
    tab.get_by_role("button", name="Replace it").click()
    expect(tab.get_by_text("changed here", exact=True)).to_be_visible()
    expect(tab.get_by_text(f"our counsel {HOSTILE}").first).to_be_visible()
    assert tab.title() != "taken"
    tab.get_by_text("Take back what was changed here").click()
    tab.locator("#restore").get_by_label("Why").fill("a paid licence was bought")
    tab.get_by_role("button", name="Take it all back").click()
    expect(tab.get_by_text("changed here", exact=True)).to_have_count(0)


@pytest.mark.browser
def test_an_officer_states_a_licence_for_a_model_and_what_is_inherited_stays(
    studio: Studio, tab: Page, model: str
) -> None:
    tab.goto(f"{studio.url}/licences?model={model}")
    expect(tab.get_by_text(HOSTILE)).to_be_visible()
    assert tab.title() != "taken"
    tab.get_by_label("Licence: its id, or any other name").fill("apache-2.0")
    tab.get_by_label("Why you know").fill("asked the author")
    tab.get_by_role("button", name="State it").click()
    expect(tab.get_by_text("asked the author")).to_be_visible()
    expect(tab.get_by_text("inherited: restricts only")).to_be_visible()
    expect(tab.get_by_text(HOSTILE)).to_have_count(0)
