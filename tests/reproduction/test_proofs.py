"""Verdicts with what belongs to them, through the real server, worker and stand-in: second runs, difference, receipt."""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from memoryd.access import projects
from memoryd.access.facts import Role
from memoryd.disclosure import pki
from memoryd.disclosure.facts import SealState
from memoryd.disclosure.pki import Anchors
from memoryd.dispatch import chores
from memoryd.foundation.canonical_json import canonical_bytes
from memoryd.ingest.backlog import Wish, ingest_paths, plan
from memoryd.reproduction import comparing, deciding, second_runs
from memoryd.reproduction.facts import Verdict
from memoryd.reproduction.receipt_checking import FileUnreadable, Holds, check_receipt
from memoryd.reproduction.receipt_wire import Receipt
from memoryd.shipped import shipped
from tests.reproduction.painting import GRAPH
from tests.reproduction.studio import PATIENCE_S, Studio, studio

__all__ = ["studio"]

BLEND = "modelfree_blend_invert.png"
BASIC = "txt2img_basic.png"
BARE = "no_metadata.png"


def kept(studio: Studio, name: str, change: Callable[[Any], None] | None = None, **more: Any) -> Path:
    """A copy of a fixture with its texts in the studio's folder: its samples changed, or its file written otherwise."""
    with Image.open(studio.files / "comfyui" / "images" / name) as picture:
        assert isinstance(picture, PngImagePlugin.PngImageFile)
        samples = np.array(picture.convert("RGB"))
        texts = dict(picture.text)
    if change is not None:
        change(samples)
    told = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        told.add_text(key, text)
    path = studio.folder / f"kept {name}"
    Image.fromarray(samples).save(path, pnginfo=told, **({"compress_level": 4} | more))
    return path


def take_in(studio: Studio, path: Path) -> str:
    """Record a file of the studio's folder; return its SHA-256."""
    database = studio.offices.database
    with database.tenant_work(studio.tenant) as session:
        owner = projects.ensure_project(session, "default")
    wish = Wish(paths=(path,), project_id=owner)
    ingest_paths(database, studio.tenant, studio.store, plan(database, studio.tenant, studio.store, wish))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def anchors(studio: Studio) -> Anchors:
    return pki.load_anchors(studio.offices.keys / "pki")


def receipt_of(studio: Studio, attempt: dict[str, Any]) -> bytes:
    with studio.speaking() as client:
        answer = client.get(f"/v1/reproductions/{attempt['id']}/receipt", headers=studio.key(Role.ADMIN))
        assert answer.status_code == 200, answer.text
        content: bytes = answer.content
        return content


def attempt_now(studio: Studio, attempt: dict[str, Any]) -> dict[str, Any]:
    with studio.speaking() as client:
        found: dict[str, Any] = client.get(f"/v1/reproductions/{attempt['id']}", headers=studio.key(Role.ADMIN)).json()
    return found


def one_off(samples: Any) -> None:
    samples[3, 4, 1] ^= 1


