"""What approved pictures need outlives every way in which bytes are removed, until somebody lets go of it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from memoryd.access.facts import Caller, Role, Scope
from memoryd.access.projects import ensure_project
from memoryd.catalog import annotations as attaching
from memoryd.catalog import collecting, emptying, holding, roots, trash_folder, trashing
from memoryd.catalog.facts import LocationRecord
from memoryd.catalog.looking_up import AssetNotFound
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import AssetId, ProjectId, WatchRootId, new_id
from memoryd.foundation.reasons import ReasonMissing
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from tests.catalog.conftest import Knock
from tests.catalog.records import record
from tests.thoroughness import tries

DAYS = 30
EVERYTHING = frozenset(Scope) - {Scope.WORK}
WORDS = ("source", "input", "picture", "other", "stranger")
MADE_FROM = {"input": ("source",), "picture": ("input",), "other": (), "source": (), "stranger": ()}


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


@dataclasses.dataclass
class Studio:
    """A folder and a store in which pictures lie that were made from one another."""

    database: Database
    tenant: TenantScope
    folder: Path
    store: BlobStore
    root: WatchRootId
    fox: ProjectId
    salt: str = ""
    assets: dict[str, AssetId] = dataclasses.field(default_factory=dict)

    @property
    def ada(self) -> Caller:
        return caller(self.tenant)

    def body(self, word: str) -> bytes:
        return f"{word} {self.salt}".encode()

    def sha256(self, word: str) -> bytes:
        return hashlib.sha256(self.body(word)).digest()

    def make(self, salt: str, *, stored: bool, in_folder: bool) -> None:
        """Record the five pictures anew, their bytes in the store, in the folder, or in both."""
        self.salt, self.assets = salt, {}
        for word in WORDS:
            places: tuple[LocationRecord, ...] = ()
            if in_folder:
                file = self.folder / f"{word}-{salt}.png"
                file.write_bytes(self.body(word))
                found = file.stat()
                path = os.fsencode(file.name)
                places = (
                    LocationRecord(watch_root_id=self.root, path=path, size=found.st_size, mtime_ns=found.st_mtime_ns),
                )
            known = record(f"{word} {salt}", project=self.fox, inputs=tuple(map(self.sha256, MADE_FROM[word])))
            told = dataclasses.replace(known, sha256=self.sha256(word), size=len(self.body(word)), locations=places)
            with self.database.tenant_work(self.tenant) as session:
                if stored:
                    register(session, [self.store.put_bytes(self.tenant.slug, self.body(word))])
                [one] = record_assets(session, [told])
                self.assets[word] = one.asset_id
                session.execute(text("update blob set touched_at = touched_at - interval '40 days'"))
        for kept in self.store.home.rglob("*"):
            if kept.is_file():
                os.utime(kept, (time.time() - 40 * 86_400,) * 2)

    def approve(self, word: str) -> None:
        with self.database.tenant_work(self.tenant) as session:
            attaching.approve(session, self.ada, self.assets[word])

    def withdraw(self, word: str) -> None:
        with self.database.tenant_work(self.tenant) as session:
            attaching.withdraw_approval(session, self.ada, self.assets[word])

    def let_go(self, word: str) -> None:
        with self.database.tenant_work(self.tenant) as session:
            holding.release(session, self.ada, [self.sha256(word)], "the client is gone")

    def trash(self, word: str) -> None:
        trashing.trash(self.database, self.ada, self.assets[word], days=DAYS)

    def empty(self, release: str | None = None) -> emptying.Emptied:
        with self.database.tenant_work(self.tenant) as session:
            for table in ("trashed_file", "removal"):
                session.execute(
                    text(f"update {table} set at = at - interval '31 days', until = until - interval '31 days'")
                )
        return emptying.empty(self.database, self.store, self.ada, older_than_days=DAYS, days=DAYS, release=release)

    def collect(self) -> None:
        collecting.collect(self.database, self.store, self.ada, older_than_days=7, dry_run=False)

    def has(self, word: str) -> bool:
        """Whether a copy lies anywhere."""
        if self.store.exists(self.tenant.slug, self.sha256(word)):
            return True
        return any(path.is_file() and path.read_bytes() == self.body(word) for path in self.folder.rglob("*"))


@pytest.fixture
def studio(database: Database, tenant: TenantScope, tmp_path: Path) -> Studio:
    folder = tmp_path / "out"
    folder.mkdir()
    with database.tenant_work(tenant) as session:
        fox = ensure_project(session, "fox")
        root = roots.add_root(session, host=socket.gethostname(), path=os.fsencode(folder), project_id=fox)
        trashing.switch(session, caller(tenant), str(root), on=True)
    return Studio(database, tenant, folder, BlobStore(tmp_path / "home"), root, fox)


@pytest.mark.parametrize(("stored", "in_folder"), [(True, False), (False, True), (True, True)])
def test_the_last_copies_of_what_an_approved_picture_needs_stay(studio: Studio, stored: bool, in_folder: bool) -> None:
    studio.make("a", stored=stored, in_folder=in_folder)
    studio.approve("picture")
    for word in WORDS:
        studio.trash(word)
    done = studio.empty()
    assert [word for word in WORDS if studio.has(word)] == ["source", "input", "picture"]
    kept = {held.sha256 for held in done.held}
    assert studio.sha256("picture") in kept
    # In the store an input stays for what was made from it, approved or not: nobody needs to be told of a hold.
    assert kept <= {studio.sha256(word) for word in ("source", "input", "picture")}
    assert all(held.assets == (studio.assets["picture"],) and not held.others for held in done.held)
    if in_folder and not stored:
        assert all(str(studio.assets["picture"]) in left.why for left in done.left)


def test_a_withdrawn_approval_holds_nothing_and_a_later_one_holds_again(studio: Studio) -> None:
    studio.make("a", stored=True, in_folder=False)
    studio.approve("picture")
    studio.trash("input")
    assert studio.empty().erased == 0
    studio.withdraw("picture")
    assert studio.empty().erased == 0, "the picture that was made from it is still there, and it is its input"
    for word in ("picture", "source"):
        studio.trash(word)
    assert studio.empty().erased == 1, "the picture has no reader left"
    assert not studio.has("picture")


def test_letting_go_needs_a_reason_is_audited_and_ends_with_the_next_approval(studio: Studio) -> None:
    studio.make("a", stored=False, in_folder=True)
    studio.approve("picture")
    studio.trash("picture")
    with pytest.raises(ReasonMissing):
        studio.empty("  ")
    assert studio.has("picture")
    studio.let_go("picture")
    studio.approve("picture")
    assert studio.empty().files == 0, "approved again since"
    done = studio.empty("the contract ended")
    assert (done.files, done.held) == (1, ())
    assert not studio.has("picture")
    with studio.database.tenant_work(studio.tenant) as session:
        told = session.execute(
            text("select facts from audit_pending where action = 'hold.release' order by id")
        ).scalars()
        facts = [json.loads(each) for each in told]
    assert [each["reason"] for each in facts] == ["the client is gone", "the contract ended"]
    assert facts[-1]["needed_by"] == [str(studio.assets["picture"])]


def test_a_hold_is_let_go_on_record_before_anything_is_deleted(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.make("a", stored=False, in_folder=True)
    studio.approve("picture")
    studio.trash("picture")
    delete = trash_folder.empty

    def killed(*place: object) -> None:
        delete(*place)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(trash_folder, "empty", killed)
    with pytest.raises(KeyboardInterrupt):
        studio.empty("the contract ended")
    assert not studio.has("picture")
    with studio.database.tenant_work(studio.tenant) as session:
        assert session.execute(text("select reason from hold_release")).scalars().all() == ["the contract ended"]


def test_who_does_not_decide_for_every_project_that_holds_lets_go_of_nothing(studio: Studio) -> None:
    studio.make("a", stored=False, in_folder=True)
    studio.approve("picture")
    with studio.database.tenant_work(studio.tenant) as session:
        owl = ensure_project(session, "owl")
        [found] = holding.holders_of(session, [studio.sha256("source")], frozenset({owl})).values()
        assert (found.assets, found.others) == ((), 1), "another project's picture is counted, never named"
        with pytest.raises(holding.NotYoursToRelease):
            holding.release(session, caller(studio.tenant, owl), [studio.sha256("source")], "mine")
        assert holding.list_holds(session, frozenset({owl})).rows == []
        [mine] = holding.list_holds(session, frozenset({studio.fox})).rows
        assert {(each.kind, each.sha256) for each in mine.contents} >= {
            ("approved", studio.sha256("picture")),
            ("input", studio.sha256("input")),
            ("source", studio.sha256("input")),
            ("source", studio.sha256("source")),
        }


def test_models_of_approved_pictures_and_of_their_sources_are_held(studio: Studio) -> None:
    studio.make("a", stored=True, in_folder=False)
    weights = hashlib.sha256(b"weights").digest()
    with studio.database.tenant_work(studio.tenant) as session:
        session.execute(text("update generation_model set sha256 = :s"), {"s": weights})
        assert holding.model_holders_of(session, [weights]) == {}
    studio.approve("picture")
    with studio.database.tenant_work(studio.tenant) as session:
        assert holding.who_holds(session, weights, None).assets == (studio.assets["picture"],)
        [mine] = holding.list_holds(session, None).rows
        assert [(each.kind, each.copies) for each in mine.contents if each.sha256 == weights] == [("model", None)]


def test_an_approval_waits_for_who_removes_and_the_other_way_round(studio: Studio) -> None:
    studio.make("a", stored=True, in_folder=False)
    approved = threading.Event()

    def approve() -> None:
        studio.approve("picture")
        approved.set()

    with studio.database.tenant_work(studio.tenant) as session:
        holding.begin_removing(session)
        thread = threading.Thread(target=approve)
        thread.start()
        assert not approved.wait(0.2)
    thread.join()
    assert approved.is_set()


STEPS = st.lists(
    st.tuples(st.sampled_from(("approve", "withdraw", "let_go", "trash", "trash")), st.sampled_from(WORDS))
    | st.sampled_from(("empty", "collect")).map(lambda step: (step, "")),
    min_size=6,
    max_size=14,
)


@settings(max_examples=tries(12, long=250), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.sampled_from(("picture", "input")), steps=STEPS, stored=st.booleans())
def test_no_order_of_decisions_and_removals_takes_what_is_held(
    studio: Studio, first: str, steps: list[tuple[str, str]], stored: bool
) -> None:
    studio.make(new_id().hex, stored=stored, in_folder=not stored)
    needs = {"picture": {"picture", "input", "source"}, "input": {"input", "source"}}
    promised: dict[str, set[str]] = {}
    for step, word in [("approve", first), *steps, ("empty", ""), ("collect", "")]:
        # A picture that was erased is no longer found: nobody decides about it.
        with contextlib.suppress(AssetNotFound):
            match step:
                case "approve":
                    studio.approve(word)
                    # What was gone before cannot be held.
                    promised[word] = {each for each in needs.get(word, {word}) if studio.has(each)}
                case "withdraw":
                    studio.withdraw(word)
                    promised.pop(word, None)
                case "let_go":
                    studio.let_go(word)
                    for held in promised.values():
                        held.discard(word)
                case "trash":
                    studio.trash(word)
                case "empty":
                    studio.empty()
                case _:
                    studio.collect()
        gone = {each for held in promised.values() for each in held if not studio.has(each)}
        assert not gone, f"{step} {word} took {gone}"


def test_bytes_are_deleted_only_where_holds_are_looked_at() -> None:
    """Whoever adds another place that deletes bytes of the store looks at holds there, and adds it here."""
    takes = re.compile(r"(?:store|blobs?)\.remove\(|\b(?:bytes_of\.take_away|pushing\.drop)\(|trash_folder\.empty\(")
    # Bytes of models go when no row names them any more: what decides is who drops rows (`pushing.drop`).
    rowless = Path("memoryd/model_registry/keeping/pushing.py")
    places = set()
    for path in sorted(Path("memoryd").rglob("*.py")):
        if path.parts[1] in ("storage", "stand_in") or path.name == "trash_folder.py" or path == rowless:
            continue
        if takes.search(path.read_text()):
            places.add(path.as_posix())
    assert places == {
        "memoryd/catalog/emptying.py",
        "memoryd/catalog/collecting.py",
        "memoryd/submission/stored_models/room.py",
    }
    for place in places:
        assert "begin_removing(" in Path(place).read_text()


@pytest.mark.parametrize("outsider", ["a stranger", "another tenant", "another project"])
def test_for_outsiders_nothing_is_held(
    stranger: TestClient,
    studio: Studio,
    key_of: Knock,
    tenant: TenantScope,
    other_tenant: TenantScope,
    outsider: str,
) -> None:
    studio.make("a", stored=True, in_folder=False)
    studio.approve("picture")
    at = f"/v1/holds/{studio.sha256('source').hex()}"
    if outsider == "a stranger":
        asked = [("GET", "/v1/holds", None), ("GET", at, None), ("POST", f"{at}/release", {"reason": "x"})]
        assert {stranger.request(method, path, json=body).status_code for method, path, body in asked} == {401}
        return
    away = outsider == "another tenant"
    headers = key_of(other_tenant, Role.ADMIN, None) if away else key_of(tenant, Role.PRODUCER, "owl")
    assert stranger.get("/v1/holds", headers=headers).json() == {"items": [], "next_cursor": None}
    found = stranger.get(at, headers=headers).json()
    assert (found["needed_by"], found["others"]) == ([], 0 if away else 1)
    released = stranger.post(f"{at}/release", json={"reason": "x"}, headers=headers)
    assert (released.status_code, released.json().get("released")) == ((200, False) if away else (403, None))
    assert stranger.get("/v1/holds?project=fox", headers=headers).status_code == 404


def test_a_viewer_sees_holds_and_a_producer_decides(
    stranger: TestClient, studio: Studio, key_of: Knock, tenant: TenantScope
) -> None:
    studio.make("a", stored=True, in_folder=False)
    studio.approve("picture")
    at = f"/v1/holds/{studio.sha256('source').hex()}"
    viewer, producer = key_of(tenant, Role.VIEWER, "fox"), key_of(tenant, Role.PRODUCER, "fox")
    [picture] = stranger.get("/v1/holds", headers=viewer).json()["items"]
    assert picture["asset_id"] == str(studio.assets["picture"])
    assert stranger.get(at, headers=viewer).json()["held"] is True
    assert stranger.post(f"{at}/release", json={"reason": "x"}, headers=viewer).status_code == 403
    assert stranger.post(f"{at}/release", json={"reason": ""}, headers=producer).status_code == 422
    assert stranger.post("/v1/holds/ab/release", json={"reason": "x"}, headers=producer).status_code == 422
    assert stranger.post(f"{at}/release", json={"reason": "x"}, headers=producer).json()["released"] is True
    assert stranger.get(at, headers=viewer).json()["held"] is False
    assert stranger.delete(f"{at}/release", headers=producer).status_code == 403
    admin = key_of(tenant, Role.ADMIN, None)
    assert stranger.delete(f"{at}/release", headers=admin).json()["changed"] is True
    assert stranger.get(at, headers=viewer).json()["held"] is True
