from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from typer.testing import CliRunner

from memoryd.access.facts import Role
from memoryd.access.projects import ensure_project
from memoryd.catalog import peers
from memoryd.catalog.annotations import rate
from memoryd.catalog.importing import MatchedBy, PeerSource, take_over
from memoryd.catalog.peers import NotAGallery, PeerFile
from memoryd.catalog.recording import record_assets
from memoryd.catalog.roots import add_root, set_alias
from memoryd.catalog.xmp_marks import read_marks
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import AssetId, ProjectId
from memoryd_cli import importing as commands
from memoryd_cli import search as searching
from memoryd_cli.client import Client
from tests.catalog.conftest import Knock
from tests.catalog.records import digest, record
from tests.catalog.test_removal import caller, found

PACKET = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="%s"
  xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">no subject</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>Fox &amp; Owl</rdf:li><rdf:li>night</rdf:li></rdf:Bag></dc:subject>
<lr:hierarchicalSubject><rdf:Bag><rdf:li>Animals|Fox</rdf:li></rdf:Bag></lr:hierarchicalSubject>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>   """


@contextlib.contextmanager
def sqlite(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def iib(path: Path, *files: tuple[object, object, list[tuple[str, str]]]) -> Path:
    """A database laid out as Infinite Image Browsing's: (path, size, [(tag, type)])."""
    with sqlite(path) as db:
        db.executescript(
            "create table image (id integer primary key, path text unique, exif text, size integer, date text);"
            "create table tag (id integer primary key, name text, score integer, type text, count integer);"
            "create table image_tag (image_id integer, tag_id integer, created_at timestamp);"
        )
        for number, (file, size, tags) in enumerate(files, 1):
            db.execute("insert into image values (?, ?, 'seed: 1', ?, '')", (number, file, size))
            for name, kind in tags:
                key = db.execute("insert into tag values (null, ?, 0, ?, 1)", (name, kind)).lastrowid
                db.execute("insert into image_tag values (?, ?, null)", (number, key))
    return path


def smartgallery(path: Path, *, sized: bool = True) -> Path:
    """A database laid out as SmartGallery's, with one favourite that two people rated."""
    with sqlite(path) as db:
        size = "size integer default 0," if sized else ""
        db.executescript(
            f"create table files (id text primary key, path text, mtime real, {size} is_favorite integer default 0);"
            "create table collections (id integer primary key, name text, type text, color text);"
            "create table collection_files (collection_id integer, file_id text, added_at real);"
            "create table file_ratings (file_id text, client_uuid text, rating integer, created_at real);"
        )
        columns = "id, path, mtime, size, is_favorite" if sized else "id, path, mtime, is_favorite"
        values = ("f1", "/out/a.png", 1.0, 1000, 1) if sized else ("f1", "/out/a.png", 1.0, 1)
        db.execute(f"insert into files ({columns}) values ({', '.join('?' * len(values))})", values)
        db.executemany(
            "insert into collections values (?, ?, ?, '')", [(1, "Hero", "user_album"), (2, "Review", "system_flag")]
        )
        db.executemany("insert into collection_files values (?, 'f1', 0)", [(1,), (2,)])
        db.executemany("insert into file_ratings values ('f1', ?, ?, 0)", [("x", 4), ("y", 5)])
    return path


def test_tags_that_people_made_and_favourites_are_read_from_infinite_image_browsing(tmp_path: Path) -> None:
    database = iib(
        tmp_path / "iib.db",
        ("/out/a.png", 1000, [("like", "custom"), ("Hero Shot", "custom"), ("sdxl", "Model")]),
        ("/out/b.png", 10, [("sdxl", "Model")]),
    )
    before = database.read_bytes()
    [one] = peers.read_iib(database)
    assert one == PeerFile(path="/out/a.png", size=1000, tags=("Hero Shot",), favourite=True)
    assert database.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["iib.db"]


@pytest.mark.parametrize("sized", [True, False])
def test_favourites_ratings_and_collections_are_read_from_smartgallery(tmp_path: Path, sized: bool) -> None:
    [one] = peers.read_smartgallery(smartgallery(tmp_path / "gallery_cache.sqlite", sized=sized))
    expected = PeerFile(path="/out/a.png", size=1000, tags=("Review",), stars=5, favourite=True, collections=("Hero",))
    assert one == (expected if sized else dataclasses.replace(expected, size=None))


