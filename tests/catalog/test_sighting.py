from __future__ import annotations

import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.catalog.facts import Location, LocationRecord, LocationState, Sighting
from memoryd.catalog.sighting import judge
from memoryd.foundation.ids import AssetId, LocationId, new_id
from tests.catalog.records import place
from tests.thoroughness import tries

NOW = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


def known(seen: LocationRecord, *, state: LocationState = LocationState.RECORDED, asset: bool = True) -> Location:
    return Location(
        id=LocationId(new_id()),
        watch_root_id=seen.watch_root_id,
        path=seen.path,
        shown_path=seen.path.decode(),
        size=seen.size,
        mtime_ns=seen.mtime_ns,
        inode=seen.inode,
        device=seen.device,
        state=state,
        asset_id=AssetId(new_id()) if asset else None,
        project_id=None,
        first_seen=NOW,
        last_seen=NOW,
        gone_at=None,
    )


def sightings(seen: list[LocationRecord], places: list[Location], gone: set[bytes]) -> list[Sighting]:
    return [one.sighting for one in judge(seen, {p.path: p for p in places}, places, gone)]


def test_an_unknown_file_is_new() -> None:
    assert sightings([place("a.png")], [], set()) == [Sighting.NEW]


def test_a_file_as_recorded_is_the_same() -> None:
    assert sightings([place("a.png")], [known(place("a.png"))], set()) == [Sighting.SAME]


def test_a_rewrite_with_an_older_time_is_a_change() -> None:
    assert sightings([place("a.png", mtime_ns=5)], [known(place("a.png", mtime_ns=9))], set()) == [Sighting.CHANGED]


def test_a_replacement_of_equal_size_and_time_is_told_by_its_inode() -> None:
    assert sightings([place("a.png", inode=8)], [known(place("a.png", inode=7))], set()) == [Sighting.CHANGED]


def test_a_file_under_another_name_whose_first_name_is_gone_is_renamed() -> None:
    assert sightings([place("b.png")], [known(place("a.png"))], {b"a.png"}) == [Sighting.RENAMED]


def test_a_file_under_another_name_whose_place_is_missing_is_renamed() -> None:
    missing = known(place("a.png"), state=LocationState.MISSING)
    assert sightings([place("b.png")], [missing], set()) == [Sighting.RENAMED]


def test_a_hard_link_is_no_rename() -> None:
    assert sightings([place("a.png"), place("b.png")], [known(place("a.png"))], set()) == [Sighting.SAME, Sighting.NEW]


def test_where_nobody_looked_for_the_first_name_it_may_be_a_rename() -> None:
    assert sightings([place("b.png")], [known(place("a.png"))], set()) == [Sighting.MAYBE_RENAMED]


def test_a_reused_inode_with_other_content_is_new() -> None:
    assert sightings([place("b.png", size=5)], [known(place("a.png"))], {b"a.png"}) == [Sighting.NEW]


def test_a_rename_onto_a_known_name_is_a_rename() -> None:
    a, b = known(place("a.png", inode=1)), known(place("b.png", inode=2, size=7))
    [one] = judge([place("b.png", inode=1)], {b"b.png": b}, [a, b], {b"a.png"})
    assert (one.sighting, one.before, one.known) == (Sighting.RENAMED, a, b)


def test_a_place_is_renamed_once_only() -> None:
    a = known(place("a.png"))
    assert sightings([place("b.png"), place("c.png")], [a], {b"a.png"}) == [Sighting.RENAMED, Sighting.NEW]


def test_a_file_that_was_arriving_is_new_until_it_was_read() -> None:
    assert sightings([place("a.png")], [known(place("a.png"), asset=False)], set()) == [Sighting.NEW]


faces = st.builds(
    place, st.sampled_from("abcd"), size=st.integers(1, 2), mtime_ns=st.integers(1, 2), inode=st.integers(1, 3)
)


@settings(max_examples=tries(60), deadline=None)
@given(st.lists(faces, unique_by=lambda f: f.path), st.lists(faces, unique_by=lambda f: f.path), st.booleans())
def test_no_place_is_ever_moved_while_its_name_is_seen(
    seen: list[LocationRecord], before: list[LocationRecord], looked: bool
) -> None:
    places = [known(face) for face in before]
    names = {file.path for file in seen}
    gone = {p.path for p in places} - names if looked else set()
    judged = judge(seen, {p.path: p for p in places}, places, gone)
    renamed = [one.before.path for one in judged if one.sighting is Sighting.RENAMED and one.before]
    assert len(renamed) == len(set(renamed))
    assert not names & set(renamed)
    for one in judged:
        if one.sighting is Sighting.SAME:
            assert one.known is not None
            assert (one.known.size, one.known.mtime_ns) == (one.seen.size, one.seen.mtime_ns)
