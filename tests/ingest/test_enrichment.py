from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Database, TenantScope
from memoryd.ingest.enrichment import HANDLERS, ContentsMissing
from memoryd.ingest.facts import Folder
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.storage.blob_store import BlobStore
from tests.ingest.conftest import Rows
from tests.ingest.pictures import picture, png


@dataclasses.dataclass(frozen=True)
class Means:
    database: Database
    store: BlobStore
    tenant: TenantScope


def _chores(database: Database) -> list[Chore]:
    claimed: list[Chore] = []
    while True:
        with database.farm_work() as session:
            chore = chores.claim(session, kinds=sorted(HANDLERS))
        if chore is None:
            return claimed
        claimed.append(chore)


def test_new_pictures_get_a_thumbnail_and_a_pixel_digest_and_again_does_no_harm(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, rows: Rows
) -> None:
    for seed in (1, 2):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    (folder / "same_pixels.png").write_bytes(png({"note": "x"}, colour=1))
    undecodable = png({}).replace(b"IDAT", b"IDAX")
    (folder / "undecodable.png").write_bytes(undecodable)
    with database.tenant_work(tenant) as session:
        record(session, prepare_here(Folder(path=folder), sorted(folder.iterdir())), scope=tenant)
    found = _chores(database)
    assert [chore.kind for chore in found] == ["enrich"]
    for chore in (*found, *found):
        HANDLERS[chore.kind](Means(database, store, tenant), chore)
    assert {
        (row.recipe, row.size, row.count) for row in rows("select recipe, size, count(*) from thumbnail group by 1, 2")
    } == {
        ("v2", 256, 3),
        ("v2", 1024, 3),
    }
    digests = [row.pixel_digest for row in rows("select pixel_digest from asset where pixel_digest is not null")]
    assert (len(digests), len(set(digests))) == (3, 2)


def test_a_picture_that_cannot_be_read_now_is_tried_again_and_the_others_are_done(
    database: Database, tenant: TenantScope, store: BlobStore, folder: Path, rows: Rows
) -> None:
    for seed in (1, 2):
        (folder / f"{seed}.png").write_bytes(picture(seed))
    with database.tenant_work(tenant) as session:
        record(session, prepare_here(Folder(path=folder), sorted(folder.iterdir())), scope=tenant)
    (folder / "1.png").unlink()
    for chore in _chores(database):
        with pytest.raises(ContentsMissing):
            HANDLERS[chore.kind](Means(database, store, tenant), chore)
    assert rows("select count(distinct asset_id) from thumbnail")[0][0] == 1