def test_what_is_only_in_the_log_is_read_too_and_nothing_is_written_beside_it(tmp_path: Path) -> None:
    path = iib(tmp_path / "iib.db")
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode = wal")
        db.execute("insert into image values (1, '/out/a.png', '', 5, '')")
        db.execute("insert into tag values (1, 'hero', 0, 'custom', 1)")
        db.execute("insert into image_tag values (1, 1, null)")
        db.commit()
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert [file.tags for file in peers.read_iib(path)] == [("hero",)]
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_hostile_values_are_left_out_and_hostile_databases_refused(tmp_path: Path) -> None:
    rows: list[tuple[object, object, list[tuple[str, str]]]] = [
        (b"\xff\xfe", "many", [("hero", "custom")]),
        ("/out/ok.png", "many", [("x" * 500, "custom"), ("fine", "custom")]),
        ("/out/nul\0.png", 5, [("hero", "custom")]),
    ]
    [one] = peers.read_iib(iib(tmp_path / "iib.db", *rows))
    assert (one.path, one.size, one.tags) == ("/out/ok.png", None, ("fine",))
    not_one = tmp_path / "not.db"
    not_one.write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)
    viewed = tmp_path / "view.db"
    with sqlite(viewed) as db:
        db.execute(
            "create view image as with recursive c(x) as (select 1 union all select x + 1 from c)"
            " select x as id, 'p' as path, 1 as size from c"
        )
        db.execute("create table tag (id, name, type)")
        db.execute("create table image_tag (image_id, tag_id)")
    for path in (not_one, viewed, tmp_path / "none.db", smartgallery(tmp_path / "other.db")):
        with pytest.raises(NotAGallery):
            peers.read_iib(path)


def test_ratings_and_subjects_are_read_from_packets() -> None:
    read = read_marks(PACKET % b"4")
    assert (read.stars, read.rejected, read.fault) == (4, False, None)
    assert read.subjects == ("Fox & Owl", "night", "Animals/Fox")
    assert read_marks(PACKET % b"-1").rejected
    for nothing in (b"0", b"9", b"nan", b"five", b"1e400"):
        other = read_marks(PACKET % nothing)
        assert (other.stars, other.rejected) == (None, False)
    element = PACKET.replace(b'xmp:Rating="%s"', b"").replace(b"<dc:title>", b"<xmp:Rating> 3 </xmp:Rating><dc:title>")
    assert read_marks(element).stars == 3


def test_a_packet_with_entities_or_without_end_is_refused() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>'
    for packet in (bomb, PACKET[:200], b"", b"<a>" * 100_000, b"<a xmlns='" + b"x" * 100 + b"'>"):
        assert read_marks(packet).fault is not None


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(PACKET)))
def test_no_packet_brings_the_reader_down(noise: bytes, at: int) -> None:
    read_marks(noise)
    read_marks(PACKET[:at] + noise + PACKET[at:])


@pytest.fixture
def fox(session: Session) -> ProjectId:
    return ensure_project(session, "fox")


@pytest.fixture
def pictures(session: Session, fox: ProjectId) -> list[AssetId]:
    """Found by its hash, by its path on another machine, by name and size, and two that are alike by name and size."""
    root = add_root(session, host="render01", path=b"/mnt/out", project_id=fox)
    set_alias(session, root, "desk", "Z:\\out")
    batch = [
        record("hashed", project=fox),
        record("placed", project=fox, path="shots/p.png", root=root),
        record("named", project=fox, path="n.png", root=root),
        record("twin 1", project=fox, path="1/t.png", root=root),
        record("twin 2", project=fox, path="2/t.png", root=root),
    ]
    return [one.asset_id for one in record_assets(session, batch)]


FILES = [
    PeerFile(path="/gone/h.png", sha256=digest("hashed"), tags=("Hero", "a:b"), favourite=True),
    PeerFile(path="z:/OUT/shots/p.png".replace("OUT/shots", "out/shots"), stars=4, collections=("Best Of",)),
    PeerFile(path="/elsewhere/n.png", size=1000, rejected=True),
    PeerFile(path="/elsewhere/t.png", size=1000, stars=2),
    PeerFile(path="/elsewhere/unknown.png", size=5, stars=2, tags=("\x07",)),
]


def test_files_are_found_by_hash_path_or_name_and_once_is_enough(
    session: Session, tenant: TenantScope, fox: ProjectId, pictures: list[AssetId]
) -> None:
    ada = caller(tenant, fox)
    tried = take_over(session, ada, PeerSource.IIB, FILES, days=30, dry_run=True)
    assert found(session, "has:tag OR rating:>0 OR is:rejected", ada) == set()
    done = take_over(session, ada, PeerSource.IIB, FILES, days=30)
    assert done == tried
    assert done.matched == {MatchedBy.HASH: 1, MatchedBy.PATH: 1, MatchedBy.NAME: 1}
    assert (done.tags, done.ratings, done.collections, done.rejected, done.kept) == (3, 1, 1, 1, 0)
    assert [(one.path, one.unknown) for one in done.not_taken] == [(FILES[3].path, True), (FILES[4].path, True)]
    assert found(session, "tag:hero tag:favourite tag:a-b", ada) == {pictures[0]}
    assert found(session, 'rating:4 collection:"best of"', ada) == {pictures[1]}
    assert found(session, "is:rejected", ada) == {pictures[2]}
    again = take_over(session, ada, PeerSource.IIB, FILES, days=30)
    assert (again.tags, again.ratings, again.collections, again.rejected) == (0, 0, 0, 0)
    audits = "select count(*) from audit_pending where action = 'asset.import'"
    assert session.execute(text(audits)).scalar_one() == 1


