from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.access.facts import Role
from memoryd.access.guards import Offices
from memoryd.catalog import content
from memoryd.catalog.content import ContentMissing, Copies, open_copy
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import AssetId, new_id
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.byte_ranges import Answer, ByteRange, asked_range
from tests.catalog.conftest import Knock
from tests.catalog.test_endpoints import PICTURE
from tests.catalog.test_endpoints import asset as asset

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("bytes=0-0", (0, 0)),
        ("bytes=2-", (2, 9)),
        ("Bytes = 2-100", (2, 9)),
        ("bytes=-3", (7, 9)),
        ("bytes=-100", (0, 9)),
        ("bytes=9-9", (9, 9)),
        ("bytes=10-", Answer.NOT_SATISFIABLE),
        ("bytes=10-12", Answer.NOT_SATISFIABLE),
        ("bytes=-0", Answer.NOT_SATISFIABLE),
        ("bytes=5-4", Answer.WHOLE),
        ("bytes=-", Answer.WHOLE),
        ("bytes=0-1,3-4", Answer.WHOLE),
        ("items=0-1", Answer.WHOLE),
        ("bytes=a-b", Answer.WHOLE),
        ("bytes=0-" + "9" * 30, Answer.WHOLE),
        ("", Answer.WHOLE),
        (None, Answer.WHOLE),
    ],
)
def test_a_range_means_what_http_says(wanted: str | None, meant: tuple[int, int] | Answer) -> None:
    found = asked_range(wanted, None, etag=ETAG, size=10)
    assert (found if isinstance(found, Answer) else (found.first, found.last)) == meant


def test_of_nothing_no_part_can_be_had() -> None:
    assert asked_range("bytes=0-", None, etag=ETAG, size=0) is Answer.NOT_SATISFIABLE
    assert asked_range("bytes=-5", None, etag=ETAG, size=0) is Answer.NOT_SATISFIABLE


@pytest.mark.parametrize("condition", ['W/"abc"', '"abd"', "Sat, 21 Nov 2026 10:00:00 GMT", "*"])
def test_a_part_is_given_only_of_what_the_reader_has(condition: str) -> None:
    assert asked_range("bytes=0-1", condition, etag=ETAG, size=10) is Answer.WHOLE
    assert isinstance(asked_range("bytes=0-1", ETAG, etag=ETAG, size=10), ByteRange)


@settings(max_examples=100)
@given(
    wanted=st.text(max_size=30) | st.from_regex(r"bytes=\d{0,5}-\d{0,5}", fullmatch=True), size=st.integers(0, 2_000)
)
def test_a_range_is_always_inside_of_the_content(wanted: str, size: int) -> None:
    found = asked_range(wanted, None, etag=ETAG, size=size)
    assert isinstance(found, Answer) or 0 <= found.first <= found.last < size


def test_a_film_is_sought_in(stranger: TestClient, asset: AssetId, key_of: Knock, tenant: TenantScope) -> None:
    headers = key_of(tenant, Role.VIEWER, "fox")
    at = f"/v1/assets/{asset}/content"
    whole = stranger.get(at, headers=headers)
    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    part = stranger.get(at, headers={**headers, "Range": "bytes=3-9", "If-Range": whole.headers["etag"]})
    assert (part.status_code, part.content) == (206, PICTURE[3:10])
    assert part.headers["content-range"] == f"bytes 3-9/{len(PICTURE)}"
    assert part.headers["content-length"] == "7"
    assert "sandbox" in part.headers["content-security-policy"]
    last = stranger.get(at, headers={**headers, "Range": "bytes=-4"})
    assert (last.status_code, last.content) == (206, PICTURE[-4:])
    changed = stranger.get(at, headers={**headers, "Range": "bytes=3-9", "If-Range": '"another"'})
    assert (changed.status_code, changed.content) == (200, PICTURE)
    beyond = stranger.get(at, headers={**headers, "Range": f"bytes={len(PICTURE)}-"})
    assert (beyond.status_code, beyond.content) == (416, b"")
    assert beyond.headers["content-range"] == f"bytes */{len(PICTURE)}"


@pytest.mark.parametrize("wanted", ["bytes=0-1", "bytes=99999999-"])
def test_outsiders_learn_nothing_by_asking_for_a_part(
    stranger: TestClient,
    asset: AssetId,
    key_of: Knock,
    tenant: TenantScope,
    other_tenant: TenantScope,
    wanted: str,
) -> None:
    at = f"/v1/assets/{asset}/content"
    assert stranger.get(at, headers={"Range": wanted}).status_code == 401
    for outsider in (key_of(other_tenant, Role.ADMIN, None), key_of(tenant, Role.PRODUCER, "owl")):
        answer = stranger.get(at, headers={**outsider, "Range": wanted})
        assert (answer.status_code, answer.json()["kind"]) == (404, "asset-not-found")
        assert "content-range" not in answer.headers


def test_a_part_of_what_was_damaged_is_not_given(
    stranger: TestClient, asset: AssetId, key_of: Knock, tenant: TenantScope, offices: Offices
) -> None:
    assert isinstance(offices.store, BlobStore)
    blob = offices.store.path(tenant.slug, hashlib.sha256(PICTURE).digest())
    blob.chmod(0o600)
    blob.write_bytes(PICTURE[:-1] + b"x")
    headers = {**key_of(tenant, Role.VIEWER, "fox"), "Range": "bytes=0-3"}
    answer = stranger.get(f"/v1/assets/{asset}/content", headers=headers)
    assert (answer.status_code, answer.json()["kind"]) == (404, "content-missing")


def test_a_large_file_is_checked_once_and_again_when_somebody_wrote_to_it(
    tmp_path: Path, database: Database, tenant: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "IN_MEMORY_LIMIT", 4)
    monkeypatch.setattr(content, "SETTLED_NS", -1)
    film = tmp_path / "film.mp4"
    film.write_bytes(b"a film, long")
    copies = Copies(
        asset_id=AssetId(new_id()),
        sha256=hashlib.sha256(b"a film, long").digest(),
        size=12,
        media_type="video/mp4",
        paths=(bytes(film),),
        last_seen=None,
    )
    store = BlobStore(tmp_path / "home")
    hashed: list[object] = []
    real = content._verified

    def counted(source: object, of: Copies) -> object:
        hashed.append(of)
        return real(source, of)  # type: ignore[arg-type]

    monkeypatch.setattr(content, "_verified", counted)
    for _ in range(3):
        with open_copy(store, tenant, copies, remembered=True) as part:
            assert part.read() == b"a film, long"
    assert len(hashed) == 1
    with open_copy(store, tenant, copies) as whole:
        assert whole.read() == b"a film, long"
    assert len(hashed) == 2
    film.write_bytes(b"another film")
    with pytest.raises(ContentMissing):
        open_copy(store, tenant, copies, remembered=True)
