from __future__ import annotations

import hashlib

import pytest

from memoryd.catalog import places, roots, showing
from memoryd.catalog.facts import LocationState, RootState, Sighting
from memoryd.catalog.looking_up import AssetNotFound, find_asset
from memoryd.catalog.recording import record_assets
from memoryd.foundation.database import Session
from memoryd.foundation.ids import WatchRootId
from tests.catalog.records import place, record


@pytest.fixture
def root(session: Session) -> WatchRootId:
    return roots.add_root(
        session, host="render07", path=b"/mnt/nas/out/", aliases={"anna": "Z:\\out", "mac": "/Volumes/nas/out"}
    )


def test_a_file_as_recorded_is_noted_as_seen(session: Session, root: WatchRootId) -> None:
    record_assets(session, [record("pic", path="pic.png", root=root)])
    [seen] = places.observe(session, root, [place("pic.png", root=root)])
    assert seen.sighting is Sighting.SAME


def test_a_rename_moves_the_place_and_leaves_the_asset(session: Session, root: WatchRootId) -> None:
    [asset] = record_assets(session, [record("pic", path="old.png", root=root)])
    [seen] = places.observe(session, root, [place("sub/new.png", root=root)], gone={b"old.png"})
    assert seen.sighting is Sighting.RENAMED
    view = showing.show_asset(session, asset.asset_id, None)
    assert [p.shown_path for p in view.places] == ["sub/new.png"]
    assert [(p.shown_path, p.reason) for p in view.past_places] == [("old.png", "renamed")]


def test_a_rename_over_another_file_keeps_what_lay_there_in_the_past(session: Session, root: WatchRootId) -> None:
    a, b = record_assets(session, [record("a", path="a.png", root=root), record("b", path="b.png", root=root)])
    places.rename(session, a.location_ids[0], place("b.png", root=root))
    assert [p.shown_path for p in showing.show_asset(session, a.asset_id, None).places] == ["b.png"]
    gone = showing.show_asset(session, b.asset_id, None)
    assert (gone.places, gone.present) == ((), False)
    assert [(p.shown_path, p.reason) for p in gone.past_places] == [("b.png", "overwritten")]


def test_a_missing_file_is_marked_and_comes_back(session: Session, root: WatchRootId) -> None:
    [asset] = record_assets(session, [record("pic", path="pic.png", root=root)])
    assert places.mark_missing(session, asset.location_ids) == list(asset.location_ids)
    assert places.mark_missing(session, asset.location_ids) == []
    assert showing.show_asset(session, asset.asset_id, None).places[0].state is LocationState.MISSING
    assert places.observe(session, root, [place("pic.png", root=root)])[0].sighting is Sighting.SAME
    [back] = showing.show_asset(session, asset.asset_id, None).places
    assert (back.state, back.gone_at) == (LocationState.RECORDED, None)


@pytest.mark.parametrize("state", [RootState.OFFLINE, RootState.PAUSED])
def test_nothing_of_a_root_that_is_not_online_goes_missing(
    session: Session, root: WatchRootId, state: RootState
) -> None:
    [asset] = record_assets(session, [record("pic", path="pic.png", root=root)])
    roots.set_state(session, root, state, "the marker is not there")
    assert places.mark_missing(session, asset.location_ids) == []
    [lies] = showing.show_asset(session, asset.asset_id, None).places
    assert (lies.state, lies.root_state) == (LocationState.RECORDED, state)


def test_a_huge_file_is_found_by_name_until_it_is_read(session: Session, root: WatchRootId) -> None:
    arrived = places.arrive(session, [place("huge.png", root=root)])
    assert list(arrived) == [b"huge.png"]
    assert places.arrive(session, [place("huge.png", root=root)]) == {}
    [asset] = record_assets(session, [record("huge", path="huge.png", root=root)])
    assert asset.location_ids == (arrived[b"huge.png"],)


def test_known_places_come_in_pages(session: Session, root: WatchRootId) -> None:
    record_assets(session, [record(f"p{n}", path=f"p{n}.png", root=root) for n in range(5)])
    names, after = [], b""
    while page := places.list_known(session, root, after=after, limit=2):
        names += [location.shown_path for location in page]
        after = hashlib.sha256(page[-1].path).digest()
    assert sorted(names) == [f"p{n}.png" for n in range(5)]


def test_each_machine_gets_a_path_that_works_there(session: Session, root: WatchRootId) -> None:
    [asset] = record_assets(session, [record("pic", path="sub/pic.png", root=root)])
    [lies] = showing.show_asset(session, asset.asset_id, None).places
    assert lies.paths == (
        ("render07", "/mnt/nas/out/sub/pic.png"),
        ("anna", "Z:\\out\\sub\\pic.png"),
        ("mac", "/Volumes/nas/out/sub/pic.png"),
    )
    for _, path in lies.paths:
        assert find_asset(session, path, None) == asset.asset_id
    assert find_asset(session, "z:\\OUT\\sub\\pic.png", None) == asset.asset_id
    with pytest.raises(AssetNotFound):
        find_asset(session, "/mnt/nas/outside/sub/pic.png", None)


def test_a_folder_is_watched_once(session: Session, root: WatchRootId) -> None:
    with pytest.raises(roots.RootExists):
        roots.add_root(session, host="render07", path=b"/mnt/nas/out")
    assert roots.find_root(session, "/mnt/nas/out").id == root
    roots.retire_root(session, root)
    assert roots.list_roots(session) == []
    assert [found.id for found in roots.list_roots(session, retired=True)] == [root]


def test_aliases_can_be_set_and_forgotten(session: Session, root: WatchRootId) -> None:
    roots.set_alias(session, root, "bert", "Y:\\out")
    roots.set_alias(session, root, "anna", None)
    assert roots.show_root(session, root).aliases == {"bert": "Y:\\out", "mac": "/Volumes/nas/out"}