def test_what_falls_short_is_run_again_and_the_causes_say_what_was_tested(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    sha256 = take_in(studio, kept(studio, BLEND, one_off))
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(sha256)
        assert attempt["verdict"] == "within tolerance", attempt
        assert attempt["measures"]["max_abs"] == 1 / 255
        assert attempt["measures"]["compared_with"] == "bytes"
        assert attempt["testing"] in ("running", "over")
        first = receipt_of(studio, attempt)
        now = settled(studio, attempt)
    assert now["testing"] == "over"
    assert now["verdict"] == attempt["verdict"]
    assert now["measures"] == attempt["measures"], "a verdict is written once"
    (run,) = now["second_runs"]
    assert (run["purpose"], run["parent_id"]) == ("repeat", attempt["id"])
    assert run["measures"]["as_first"] is True
    assert (run["testing"], run["second_runs"]) == ("off", []), "a second run has none of its own"
    assert "between then and now" in json.dumps(now["causes"])
    last = receipt_of(studio, attempt)
    told = [json.loads(each)["statement"]["tests"]["state"] for each in (first, last)]
    assert told[0] in ("wanted", attempt["testing"]), "the first is signed with the verdict"
    assert told[1] == "over"
    assert all(check_receipt(each, anchors(studio)).good for each in (first, last))
    with studio.speaking() as client:
        listed = client.get(f"/v1/assets/{sha256}/reproductions", headers=studio.key(Role.ADMIN)).json()["items"]
    assert [each["id"] for each in listed] == [attempt["id"]], "second runs stand under the attempt they explain"


def settled(studio: Studio, attempt: dict[str, Any]) -> dict[str, Any]:
    """The attempt when its second runs have ended."""
    until = time.monotonic() + PATIENCE_S
    now = attempt_now(studio, attempt)
    while now["testing"] not in ("over", "off"):
        assert time.monotonic() < until, now
        studio.do_chores()
        time.sleep(0.05)
        now = attempt_now(studio, attempt)
    return now


def test_nobody_who_wants_no_tests_gets_any(studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.take_in(BASIC)
    sha256 = take_in(studio, kept(studio, BLEND, one_off))
    with studio.farm(tmp_path), studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        made = client.post(f"/v1/assets/{sha256}/reproductions", json={"tests": False}, headers=own).json()
        assert made["testing"] == "off"
        now = decided(studio, made)
    assert (now["verdict"], now["testing"], now["second_runs"]) == ("within tolerance", "off", [])


def decided(studio: Studio, attempt: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + PATIENCE_S
    now = attempt_now(studio, attempt)
    while now["state"] != "decided":
        assert time.monotonic() < until, now
        studio.do_chores()
        time.sleep(0.05)
        now = attempt_now(studio, attempt)
    return now


def test_a_workflow_that_does_not_repeat_itself_is_said_to_be_just_that(studio: Studio, tmp_path: Path) -> None:
    with studio.farm(tmp_path, noisy=True) as verdict, studio.speaking() as client:
        own = studio.key(Role.ADMIN)
        job = client.post("/v1/jobs", json={"graph": GRAPH}, headers=own)
        assert job.status_code in (200, 201, 202), job.text
        made = output_of(studio, client, job.json()["id"], own)
        attempt = verdict(made)
        now = settled(studio, attempt)
    assert now["verdict"] in ("similar", "different", "within tolerance"), now
    assert now["causes"][0]["code"] == "not-deterministic", now["causes"]


def output_of(studio: Studio, client: Any, job: str, own: dict[str, str]) -> str:
    until = time.monotonic() + PATIENCE_S
    while (now := client.get(f"/v1/jobs/{job}", headers=own).json())["state"] != "succeeded":
        assert time.monotonic() < until, now
        time.sleep(0.05)
    return str(now["result"]["outputs"][0]["sha256"])


def test_the_difference_is_drawn_kept_and_seen_by_its_project_alone(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    sha256 = take_in(studio, kept(studio, BLEND, one_off))
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(sha256)
    assert attempt["difference"] is True
    address = f"/v1/reproductions/{attempt['id']}/difference"
    with studio.speaking() as client:
        assert client.get(address).status_code == 401
        assert client.get(address, headers=studio.key(Role.ADMIN, tenant=studio.other_tenant)).status_code == 404
        assert client.get(address, headers=studio.key(Role.ARTIST, project="advert")).status_code == 404
        answer = client.get(address, headers=studio.key(Role.VIEWER))
    assert answer.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert np.count_nonzero(np.asarray(picture)) == 1
        assert picture.info["Description"] == attempt["measures"]["difference_picture"]["legend"]


def test_a_receipt_is_seen_by_its_project_alone_and_needs_a_verdict(studio: Studio) -> None:
    studio.take_in(BARE, project="film")
    sha256 = hashlib.sha256((studio.files / "comfyui" / "images" / BARE).read_bytes()).hexdigest()
    with studio.speaking() as client:
        own = studio.key(Role.ARTIST, project="film")
        made = client.post(f"/v1/assets/{sha256}/reproductions", json={}, headers=own).json()
        for part in ("receipt", "difference"):
            address = f"/v1/reproductions/{made['id']}/{part}"
            assert client.get(address).status_code == 401
            assert client.get(address, headers=studio.key(Role.ADMIN, tenant=studio.other_tenant)).status_code == 404
            assert client.get(address, headers=studio.key(Role.ARTIST, project="advert")).status_code == 404
        first = client.get(f"/v1/reproductions/{made['id']}/receipt", headers=own)
        again = client.get(f"/v1/reproductions/{made['id']}/receipt", headers=own)
        missing = client.get(f"/v1/reproductions/{made['id']}/difference", headers=own)
    assert first.status_code == 200, first.text
    assert first.content == again.content, "a receipt is signed once"
    assert missing.status_code == 404
    assert missing.json()["hint"]
    found = check_receipt(first.content, anchors(studio))
    assert (found.good, found.verdict) == (True, Verdict.NOT_ATTEMPTED)
    statement = json.loads(first.content)["statement"]
    assert (statement["how"]["recomputed"], statement["causes"][0]["code"]) == (False, "no-graph")


def test_equal_pixels_in_another_file_are_explained_by_what_is_not_equal(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    sha256 = take_in(studio, kept(studio, BLEND, dpi=(72, 72)))
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(sha256)
    assert (attempt["verdict"], attempt["testing"], attempt["difference"]) == ("identical pixels", "off", False)
    assert attempt["causes"][0]["code"] == "texts-differ"
    assert "pHYs" in attempt["causes"][0]["detail"]


def test_where_the_bytes_are_gone_what_was_kept_decides_and_says_so(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC)
    path = kept(studio, BLEND, compress_level=9)
    sha256 = take_in(studio, path)
    studio.do_chores()
    forget(studio, sha256, path)
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(sha256)
    assert attempt["verdict"] == "identical pixels", attempt
    assert attempt["measures"]["compared_with"] == "stored pixel digest"
    assert "original-gone" in [cause["code"] for cause in attempt["causes"]]


def test_an_identical_file_whose_original_was_gone_rests_on_its_stored_hash(studio: Studio, tmp_path: Path) -> None:
    studio.take_in(BASIC, BLEND)
    sha256 = hashlib.sha256((studio.folder / BLEND).read_bytes()).hexdigest()
    forget(studio, sha256, studio.folder / BLEND)
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(sha256)
    assert (attempt["verdict"], attempt["measures"]["compared_with"]) == ("identical file", "stored hash")
    statement = json.loads(receipt_of(studio, attempt))["statement"]
    assert statement["compared"]["with"] == "stored hash"


def forget(studio: Studio, sha256: str, path: Path) -> None:
    path.unlink()
    studio.store.remove(studio.tenant.slug, bytes.fromhex(sha256))


@pytest.fixture
def proven(studio: Studio, tmp_path: Path) -> tuple[Studio, bytes, Path, Path]:
    """A studio with a receipt on a verdict within tolerance, the original's file and the made one's."""
    studio.take_in(BASIC)
    original = kept(studio, BLEND, one_off)
    sha256 = take_in(studio, original)
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(sha256)
    made = tmp_path / "made.png"
    made.write_bytes(studio.store.read_verified(studio.tenant.slug, bytes.fromhex(attempt["measures"]["made_sha256"])))
    return studio, receipt_of(studio, attempt), original, made


def test_a_third_party_holds_a_receipt_against_the_files(
    proven: tuple[Studio, bytes, Path, Path], tmp_path: Path
) -> None:
    studio, receipt, original, made = proven
    found = check_receipt(receipt, anchors(studio), original=original, made=made)
    assert found.good, found
    assert (found.seal.state, found.development) == (SealState.INTACT, True)
    assert {check.what: check.holds for check in found.checks}["compared again"] is Holds.YES
    elsewhere = check_receipt(receipt, Anchors(), original=original, made=made)
    assert (elsewhere.good, elsewhere.seal.state) == (True, SealState.INTACT_UNKNOWN_SIGNER)
    swapped = check_receipt(receipt, anchors(studio), original=made, made=original)
    assert not swapped.good
    with pytest.raises(FileUnreadable):
        check_receipt(receipt, Anchors(), original=tmp_path / "nowhere.png")


def test_any_change_to_a_receipt_is_found(proven: tuple[Studio, bytes, Path, Path]) -> None:
    studio, receipt, _, _ = proven
    trusted = anchors(studio)
    for place in range(0, len(receipt), 23):
        changed = bytearray(receipt)
        changed[place] ^= 1
        assert not check_receipt(bytes(changed), trusted).good, place
    better = json.loads(receipt)
    better["statement"]["verdict"] = "identical pixels"
    assert not check_receipt(canonical_bytes(better) + b"\n", trusted).good
    spelled = json.dumps(json.loads(receipt), indent=2).encode()
    assert not check_receipt(spelled, trusted).good
    for nonsense in (b"", b"[]", b"{}", b'{"statement":{}}', b"\xff", b"[" * 100_000):
        assert not check_receipt(nonsense, trusted).good


def test_a_receipt_is_of_its_published_shape(proven: tuple[Studio, bytes, Path, Path]) -> None:
    _, receipt, _, _ = proven
    said = Receipt.model_validate_json(receipt).statement
    assert (said.verdict, said.how.recomputed, said.how.cached_nodes) == ("within tolerance", True, 0)
    assert said.compared.made is not None
    assert said.compared.original_pixels is not None
    assert said.how.environment_now
    assert said.how.worker is not None
    assert said.signer.development
    assert said.tolerances.max_abs == 2 / 255
    assert "prompt" not in json.loads(receipt)["statement"]


def test_the_published_schema_is_the_one_of_this_version() -> None:
    published = json.loads((shipped("schemas") / "reproduction_verdict.v1.schema.json").read_text())
    published.pop("$schema")
    assert published == Receipt.model_json_schema(by_alias=True)


def test_a_chore_that_died_after_the_verdict_still_begins_the_second_runs(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.take_in(BASIC)
    sha256 = take_in(studio, kept(studio, BLEND, one_off))
    with studio.farm(tmp_path) as verdict:
        with monkeypatch.context() as dying:
            dying.setattr(second_runs, "go_on", lambda *_: None)
            attempt = verdict(sha256)
        assert attempt["testing"] == "wanted"
        for _ in range(2):
            deciding.decide(studio.offices.database, studio.store, studio.tenant, attempt["id"], studio.offices.keys)
        now = settled(studio, attempt)
    assert (now["testing"], len(now["second_runs"])) == ("over", 1)


def test_a_picture_on_which_every_comparison_fails_still_gets_its_verdict(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("broken by this picture")

    monkeypatch.setattr(comparing, "compare_and_map", broken)
    monkeypatch.setattr(chores, "TRIES_LIMIT", 1)
    studio.take_in(BASIC)
    sha256 = take_in(studio, kept(studio, BLEND, one_off))
    with studio.farm(tmp_path) as verdict:
        attempt = verdict(sha256)
    assert attempt["verdict"] == Verdict.DIFFERENT
    assert "failed each time" in json.dumps(attempt["causes"])
    assert "max_abs" not in attempt["measures"]
