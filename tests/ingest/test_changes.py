from __future__ import annotations

import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.ingest.changes import Known, RootFace, compare, is_mass_vanishing, judge_root
from memoryd.ingest.facts import RootHealth, Seen


def _face(inode: int, *, size: int = 10, mtime_ns: int = 100) -> Seen:
    return Seen(size=size, mtime_ns=mtime_ns, inode=inode, device=1)


def _known(face: Seen | None, *, present: bool = True) -> Known:
    return Known(id=uuid.uuid4(), face=face, present=present)


def test_an_unchanged_folder_has_no_changes() -> None:
    assert not compare({b"a.png": _face(1)}, {b"a.png": _known(_face(1))})


def test_a_new_file_is_read() -> None:
    assert compare({b"a.png": _face(1)}, {}).read == (b"a.png",)


def test_a_rewrite_with_an_older_time_is_read_again() -> None:
    assert compare({b"a.png": _face(1, mtime_ns=50)}, {b"a.png": _known(_face(1))}).read == (b"a.png",)


def test_another_file_under_the_same_name_is_read_even_with_equal_size_and_time() -> None:
    assert compare({b"a.png": _face(2)}, {b"a.png": _known(_face(1))}).read == (b"a.png",)


def test_a_rename_moves_the_place_without_reading() -> None:
    place = _known(_face(1))
    changes = compare({b"b/c.png": _face(1)}, {b"a.png": place})
    assert changes.renamed == ((place.id, b"b/c.png"),)
    assert not changes.read
    assert not changes.gone


def test_two_hard_links_of_a_vanished_file_are_read_because_either_could_be_it() -> None:
    place = _known(_face(1))
    changes = compare({b"b.png": _face(1), b"c.png": _face(1)}, {b"a.png": place})
    assert set(changes.read) == {b"b.png", b"c.png"}
    assert changes.gone == (place.id,)


def test_a_rename_onto_a_known_name_is_read_and_its_old_place_is_gone() -> None:
    a, b = _known(_face(1)), _known(_face(2))
    changes = compare({b"b.png": _face(1)}, {b"a.png": a, b"b.png": b})
    assert changes.read == (b"b.png",)
    assert changes.gone == (a.id,)


def test_a_missing_file_that_returns_unchanged_is_back_without_reading() -> None:
    place = _known(_face(1), present=False)
    assert compare({b"a.png": _face(1)}, {b"a.png": place}).back == (place.id,)


def test_a_file_found_by_name_only_is_read() -> None:
    assert compare({b"a.png": _face(1)}, {b"a.png": _known(None)}).read == (b"a.png",)


@settings(max_examples=60)
@given(
    there=st.dictionaries(st.sampled_from([b"a", b"b", b"c", b"d"]), st.integers(1, 3)),
    known=st.dictionaries(st.sampled_from([b"a", b"b", b"c", b"d"]), st.tuples(st.integers(1, 3), st.booleans())),
)
def test_every_path_has_one_fate(there: dict[bytes, int], known: dict[bytes, tuple[int, bool]]) -> None:
    places = {path: _known(_face(inode), present=present) for path, (inode, present) in known.items()}
    changes = compare({path: _face(inode) for path, inode in there.items()}, places)
    handled = [*changes.read, *(path for _, path in changes.renamed)]
    assert len(handled) == len(set(handled))
    lost = {place.id for path, place in places.items() if path not in there and place.present}
    assert lost == set(changes.gone) | {place_id for place_id, _ in changes.renamed}
    for path in set(there) - set(known):
        assert path in handled


def test_a_large_share_that_vanishes_in_one_pass_is_a_lost_folder() -> None:
    assert is_mass_vanishing(gone=60, known_present=100)
    assert not is_mass_vanishing(gone=50, known_present=100)
    assert not is_mass_vanishing(gone=20, known_present=20)
    assert is_mass_vanishing(gone=21, known_present=21)


def test_a_root_is_judged_by_its_marker_first() -> None:
    added = RootFace(device=1, marker="m")
    assert judge_root(expected=added, found=RootFace(device=1, marker="m")) is RootHealth.WELL
    assert judge_root(expected=added, found=RootFace(device=2, marker="m")) is RootHealth.WELL
    assert judge_root(expected=added, found=RootFace(device=1)) is RootHealth.MARKER_LOST
    assert judge_root(expected=added, found=RootFace(device=1, marker="n")) is RootHealth.MARKER_LOST
    assert judge_root(expected=added, found=RootFace(device=None)) is RootHealth.UNREACHABLE
    unmarked = RootFace(device=1)
    assert judge_root(expected=unmarked, found=RootFace(device=1)) is RootHealth.WELL
    assert judge_root(expected=unmarked, found=RootFace(device=2)) is RootHealth.OTHER_DEVICE
