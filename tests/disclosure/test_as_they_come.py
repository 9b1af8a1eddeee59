"""A folder's files disclosed as they come: beside them or in their place, known when the watcher meets them."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from memoryd.access.facts import Caller
from memoryd.access.sessions import local_caller
from memoryd.app.handlers import HANDLERS, HandlerContext
from memoryd.catalog import roots
from memoryd.catalog.content import ContentMissing, find_copies, open_copy
from memoryd.catalog.facts import RootDisclosure
from memoryd.catalog.looking_up import find_asset
from memoryd.catalog.showing import show_asset
from memoryd.disclosure import endpoints
from memoryd.disclosure.as_they_come import disclose_as_they_come
from memoryd.disclosure.verifying import verify_file
from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Database
from memoryd.foundation.ids import ChoreId, WatchRootId, new_id
from memoryd.ingest.facts import Folder
from memoryd.ingest.preparing import prepare_here
from memoryd.ingest.recording import record
from memoryd.storage.blob_store import BlobStore
from memoryd_cli import disclosure as commands
from memoryd_cli.client import Client

from .studio import client, offices


@dataclasses.dataclass(frozen=True)
class Place:
    """A watched folder of a tenant, and what its follow-up work is done with."""

    context: HandlerContext
    caller: Caller
    folder: Path
    root: WatchRootId

    def take_in(self) -> None:
        """Record what lies in the folder now."""
        found = sorted(path for path in self.folder.iterdir() if not path.name.startswith("."))
        prepared = prepare_here(Folder(path=self.folder, root_id=self.root), found)
        with self.context.database.tenant_work(self.context.tenant) as session:
            record(session, prepared, scope=self.context.tenant, caller=self.caller)

    def work(self) -> list[str]:
        """Do all chores; return their kinds."""
        kinds: list[str] = []
        while True:
            with self.context.database.farm_work() as session:
                chore = chores.claim(session, kinds=sorted(HANDLERS))
            if chore is None:
                return kinds
            kinds.append(chore.kind)
            HANDLERS[chore.kind](self.context, chore)
            if chore.kind == "disclose":
                # A crash before its end: the same again.
                disclose_as_they_come(self.context, chore)
            with self.context.database.farm_work() as session:
                chores.finish(session, chore)

    def names(self) -> list[str]:
        """The files that are shown."""
        return sorted(path.name for path in self.folder.iterdir())

    def assets(self) -> int:
        """How many assets there are."""
        with self.context.database.tenant_work(self.context.tenant) as session:
            return int(session.connection().exec_driver_sql("select count(*) from asset").scalar_one())


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Place:
    """A folder that is watched; nothing is disclosed in it."""
    caller = local_caller(database, "default")
    folder = tmp_path / "output"
    folder.mkdir()
    with database.tenant_work(caller.tenant) as session:
        root = roots.add_root(session, host=socket.gethostname(), path=os.fsencode(folder))
    held = offices(database, tmp_path / "home")
    store = held.store
    assert isinstance(store, BlobStore)
    context = HandlerContext(database=database, store=store, tenant=caller.tenant, keys=held.keys)
    return Place(context, caller, folder, root)


def switch(place: Place, how: RootDisclosure) -> None:
    local = client(offices(place.context.database, place.context.keys.parent), endpoints.router, local=True)
    answer = local.put("/v1/disclosures/roots", json={"root": str(place.folder), "how": how.value})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"root_id": str(place.root), "how": how.value}


def test_only_an_administrator_switches_it_and_only_in_a_watched_folder(place: Place) -> None:
    held = offices(place.context.database, place.context.keys.parent)
    body = {"root": str(place.folder), "how": "copy"}
    assert client(held, endpoints.router, local=False).put("/v1/disclosures/roots", json=body).status_code == 401
    local = client(held, endpoints.router, local=True)
    assert local.put("/v1/disclosures/roots", json=body | {"root": "/nowhere"}).status_code == 404
    assert local.put("/v1/disclosures/roots", json=body | {"how": "perhaps"}).status_code == 422


def test_nothing_is_written_where_nobody_asked(place: Place, fixtures: Path) -> None:
    shutil.copy2(fixtures / "images" / "txt2img_basic.png", place.folder)
    place.take_in()
    assert "disclose" not in place.work()
    assert place.names() == ["txt2img_basic.png"]


def test_a_signed_copy_lies_beside_each_new_file_and_is_known(place: Place, fixtures: Path) -> None:
    shutil.copy2(fixtures / "images" / "no_metadata.png", place.folder / "before.png")
    place.take_in()
    place.work()
    switch(place, RootDisclosure.COPY)
    original = Path(shutil.copy2(fixtures / "images" / "txt2img_basic.png", place.folder))
    (place.folder / "txt2img_basic.disclosed.png").write_bytes(b"somebody's own")
    Image.new("RGB", (40, 30), (9, 90, 9)).save(place.folder / "plain.png")
    before = original.read_bytes()
    place.take_in()
    assert place.work().count("disclose") == 1
    copy = place.folder / "txt2img_basic.disclosed-2.png"
    # Of what nothing can be said, nothing is signed; what has the name keeps it; what was there before stays as it is.
    assert [name for name in place.names() if "disclosed" in name] == [
        "txt2img_basic.disclosed-2.png",
        "txt2img_basic.disclosed.png",
    ]
    assert verify_file(copy).good
    assert original.read_bytes() == before
    (place.folder / "txt2img_basic.disclosed.png").unlink()
    count = place.assets()
    place.take_in()
    assert place.assets() == count
    assert "disclose" not in place.work()
    with place.context.database.tenant_work(place.context.tenant) as session:
        view = show_asset(session, find_asset(session, str(copy), None), None)
        assert [one.succession for one in view.line] == [None, "disclosed"]


def test_in_place_the_original_is_kept_in_the_store_first(place: Place, fixtures: Path) -> None:
    switch(place, RootDisclosure.IN_PLACE)
    file = Path(shutil.copy2(fixtures / "images" / "txt2img_basic.png", place.folder))
    before = file.read_bytes()
    place.take_in()
    with place.context.database.tenant_work(place.context.tenant) as session:
        original = find_asset(session, str(file), None)
    assert place.work().count("disclose") == 1
    assert verify_file(file).good
    assert file.read_bytes() != before
    count = place.assets()
    place.take_in()
    assert place.assets() == count
    assert place.names() == ["txt2img_basic.png"]
    with place.context.database.tenant_work(place.context.tenant) as session:
        copies = find_copies(session, original)
        assert find_asset(session, str(file), None) != original
    with open_copy(place.context.store, place.context.tenant, copies) as content:
        assert content.read() == before


def test_a_file_that_was_changed_meanwhile_is_not_replaced(place: Place, fixtures: Path) -> None:
    switch(place, RootDisclosure.IN_PLACE)
    file = Path(shutil.copy2(fixtures / "images" / "txt2img_basic.png", place.folder))
    shutil.copy2(file, place.folder / "kept.png")
    place.take_in()
    file.write_bytes(b"somebody's own")
    place.work()
    assert file.read_bytes() == b"somebody's own"
    assert verify_file(place.folder / "kept.png").good


def test_a_folder_that_cannot_be_reached_is_tried_again(place: Place, fixtures: Path) -> None:
    switch(place, RootDisclosure.COPY)
    shutil.copy2(fixtures / "images" / "txt2img_basic.png", place.folder)
    place.take_in()
    with place.context.database.tenant_work(place.context.tenant) as session:
        asset = find_asset(session, str(place.folder / "txt2img_basic.png"), None)
    away = place.folder.rename(place.folder.with_name("away"))
    chore = Chore(
        id=ChoreId(new_id()),
        tenant_id=place.context.tenant.id,
        kind="disclose",
        recipe="v1",
        subjects=(asset,),
        attempt=1,
        lease_token=new_id(),
    )
    with pytest.raises(ContentMissing):
        disclose_as_they_come(place.context, chore)
    away.rename(place.folder)
    disclose_as_they_come(place.context, chore)
    assert "txt2img_basic.disclosed.png" in place.names()


def test_the_command_switches_it_and_says_what_that_means(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    local = client(offices(place.context.database, place.context.keys.parent), endpoints.router, local=True)
    spoken_to = Client("http://127.0.0.1:7860", None, transport=local._transport)
    monkeypatch.setattr(commands, "server", lambda: spoken_to)
    app = typer.Typer()
    commands.register(app)
    said = CliRunner().invoke(app, ["disclose", str(place.folder), "--new-files", "copy"])
    assert said.exit_code == 0, said.exception
    assert "get a signed copy beside them" in said.output
    with place.context.database.tenant_work(place.context.tenant) as session:
        assert roots.show_root(session, place.root).disclosure == RootDisclosure.COPY
    # A folder without the switch is a question, not a traceback.
    assert CliRunner().invoke(app, ["disclose", str(place.folder)]).exit_code == 2
