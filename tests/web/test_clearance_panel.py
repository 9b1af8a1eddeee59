"""May it be used: on the asset's page, a delivery's page with a verdict for each item, clients."""

from __future__ import annotations

import httpx
from sqlalchemy import text

from memoryd.access.facts import Role
from tests.web.conftest import Known, Studio


def _asset(studio: Studio) -> str:
    with studio.database.tenant_work(studio.tenant) as session:
        return str(
            session.scalars(
                text("select asset_id from generation_output join generation_model using (generation_id) limit 1")
            ).one()
        )


def test_an_assets_page_tells_its_verdict_and_checks_for_a_use(
    studio: Studio, http: httpx.Client, stranger: httpx.Client
) -> None:
    asset = _asset(studio)
    assert stranger.get(f"/assets/{asset}/clearance").status_code == 401
    assert f'hx-get="/assets/{asset}/clearance"' in http.get(f"/assets/{asset}").text
    part = http.get(f"/assets/{asset}/clearance", headers={"HX-Request": "true"}).text
    assert "unknown" in part
    assert "<html" not in part
    whole = http.get(f"/assets/{asset}/clearance?use=advertising&territory=DE").text
    assert "advertising" in whole
    assert http.get(f"/assets/{asset}/clearance?use=advertising&territory=Atlantis").status_code == 422
    other = {"Memoryd-Tenant": "other"}
    assert http.get(f"/assets/{asset}/clearance", headers=other).status_code == 404


def test_a_delivery_is_begun_filled_judged_and_frozen_on_its_page(
    studio: Studio, http: httpx.Client, key_of: Known, stranger: httpx.Client
) -> None:
    asset = _asset(studio)
    with studio.database.tenant_work(studio.tenant) as session:
        slug = session.scalars(text("select slug from project where id = :id"), {"id": studio.project_id}).one()
    begun = http.post("/deliveries", data={"name": "Spring <b>", "project": slug})
    assert begun.status_code == 303
    page = begun.headers["location"]
    assert http.post(f"{page}/items", data={"refs": asset}).status_code == 303
    shown = http.get(page).text
    assert asset in shown
    assert "Spring &lt;b&gt;" in shown
    assert http.post(f"{page}/freeze").status_code == 303
    assert "frozen" in http.get(page).text
    outsider = key_of(studio.tenant, Role.PRODUCER, "elsewhere")
    for path in (page, f"/assets/{asset}/clearance"):
        assert stranger.get(path).status_code == 401
        assert http.get(path, headers={"Memoryd-Tenant": "other"}).status_code == 404
        assert http.get(path, headers=outsider).status_code == 404
    assert "Spring" not in http.get("/deliveries", headers=outsider).text
    assert http.post(f"{page}/freeze", headers=outsider).status_code == 404
    for path in ("/deliveries", "/clients", "/clearance/reopened"):
        assert stranger.get(path).status_code == 401
        assert http.get(path).status_code == 200


def test_a_reopened_verdict_on_one_picture_is_listed(studio: Studio, http: httpx.Client) -> None:
    asset = _asset(studio)
    assert http.get(f"/assets/{asset}/clearance?use=advertising&territory=DE").status_code == 200
    with studio.database.tenant_work(studio.tenant) as session:
        now = {"why": "the terms of a licence changed", "to": "block"}
        session.execute(
            text(
                "update licence_verdict set state = 'reopened', reopened_at = now(), reopened_why = :why,"
                " reopened_to = :to where kind = 'asset'"
            ),
            now,
        )
    page = http.get("/clearance/reopened").text
    assert now["why"] in page
    assert "advertising in DE" in page
    assert f'href="/assets/{asset}"' in page


def test_what_is_told_of_studio_and_clients_is_kept_and_an_empty_field_is_not_told(
    studio: Studio, http: httpx.Client, key_of: Known
) -> None:
    assert http.post("/clients", data={"name": "Zweig & Co"}).status_code == 303
    told = {"revenue": "1,500,000", "users": "0", "seats": "de us", "registered": "stability-ai-community"}
    assert http.post("/clients/studio", data=told).status_code == 303
    page = http.get("/clients").text
    assert "Zweig &amp; Co" in page
    assert 'value="1500000"' in page
    assert 'value="DE, US"' in page
    assert http.post("/clients/studio", data={}).status_code == 303
    assert 'value="1500000"' not in http.get("/clients").text
    producer = key_of(studio.tenant, Role.PRODUCER, "elsewhere")
    assert http.post("/clients/studio", data=told, headers=producer).status_code == 403
    assert "Zweig" not in http.get("/clients", headers=producer).text
