from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import pytest
from fastapi.testclient import TestClient

from memoryd.access.facts import Role
from memoryd.access.guards import Offices
from memoryd.access.projects import ensure_project
from memoryd.catalog import thumbnails
from memoryd.catalog.facts import AssetKind
from memoryd.catalog.recording import record_assets
from memoryd.catalog.thumbnails import Thumbnail
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import AssetId
from memoryd.plugin_api.facts import DocumentKind
from memoryd.storage.blob_store import BlobStore
from memoryd.workflows.documents import keep_documents
from memoryd.workflows.facts import PreparedDocument
from tests.catalog.conftest import Knock
from tests.catalog.records import digest, record

PICTURE = b"\x89PNG pretend" * 50
SMALL = b"RIFF pretend"
PROMPT = b'{"3": {"class_type": "KSampler", "inputs": {"seed": 18446744073709551615}}}'


@pytest.fixture
def asset(database: Database, tenant: TenantScope, offices: Offices) -> AssetId:
    """A picture of project `fox`, whose bytes are in the store, with a parent, a thumbnail and a document."""
    assert isinstance(offices.store, BlobStore)
    offices.store.put_bytes(tenant.slug, PICTURE)
    small = offices.store.put_bytes(tenant.slug, SMALL)
    document = hashlib.sha256(PROMPT).digest()
    with database.tenant_work(tenant) as session:
        fox = ensure_project(session, "fox")
        keep_documents(session, [PreparedDocument(sha256=document, kind=DocumentKind.PROMPT, key="prompt", raw=PROMPT)])
        child = record("pic", project=fox, path="täg\n.png", inputs=(digest("parent"),), seed=2**64 - 1)
        assert child.generation is not None
        told = dataclasses.replace(child.generation, prompt_document=document)
        picture = dataclasses.replace(
            child, sha256=hashlib.sha256(PICTURE).digest(), size=len(PICTURE), generation=told
        )
        recorded, _ = record_assets(session, [picture, record("parent", project=fox)])
        thumbnails.store(
            session,
            Thumbnail(
                asset_id=recorded.asset_id,
                recipe="v1",
                size=512,
                sha256=small.sha256,
                media_type="image/webp",
                width=64,
                height=64,
            ),
        )
    return recorded.asset_id


def requests(asset: AssetId) -> list[tuple[str, str, dict[str, Any] | None]]:
    """Every endpoint that names an asset, with a body that would be accepted."""
    at = f"/v1/assets/{asset}"
    return [
        ("GET", f"/v1/lookup?ref={asset}", None),
        ("GET", at, None),
        ("GET", f"{at}/lineage", None),
        ("GET", f"{at}/paste", None),
        ("GET", f"{at}/content", None),
        ("GET", f"{at}/thumbnail", None),
        ("GET", f"{at}/documents/{hashlib.sha256(PROMPT).hexdigest()}", None),
        ("POST", f"{at}/tags", {"tags": ["hero"]}),
        ("DELETE", f"{at}/tags?tag=hero", None),
        ("PUT", f"{at}/rating", {"stars": 3}),
        ("POST", f"{at}/notes", {"text": "more fur"}),
        ("POST", f"{at}/collections", {"collection": "delivery"}),
        ("DELETE", f"{at}/collections?collection=delivery", None),
        ("PUT", f"{at}/approval", {"state": "approved"}),
        ("DELETE", f"{at}/approval", None),
    ]


LISTS = ["/v1/assets", "/v1/tags", "/v1/collections"]


def test_a_stranger_gets_nothing(stranger: TestClient, asset: AssetId) -> None:
    asked = [*requests(asset), *(("GET", path, None) for path in LISTS), ("GET", "/v1/search/fields", None)]
    assert {stranger.request(method, path, json=body).status_code for method, path, body in asked} == {401}


@pytest.mark.parametrize("outsider", ["another tenant", "another project"])
def test_for_outsiders_the_asset_does_not_exist(
    stranger: TestClient,
    asset: AssetId,
    key_of: Knock,
    tenant: TenantScope,
    other_tenant: TenantScope,
    outsider: str,
) -> None:
    if outsider == "another tenant":
        headers = key_of(other_tenant, Role.ADMIN, None)
    else:
        headers = key_of(tenant, Role.PRODUCER, "owl")
    for method, path, body in requests(asset):
        answer = stranger.request(method, path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["kind"]) == (404, "asset-not-found"), path
    for path in LISTS:
        assert stranger.get(path, headers=headers).json() == {"items": [], "next_cursor": None}


def test_a_viewer_reads_and_attaches_nothing(
    stranger: TestClient, asset: AssetId, key_of: Knock, tenant: TenantScope
) -> None:
    headers = key_of(tenant, Role.VIEWER, "fox")
    for method, path, body in requests(asset):
        answer = stranger.request(method, path, json=body, headers=headers)
        assert answer.status_code == (200 if method == "GET" else 403), path


