from __future__ import annotations

import io
from pathlib import Path

from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest.beside import whole_reading
from memoryd.ingest.facts import Folder
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.ingest.sidecars import SIDECAR_LIMIT, with_sidecars
from memoryd.ingest.understanding import understand
from memoryd.plugin_api.facts import Carrier, Reading
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture, png

SETTINGS = "an owl\nSteps: 3, Sampler: Euler a, Seed: 18446744073709551615, Model: shore, VAE: bay.pt, Version: v1.10.1"


def bare() -> Reading:
    return Reading(plugin="test", version="1", media_type="image/png")


def test_a_text_beside_a_picture_tells_of_it(folder: Path) -> None:
    (folder / "a.txt").write_text(SETTINGS)
    (folder / "a.png.json").write_text("{}")
    read = with_sidecars(bare(), folder, folder / "a.png")
    assert [(carrier.place, carrier.key) for carrier in read.carriers] == [
        ("sidecar:json", "a.png.json"),
        ("sidecar:text", "a.txt"),
    ]
    told = understand(read, "a.png").parameters
    assert told is not None
    assert told.samplers[0].seed == 2**64 - 1


def test_only_small_regular_files_in_the_folder_are_read(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "secret.txt"
    outside.write_text(SETTINGS)
    (folder / "a.txt").symlink_to(outside)
    (folder / "a.json").write_bytes(b"{" * (SIDECAR_LIMIT + 1))
    (folder / "a.png.txt").mkdir()
    assert with_sidecars(bare(), folder, folder / "a.png").carriers == ()


def test_a_file_with_its_own_graph_is_not_asked_for_more(folder: Path) -> None:
    (folder / "a.txt").write_text(SETTINGS)
    own = Reading(
        plugin="test",
        version="1",
        media_type="image/png",
        carriers=(Carrier(place="png:tEXt", key="prompt", raw=b"{}"),),
        prompt=0,
    )
    assert with_sidecars(own, folder, folder / "a.png") is own


def test_a_caption_for_training_is_no_recipe(folder: Path) -> None:
    (folder / "a.txt").write_text("1girl, solo, looking at viewer")
    assert understand(with_sidecars(bare(), folder, folder / "a.png"), "a.png").parameters is None


def test_content_credentials_that_cannot_be_read_are_a_finding() -> None:
    claimed = Reading(plugin="test", version="1", media_type="image/png", has_manifest=True)
    read = whole_reading(claimed, io.BytesIO(picture()))
    assert [finding.code for finding in read.findings] == ["manifest-not-read"]


def test_a_recipe_without_a_graph_is_recorded_and_found(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    (folder / "a.png").write_bytes(png({"parameters": SETTINGS + ", Created Date: 2024-05-06T07:08:09Z"}))
    prepared = prepare_here(Folder(path=folder), [folder / "a.png"], named=True)
    with database.tenant_work(tenant) as session:
        record(session, prepared, scope=tenant)
    (run,) = rows("select tool, tool_version, prompt_document, settings, origin from generation")
    assert (run.tool, run.tool_version, run.prompt_document, run.origin) == ("automatic1111", "v1.10.1", None, "file")
    (made,) = rows("select made_at, made_source from asset")
    assert (made.made_at.year, made.made_source) == (2024, "file_metadata")
    (prompt,) = rows("select text, source, confidence from generation_prompt")
    assert (prompt.text, prompt.source, prompt.confidence) == ("an owl", "text", "high")
    for words in ("owl", "k:automatic1111", "v:bay"):
        assert rows("select 1 from asset_text where words @@ (:words)::tsquery", words=f"'{words}'"), words


def test_a_time_of_making_that_cannot_be_is_not_believed(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    for name, date in (("a.png", "1999-01-01T00:00:01Z"), ("b.png", "2999-01-01T00:00:01Z")):
        (folder / name).write_bytes(png({"parameters": f"{name}\nSteps: 3, Sampler: Euler, Created Date: {date}"}))
    prepared = prepare_here(Folder(path=folder), [folder / "a.png", folder / "b.png"], named=True)
    with database.tenant_work(tenant) as session:
        record(session, prepared, scope=tenant)
    assert {row.made_source for row in rows("select made_source from asset")} == {"file_time"}


def test_the_pictures_of_one_job_of_midjourney_are_of_one_run(
    database: Database, tenant: TenantScope, folder: Path, rows: Rows
) -> None:
    job = "0a1b2c3d-1111-2222-3333-444455556666"
    names = [f"ann_a_red_boat_{job}.png", f"ann_a_red_boat_{job}_0.png", f"ann_a_red_boat_{job}_3.png"]
    for colour, name in enumerate(names):
        told = {"Description": f"a red boat --v 6 Job ID: {job}"} if colour < 2 else {}
        (folder / name).write_bytes(png(told, colour=colour))
    prepared = prepare_here(Folder(path=folder), [folder / name for name in names], named=True)
    with database.tenant_work(tenant) as session:
        assert record(session, prepared, scope=tenant).new == 3
    (run,) = rows("select run_key, tool from generation where adopted_by is null")
    assert (run.run_key, run.tool) == (f"told:midjourney:{job}", "midjourney")
    assert {row.batch_index for row in rows("select batch_index from generation_output")} == {None, 0, 3}
    assert rows("select count(*) from asset_text where words @@ 'boat'::tsquery")[0][0] == 2
