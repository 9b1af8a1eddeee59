from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import socket
from pathlib import Path

import pytest
from sqlalchemy import text

from memoryd.access.facts import Caller, Scope
from memoryd.access.projects import ensure_project
from memoryd.catalog import content, emptying, removal, roots, trash_folder, trashing
from memoryd.catalog.facts import LocationRecord
from memoryd.catalog.looking_up import AssetNotFound
from memoryd.catalog.recording import record_assets
from memoryd.catalog.removal import RemovalKind
from memoryd.catalog.trash_folder import CannotMove
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.ids import AssetId, ProjectId, WatchRootId
from memoryd.search.finding import find
from memoryd.search.query_language import parse
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import find_blob, hold, register
from memoryd.storage.facts import BlobState
from tests.catalog.records import record

DAYS = 30
EVERYTHING = frozenset(Scope) - {Scope.WORK}


def caller(tenant: TenantScope, *projects: ProjectId) -> Caller:
    return Caller(
        tenant=tenant,
        name="ada",
        scopes=EVERYTHING,
        sees=frozenset(projects) if projects else None,
        via="key",
        everywhere=frozenset() if projects else EVERYTHING,
        in_project=dict.fromkeys(projects, EVERYTHING),
    )


def found(session: Session, query: str, who: Caller) -> set[AssetId]:
    return {hit.face.id for hit in find(session, parse(query), who.sees).rows}


def test_what_a_project_removed_shows_only_when_it_is_asked_for(session: Session, tenant: TenantScope) -> None:
    fox = ensure_project(session, "fox")
    ada = caller(tenant, fox)
    kept, sorted_out, hidden = (
        one.asset_id for one in record_assets(session, [record(word, project=fox) for word in ("a", "b", "c")])
    )
    assert removal.remove(session, ada, [sorted_out], RemovalKind.REJECTED, days=DAYS, reason="soft") == [sorted_out]
    assert removal.remove(session, ada, [sorted_out], RemovalKind.REJECTED, days=DAYS) == []
    removal.remove(session, ada, [hidden], RemovalKind.HIDDEN, days=DAYS)
    for who in (ada, caller(tenant)):
        assert found(session, "fox", who) == {kept}
        assert found(session, "is:rejected", who) == {sorted_out}
        assert found(session, "fox is:hidden OR is:rejected", who) == {hidden, sorted_out}
        assert found(session, "fox is:all", who) == {kept, sorted_out, hidden}
    assert {(one.face.id, one.kind) for one in removal.list_removed(session, ada.sees).rows} == {
        (sorted_out, RemovalKind.REJECTED),
        (hidden, RemovalKind.HIDDEN),
    }
    removal.take_back(session, ada, sorted_out)
    assert found(session, "fox", ada) == {kept, sorted_out}
    with pytest.raises(removal.NotRemoved):
        removal.take_back(session, ada, sorted_out)
    actions = list(session.execute(text("select action from audit_pending order by id")).scalars())
    assert actions == ["asset.rejected", "asset.hidden", "asset.restore"]


def test_a_removal_in_one_project_does_not_touch_another(session: Session, tenant: TenantScope) -> None:
    fox, owl = ensure_project(session, "fox"), ensure_project(session, "owl")
    ada, bob, both = caller(tenant, fox), caller(tenant, owl), caller(tenant, fox, owl)
    batch = [record("a", project=fox), record("a", project=owl)]
    asset = record_assets(session, batch)[0].asset_id
    removal.remove(session, ada, [asset], RemovalKind.HIDDEN, days=DAYS)
    assert found(session, "fox", ada) == set()
    assert found(session, "fox", bob) == found(session, "fox", both) == found(session, "fox", caller(tenant)) == {asset}
    assert found(session, "project:fox", both) == set()
    assert found(session, "project:owl", both) == {asset}
    assert found(session, "is:hidden", bob) == set()
    assert removal.list_removed(session, bob.sees).rows == []
    with pytest.raises(removal.NotRemoved):
        removal.take_back(session, bob, asset)


def test_for_strangers_to_the_project_there_is_nothing_to_remove(session: Session, tenant: TenantScope) -> None:
    fox, owl = ensure_project(session, "fox"), ensure_project(session, "owl")
    asset = record_assets(session, [record("a", project=fox)])[0].asset_id
    with pytest.raises(AssetNotFound):
        removal.remove(session, caller(tenant, owl), [asset], RemovalKind.HIDDEN, days=DAYS)