def test_what_people_attached_here_stays(
    session: Session, tenant: TenantScope, fox: ProjectId, pictures: list[AssetId]
) -> None:
    ada = caller(tenant, fox)
    rate(session, ada, pictures[0], 5)
    done = take_over(session, ada, PeerSource.XMP, [dataclasses.replace(FILES[0], stars=1)], days=30)
    assert (done.ratings, done.kept) == (0, 1)
    assert found(session, "rating:5", ada) == {pictures[0]}


def test_nothing_is_attached_in_a_project_that_the_caller_does_not_see(
    session: Session, tenant: TenantScope, fox: ProjectId, pictures: list[AssetId]
) -> None:
    owl = ensure_project(session, "owl")
    assert len(take_over(session, caller(tenant, owl), PeerSource.IIB, FILES, days=30).not_taken) == len(FILES)
    record_assets(session, [record("hashed", project=owl)])
    both = take_over(session, caller(tenant, owl, fox), PeerSource.IIB, FILES[:1], days=30)
    assert [(one.why, one.unknown) for one in both.not_taken] == [("it belongs to fox, owl", False)]
    named = take_over(session, caller(tenant, owl, fox), PeerSource.IIB, FILES[:1], days=30, project="owl")
    assert named.tags == 3
    assert found(session, "tag:hero", caller(tenant, fox)) == set()


app = typer.Typer()
commands.register(app)
searching.register(app)
RUN = CliRunner()


def test_the_endpoint_knows_strangers_outsiders_and_its_own(
    stranger: TestClient, database: Database, key_of: Knock, tenant: TenantScope, other_tenant: TenantScope
) -> None:
    with database.tenant_work(tenant) as session:
        record_assets(session, [record("hashed", project=ensure_project(session, "fox"))])
    file = {"path": "/a.png", "sha256": digest("hashed").hex(), "tags": ["hero"]}
    body = {"source": "iib", "files": [file]}
    assert stranger.post("/v1/imports", json=body).status_code == 401
    assert stranger.post("/v1/imports", json=body, headers=key_of(tenant, Role.VIEWER, "fox")).status_code == 403
    for headers in (key_of(other_tenant, Role.ADMIN, None), key_of(tenant, Role.ARTIST, "owl")):
        answer = stranger.post("/v1/imports", json=body, headers=headers).json()
        assert (answer["matched"], answer["tags"], len(answer["not_taken"])) == ({}, 0, 1)
    ours = key_of(tenant, Role.ARTIST, "fox")
    assert stranger.post("/v1/imports", json={**body, "dry_run": True}, headers=ours).json()["tags"] == 1
    assert stranger.get("/v1/tags", headers=ours).json()["items"] == []
    assert stranger.post("/v1/imports", json=body, headers=ours).json()["tags"] == 1


def test_the_command_tries_first_and_hashes_what_it_cannot_find_otherwise(
    stranger: TestClient,
    database: Database,
    key_of: Knock,
    tenant: TenantScope,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    token = key_of(tenant, Role.ADMIN, None)["Authorization"].removeprefix("Bearer ")
    client = Client("https://studio.example", token, transport=stranger._transport)
    monkeypatch.setattr(commands, "server", lambda: client)
    monkeypatch.setattr(searching, "server", lambda: client)
    picture = tmp_path / "renamed.svg"
    picture.write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "renamed.svg.xmp").write_bytes(PACKET % b"3")
    with database.tenant_work(tenant) as session:
        fox = ensure_project(session, "fox")
        known = record("x", project=fox, path="other.svg")
        sha256 = hashlib.sha256(picture.read_bytes()).digest()
        record_assets(session, [dataclasses.replace(known, sha256=sha256)])
    tried = RUN.invoke(app, ["import", "xmp", str(tmp_path), "--dry-run", "--json"])
    assert tried.exit_code == 0, tried.output
    answer = json.loads(tried.output)
    assert (answer["matched"], answer["tags"], answer["ratings"]) == ({"hash": 1}, 3, 1)
    done = RUN.invoke(app, ["import", "xmp", str(tmp_path), "--yes"])
    assert "Taken over: 3 tags, 1 ratings" in done.output, done.output
    again = RUN.invoke(app, ["import", "xmp", str(tmp_path), "--yes"])
    assert "Would be taken over: 0 tags" in again.output
    database_file = iib(tmp_path / "iib.db", ("/old/renamed.svg", 5, [("like", "custom")]))
    mapped = RUN.invoke(app, ["import", "iib", str(database_file), "--map", f"/old={tmp_path}", "--yes"])
    assert "1 by hash" in mapped.output, mapped.output
    assert "1 tags" in mapped.output
    assert RUN.invoke(app, ["import", "xmp", str(tmp_path / "nothing"), "--yes"]).exit_code == 1