def test_an_artist_attaches_and_does_not_approve(
    stranger: TestClient, asset: AssetId, key_of: Knock, tenant: TenantScope
) -> None:
    headers = key_of(tenant, Role.ARTIST, "fox")
    for method, path, body in requests(asset):
        answer = stranger.request(method, path, json=body, headers=headers)
        assert (answer.status_code == 403) == path.endswith("/approval"), path


def test_an_asset_is_shown_whole_with_its_seed_exact(
    stranger: TestClient, asset: AssetId, key_of: Knock, tenant: TenantScope
) -> None:
    headers = key_of(tenant, Role.PRODUCER, "fox")
    at = f"/v1/assets/{hashlib.sha256(PICTURE).hexdigest()[:8].upper()}"
    assert stranger.post(f"{at}/tags", json={"tags": ["Hero"]}, headers=headers).json() == {"changed": ["hero"]}
    assert stranger.put(f"{at}/approval", json={"comment": "ship"}, headers=headers).status_code == 204
    shown = stranger.get(at, headers=headers).json()
    assert shown["sha256"] == hashlib.sha256(PICTURE).hexdigest()
    [run] = shown["generations"]
    assert run["samplers"][0]["seed"] == "18446744073709551615"
    assert run["models"][0]["licence"] is None
    assert run["inputs"][0]["parent"]["sha256"] == digest("parent").hex()
    assert (shown["present"], shown["disclosed"], shown["head"]) == (True, False, True)
    [attached] = shown["annotations"]
    assert (attached["tags"], attached["approval"]["state"], attached["approval"]["of_this"]) == (
        ["hero"],
        "approved",
        True,
    )
    [parent] = stranger.get(f"{at}/lineage", headers=headers).json()["ancestors"]
    assert (parent["face"]["sha256"], parent["distance"]) == (digest("parent").hex(), 1)
    [hit] = stranger.get("/v1/assets", params={"q": "fox tag:hero"}, headers=headers).json()["items"]
    assert (hit["face"]["id"], hit["seed"], hit["approval"]) == (str(asset), "18446744073709551615", "approved")


def test_bytes_are_handed_out_verbatim_and_never_to_be_run(
    stranger: TestClient, asset: AssetId, key_of: Knock, tenant: TenantScope, database: Database, offices: Offices
) -> None:
    headers = key_of(tenant, Role.VIEWER, "fox")
    answer = stranger.get(f"/v1/assets/{asset}/content", headers=headers)
    assert answer.content == PICTURE
    assert answer.headers["content-disposition"] == "inline; filename*=UTF-8''t%C3%A4g%0A.png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert stranger.get(f"/v1/assets/{asset}/thumbnail", headers=headers).content == SMALL
    workflow = stranger.get(f"/v1/assets/{asset}/documents/{hashlib.sha256(PROMPT).hexdigest()}", headers=headers)
    assert workflow.content == PROMPT
    assert workflow.headers["content-disposition"].startswith("attachment;")

    assert isinstance(offices.store, BlobStore)
    script = b"<svg onload='alert(1)'/>"
    offices.store.put_bytes(tenant.slug, script)
    with database.tenant_work(tenant) as session:
        svg = dataclasses.replace(
            record("svg", project=ensure_project(session, "fox"), generation=False),
            sha256=hashlib.sha256(script).digest(),
            size=len(script),
            kind=AssetKind.OTHER,
            media_type="image/svg+xml",
        )
        [hostile] = record_assets(session, [svg])
    answer = stranger.get(f"/v1/assets/{hostile.asset_id}/content", headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment;")


def test_a_document_of_another_asset_is_not_given(
    stranger: TestClient, asset: AssetId, key_of: Knock, tenant: TenantScope
) -> None:
    headers = key_of(tenant, Role.VIEWER, "fox")
    answer = stranger.get(f"/v1/assets/{asset}/documents/{digest('document parent').hex()}", headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (404, "document-not-found")


def test_a_search_that_is_not_understood_says_where(stranger: TestClient, key_of: Knock, tenant: TenantScope) -> None:
    answer = stranger.get("/v1/assets", params={"q": "fox colour:red"}, headers=key_of(tenant, Role.VIEWER, "fox"))
    assert answer.status_code == 422
    assert "character 5" in answer.json()["detail"]


def test_the_fields_of_the_language_are_listed(stranger: TestClient, key_of: Knock, tenant: TenantScope) -> None:
    items = stranger.get("/v1/search/fields", headers=key_of(tenant, Role.VIEWER, "fox")).json()["items"]
    assert {"model", "seed", "tag"} <= {item["field"] for item in items}
