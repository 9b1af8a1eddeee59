from __future__ import annotations

from pathlib import Path

import pytest

from memoryd.access.facts import Caller
from memoryd.access.sessions import local_caller
from memoryd.catalog.facts import Succession
from memoryd.catalog.looking_up import AssetNotFound, find_asset
from memoryd.catalog.showing import show_asset
from memoryd.disclosure.disclosing import AlreadySigned, disclose_asset, find_disclosure, list_disclosures
from memoryd.disclosure.facts import Disclosed, SourceType, Undecided
from memoryd.disclosure.pki import SigningIdentity
from memoryd.disclosure.verifying import verify_file
from memoryd.foundation.database import Database
from memoryd.storage.blob_store import BlobStore

from .studio import take_in


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    """An empty store."""
    return BlobStore(tmp_path / "home")


@pytest.fixture
def caller(database: Database) -> Caller:
    """The local person."""
    return local_caller(database, "default")


def disclosed(made: Disclosed | Undecided) -> Disclosed:
    assert isinstance(made, Disclosed), made
    return made


def test_a_signed_copy_is_a_new_asset_of_the_line_and_the_original_stays(
    database: Database,
    caller: Caller,
    store: BlobStore,
    fixtures: Path,
    tmp_path: Path,
    identity: SigningIdentity,
) -> None:
    path = take_in(database, caller, fixtures, tmp_path / "output", "txt2img_seed_u64max")["txt2img_seed_u64max"]
    before = path.read_bytes()
    made = disclosed(disclose_asset(database, store, caller, str(path.resolve()), identity))
    assert made.new
    assert made.source_type is SourceType.TRAINED
    assert path.read_bytes() == before
    with database.tenant_work(caller.tenant) as session:
        view = show_asset(session, made.original_id, caller.sees)
        copy = show_asset(session, made.disclosed_id, caller.sees)
        assert view.disclosed
        assert copy.root_id == view.root_id
        assert [member.succession for member in copy.line] == [None, Succession.DISCLOSED]
        assert [one.id for one in list_disclosures(session, made.original_id, caller.sees)] == [made.id]
        assert find_disclosure(session, made.id, caller.sees).manifest_id == made.manifest_id
    assert verify_file(store.path("default", copy.sha256)).good


def test_saying_the_same_again_gives_the_copy_that_is_there(
    database: Database,
    caller: Caller,
    store: BlobStore,
    fixtures: Path,
    tmp_path: Path,
    identity: SigningIdentity,
) -> None:
    path = take_in(database, caller, fixtures, tmp_path / "output", "txt2img_basic")["txt2img_basic"]
    first = disclosed(disclose_asset(database, store, caller, str(path.resolve()), identity))
    again = disclosed(disclose_asset(database, store, caller, str(first.original_id), identity))
    assert again.id == first.id
    assert not again.new
    with pytest.raises(AlreadySigned):
        disclose_asset(database, store, caller, str(first.disclosed_id), identity)


def test_without_evidence_nothing_is_signed_and_nothing_recorded(
    database: Database,
    caller: Caller,
    store: BlobStore,
    fixtures: Path,
    tmp_path: Path,
    identity: SigningIdentity,
) -> None:
    path = take_in(database, caller, fixtures, tmp_path / "output", "no_metadata")["no_metadata"]
    answer = disclose_asset(database, store, caller, str(path.resolve()), identity)
    assert isinstance(answer, Undecided)
    with database.tenant_work(caller.tenant) as session:
        asset = find_asset(session, str(path.resolve()), caller.sees)
        assert not show_asset(session, asset, caller.sees).disclosed
        assert list_disclosures(session, asset, caller.sees) == []


def test_what_was_processed_from_a_known_generation_is_said_to_contain_it(
    database: Database,
    caller: Caller,
    store: BlobStore,
    fixtures: Path,
    tmp_path: Path,
    identity: SigningIdentity,
) -> None:
    paths = take_in(
        database,
        caller,
        fixtures,
        tmp_path / "output",
        "txt2img_basic",
        "img2img_from_upload",
        "modelfree_blend_invert",
    )
    continued = disclosed(
        disclose_asset(database, store, caller, str(paths["img2img_from_upload"].resolve()), identity)
    )
    assert continued.source_type is SourceType.COMPOSITE_TRAINED
    blended = disclose_asset(database, store, caller, str(paths["modelfree_blend_invert"].resolve()), identity)
    assert disclosed(blended).source_type is SourceType.COMPOSITE_TRAINED


def test_another_tenants_asset_is_not_found(
    database: Database,
    caller: Caller,
    store: BlobStore,
    fixtures: Path,
    tmp_path: Path,
    identity: SigningIdentity,
) -> None:
    path = take_in(database, caller, fixtures, tmp_path / "output", "txt2img_basic")["txt2img_basic"]
    made = disclosed(disclose_asset(database, store, caller, str(path.resolve()), identity))
    with pytest.raises(AssetNotFound):
        disclose_asset(database, store, local_caller(database, "other"), str(made.original_id), identity)
