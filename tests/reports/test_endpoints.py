from __future__ import annotations

from pathlib import Path

from memoryd.access.sessions import local_caller
from memoryd.catalog.attesting import Declaration, attest, withdraw
from memoryd.catalog.declaring import link
from memoryd.catalog.looking_up import find_asset
from memoryd.disclosure import endpoints as disclosure_endpoints
from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import load_anchors
from memoryd.disclosure.sealing import verify_seal
from memoryd.foundation.database import Database
from memoryd.reports import endpoints
from memoryd.reports.wire import LineageReport
from tests.disclosure.studio import client, offices, take_in


def test_no_report_is_made_for_a_stranger(database: Database, tmp_path: Path) -> None:
    stranger = client(offices(database, tmp_path), endpoints.router, local=False)
    assert stranger.post("/v1/reports", json={"query": "fox"}).status_code == 401


def test_a_report_tells_of_an_asset_and_of_a_search_and_is_sealed(
    database: Database, fixtures: Path, tmp_path: Path
) -> None:
    caller = local_caller(database, "default")
    names = ("txt2img_basic", "img2img_from_upload", "no_metadata")
    paths = take_in(database, caller, fixtures, tmp_path / "output", *names)
    held = offices(database, tmp_path / "home")
    local = client(held, endpoints.router, disclosure_endpoints.router, local=True)
    parent = str(paths["txt2img_basic"])
    with paths["txt2img_basic"].open("rb") as file:
        asset = local.post("/v1/verify", files={"file": file}).json()["asset_id"]
    assert local.post(f"/v1/assets/{asset}/disclosures").status_code == 201
    made = local.post("/v1/reports", json={"ref": parent, "format": "html"})
    assert made.status_code == 200, made.text
    texts = made.json()
    anchors = load_anchors(held.keys / "pki")
    for content, signature in ((texts["report"], texts["signature"]), (texts["html"], texts["html_signature"])):
        assert verify_seal(content.encode(), signature.encode(), anchors).state is SealState.INTACT
    (told,) = LineageReport.model_validate_json(texts["report"]).assets
    assert told.disclosures[0].verification.state == "valid"
    assert told.verification.state == "no-manifest"
    assert told.runs[0].workflow
    assert told.runs[0].workflow.structure
    assert [child.sha256[:8] for child in told.children]
    everything = local.post("/v1/reports", json={"query": "kind:image"}).json()
    report = LineageReport.model_validate_json(everything["report"])
    assert report.summary.assets == len(names)
    assert report.summary.disclosed == 1
    assert {"making-unknown", "not-disclosed", "signer-development"} <= {gap.code for gap in report.gaps}
    other = {"Memoryd-Tenant": "other"}
    assert local.post("/v1/reports", json={"ref": asset}, headers=other).status_code == 404
    assert local.post("/v1/reports", json={"query": "kind:image"}, headers=other).status_code == 422
    assert local.post("/v1/reports", json={}).status_code == 422


def test_what_people_said_of_a_picture_is_told_with_who_said_it(
    database: Database, fixtures: Path, tmp_path: Path
) -> None:
    caller = local_caller(database, "default")
    paths = take_in(database, caller, fixtures, tmp_path / "output", "txt2img_basic", "no_metadata")
    with database.tenant_work(caller.tenant) as session:
        child, parent = (
            find_asset(session, str(paths[name]), caller.sees) for name in ("no_metadata", "txt2img_basic")
        )
        made = attest(session, caller, child, Declaration(made_by="Midjourney", prompt="a secret fox", seed=2**53 + 1))
        taken_back = attest(session, caller, child, Declaration(made_by="dall-e"))
        withdraw(session, caller, child, taken_back)
        link(session, caller, child, parent, "retouched")
    local = client(offices(database, tmp_path / "home"), endpoints.router, local=True)
    texts = local.post("/v1/reports", json={"ref": str(child), "format": "html"}).json()
    (told,) = LineageReport.model_validate_json(texts["report"]).assets
    assert [(said.id, said.made_by, said.seed) for said in told.declarations] == [(made, "midjourney", str(2**53 + 1))]
    assert told.declarations[0].by == told.parents[0].by is not None
    assert told.parents[0].source == "declared"
    assert {run.origin for run in told.runs} == {"declared"}
    assert "secret fox" not in texts["report"] + texts["html"]