@dataclasses.dataclass(frozen=True)
class Studio:
    """A folder on disk with one recorded file in project `fox`."""

    database: Database
    tenant: TenantScope
    folder: Path
    file: Path
    asset: AssetId
    root: WatchRootId
    fox: ProjectId
    store: BlobStore

    @property
    def ada(self) -> Caller:
        return caller(self.tenant)

    def states(self) -> list[str]:
        with self.database.tenant_work(self.tenant) as session:
            return list(session.execute(text("select state from location order by id")).scalars())

    def age(self, days: int) -> None:
        with self.database.tenant_work(self.tenant) as session:
            for column in ("at", "until"):
                for table in ("trashed_file", "removal"):
                    session.execute(text(f"update {table} set {column} = {column} - make_interval(days => {days})"))


@pytest.fixture
def studio(database: Database, tenant: TenantScope, tmp_path: Path) -> Studio:
    folder = tmp_path / "out"
    folder.mkdir()
    file = folder / "shots" / "a.png"
    file.parent.mkdir()
    body = b"a picture"
    file.write_bytes(body)
    found = file.stat()
    store = BlobStore(tmp_path / "home")
    stored = store.put_bytes(tenant.slug, body)
    with database.tenant_work(tenant) as session:
        fox = ensure_project(session, "fox")
        root = roots.add_root(session, host=socket.gethostname(), path=os.fsencode(folder), project_id=fox)
        register(session, [stored])
        place = LocationRecord(
            watch_root_id=root,
            path=b"shots/a.png",
            size=found.st_size,
            mtime_ns=found.st_mtime_ns,
            inode=found.st_ino,
        )
        known = record("a", project=fox)
        told = dataclasses.replace(known, sha256=hashlib.sha256(body).digest(), size=len(body), locations=(place,))
        [one] = record_assets(session, [told])
        trashing.switch(session, caller(tenant), str(root), on=True)
        session.execute(text("update blob set touched_at = touched_at - interval '1 day'"))
    return Studio(database, tenant, folder, file, one.asset_id, root, fox, store)


def test_a_file_goes_into_the_trash_and_comes_back_as_it_was(studio: Studio) -> None:
    before = studio.file.stat()
    moved = trashing.trash(studio.database, studio.ada, studio.asset, days=DAYS, reason="twice")
    assert (moved.files, moved.left) == (1, ())
    assert not studio.file.exists()
    assert studio.states() == ["missing"]
    with studio.database.tenant_work(studio.tenant) as session:
        [listed] = trashing.list_trash(session, None).rows
        assert listed.path == str(studio.file)
        assert listed.until - listed.at > datetime.timedelta(days=DAYS - 1)
        assert found(session, "", studio.ada) == set()
        assert found(session, "is:trashed", studio.ada) == {studio.asset}
        copies = content.find_copies(session, studio.asset)
    assert [Path(os.fsdecode(path)).read_bytes() for path in copies.paths] == [b"a picture"]
    back = trashing.restore(studio.database, studio.ada, studio.asset)
    assert (back.files, back.left) == (1, ())
    after = studio.file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert studio.states() == ["recorded"]
    assert list((studio.folder / ".memoryd-trash").iterdir()) == []
    with studio.database.tenant_work(studio.tenant) as session:
        assert found(session, "", studio.ada) == {studio.asset}
        actions = list(session.execute(text("select action from audit_pending order by id")).scalars())
    assert actions == ["root.trash", "asset.trashed", "trash.put", "asset.restore"]


def test_nothing_is_moved_where_the_trash_is_off_or_the_file_is_another_now(studio: Studio) -> None:
    with studio.database.tenant_work(studio.tenant) as session:
        trashing.switch(session, studio.ada, str(studio.folder), on=False)
    with pytest.raises(trashing.TrashOff):
        trashing.trash(studio.database, studio.ada, studio.asset, days=DAYS)
    with studio.database.tenant_work(studio.tenant) as session:
        assert found(session, "", studio.ada) == {studio.asset}
        trashing.switch(session, studio.ada, str(studio.folder), on=True)
    studio.file.write_bytes(b"other content")
    moved = trashing.trash(studio.database, studio.ada, studio.asset, days=DAYS)
    assert (moved.files, [left.why for left in moved.left]) == (0, ["it was changed since it was recorded"])
    assert studio.file.read_bytes() == b"other content"


def test_a_file_whose_place_was_taken_stays_in_the_trash(studio: Studio) -> None:
    trashing.trash(studio.database, studio.ada, studio.asset, days=DAYS)
    studio.file.write_bytes(b"somebody else's")
    back = trashing.restore(studio.database, studio.ada, studio.asset)
    assert (back.files, [left.why for left in back.left]) == (0, ["something else lies there now"])
    assert studio.file.read_bytes() == b"somebody else's"
    with studio.database.tenant_work(studio.tenant) as session:
        [listed] = trashing.list_trash(session, None).rows
        assert listed.trouble == "something else lies there now"


