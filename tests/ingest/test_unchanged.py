from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from memoryd.ingest.unchanged import Face, Unchanged

faces = st.lists(
    st.tuples(st.binary(max_size=6), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**63)), max_size=12
)


@given(faces, faces)
@settings(max_examples=60, deadline=None)
def test_exactly_what_is_known_as_it_is_does_not_differ(known: list[Face], there: list[Face]) -> None:
    unchanged = Unchanged(known)
    assert unchanged.differing(there) == [index for index, face in enumerate(there) if face not in known]
    assert unchanged.was_seen(known) == [face in there for face in known]
    assert unchanged.all_seen == all(face in there for face in known)


def test_nothing_known_is_all_seen() -> None:
    unchanged = Unchanged([])
    assert unchanged.all_seen
    assert unchanged.differing([(b"a", 1, 1, 1)]) == [0]
    assert unchanged.was_seen([(b"a", 1, 1, 1)]) == [False]
