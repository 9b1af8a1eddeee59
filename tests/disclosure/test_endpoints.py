from __future__ import annotations

from pathlib import Path

from memoryd.access.sessions import local_caller
from memoryd.disclosure import endpoints
from memoryd.disclosure.verifying import verify_stream
from memoryd.foundation.database import Database

from .studio import client, offices, take_in


def test_nothing_is_answered_to_a_stranger(database: Database, tmp_path: Path) -> None:
    stranger = client(offices(database, tmp_path), endpoints.router, local=False)
    for method, path in (
        ("POST", "/v1/assets/abcdef0123/disclosures"),
        ("GET", "/v1/assets/abcdef0123/disclosures"),
        ("GET", "/v1/disclosures/01900000-0000-7000-8000-000000000000/file"),
        ("PUT", "/v1/disclosures/roots"),
        ("POST", "/v1/verify"),
    ):
        assert (
            stranger.request(method, path, files={"file": b"x"} if path.endswith("verify") else None).status_code == 401
        )


def test_an_asset_is_disclosed_once_listed_fetched_and_verified(
    database: Database, fixtures: Path, tmp_path: Path
) -> None:
    caller = local_caller(database, "default")
    path = take_in(database, caller, fixtures, tmp_path / "output", "txt2img_basic")["txt2img_basic"]
    held = offices(database, tmp_path / "home")
    local = client(held, endpoints.router, local=True)
    with path.open("rb") as file:
        seen = local.post("/v1/verify", files={"file": file}).json()
    assert seen["state"] == "no-manifest"
    asset = seen["asset_id"]
    made = local.post(f"/v1/assets/{asset}/disclosures")
    assert made.status_code == 201, made.text
    again = local.post(f"/v1/assets/{asset}/disclosures")
    assert again.status_code == 200
    assert again.json()["id"] == made.json()["id"]
    assert [one["id"] for one in local.get(f"/v1/assets/{asset}/disclosures").json()["items"]] == [made.json()["id"]]
    answer = local.get(f"/v1/disclosures/{made.json()['id']}/file")
    assert answer.status_code == 200
    (tmp_path / "copy.png").write_bytes(answer.content)
    with (tmp_path / "copy.png").open("rb") as copy:
        assert verify_stream(copy).good
    with (tmp_path / "copy.png").open("rb") as copy:
        verdict = local.post("/v1/verify", files={"file": copy}).json()
    assert verdict["asset_id"] == made.json()["disclosed_id"]
    assert verdict["trusted_by"]
    other = {"Memoryd-Tenant": "other"}
    assert local.get(f"/v1/disclosures/{made.json()['id']}/file", headers=other).status_code == 404
    assert local.post(f"/v1/assets/{asset}/disclosures", headers=other).status_code == 404


def test_without_evidence_the_answer_says_why_nothing_was_signed(
    database: Database, fixtures: Path, tmp_path: Path
) -> None:
    caller = local_caller(database, "default")
    path = take_in(database, caller, fixtures, tmp_path / "output", "no_metadata")["no_metadata"]
    local = client(offices(database, tmp_path / "home"), endpoints.router, local=True)
    with path.open("rb") as file:
        asset = local.post("/v1/verify", files={"file": file}).json()["asset_id"]
    refused = local.post(f"/v1/assets/{asset}/disclosures")
    assert refused.status_code == 422
    assert refused.json()["kind"] == "nothing-to-say"
    assert refused.json()["hint"]