def test_an_early_emptying_deletes_nothing_and_a_late_one_keeps_the_record(studio: Studio) -> None:
    trashing.trash(studio.database, studio.ada, studio.asset, days=DAYS)
    with pytest.raises(emptying.TooEarly):
        emptying.empty(studio.database, studio.store, studio.ada, older_than_days=3, days=DAYS)
    done = emptying.empty(studio.database, studio.store, studio.ada, older_than_days=DAYS, days=DAYS)
    assert (done.files, done.erased) == (0, 0)
    studio.age(DAYS + 1)
    done = emptying.empty(studio.database, studio.store, studio.ada, older_than_days=DAYS, days=DAYS)
    assert (done.files, done.size, done.erased, done.left) == (1, 9, 1, ())
    sha256 = hashlib.sha256(b"a picture").digest()
    assert not studio.store.exists(studio.tenant.slug, sha256)
    with studio.database.tenant_work(studio.tenant) as session:
        blob = find_blob(session, sha256)
        assert blob is not None
        assert blob.state is BlobState.REMOVED
        assert session.execute(text("select count(*) from asset where erased_at is not null")).scalar_one() == 1
        assert found(session, "is:all", studio.ada) == set()
        record_assets(session, [dataclasses.replace(record("a", project=studio.fox), sha256=sha256)])
        assert found(session, "is:all", studio.ada) == {studio.asset}


@pytest.mark.parametrize("holder", ["another project", "a legal hold", "a copy elsewhere", "an input"])
def test_bytes_that_something_holds_outlive_the_trash(studio: Studio, holder: str) -> None:
    sha256 = hashlib.sha256(b"a picture").digest()
    trashing.trash(studio.database, studio.ada, studio.asset, days=DAYS)
    with studio.database.tenant_work(studio.tenant) as session:
        owl = ensure_project(session, "owl")
        same = dataclasses.replace(record("a", project=studio.fox), sha256=sha256)
        if holder == "another project":
            record_assets(session, [dataclasses.replace(same, project_id=owl)])
        elif holder == "a copy elsewhere":
            copy = LocationRecord(watch_root_id=None, path=b"/mnt/copy.png", size=9, mtime_ns=1)
            record_assets(session, [dataclasses.replace(same, locations=(copy,))])
        elif holder == "an input":
            record_assets(session, [record("child", project=studio.fox, inputs=(sha256,))])
        else:
            hold(session, [sha256])
    studio.age(DAYS + 1)
    done = emptying.empty(studio.database, studio.store, studio.ada, older_than_days=DAYS, days=DAYS)
    assert (done.files, done.erased) == (1, 0)
    assert studio.store.exists(studio.tenant.slug, sha256)


def test_an_interrupted_move_is_found_where_it_is(studio: Studio) -> None:
    trashing.trash(studio.database, studio.ada, studio.asset, days=DAYS)
    with studio.database.tenant_work(studio.tenant) as session:
        session.execute(text("update trashed_file set state = 'moving', at = at - interval '1 hour'"))
        session.execute(text("update location set state = 'recorded'"))
    assert trashing.settle(studio.database, studio.ada) == 1
    assert studio.states() == ["missing"]
    assert trashing.restore(studio.database, studio.ada, studio.asset).files == 1
    with studio.database.tenant_work(studio.tenant) as session:
        session.execute(text("update trashed_file set state = 'moving', ended_at = null"))
    assert trashing.settle(studio.database, studio.ada) == 1
    assert studio.states() == ["recorded"]


def test_no_path_leads_out_of_the_folder(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    victim = outside / "a.png"
    victim.write_bytes(b"x")
    face = victim.stat()
    (root / "link").symlink_to(outside)
    (root / "file").symlink_to(victim)
    for path in (b"link/a.png", b"../outside/a.png", b"file", b"none.png"):
        with pytest.raises(CannotMove):
            trash_folder.put(
                os.fsencode(root), path, b".memoryd-trash/1/a.png", size=face.st_size, mtime_ns=face.st_mtime_ns
            )
    with pytest.raises(CannotMove):
        trash_folder.empty(os.fsencode(root), b"../outside/a.png")
    (root / ".memoryd-trash").symlink_to(outside)
    with pytest.raises(CannotMove):
        trash_folder.empty(os.fsencode(root), b".memoryd-trash/a.png")
    assert victim.exists()
