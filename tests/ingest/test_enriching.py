"""Deriving as chores: asked for, resumed, done again; likenesses asked about; frames gathered."""

from __future__ import annotations

import dataclasses
import io
import json
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image, PngImagePlugin

from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import new_id
from memoryd.ingest.enriching import endpoints as enriching_endpoints
from memoryd.ingest.enriching.turns import ASKED_FOR, Turns
from memoryd.ingest.enrichment import HANDLERS
from memoryd.ingest.facts import Folder
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import prompt

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient


@dataclasses.dataclass(frozen=True)
class Means:
    database: Database
    store: BlobStore
    tenant: TenantScope


@pytest.fixture
def means(database: Database, store: BlobStore, tenant: TenantScope) -> Means:
    return Means(database, store, tenant)


def painted(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    fine = Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    return Image.blend(coarse, fine, 0.35)


def saved(picture: Image.Image, seed: int | None = None, kind: str = "PNG") -> bytes:
    """A picture's file; with a seed it says by which graph it was made."""
    out = io.BytesIO()
    texts = PngImagePlugin.PngInfo()
    if seed is not None:
        texts.add_text("prompt", json.dumps(prompt(seed)))
    picture.save(out, kind, **({"pnginfo": texts} if kind == "PNG" else {}))
    return out.getvalue()


def take_in(means: Means, folder: Path) -> None:
    with means.database.tenant_work(means.tenant) as session:
        record(session, prepare_here(Folder(path=folder), sorted(folder.iterdir())), scope=means.tenant)


def next_chore(means: Means) -> Chore | None:
    with means.database.farm_work() as session:
        return chores.claim(session, kinds=sorted(HANDLERS))


def work(means: Means) -> list[str]:
    """Do all chores; return their kinds."""
    kinds = []
    while (chore := next_chore(means)) is not None:
        kinds.append(chore.kind)
        HANDLERS[chore.kind](means, chore)
        with means.database.farm_work() as session:
            chores.finish(session, chore)
    return kinds


@pytest.fixture
def local(app: FastAPI) -> Iterator[TestClient]:
    app.include_router(enriching_endpoints.router, prefix="/v1")
    with TestClient(app, base_url="http://127.0.0.1:7860/v1", client=("127.0.0.1", 4711)) as client:
        yield client


def test_everything_is_derived_by_one_chore(means: Means, folder: Path, rows: Rows) -> None:
    (folder / "a.png").write_bytes(saved(painted(1), 1))
    take_in(means, folder)
    assert work(means) == ["enrich", "resemblance", "sequence"]
    assert {row.part: row.state for row in rows("select part, state from enriched")} == {
        "thumbnail": "made",
        "pixel_digest": "made",
        "fingerprint": "made",
        "traits": "made",
        "poster": "nothing",
    }
    assert rows("select count(*), bool_and(cardinality(bands) = 16) from fingerprint")[0] == (2, True)


def test_what_is_done_is_not_done_again_and_older_recipes_go_when_the_new_is_there(
    means: Means, folder: Path, rows: Rows
) -> None:
    for seed in (1, 2):
        (folder / f"{seed}.png").write_bytes(saved(painted(seed), seed))
    take_in(means, folder)
    chore = next_chore(means)
    assert chore is not None
    HANDLERS[chore.kind](means, chore)
    with means.database.tenant_work(means.tenant) as session:
        from sqlalchemy import text

        old = "insert into thumbnail (asset_id, recipe, size, sha256, media_type, width, height) select asset_id, 'v1', 512,"
        session.execute(text(f"{old} sha256, media_type, 9, 9 from thumbnail where size = 256"))
        session.execute(text("update enriched set version = 1 where part = 'thumbnail'"))
    before = rows("select max(made_at) from thumbnail where recipe = 'v2'")[0][0]
    HANDLERS[chore.kind](means, chore)
    assert rows("select count(*) from thumbnail where recipe = 'v1'")[0][0] == 0
    after = rows("select max(made_at) from thumbnail")[0][0]
    assert after > before
    HANDLERS[chore.kind](means, chore)
    assert rows("select max(made_at) from thumbnail")[0][0] == after


def test_a_damaged_picture_is_a_finding_once_and_no_storm(means: Means, folder: Path, rows: Rows) -> None:
    whole = saved(painted(3), 3)
    at = whole.index(b"IDAT") + 4000
    (folder / "damaged.png").write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
    take_in(means, folder)
    work(means)
    [found] = rows("select findings, current from extraction where plugin = 'enrichment'")
    assert [finding["code"] for finding in found.findings] == ["pixels-damaged"]
    assert found.current
    assert rows("select count(*) from asset_mark where 'finding' = any(flags)")[0][0] == 1
    assert {row.state for row in rows("select state from enriched where part = 'pixel_digest'")} == {"failed"}
    assert rows("select count(*) from asset where pixel_digest is not null")[0][0] == 0


def test_recipes_are_asked_for_over_http(means: Means, folder: Path, local: TestClient, rows: Rows) -> None:
    for seed in (1, 2, 3):
        (folder / f"{seed}.png").write_bytes(saved(painted(seed), seed))
    take_in(means, folder)
    with means.database.farm_work() as session:
        from sqlalchemy import text

        session.execute(text("delete from chore"))
    order = local.post("/enrichments", json={}).json()
    assert (order["subjects"], order["left"], order["done"], order["redo"]) == (3, 3, 0, False)
    work(means)
    assert local.get(f"/enrichments/{order['id']}").json()["done"] == 3
    assert local.post("/enrichments", json={}).json()["subjects"] == 0
    asset = str(rows("select id from asset limit 1")[0].id)
    again = local.post("/enrichments", json={"redo": ["thumbnail@2"], "assets": [asset]}).json()
    assert (again["subjects"], again["recipes"]) == (1, ["thumbnail@2"])
    assert work(means) == ["enrich_again"]
    found = local.post("/enrichments", json={"redo": ["fingerprint"], "query": "fox"}).json()
    assert found["subjects"] == 3
    wrong = local.post("/enrichments", json={"redo": ["thumbnail@1"]})
    assert wrong.status_code == 422
    assert "thumbnail@2" in wrong.json()["hint"]
    nobody = local.get("/enrichments/0192f000-0000-7000-8000-000000000000")
    assert nobody.status_code == 404


@pytest.mark.parametrize("asked", [["thumbnail"], []])
def test_what_a_person_asked_for_has_every_other_turn(
    means: Means, folder: Path, local: TestClient, asked: list[str]
) -> None:
    (folder / "first.png").write_bytes(saved(painted(1), 1))
    take_in(means, folder)
    if asked:
        work(means)
    assert local.post("/enrichments", json={"redo": asked}).status_code == 202
    with means.database.farm_work() as session:
        chores.add_all(session, means.tenant.id, "resemblance", "v1", [new_id() for _ in range(2_000)])
    turns, kinds = Turns(), []
    for _ in range(4):
        with means.database.farm_work() as session:
            chore = turns.claim(session, HANDLERS)
            assert chore is not None
            kinds.append(chore.kind in ASKED_FOR)
            chores.finish(session, chore)
    # It is one chore; without turns it would be the last of all.
    assert kinds == [False, True, False, False]


def test_a_stranger_asks_for_nothing(app: FastAPI) -> None:
    app.include_router(enriching_endpoints.router, prefix="/v1")
    with TestClient(app, base_url="https://studio.example/v1", client=("203.0.113.7", 4711)) as remote:
        assert remote.post("/enrichments", json={}).status_code == 401


def test_a_picture_without_a_word_that_looks_like_a_known_one_is_asked_about(
    means: Means, folder: Path, rows: Rows
) -> None:
    original = painted(5)
    (folder / "known.png").write_bytes(saved(original, 5))
    (folder / "other.png").write_bytes(saved(painted(6), 6))
    take_in(means, folder)
    work(means)
    (folder / "same.png").write_bytes(saved(original))
    (folder / "sent.jpg").write_bytes(saved(original, kind="JPEG"))
    (folder / "large.png").write_bytes(saved(original.resize((640, 480), Image.Resampling.LANCZOS)))
    (folder / "mirrored.png").write_bytes(saved(original.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    (folder / "unlike.png").write_bytes(saved(painted(7)))
    take_in(means, folder)
    work(means)
    names = "(select substring(shown_path from '[^/]+$') from location where asset_id = {} limit 1)"
    asked = rows(
        f"select {names.format('child_root')} as child, {names.format('parent_root')} as parent, how from proposal"
    )
    assert {(row.child, row.parent, row.how) for row in asked} == {
        ("same.png", "known.png", "copied"),
        ("sent.jpg", "known.png", "copied"),
        ("large.png", "known.png", "upscaled"),
        ("mirrored.png", "known.png", "retouched"),
    }


def test_a_known_one_that_comes_later_is_asked_about_too(means: Means, folder: Path, rows: Rows) -> None:
    (folder / "early.jpg").write_bytes(saved(painted(8), kind="JPEG"))
    take_in(means, folder)
    work(means)
    (folder / "known.png").write_bytes(saved(painted(8), 8))
    take_in(means, folder)
    work(means)
    assert [row.how for row in rows("select how from proposal")] == ["copied"]


def test_numbered_frames_are_one_item_and_a_batch_is_not(means: Means, folder: Path, rows: Rows) -> None:
    shifting = painted(9, (400, 240))
    for number in range(1, 5):
        (folder / f"shot.{number:04}.png").write_bytes(saved(shifting.crop((number, 0, number + 320, 240))))
    for number in range(1, 11):
        (folder / f"ComfyUI_{number:05}_.png").write_bytes(saved(painted(20 + number), 20 + number))
    (folder / "version.001.png").write_bytes(saved(painted(40)))
    take_in(means, folder)
    work(means)
    found = rows("select name, frames, first, last from sequence where frames > 1")
    assert [(row.name.rpartition("/")[2], row.frames, row.first, row.last) for row in found] == [
        ("shot.####.png", 4, 1, 4)
    ]
    for number in (6, 7):
        (folder / f"shot.{number:04}.png").write_bytes(saved(shifting.crop((number, 0, number + 320, 240))))
    take_in(means, folder)
    work(means)
    [more] = rows("select id, frames, last from sequence where frames > 1")
    assert (more.frames, more.last) == (6, 7)
    from memoryd.catalog.sequences import find_sequence

    with means.database.tenant_work(means.tenant) as session:
        [member] = rows("select asset_id from sequence_member where sequence_id = :id and number = 7", id=more.id)
        view = find_sequence(session, member.asset_id, None)
    assert view is not None
    assert (view.frames, view.first, view.last, view.missing) == (6, 1, 7, 1)


@pytest.mark.parametrize(("step", "one_item"), [(3, True), (None, False)])
def test_frames_of_one_run_are_one_item_where_they_move_little(
    means: Means, folder: Path, rows: Rows, step: int | None, one_item: bool
) -> None:
    wide = painted(11, (500, 240))
    for number in range(1, 11):
        frame = painted(50 + number) if step is None else wide.crop((number * step, 0, number * step + 320, 240))
        (folder / f"film_{number:05}_.png").write_bytes(saved(frame, 77))
    take_in(means, folder)
    with means.database.tenant_work(means.tenant) as session:
        from sqlalchemy import text

        # As a worker tells it: one run made them all.
        session.execute(
            text("update generation_output set generation_id = (select id from generation limit 1)"),
        )
    work(means)
    assert [row.frames for row in rows("select frames from sequence where frames >= 3")] == ([10] if one_item else [])


def test_a_search_shows_a_sequence_once_and_each_frame_where_it_is_meant(means: Means, folder: Path) -> None:
    from memoryd.search.finding import find, find_all
    from memoryd.search.query_language import parse

    wide = painted(12, (400, 240))
    for number in range(1, 6):
        (folder / f"shot.{number:04}.png").write_bytes(saved(wide.crop((number, 0, number + 320, 240))))
    (folder / "alone.png").write_bytes(saved(painted(13)))
    take_in(means, folder)
    work(means)
    with means.database.tenant_work(means.tenant) as session:
        hits = find(session, parse(""), None).rows
        found = {hit.face.name: None if hit.sequence is None else hit.sequence.frames for hit in hits}
        assert found == {"shot.0001.png": 5, "alone.png": None}
        assert [hit.face.name for hit in find(session, parse("file:shot.0003.png"), None).rows] == ["shot.0003.png"]
        assert len(find(session, parse("is:all"), None).rows) == 6
        assert len(find_all(session, parse(""), None, 100)) == 6


def test_the_command_says_what_it_queued_and_what_is_done(
    means: Means, folder: Path, local: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer
    from typer.testing import CliRunner

    from memoryd_cli import enrichment as command
    from memoryd_cli.client import Client

    app = typer.Typer()
    command.register(app)
    client = Client("http://127.0.0.1:7860", None, transport=local._transport)
    monkeypatch.setattr(command, "server", lambda: client)
    (folder / "a.png").write_bytes(saved(painted(1), 1))
    take_in(means, folder)
    run = CliRunner()
    assert "1 queued" in run.invoke(app, ["--no-wait"]).output
    work(means)
    assert "nothing lacks anything" in run.invoke(app, []).output
    told = json.loads(run.invoke(app, ["--redo", "fingerprint", "--no-wait", "--json"]).output)
    assert (told["recipes"], told["subjects"], told["redo"]) == (["fingerprint@1"], 1, True)
